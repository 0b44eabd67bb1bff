#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A client that does not log in costs little and keeps nobody else out for good.

load helpers

setup() { fabric_begin && fabric_write && server_start && warm; }
teardown() { fabric_end; }

# mute COUNT: connects so often and says nothing; prints how many were answered, and stays until its stdin ends.
mute() {
  "$PYTHON" -c '
import socket, sys
answered, kept = 0, []
for _ in range(int(sys.argv[2])):
    s = socket.create_connection((sys.argv[1], 22022), 10)
    s.settimeout(10)
    answered += s.recv(8) == b"SSH-2.0-"
    kept.append(s)
print(answered, flush=True)
sys.stdin.read()' "$ADDRESS" "$1"
}

@test "one source has twenty connections that are not logged in, and more again when they are gone" {
  mkfifo "$QF/hold"
  mute 25 <"$QF/hold" >"$QF/answered" 3>&- 4>&- &
  note_process $!
  exec 9>"$QF/hold"
  until_true 60 test -s "$QF/answered"
  [ "$(cat "$QF/answered")" = 20 ]
  run -255 on_peer true
  run -0 audit_says '.event == "connection" and .allowed == false and (.reason | test("not logged in"))'
  exec 9>&-
  until_true 60 on_peer true
}

@test "what is logged in does not count" {
  mkfifo "$QF/hold"
  for _ in $(seq 25); do
    background_as "$CLIENT" "$QF/session.log" ssh -F "$CONF" -l "$TARGET" server "cat '$QF/hold'"
    until_true 60 on_peer true
  done
  run -0 on_peer 'echo in'
  [ "$output" = in ]
}

@test "no source takes all connections: it has a share of them, logged in or not, and is told so" {
  server_stop
  server_start_by "$BIN/qf-sshd" --self server $FOLDERS --per-source-max-connections 5
  mkfifo -m 666 "$QF/hold"
  exec 9<>"$QF/hold"
  for i in 1 2 3 4 5; do
    background_as "$CLIENT" "$QF/session$i.log" ssh -F "$CONF" -l "$TARGET" server "echo up; cat '$QF/hold'"
    until_true 60 grep -q up "$QF/session$i.log"
  done
  run -255 on_peer true
  [[ $output == *"this source is not allowed to reach it, or the server has too many connections"*"hint:"* ]] ||
    { echo "$output" && false; }
  run -0 audit_says '.event == "connection" and .allowed == false and .reason == "too many connections of one source"'
  end_process "$PID"
  until_true 60 on_peer true
  exec 9>&-
}

# Most memory, in KiB of data, of a net of this server.
most_data() {
  local monitor
  for monitor in $(pgrep -P "$(pgrep -P "$(qf_up)")"); do
    pgrep -P "$monitor" -u qufabric
  done | while read -r net; do
    awk '$1 == "VmData:" { print $2 }' "/proc/$net/status"
  done | sort -n | tail -n 1
}

@test "a client that floods and never reads before its login costs little memory, and nobody else anything" {
  # packets of an unknown type in plain text: each wants an answer
  cat >"$QF/flood.py" <<'PY'
import socket, struct, sys
s = socket.create_connection((sys.argv[1], 22022), 10)
s.settimeout(5)
s.sendall(b"SSH-2.0-flood\r\n")
packets = (struct.pack(">IBB", 12, 10, 200) + bytes(10)) * 65536
try:
    for _ in range(40):
        s.sendall(packets)
except OSError:
    pass
print("flooded", flush=True)
sys.stdin.read()
PY
  mkfifo "$QF/hold"
  timeout 60 "$PYTHON" "$QF/flood.py" "$ADDRESS" <"$QF/hold" >"$QF/flooded" 3>&- 4>&- &
  note_process $!
  exec 9>"$QF/hold"
  until_true 60 test -s "$QF/flooded"
  data=$(most_data)
  [ "${data:-0}" -le 16384 ]
  run -0 on_peer 'echo still here'
  exec 9>&-
}

@test "limits of qf-sshd are choices of qf-up, and a source that is refused again and again does not fill the log" {
  server_restart --per-source-max-startups 2 --refusals-logged 3
  mkfifo "$QF/hold"
  mute 40 <"$QF/hold" >"$QF/answered" 3>&- 4>&- &
  note_process $!
  exec 9>"$QF/hold"
  until_true 60 test -s "$QF/answered"
  [ "$(cat "$QF/answered")" = 2 ]
  [ "$(jq -s '[.[] | select(.event == "connection" and .allowed == false)] | length' "$AUDIT")" = 3 ]
  exec 9>&-
  until_true 60 on_peer true
  # the rest is counted, and written at the latest when the server ends
  server_stop
  run -0 audit_says '.event == "connections-refused" and .count >= 35 and .source == "127.0.0.1" and
    .peer == "client" and (.reason | test("one source"))'
  # remembered, and wrong ones refused
  [ "$(jq -r .per_source_max_startups "$QF/state/choices.json")" = 2 ]
  run -64 "$BIN/qf-up" apply --self server $FOLDERS --max-startups lots
}

