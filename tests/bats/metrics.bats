#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The numbers for Prometheus: what real logins, sessions and forwards make of them, the files in node-exporter's folder, and
# what does not work there.

load helpers

setup_file() {
  fabric_begin || return
  mkdir "$QF/prom"
  provider_start || return
  fabric_write && server_start --enable-ssh-local-port-forwarding --enable-ssh-sftp --metrics-dir "$QF/prom" && warm
}
teardown_file() {
  umount "$QF/small" 2>/dev/null || :
  fabric_end
}

SSHD_FILE=qufabric-sshd.prom
UP_FILE=qufabric-up.prom
# numbers: all of them now, read by Prometheus' own parser
numbers() { "$BIN/qf-up" metrics $FOLDERS >"$QF/numbers" && "$PYTHON" "$TOP/tests/bats/read_metrics.py" "$QF/numbers"; }
# number NAME[{LABELS}]
number() { numbers | awk -v name="$1" '$1 == name { print $2 }'; }
number_is() { [ "$(number "$1")" = "$2" ]; }
login() { echo "qufabric_sshd_logins_total{method=\"$1\",result=\"$2\"}"; }
refusal() { echo "qufabric_sshd_logins_refused_total{reason=\"$1\"}"; }
# of a file
of_file() { awk -v name="$2" '$1 == name { print $2 }' "$QF/prom/$1"; }
of_file_is() { [ "$(of_file "$1" "$2")" = "$3" ]; }
said() { [ "$(grep -c -e "$1" "$QF/qf-up.log")" = "$2" ]; }

@test "both files are there at once, readable for all, and good for Prometheus" {
  until_true 30 test -s "$QF/prom/$SSHD_FILE"
  until_true 30 test -s "$QF/prom/$UP_FILE"
  [ "$(stat -c '%a %U' "$QF/prom/"*.prom | sort -u)" = "644 root" ]
  "$PYTHON" "$TOP/tests/bats/read_metrics.py" "$QF/prom/"*.prom
  [ "$(find "$QF/prom" -mindepth 1 | wc -l)" = 2 ]
  # promtool, where it is installed, says the same and more
  if command -v promtool >/dev/null; then
    cat "$QF/prom/"*.prom | promtool check metrics
    promtool check rules "$TOP/conf/examples/prometheus-alerts.yml"
  fi
  of_file_is $UP_FILE qufabric_up 1
  until_true 40 of_file_is $UP_FILE qufabric_sshd_up 1
  of_file_is $UP_FILE 'qufabric_document_serial' "$(cat "$QF/serial")"
  of_file_is $SSHD_FILE 'qufabric_sshd_document_serial' "$(cat "$QF/serial")"
  # the times are about now
  age=$(($(date +%s) - $(of_file $UP_FILE qufabric_document_applied_time_seconds)))
  [ $age -ge 0 ] && [ $age -lt 600 ]
}

@test "names in the man pages are those that are printed" {
  numbers >/dev/null
  printed=$(sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$QF/numbers" | sort)
  for page in qf-up qf-sshd; do sed -n '/^\.Sh METRICS/,/^\.Sh [^M]/s/^\.It Cm \(qufabric_[a-z_]*\).*/\1/p' "$TOP/man/$page.8"; done | sort >"$QF/told"
  diff <(echo "$printed") "$QF/told"
  # and so are the values of labels
  page=$(mandoc -T ascii "$TOP/man/qf-sshd.8" | col -b | tr -s ' \n' ' ')
  for value in $(grep -v '^#' "$QF/numbers" | grep -v 'version=\|issuer=' | grep -oE '="[a-z0-9_]+"' | tr -d '="' | sort -u); do
    case $value in document | expired | redirect) continue ;; esac
    [[ $page == *" $value"[\ ,.\)]* ]] || { echo "$value is not told of" && false; }
  done
}

@test "logins, good and bad, by method and reason" {
  good=$(number "$(login certificate allowed)")
  on_peer true
  until_true 20 number_is "$(login certificate allowed)" $((good + 1))
  tunnels=$(number "$(login tunnel allowed)")
  run -0 tunnelled -l "$TARGET" server true
  until_true 20 number_is "$(login tunnel allowed)" $((tunnels + 1))
  # the outer connection is no login of its own
  number_is "$(login certificate allowed)" $((good + 1))
  # an OS user that there is none of
  run -255 qssh -l nobody-here server true
  until_true 20 number_is "$(refusal account)" 1
  run -255 qssh -l root server true
  until_true 20 number_is "$(refusal policy)" 1
  number_is "$(login certificate refused)" 2
  # nothing to offer
  run -0 "$PYTHON" - "$ADDRESS" "$TARGET" <<'END'
import socket, sys, paramiko
transport = paramiko.Transport(socket.create_connection((sys.argv[1], 22022)))
transport.start_client(timeout=20)
try:
    transport.auth_interactive(sys.argv[2], lambda *_: [])
    sys.exit("nobody is let in like that")
except (paramiko.SSHException, EOFError):
    pass
END
  until_true 20 number_is "$(refusal no_credential)" 1
  number_is "$(login none refused)" 1
}

