#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The audit log: what real logins leave in it, that its chain holds whoever writes and whatever happens, and what
# qf-up audit makes of it. Field note 9.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start --enable-ssh-local-port-forwarding && warm
}
teardown_file() { fabric_end; }

verify() { "$BIN/qf-up" audit verify "$@" $FOLDERS; }
show() { "$BIN/qf-up" audit show "$@" $FOLDERS; }
says() { grep -qE "$1" "$QF/qf-up.log"; }
# good: the chain holds, to its end, from the first line on
good() {
  run -0 verify
  [[ $output == *" lines, number 1 to "*"none was changed, removed or inserted"* && $output != *note:* ]]
}
# no connection stands, so nobody writes
sessions_over() { ! pgrep -P "$(listener_pid)" -x qf-sshd; }

@test "a session: who, as whom, from where, by which policy, and what came of it" {
  run -7 on_peer 'echo four; exit 7'
  until_true 60 sessions_over
  run -0 audit_says ".event == \"login\" and .allowed and .identity == \"machine:$CLIENT\" and .issuer == \"machine\" and
    .key_bound and .os_user == \"$TARGET\" and .peer == \"client\" and .source == \"127.0.0.1\" and .policy == \"all\" and
    (.serial | strings | test(\"^[0-9]+\$\")) and (.token_expires | endswith(\"Z\"))" || { tail -n 5 "$AUDIT" && false; }
  run -0 audit_says ".event == \"session-end\" and .kind == \"exec\" and .status == 7 and .bytes_out >= 5 and
    .identity == \"machine:$CLIENT\" and .os_user == \"$TARGET\" and .milliseconds >= 0"
  run -255 qssh -l nobody-of-here server true
  run -0 audit_says '.event == "login" and .allowed == false and .os_user == "nobody-of-here" and .source == "127.0.0.1"'
  good
}

@test "what a session has carried is told, also when its monitor finds everything ended at once" {
  local monitor session net
  background_as "$CLIENT" "$QF/carried.log" ssh -F "$CONF" -l "$TARGET" server 'echo carried; exec sleep 400'
  until_true 60 grep -q carried "$QF/carried.log"
  monitor=$(pgrep -P "$(listener_pid)" -f "qf-sshd.*$TARGET \\[monitor\\]")
  session=$(pgrep -P "$monitor" -u "$TARGET")
  net=$(pgrep -P "$monitor" -u qufabric)
  kill -STOP "$monitor"
  kill "$session"
  end_process "$PID"
  until_true 60 eval '[[ $(ps -o stat= -p "$net") == Z* ]]'
  kill -CONT "$monitor"
  until_true 60 sessions_over
  run -0 audit_says ".event == \"session-end\" and .pid == $session and .signal == \"TERM\" and .bytes_out == 8" ||
    { tail -n 3 "$AUDIT" && false; }
}

@test "forwards name their user: a connection, one that fails, and an agent that is not wanted" {
  run ! qssh -l "$TARGET" -W 127.0.0.1:1 server
  run -0 audit_says ".event == \"forward\" and .kind == \"connect\" and .target == \"127.0.0.1:1\" and .allowed == false and
    .identity == \"machine:$CLIENT\" and .os_user == \"$TARGET\" and (.reason | test(\"refused\"))"
  run -0 qssh -X -l "$TARGET" server true
  run -0 show --event forward --user "$CLIENT"
  [[ $output == *"machine:$CLIENT"*"$TARGET"*"client (127.0.0.1)"*"forward"*"connect 127.0.0.1:1, failed: "* ]]
  # a target that cannot be reached was not refused; a user whom nobody knows was
  run -255 qssh -l nobody-of-here server true
  run -0 show --refused
  [[ $output == *nobody-of-here*"refused: "* && $output != *"connect 127.0.0.1:1"* ]]
  [ "$(show --refused --json | jq -s 'map(select(.allowed)) | length')" = 0 ]
  run -64 verify --refused
}

@test "a file that is no audit log is said to be none" {
  printf 'Nov 28 12:00:00 host sshd[1]: hello\n{"some":"json"}\n' >"$BATS_TEST_TMPDIR/other"
  for command in show verify; do
    run -78 "$command" "$BATS_TEST_TMPDIR/other"
    [[ $output == *"$BATS_TEST_TMPDIR/other is no audit log"*"hint: "*"$AUDIT"* ]] || { echo "$output" && false; }
    run -78 "$command" "$AUDIT" "$BATS_TEST_TMPDIR/other"
    # one line of it is enough to be judged
    { cat "$BATS_TEST_TMPDIR/other" && head -n 1 "$AUDIT"; } >"$BATS_TEST_TMPDIR/mixed"
    run "$command" "$BATS_TEST_TMPDIR/mixed"
    [[ $output != *"is no audit log"* ]]
  done
  run -1 verify "$BATS_TEST_TMPDIR/mixed"
}

@test "the fabric document: at the start, when another comes, and not when none does" {
  policies() { audit 'select(.event == "policy")' | wc -l; }
  hash_of() { sha256sum "$QF/config/fabric.json" | cut -d' ' -f1; }
  before=$(policies)
  [ "$before" -ge 1 ]
  old=$(hash_of)
  kill -HUP "$(listener_pid)"
  until_true 60 says 'SIGHUP: reading'
  fabric_apply
  new=$(hash_of)
  until_true 60 audit_says ".event == \"policy\" and .document_hash == \"$new\" and .document_hash_before == \"$old\" and
    .serial == .serial_before + 1"
  [ "$(policies)" = $((before + 1)) ]
  server_restart
  until_true 60 audit_says "(.event == \"policy\") and .document_hash == \"$new\" and (has(\"serial_before\") | not)"
  [ "$(policies)" = $((before + 2)) ]
  good
}

@test "SIGHUP with a policy that cannot be read: which one stays in force is said, and the audit log has no other" {
  serial=$(audit 'select(.event == "policy") | .serial' | tail -n 1)
  before=$(audit 'select(.event == "policy")' | wc -l)
  mv "$QF/state/policy.mdb" "$QF/policy.kept"
  kill -HUP "$(listener_pid)"
  until_true 60 says "cannot use the new policy: .*; serial $serial stays in force for who is connected, and nobody new is let in"
  run -255 on_peer true
  mv "$QF/policy.kept" "$QF/state/policy.mdb"
  run -0 on_peer true
  [ "$(audit 'select(.event == "policy")' | wc -l)" = "$before" ]
  good
}

@test "many at once, a server that is killed, and one that is killed with its monitors: one chain" {
  many() {
    local pids=() i
    for i in $(seq 8); do
      on_peer "echo $1 $i; ${3:-}" >/dev/null 2>&1 3>&- 4>&- &
      pids+=($!)
    done
    if [ -n "${2:-}" ]; then "$2"; fi
    for i in "${pids[@]}"; do wait "$i" || :; done
  }
  monitors_die() {
    until_true 60 pgrep -P "$(listener_pid)" -x qf-sshd
    pgrep -P "$(listener_pid)" -x qf-sshd | xargs -r kill -KILL || :
  }
  listener_dies() { kill -KILL "$(listener_pid)"; }
  many first
  good
  # they last until they are seen
  many second monitors_die "sleep 2"
  many third listener_dies
  until_true 60 on_peer true
  many fourth
  good
}

# copy: LOG is a copy of the log, with its tail and nobody who writes; COUNT lines.
copy() {
  server_stop
  rm -rf "$QF/copy" && mkdir "$QF/copy"
  cp "$AUDIT" "$QF/state/audit.tail" "$QF/copy/"
  server_start
  LOG=$QF/copy/audit.log
  COUNT=$(wc -l <"$LOG")
  [ "$COUNT" -ge 12 ]
}
# tampered SED-SCRIPT LINE WORDS: a copy that the script has changed: the line is named
tampered() {
  mkdir -p "$QF/copy/changed"
  sed "$1" "$LOG" >"$QF/copy/changed/audit.log"
  cp "$QF/copy/audit.tail" "$QF/copy/changed/"
  run -1 verify "$QF/copy/changed/audit.log"
  [[ $output == "$QF/copy/changed/audit.log:$2: "*$3* ]] || { echo "$1: $output" && false; }
}

@test "each way to change the log is found, in its line" {
  copy
  run -0 verify "$LOG"
  [[ $output == "$COUNT lines, number 1 to $COUNT, from 2"*"last line: $(tail -n 1 "$LOG" | tr -d '\n' | sha256sum | cut -d' ' -f1)" ]]
  for line in 1 2 $((COUNT / 2)) $((COUNT - 1)) "$COUNT"; do
    tampered "${line}s/\"event\":\"./&x/" "$line" "this line was changed"
  done
  tampered 's/"allowed":false/"allowed":true/' "$(grep -n '"allowed":false' "$LOG" | head -n 1 | cut -d: -f1)" "this line was changed"
  tampered 5d 5 "1 line is missing before this one, from between 2"
  tampered 5,7d 5 "3 lines are missing before this one, from between 2"
  tampered "5{h;p}" 6 "inserted"
  tampered '5h;9G' 10 "inserted"
  tampered '5{h;d};6G' 5 "moved"
  tampered '$d' $((COUNT - 1)) "1 line is missing after this one"
  tampered '4,$d' 3 "$((COUNT - 3)) lines are missing after this one"
  tampered 1,3d 1 "3 lines are missing before this one"
  tampered '5i nothing of ours' 5 "no line of an audit log"
  tampered '5s/}$//' 5 "no line of an audit log: it was changed"
}

@test "without its tail a log that is cut is one that ends; the hash of a line that was seen says otherwise" {
  copy
  hash=$(verify "$LOG" | sed -n 's/^last line: //p')
  [ ${#hash} = 64 ]
  head -n 5 "$LOG" >"$QF/copy/cut.log"
  run -0 verify "$QF/copy/cut.log"
  [[ $output == *"note: without $QF/copy/cut.tail lines that are missing at the end are not noticed"* ]]
  run -1 verify --last "$hash" "$QF/copy/cut.log"
  [[ $output == "$QF/copy/cut.log:5: no line up to this one has the hash $hash"* ]]
  run -0 on_peer true
  run -0 verify --last "$hash"
}

@test "a tail that is none is a fault: it may have been made to hide a cut" {
  copy
  sed -i '$d' "$LOG"
  for tail in "" garbage; do
    echo "$tail" >"$QF/copy/audit.tail"
    run -1 verify "$LOG"
    [[ $output == "$QF/copy/audit.tail: this is not what qf-sshd writes"* ]]
  done
}

@test "lines that are gone from the log of a running server stay missing" {
  run -0 on_peer true
  until_true 60 sessions_over
  last=$(jq -s 'last.n' "$AUDIT")
  cp "$AUDIT" "$QF/kept"
  sed -i '$d' "$AUDIT"
  run -1 verify
  [[ $output == *":$((last - 1)): 1 line is missing after this one"* ]]
  run -0 on_peer true
  until_true 60 says "does not end with line number $last"
  run -1 verify
  [[ $output == "$AUDIT:$last: 1 line is missing before this one"* ]]
  # put back what was there
  until_true 60 sessions_over
  server_stop
  sed -n "${last}p" "$QF/kept" >"$QF/line"
  sed -i "$((last - 1))r $QF/line" "$AUDIT"
  good
  server_start
  good
}

@test "what is there of a line that was cut off by a crash spoils nothing" {
  server_stop
  printf '{"n":%d,"previous":"' $(($(jq -s 'last.n' "$AUDIT") + 1)) >>"$AUDIT"
  run -0 verify
  [[ $output == *"note: 1 line never written to the end, after a crash"* ]]
  server_start
  run -0 on_peer true
  says 'a line that was never written to its end is cut off'
  # and a tail that was deleted
  rm "$QF/state/audit.tail"
  run -0 verify
  [[ $output == *"note: without $QF/state/audit.tail"* ]]
  run -0 on_peer true
  says 'audit.tail was missing or damaged'
  [ "$(stat -c %a "$QF/state/audit.tail")" = 600 ]
  good
}

@test "show: filters, times, JSON, and a reader that leaves" {
  run -3 on_peer 'exit 3'
  until_true 60 sessions_over
  run -0 show
  [[ ${lines[0]} =~ ^TIME\ +CONN\ +IDENTITY\ +OS\ USER\ +FROM\ +EVENT\ +WHAT$ ]]
  [ "${#lines[@]}" = $(($(wc -l <"$AUDIT") + 1)) ]
  run -0 show --event session-end --login "$TARGET" --user "machine:$CLIENT" --from client --since 1h
  [[ ${lines[-1]} == 2*Z\ *\ machine:$CLIENT\ *$TARGET\ *"client (127.0.0.1)"*session-end*"exec status 3, "* ]]
  run -0 show --event session-end --user nobody
  [[ ${#lines[@]} = 2 && ${lines[1]} == *": none of "*" lines is such" ]]
  connection=$(audit 'select(.event == "session-end") | .connection' | tail -n 1 | tr -d '"')
  run -0 show --connection "${connection:0:8}"
  [[ $output == *session-start*session-end* && $(grep -c session-end <<<"$output") = 1 ]]
  time=$(tail -n 1 "$AUDIT" | jq -r .time)
  [ "$(show --json --since "$time" | tail -n 1)" = "$(tail -n 1 "$AUDIT")" ]
  [ -z "$(show --json --until "$(head -n 1 "$AUDIT" | jq -r .time)")" ]
  cmp <(show --json) "$AUDIT"
  show | head -n 1 >/dev/null
  # what comes from elsewhere does not reach the terminal
  printf '%s\n' '{"event":"login","os_user":"\u001b[2Jx\u202e","allowed":true}' 'no JSON' >"$QF/foreign.log"
  run -0 show "$QF/foreign.log"
  [[ $output == *"?[2Jx?"* && $output == *"foreign.log:2: no line of an audit log"* ]]
}

@test "wrong usage, and a log that cannot be read, are said" {
  for words in "" frob "verify --user x" "show --last $(printf %064d 0)" "verify --last 12" "verify --last " "verify --json" "show --since yesterday" "show --event logins" "show --since 1h --until 2h"; do
    run -64 "$BIN/qf-up" audit $words
    [[ $output == *"hint: run qf-up audit --help"* ]] || { echo "$words: $output" && false; }
  done
  run -71 "$BIN/qf-up" audit verify "$QF/missing.log"
  [[ $output == *"cannot open $QF/missing.log: No such file"* ]]
  run -71 as "$CLIENT" "$BIN/qf-up" audit show $FOLDERS
  [[ $output == *"Permission denied"*"hint: "*"run as root"* ]]
  run -71 "$BIN/qf-up" audit show --state-dir "$QF/home"
  [[ $output == *"there is no audit log $QF/home/audit.log"* ]]
}

@test "whoever holds the lock holds nobody up: logins are refused, and go on afterwards" {
  mkfifo "$QF/lock.hold"
  background "$QF/lock.log" "$PYTHON" -c '
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
open(sys.argv[2]).read()' "$QF/state/audit.tail" "$QF/lock.hold"
  holder=$PID
  until_true 60 grep -q locked "$QF/lock.log"
  run -255 on_peer true
  [[ $output == *"this peer cannot write its audit log, so nobody may log in"*"hint: ask its admin"* ]]
  says "cannot write to the audit log .* \(process $holder holds the lock of $QF/state/audit.tail\)"
  says 'login refused: .*the audit log cannot be written'
  end_process "$holder"
  run -0 on_peer true
  good
}

# small_disk [FLAG…]: the server's state folder becomes a small disk of its own, in a mount namespace where only it is.
small_disk() {
  server_stop
  cat >"$QF/enter" <<'SH'
#!/bin/sh
set -e
state=$1
shift
cp -a "$state" "$state.copy"
mount --make-rprivate /
mount -t tmpfs -o size=2m,mode=755 tmpfs "$state"
cp -a "$state.copy/." "$state"
rm -rf "$state.copy"
exec "$@"
SH
  server_start_by unshare --mount sh "$QF/enter" "$QF/state" "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh \
    --ssh-jwt-cache-ttl=3600 "$@"
}
inside() { nsenter --target "$(qf_up)" --mount --wd=/ -- "$@"; }
fill() { ! inside dd if=/dev/zero of="$QF/state/fill" bs=1k 2>/dev/null && ! inside sh -c "echo x >>'$QF/state/fill'"; }

@test "a full disk: nobody new gets in and is told why, who is there goes on; with --allow-without-audit all do" {
  small_disk
  mkfifo -m 666 "$QF/live.hold"
  background_as "$CLIENT" "$QF/live.log" sh -c "exec ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/live.hold'"
  until_true 60 grep -q up "$QF/live.log"
  fill
  # the line that finds no room may be the second or third: the last page has some
  full() { run -255 on_peer true && [[ $output == *"this peer cannot write its audit log, so nobody may log in"* ]]; }
  until_true 60 full
  full
  says 'cannot write to the audit log .*No space left on device'
  echo goes-on >"$QF/live.hold"
  until_true 60 grep -q goes-on "$QF/live.log"
  run -0 inside "$BIN/qf-up" audit verify $FOLDERS
  # room again: as before, and no line is half
  inside rm "$QF/state/fill"
  run -0 on_peer true
  run -0 inside "$BIN/qf-up" audit verify $FOLDERS
  small_disk --allow-without-audit
  fill
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do run -0 on_peer true; done
  says 'cannot write to the audit log .*No space left on device'
  run -0 inside "$BIN/qf-up" audit verify $FOLDERS
  server_stop
  server_start --allow-without-audit=false
}

@test "logrotate with the shipped file: SIGHUP reaches the server, the chain goes on, compressed files are read" {
  server_stop
  mkdir "$QF/rotate"
  sed "s,/var/lib/qufabric,$QF/state," "$TOP/conf/logrotate.d/qufabric" >"$QF/rotate/conf"
  chmod 644 "$QF/rotate/conf"
  # a process namespace of its own, so that other servers of this machine get no signal
  server_start_by unshare --pid --fork --mount-proc --kill-child "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh \
    --ssh-jwt-cache-ttl=3600
  inner=$(pgrep -P "$(qf_up)" -x qf-up)
  rotate() { nsenter --target "$inner" --pid --mount --wd=/ -- logrotate --force --state "$QF/rotate/state" "$QF/rotate/conf"; }
  : >"$QF/qf-up.log"
  first=$(wc -l <"$AUDIT")
  rotate
  until_true 60 says 'SIGHUP: reading the fabric document'
  run -0 on_peer true
  [ "$(stat -c %a "$AUDIT")" = 600 ]
  rotate
  run -0 on_peer true
  until_true 60 test -s "$AUDIT"
  [ "$(cd "$QF/state" && echo audit.log*)" = "audit.log audit.log.1 audit.log.2.gz" ]
  run -0 verify
  [[ $output == *" lines, number 1 to "*"none was changed"* && $output != *note:* ]]
  [ "$(show --json | wc -l)" -gt "$first" ]
  # a file of the middle that is gone, and the oldest one
  mv "$QF/state/audit.log.1" "$QF/rotate/"
  run -1 verify
  [[ $output == "$AUDIT:1: "*"missing before this one"* ]]
  mv "$QF/rotate/audit.log.1" "$QF/state/"
  mv "$QF/state/audit.log.2.gz" "$QF/rotate/"
  run -0 verify
  [[ $output == *"note: $first lines before these are not in these files"* ]]
  # the head of the log itself
  sed -i 1d "$QF/state/audit.log.1"
  run -0 verify
  sed -i 1d "$AUDIT"
  run -1 verify
  [[ $output == "$AUDIT:1: 1 line is missing before this one"* ]]
  rm "$QF/state/audit.log.1"
  run -1 verify
  [[ $output == "$AUDIT:1: 1 line is missing before this one"* ]]
}