@test "clients that speak a byte a second harm nobody, and their time ends" {
  server_restart --login-grace-time 20
  cat >"$QF/slow.py" <<'PY'
import socket, sys, time
kept = []
for _ in range(15):
    s = socket.create_connection((sys.argv[1], 22022), 10)
    kept.append(s)
line = b"SSH-2.0-slow" + b"w" * 200
for c in line:
    for s in list(kept):
        try:
            s.send(bytes([c]))
            s.setblocking(False)
            if s.recv(1000) == b"":
                kept.remove(s)
        except BlockingIOError:
            pass
        except OSError:
            kept.remove(s)
    if not kept:
        print("all sent away", flush=True)
        break
    print("slow", flush=True)
    time.sleep(1)
PY
  background "$QF/slow.log" timeout 200 "$PYTHON" "$QF/slow.py" "$ADDRESS"
  until_true 60 grep -q slow "$QF/slow.log"
  for _ in 1 2 3 4 5; do
    run -0 on_peer 'echo meanwhile'
    [ "$output" = meanwhile ]
  done
  until_true 120 grep -q "all sent away" "$QF/slow.log"
  run -0 audit_says '.event == "violation" and (.reason | test("login grace time"))'
}

@test "a client that does not answer is sent away, and the audit log says so" {
  server_restart --client-alive-interval 1 --client-alive-count-max 2
  background_as "$CLIENT" "$QF/frozen.log" ssh -F "$CONF" -l "$TARGET" server 'echo up; sleep 600'
  until_true 60 grep -q up "$QF/frozen.log"
  kill -STOP "$PID"
  until_true 60 audit_says '.event == "violation" and .reason == "the client does not answer (--client-alive-interval)"'
  until_true 60 audit_says '.event == "session-end" and .left_running and (has("status") | not)'
  kill -KILL "$PID"
  # who answers stays
  run -0 on_peer 'sleep 4; echo still here'
  [ "$output" = "still here" ]
}

@test "a limit that qf-sshd does not take is refused by qf-up, in its words, and nothing is remembered" {
  before=$(cat "$QF/state/choices.json")
  for wrong in "--login-grace-time=0 must be a number from 1 to 86400, not" "--max-startups=10:20 must be START:RATE:FULL" \
    "--gateway-ports=5 must be no, clientspecified or yes" "--per-source-net-block-size=33:64 must be V4:V6" "--max-channels=0 must be a number"; do
    run -64 "$BIN/qf-up" apply --self server $FOLDERS "${wrong%% *}"
    [[ $output == *"${wrong%%=*} ${wrong#* }"* ]] || { echo "$output" && false; }
  done
  [ "$(cat "$QF/state/choices.json")" = "$before" ]
  # and the way back to the default
  run -0 "$BIN/qf-up" apply --self server $FOLDERS --max-startups=20:50:40 --max-channels 7
  [[ $output == *"takes its changed options when it starts again"*"hint: run: systemctl restart"* ]]
  run -0 "$BIN/qf-up" status $FOLDERS
  [[ $output == *"server options:  "*"--max-startups 20:50:40"*"--max-channels 7"* ]]
  [ "$("$BIN/qf-up" status --json $FOLDERS | jq -r '."max-channels"')" = 7 ]
  [ "$(jq -r .max_startups "$QF/state/choices.json")" = 20:50:40 ]
  "$BIN/qf-up" apply --self server $FOLDERS --max-startups= --max-channels=
  [ "$(jq -r '.max_startups, .max_channels' "$QF/state/choices.json")" = $'null\nnull' ]
}

@test "more forwarded connections than --max-channels are refused, and the audit log names them" {
  server_restart --enable-ssh-local-port-forwarding --max-channels 1
  local far near
  far=$(free_port)
  background "$QF/far.log" socat "TCP-LISTEN:$far,bind=127.0.0.1,reuseaddr,fork" EXEC:cat
  near=$(free_port)
  background_as "$CLIENT" "$QF/forward.log" ssh -F "$CONF" -l "$TARGET" -N -L "127.0.0.1:$near:127.0.0.1:$far" server
  until_true 60 listens "$near"
  mkfifo "$QF/held"
  background "$QF/first.log" socat "PIPE:$QF/held" "TCP:127.0.0.1:$near"
  until_true 60 audit_says '.event == "forward" and .kind == "connect" and .allowed'
  run timeout 60 socat - "TCP:127.0.0.1:$near" </dev/null
  until_true 60 audit_says ".event == \"forward\" and .kind == \"connect\" and .allowed == false and
    .target == \"127.0.0.1:$far\" and .reason == \"too many channels on this connection\" and .os_user == \"$TARGET\""
}