@test "sessions and connections, now and in all, and their bytes" {
  mkfifo -m 666 "$QF/hold"
  for kind in shell exec sftp; do declare "$kind=$(number "qufabric_sshd_sessions_total{kind=\"$kind\"}")"; done
  in=$(number 'qufabric_sshd_bytes_total{direction="in"}')
  out=$(number 'qufabric_sshd_bytes_total{direction="out"}')
  background_as "$CLIENT" "$QF/live.log" sh -c "exec ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold'"
  until_true 60 grep -q up "$QF/live.log"
  until_true 20 number_is 'qufabric_sshd_live_sessions{kind="exec"}' 1
  number_is 'qufabric_sshd_live_connections{state="logged_in"}' 1
  # bytes of what still runs count
  { head -c 4999 /dev/zero | tr '\0' x && echo; } >"$QF/hold"
  until_true 20 number_is 'qufabric_sshd_bytes_total{direction="in"}' $((in + 5000))
  until_true 20 number_is 'qufabric_sshd_bytes_total{direction="out"}' $((out + 5003))
  end_process "$PID"
  until_true 20 number_is 'qufabric_sshd_live_sessions{kind="exec"}' 0
  number_is 'qufabric_sshd_live_connections{state="logged_in"}' 0
  # and of what has ended, once
  number_is 'qufabric_sshd_bytes_total{direction="in"}' $((in + 5000))
  echo 'echo hello' | qssh -T -l "$TARGET" server
  echo 'ls' | as_client sftp -F "$CONF" -b - "$TARGET@server"
  until_true 20 number_is 'qufabric_sshd_sessions_total{kind="sftp"}' $((sftp + 1))
  number_is 'qufabric_sshd_sessions_total{kind="shell"}' $((shell + 1))
  number_is 'qufabric_sshd_sessions_total{kind="exec"}' $((exec + 1))
}

@test "forwards, and the bytes of those alone" {
  port=$(free_port)
  background "$QF/listener.log" socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" EXEC:cat
  until_true 20 listens "$port"
  opened='qufabric_sshd_forwards_total{kind="connect",result="opened"}'
  before=$(number "$opened")
  in=$(number 'qufabric_sshd_bytes_total{direction="in"}')
  [ "$(echo 123456789 | as_client timeout 60 ssh -F "$CONF" -l "$TARGET" -W "127.0.0.1:$port" server)" = 123456789 ]
  until_true 20 number_is "$opened" $((before + 1))
  # said at its end, since no session was there to be asked about
  until_true 20 number_is 'qufabric_sshd_bytes_total{direction="in"}' $((in + 10))
  # listening is not switched on here
  run as_client timeout 60 ssh -F "$CONF" -l "$TARGET" -o ExitOnForwardFailure=yes -R "0:127.0.0.1:$port" server true
  until_true 20 number_is 'qufabric_sshd_forwards_total{kind="listen",result="refused"}' 1
}

@test "connections that are refused, by what stands against them" {
  accepted=$(number qufabric_sshd_connections_total)
  fabric_apply '.policies[0].enabled = false'
  until_true 30 refused_once
  number_is qufabric_sshd_violations_total 0
  fabric_apply
  until_true 60 server_answers
  # whoever asked meanwhile is counted, and no more
  [ "$(number qufabric_sshd_connections_total)" -gt "$accepted" ]
}
refused_once() {
  "$BIN/qf-detect" --config-dir "$QF/config" --state-dir "$QF/state" --quiet "$ADDRESS" 22022 || :
  [ "$(number 'qufabric_sshd_connections_refused_total{reason="policy"}')" -ge 1 ]
}

@test "the age of a key set that is fetched, and none for one that is in the document" {
  until_true 60 number_is 'qufabric_sshd_key_set_usable{issuer="corp"}' 1
  [ "$(number 'qufabric_sshd_key_set_age_seconds{issuer="corp"}')" -lt 600 ]
  run -0 numbers
  [[ $output != *'issuer="machine"'* ]]
}

