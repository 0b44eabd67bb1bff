#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A session as OpenSSH's users know it, on the direct path: commands, streams, exit codes, terminals, environment.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm
}
teardown_file() { fabric_end; }

@test "a command runs as the user who was asked for, with stdout of its own" {
  run -0 --separate-stderr on_peer 'id -un; pwd'
  [ "${lines[0]}" = "$TARGET" ]
  [ "${lines[1]}" = "$QF/home/$TARGET" ]
  [ -z "$stderr" ]
}

@test "stdout and stderr stay apart" {
  run -0 --separate-stderr on_peer 'echo to-out; echo to-err >&2; echo more-out'
  [ "$output" = $'to-out\nmore-out' ]
  [ "$stderr" = to-err ]
}

@test "stdin reaches the command, and its end does" {
  run -0 on_peer 'wc -c; echo after' <<<"twelve bytes"
  [ "$output" = $'13\nafter' ]
}

@test "a command that closes stdout first still reads stdin to its end" {
  printf 'all of it' | on_peer "exec >&-; cat > kept; echo read >&2" 2>"$BATS_TEST_TMPDIR/err"
  [ "$(cat "$BATS_TEST_TMPDIR/err")" = read ]
  [ "$(cat "$QF/home/$TARGET/kept")" = "all of it" ]
}

@test "the exit status of the command is ssh's" {
  run -0 on_peer 'exit 0'
  run -1 on_peer 'exit 1'
  run -77 on_peer 'exit 77'
  run -254 on_peer 'exit 254'
  run -127 on_peer 'no-such-command-anywhere'
}

@test "a signal that ends the command is told" {
  run -255 on_peer 'kill -TERM $$'
  run -255 qssh -v -l "$TARGET" server 'kill -KILL $$'
  [[ $output == *"exit-signal"* ]]
}

@test "a signal from the client reaches the command's process group, with the user's rights only" {
  run -0 on_peer true  # a certificate is written
  cp "$(home_of "$CLIENT")/.qufabric/ssh/server-cert.pub" "$QF/subject-cert.pub"
  cp "$(home_of "$CLIENT")/.qufabric/ssh/subject" "$QF/subject"
  # setpriv, setuid root, becomes root for good: the user may no longer end it
  cp "$(command -v setpriv)" "$QF/rooted"
  chmod 4755 "$QF/rooted"
  mkfifo -m 666 "$QF/never"
  run timeout 60 "$PYTHON" "$TOP/tests/bats/foreign_login.py" certificate "$ADDRESS" "$TARGET" \
    "'$QF/rooted' --reuid 0 --regid 0 --clear-groups sh -c 'echo started; exec cat $QF/never >/dev/null 2>&1' & wait" "$QF/subject" TERM
  [[ $output == started* ]]
  [ "$status" != 0 ]
  rooted=$(pgrep -f "^cat $QF/never")
  note_process "$rooted"
  [ "$(stat -c %U "/proc/$rooted")" = root ]
  run -0 audit_says '.event == "session-end" and .signal == "TERM"'
}

@test "the environment is the user's: HOME, USER, LOGNAME, SHELL, PATH, MAIL and where it comes from" {
  run -0 on_peer env
  [[ $'\n'"$output"$'\n' == *$'\n'"HOME=$QF/home/$TARGET"$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"USER=$TARGET"$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"LOGNAME=$TARGET"$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"SHELL=/bin/sh"$'\n'* ]]
  [[ $'\n'"$output" == *$'\n'PATH=*/usr/bin* ]]
  [[ $'\n'"$output" == *$'\n'MAIL=*"$TARGET"* ]]
  grep -qE "^SSH_CONNECTION=127\.0\.0\.1 [0-9]+ ${ADDRESS//./\\.} 22022$" <<<"$output"
  grep -qE '^SSH_CLIENT=127\.0\.0\.1 [0-9]+ 22022$' <<<"$output"
  [[ $output != *SSH_TTY=* ]]
  # nothing of the server's own
  [[ $output != *QF_* ]]
}