@test "the example's alerts ask for numbers that there are" {
  numbers >/dev/null
  "$PYTHON" - "$TOP/conf/examples/prometheus-alerts.yml" "$QF/numbers" <<'END'
import re, sys, yaml
rules = yaml.safe_load(open(sys.argv[1]))["groups"][0]["rules"]
printed = set(re.findall(r"^# TYPE (\w+)", open(sys.argv[2]).read(), re.M))
asked = {name for rule in rules for name in re.findall(r"\bqufabric_\w+", rule["expr"])}
assert len(rules) > 5 and all(rule["alert"] and rule["annotations"]["summary"] for rule in rules)
assert asked and asked <= printed, asked - printed
# an aggregate without labels fits no machine's number unless it is a scalar
for rule in rules:
    for bare in re.finditer(r"(scalar\()?\b(?:max|min|sum|avg|count)\(", rule["expr"]):
        assert bare.group(1), rule["expr"]
END
}

@test "nobody's identity, peer or OS user is in it" {
  "$BIN/qf-up" metrics $FOLDERS >"$QF/all"
  run ! grep -e "$CLIENT" -e "$TARGET" -e "$ADDRESS" -e "127\.0\.0\.1" -e test.example -we client -we server "$QF/all"
}

@test "a scraper gets it from the socket, and only root does" {
  [ "$(stat -c '%U %a' "$QF/run/metrics.sock")" = "root 600" ]
  socat -u "UNIX-CONNECT:$QF/run/metrics.sock" "OPEN:$QF/scraped,creat"
  "$PYTHON" "$TOP/tests/bats/read_metrics.py" "$QF/scraped" | grep -q '^qufabric_sshd_logins_total'
  chmod 711 "$QF/run"
  run ! as "$TARGET" socat -u "UNIX-CONNECT:$QF/run/metrics.sock" -
  # who may not ask gets what everybody may know
  as "$TARGET" "$BIN/qf-up" metrics $FOLDERS >"$QF/poor" 2>&1
  chmod 700 "$QF/run"
  "$PYTHON" "$TOP/tests/bats/read_metrics.py" "$QF/poor" >"$QF/poorer"
  grep -q '^qufabric_document_serial' "$QF/poorer"
  run ! grep -e '^qufabric_sshd_up' -e '^qufabric_sshd_logins' "$QF/poorer"
}

@test "an expired document is an alarm there too" {
  fabric_apply ".expires = \"$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)\""
  number_is 'qufabric_alarm{kind="expired"}' 0
  until_true 30 number_is 'qufabric_alarm{kind="expired"}' 1
  fabric_apply
  number_is 'qufabric_alarm{kind="expired"}' 0
}

@test "a server that is killed is started again and counted; its file says nothing of the past" {
  number_is qufabric_sshd_restarts_total 0
  old=$(listener_pid)
  # one that hangs is not up
  kill -STOP "$old"
  number_is qufabric_sshd_up 0
  kill -KILL "$old"
  until_true 60 other_listener "$old"
  until_true 60 number_is qufabric_sshd_restarts_total 1
  number_is qufabric_sshd_up 1
  try_now
  until_true 40 of_file_is $UP_FILE qufabric_sshd_restarts_total 1
  until_true 40 test -s "$QF/prom/$SSHD_FILE"
}
other_listener() { server_answers && [ "$(listener_pid)" != "$1" ]; }

@test "a session that outlives a server is counted by the next one, and its old bytes are not" {
  [ -p "$QF/hold" ] || mkfifo -m 666 "$QF/hold"
  rm -f "$QF/live.log"
  background_as "$CLIENT" "$QF/live.log" sh -c "exec ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold'"
  until_true 60 grep -q up "$QF/live.log"
  session=$PID
  { head -c 9999 /dev/zero | tr '\0' x && echo; } >"$QF/hold"
  until_true 30 number_above 'qufabric_sshd_bytes_total{direction="in"}' 9999
  server_restart
  until_true 60 number_is 'qufabric_sshd_live_sessions{kind="exec"}' 1
  number_is 'qufabric_sshd_bytes_total{direction="in"}' 0
  end_process "$session"
  until_true 30 number_is 'qufabric_sshd_live_sessions{kind="exec"}' 0
}
number_above() { [ "$(number "$1")" -gt "$2" ]; }

# A SIGHUP has both files written at once; otherwise it takes 15 seconds.
try_now() { kill -HUP "$(qf_up)"; }