@test "LANG and LC_* arrive as sent, other variables do not" {
  run -0 as_client LANG=de_DE.UTF-8 LC_TIME=C EVIL=1 LD_PRELOAD= timeout 60 ssh -F "$CONF" -o SendEnv='LANG LC_* EVIL LD_PRELOAD' \
    -l "$TARGET" server env
  [[ $'\n'"$output"$'\n' == *$'\n'LANG=de_DE.UTF-8$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'LC_TIME=C$'\n'* ]]
  [[ $output != *EVIL* ]]
  [[ $output != *LD_PRELOAD* ]]
}

@test "a login shell with a terminal: name, size, SSH_TTY, TERM, and the shell's exit status" {
  run -3 in_terminal "$QF/shown$BATS_TEST_NUMBER" size=33x101 'expect=[$] ' \
    'send=tty; stty size; echo "T=$TERM S=$SSH_TTY A=$0"\r' 'expect=T=xterm-test S=/dev/pts/[0-9]+ A=-' 'send=exit 3\r' -- \
    env TERM=xterm-test ssh -F "$CONF" -l "$TARGET" server
  grep -q '33 101' "$QF/shown$BATS_TEST_NUMBER"
  tty=$(grep -oE '^/dev/pts/[0-9]+' "$QF/shown$BATS_TEST_NUMBER" | head -n 1)
  grep -q "S=$tty " "$QF/shown$BATS_TEST_NUMBER"
}

@test "the window's size follows" {
  run -0 in_terminal "$QF/shown$BATS_TEST_NUMBER" size=24x80 'expect=[$] ' \
    "send=trap 'stty size; exit 0' WINCH; echo ready-\$((6*7)); while :; do read x; done\\r" 'expect=ready-42' \
    resize=50x132 'expect=50 132' -- ssh -F "$CONF" -l "$TARGET" server
}

@test "Ctrl-C in a terminal reaches the command alone" {
  run -0 in_terminal "$QF/shown$BATS_TEST_NUMBER" 'expect=[$] ' "send=sh -c 'echo rea''dy; exec cat'\\r" 'expect=ready\r\n' 'send=\x03' 'expect=[$] ' \
    'send=echo still-$((1+1))\r' 'expect=still-2' 'send=exit 0\r' -- ssh -F "$CONF" -l "$TARGET" server
}

@test "Ctrl-D ends a shell" {
  run -0 in_terminal "$QF/shown$BATS_TEST_NUMBER" 'expect=[$] ' 'send=\x04' -- ssh -F "$CONF" -l "$TARGET" server
}

@test "field note 7: ssh -tt peer 'seq 1 200000' loses no line" {
  qssh -tt -l "$TARGET" server 'seq 1 200000' </dev/null 2>/dev/null | tr -d '\r' >"$BATS_TEST_TMPDIR/out"
  cmp "$BATS_TEST_TMPDIR/out" <(seq 1 200000)
}

@test "the end of a connection hangs up what ran in its terminal" {
  in_terminal "$QF/shown$BATS_TEST_NUMBER" 'expect=[$] ' 'send=echo $$ > shell-pid; echo noted-$((4+4))\r' 'expect=noted-8' 'send=~.' -- \
    ssh -F "$CONF" -l "$TARGET" server || true
  pid=$(cat "$QF/home/$TARGET/shell-pid")
  until_true 60 test ! -d "/proc/$pid"
}

@test "100 MB arrive unchanged, down and up at the same time" {
  head -c 104857600 /dev/urandom >"$QF/large"
  chmod 644 "$QF/large"
  sum=$(sha256sum <"$QF/large")
  on_peer cat <"$QF/large" | sha256sum >"$BATS_TEST_TMPDIR/sum"
  [ "$(cat "$BATS_TEST_TMPDIR/sum")" = "$sum" ]
  on_peer "cat '$QF/large'" | sha256sum >"$BATS_TEST_TMPDIR/sum"
  [ "$(cat "$BATS_TEST_TMPDIR/sum")" = "$sum" ]
  run -0 on_peer sha256sum <"$QF/large"
  [ "$output" = "$sum" ]
  rm -f "$QF/large"
}

# OpenSSH's client says that its reader has left (eow@openssh.com) only to servers whose identification begins with
# "OpenSSH", so a flood goes on until ssh ends: qf-sshd(8) says so.
@test "a flood that nobody reads any more ends with ssh, and nothing else does" {
  # the word after the line says that head has left
  background_as "$CLIENT" "$QF/one" bash -c 'exec ssh -F "$1" -l "$2" server "exec yes" > >(head -n 1; echo gone)' bash "$CONF" "$TARGET"
  until_true 60 grep -qx gone "$QF/one"
  [ "$(cat "$QF/one")" = $'y\ngone' ]
  floods() { pgrep -u "$TARGET" -x yes; }
  floods
  end_process "$PID"
  no_flood() { ! floods; }
  until_true 60 no_flood
  run -0 on_peer true
}

@test "a process that reads slowly costs the server no memory" {
  mkfifo -m 666 "$QF/read_all"
  # 20 MB in small bites, while the client has as much to send as goes in
  head -c 60000000 /dev/zero | on_peer "
    i=0; while [ \$i -lt 300 ]; do head -c 65536 >/dev/null; i=\$((i + 1)); done; cat >/dev/null; echo read; read -r x <'$QF/read_all'" >"$QF/out" &
  client=$!
  until_true 60 grep -q read "$QF/out"
  # the most that each has ever had; libssh, our buffers and one window are 10 MB
  for pid in $(descendants "$(listener_pid)"); do
    awk '$1 == "VmHWM:" && $2 > 32768 { print; bad = 1 } END { exit bad }' "/proc/$pid/status"
  done
  echo >"$QF/read_all"
  wait "$client"
}

@test "30 sessions at once on one connection (ControlMaster), each with its own streams and status" {
  control=$QF/home/$CLIENT/mux
  as_client ssh -F "$CONF" -o ControlMaster=yes -o ControlPath="$control" -o ControlPersist=60 -l "$TARGET" -fN server 3>&- 4>&-
  mkfifo -m 666 "$QF/gate"
  for i in $(seq 30); do
    as_client ssh -F "$CONF" -S "$control" -l "$TARGET" server "cat; echo out$i; : > here$i; cat '$QF/gate'; exit $i" <<<"in$i" \
      >"$BATS_TEST_TMPDIR/mux$i" 3>&- &
    jobs[i]=$!
  done
  # all of them have come this far, none goes on before the gate opens
  until_true 60 test_count 30 "$QF/home/$TARGET"/here
  exec 9>"$QF/gate"
  exec 9>&-
  for i in $(seq 30); do
    status=0
    wait "${jobs[i]}" || status=$?
    [ "$status" = "$i" ] || { echo "session $i: $status" && false; }
    [ "$(cat "$BATS_TEST_TMPDIR/mux$i")" = "in$i"$'\n'"out$i" ]
  done
  # one connection
  [ "$(audit -s '[.[] | select(.event == "session-start")] | group_by(.connection) | map(length) | max')" -ge 30 ]
  as_client ssh -F "$CONF" -S "$control" -O exit server
}
# test_count N PREFIX: whether so many files begin so
test_count() { [ "$(ls "$2"* 2>/dev/null | wc -l)" = "$1" ]; }

@test "field note 6: a script on stdin of ssh -T, as VS Code sends it" {
  run -0 qssh -T -l "$TARGET" server <<<'echo "shell says $((40+2))"; exit 0'
  [[ $output == *"shell says 42"* ]]
}

@test "field note 6: Ansible's quoting arrives unmangled" {
  run -0 on_peer "/bin/sh -c '( umask 77 && mkdir -p \"\` echo ~/.ansible/tmp \`\" && echo \"made \$( id -un )\" ) && sleep 0'"
  [ "$output" = "made $TARGET" ]
}

@test "field note 21: a command is in no other process's arguments than the user's own shell" {
  secret=token-$RANDOM$RANDOM
  background_as "$CLIENT" "$QF/long.log" ssh -F "$CONF" -l "$TARGET" server ": $secret; cat /dev/zero | grep -q x"
  # who shows it, but the client's own ssh and what runs as the target user
  until_true 60 pgrep -u "$TARGET" -f "$secret"
  for pid in $(pgrep -f "$secret"); do
    owner=$(stat -c %U "/proc/$pid") || continue
    case $owner in
      "$TARGET" | "$CLIENT") ;;
      root) [ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -d' ' -f1)" != "$BIN/qf-sshd" ] ;;
      *) echo "$owner: $(tr '\0' ' ' <"/proc/$pid/cmdline")" && false ;;
    esac
  done
  for pid in $(descendants "$(qf_up)"); do
    if [ "$(stat -c %U "/proc/$pid" 2>/dev/null)" = "$TARGET" ]; then continue; fi
    if tr '\0' ' ' <"/proc/$pid/cmdline" | grep "$secret"; then false; fi
  done
  run -1 grep "$secret" "$QF/qf-up.log" "$AUDIT"
  end_process "$PID"
}