@test "what is in the way is said once, harms nothing, and is over when it is over" {
  victim=$QF/victim
  echo precious >"$victim"
  # the folder's owner tries to have root write elsewhere
  chown "$TARGET" "$QF/prom"
  rm -f "$QF/prom/"*.prom
  for name in $SSHD_FILE $UP_FILE .$SSHD_FILE.new .$UP_FILE.new; do as "$TARGET" ln -sf "$victim" "$QF/prom/$name"; done
  try_now
  until_true 40 regular "$QF/prom/$UP_FILE"
  until_true 40 regular "$QF/prom/$SSHD_FILE"
  of_file_is $UP_FILE qufabric_up 1
  [ "$(cat "$victim")" = precious ]
  [ "$(stat -c %U "$QF/prom/$UP_FILE")" = root ]
  chown root "$QF/prom"
  said 'no metrics are written' 0
  # the folder itself is a symlink, then away, then open to all
  mv "$QF/prom" "$QF/elsewhere"
  ln -s elsewhere "$QF/prom"
  rm -f "$QF/elsewhere/"*.prom
  try_now
  until_true 40 said "no metrics are written: $QF/prom is a symlink or no folder" 2
  [ -z "$(ls -A "$QF/elsewhere")" ]
  rm "$QF/prom"
  try_now
  until_true 40 said "no metrics are written: cannot open the folder $QF/prom: No such file" 2
  on_peer true
  # still the same, so nothing more is said, however often it is tried
  for _ in 1 2 3; do
    reloads=$(grep -c 'qf-sshd.*SIGHUP: reading' "$QF/qf-up.log")
    try_now
    until_true 20 reloaded $((reloads + 1))
  done
  said "cannot open the folder $QF/prom" 2
  mkdir "$QF/prom"
  chmod 1777 "$QF/prom"
  try_now
  until_true 40 said "everybody may write to $QF/prom" 2
  [ -z "$(ls -A "$QF/prom")" ]
  chmod 755 "$QF/prom"
  try_now
  until_true 40 said "metrics are written to $QF/prom again" 2
  of_file_is $UP_FILE qufabric_up 1
}
regular() { [ -f "$1" ] && [ ! -L "$1" ]; }
reloaded() { [ "$(grep -c 'qf-sshd.*SIGHUP: reading' "$QF/qf-up.log")" -ge "$1" ]; }

@test "a full disk leaves the numbers of before, whole, and no litter" {
  mkdir -p "$QF/small"
  mount -t tmpfs -o size=12k,mode=755 tmpfs "$QF/small" || skip "cannot mount a small tmpfs here"
  "$BIN/qf-up" apply --self server $FOLDERS --metrics-dir "$QF/small" >>"$QF/qf-up.log" 2>&1
  until_true 40 test -s "$QF/small/$UP_FILE"
  # that of the folder before is gone
  [ ! -e "$QF/prom/$UP_FILE" ]
  cat /dev/zero >"$QF/small/filler" 2>/dev/null || :
  cp "$QF/small/$UP_FILE" "$QF/whole"
  try_now
  until_true 40 grep -q "no metrics are written: cannot write $QF/small/$UP_FILE: No space left" "$QF/qf-up.log"
  cmp "$QF/whole" "$QF/small/$UP_FILE"
  [ "$(ls -A "$QF/small" | sort)" = "$(printf '%s\n' filler $UP_FILE)" ]
  on_peer true
  rm "$QF/small/filler"
  try_now
  until_true 40 grep -q "metrics are written to $QF/small again" "$QF/qf-up.log"
  mount -o remount,ro "$QF/small"
  try_now
  until_true 40 grep -q "no metrics are written: cannot make a file in $QF/small: Read-only file system" "$QF/qf-up.log"
  on_peer true
  umount "$QF/small"
  "$BIN/qf-up" apply --self server $FOLDERS --metrics-dir "$QF/prom" >>"$QF/qf-up.log" 2>&1
}

@test "when qf-up ends its file says so, and down removes what there is" {
  try_now
  until_true 40 of_file_is $UP_FILE qufabric_up 1
  server_stop
  of_file_is $UP_FILE qufabric_up 0
  [ ! -e "$QF/prom/$SSHD_FILE" ]
  "$PYTHON" "$TOP/tests/bats/read_metrics.py" "$QF/prom/$UP_FILE"
  number_is qufabric_up 0
  number_is qufabric_sshd_up 0
  "$BIN/qf-up" down $FOLDERS
  [ -z "$(ls -A "$QF/prom")" ]
}

@test "--metrics-dir wants an absolute path" {
  run -64 "$BIN/qf-up" apply $FOLDERS --metrics-dir here
  [[ $output == *"--metrics-dir needs an absolute path"* ]]
  run -64 "$BIN/qf-sshd" $FOLDERS --metrics-dir here
  [[ $output == *"--metrics-dir needs an absolute path"* ]]
}