@test "field note 4: while the peer is known, an ssh makes one connection, and Match exec none" {
  on_peer true
  before=$(audit -s '[.[] | select(.event == "connection")] | length')
  for i in 1 2 3; do on_peer true; done
  [ "$(audit -s '[.[] | select(.event == "connection")] | length')" = $((before + 3)) ]
  # nor does ssh -G, which asks for the configuration alone, cause a login or a connection
  run -0 as_client ssh -F "$CONF" -G server
  [ "$(audit -s '[.[] | select(.event == "connection")] | length')" = $((before + 3)) ]
}

@test "a command with every byte that a command may hold arrives as it is" {
  run -0 on_peer "printf '%s' 'a  b	c\"d\$e\`f\\g;h&i|j<k>l*m?n[o]p{q}r~s!t#u%v'"
  [ "$output" = "a  b	c\"d\$e\`f\\g;h&i|j<k>l*m?n[o]p{q}r~s!t#u%v" ]
  run -0 on_peer 'printf %s "umlaut ü"'
  [ "$output" = "umlaut ü" ]
}

@test "what is not offered says so: forwarding, agent, X11" {
  run -0 qssh -l "$TARGET" -o ExitOnForwardFailure=no -R 0:127.0.0.1:9 server true
  run -0 qssh -A -l "$TARGET" server 'echo "agent=$SSH_AUTH_SOCK"'
  [ "${lines[-1]}" = "agent=" ]
}

@test "more variables than a session takes: the rest is left out, and the session runs" {
  run -0 as_client CONF="$CONF" TARGET="$TARGET" bash -c '
    for i in $(seq 50); do export "LC_V$i=$(printf %03900d 0)"; done
    timeout 60 ssh -F "$CONF" -o SendEnv="LC_*" -l "$TARGET" server "env | grep -c ^LC_V"'
  [ "$output" = 2 ]
}
