#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up status -d: who is connected, what runs, how much went through; and what a stuck or hostile process does to it.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start --enable-ssh-sftp && warm
}
teardown_file() { fabric_end; }

live() {
  mkfifo -m 666 "$1"
  background_as "$CLIENT" "$2" sh -c "exec ssh -F '$CONF' -l '$TARGET' server '$3' <>'$1'"
  until_true 60 grep -q up "$2"
}
status_json() { "$BIN/qf-up" status -d --json $FOLDERS; }
# shows JQ-CONDITION: whether a connection that is listed satisfies it
shows() { status_json | jq -e "any(.connections[]; $1)" >/dev/null; }

@test "a session is listed with identity, OS user, source, method, command name and bytes" {
  live "$QF/hold1" "$QF/live1.log" 'secret=hidden; echo up; cat'
  end_process "$PID"
  live "$QF/hold2" "$QF/live2.log" '/bin/sh -c "echo up; cat" top-secret-word'
  head -c 5000 /dev/zero | tr '\0' x >"$QF/five" && echo >>"$QF/five" && cat "$QF/five" >"$QF/hold2"
  until_true 60 grep -q xxxx "$QF/live2.log"
  run -0 status_json
  [[ $output != *hidden* && $output != *top-secret* && $output != *"sh -c"* ]]
  shows ".identity == \"machine:$CLIENT\" and .os_user == \"$TARGET\" and .peer == \"client\" and
    .address == \"127.0.0.1\" and .method == \"certificate\" and .tunnel == false and .forwards == 0 and .counted and
    (.sessions | length) == 1 and .sessions[0].kind == \"exec\" and .sessions[0].command == \"sh\" and
    .sessions[0].bytes_in == 5001 and .sessions[0].bytes_out >= 5003 and .bytes_in == 5001"
  # the start of it is about now
  [ "$(status_json | jq '.connections[0].since[:19] + "Z" | fromdate | (now - .) | . >= 0 and . < 120')" = true ]
  run -0 "$BIN/qufabric" status -d $FOLDERS
  [[ $output == *"listening:  "*"$ADDRESS"* ]]
  [[ $output =~ IDENTITY\ +"OS USER"\ +FROM\ +SINCE\ +METHOD\ +RUNS\ +FORWARDS\ +IN\ +OUT ]]
  [[ $output =~ machine:$CLIENT\ +$TARGET\ +"client 127.0.0.1:"[0-9]+\ +20[0-9TZ:-]+\ +certificate\ +sh\ +0\ +5.0\ kB ]]
}

@test "a tunnel is one connection that says so; a connection that is not logged in is listed too" {
  mkfifo -m 666 "$QF/hold3"
  background_as "$CLIENT" "$QF/live3.log" sh -c "exec env QF_SSH=tunnel ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold3'"
  until_true 60 grep -q up "$QF/live3.log"
  shows '.tunnel and .method == "certificate" and .sessions[0].command == "echo" and .os_user == "'"$TARGET"'"'
  mkfifo "$QF/hold4"
  "$PYTHON" -c 'import socket, sys; s = socket.create_connection((sys.argv[1], 22022)); s.recv(8); print("there", flush=True); sys.stdin.read()' \
    "$ADDRESS" <"$QF/hold4" >"$QF/silent" 3>&- 4>&- &
  note_process $!
  exec 9>"$QF/hold4"
  until_true 60 grep -q there "$QF/silent"
  shows '.logged_in == false and .answers and .sessions == []'
  exec 9>&-
}

@test "a monitor that is stuck is listed as such, and delays neither the others nor a login" {
  live "$QF/hold5" "$QF/live5.log" 'echo up; cat'
  monitor=$(status_json | jq '[.connections[] | select(.sessions[0].command == "echo")][-1].pid')
  kill -STOP "$monitor"
  start=$(date +%s%N)
  run -0 status_json
  [ $((($(date +%s%N) - start) / 1000000)) -lt 6000 ]
  [ "$(jq "[.connections[] | select(.pid == $monitor)][0].answers" <<<"$output")" = false ]
  [ "$(jq '[.connections[] | select(.answers)] | length' <<<"$output")" -ge 1 ]
  run -0 on_peer true
  kill -CONT "$monitor"
  shows ".pid == $monitor and .answers"
}

@test "a net that is stuck leaves the byte counts open, and the rest is told" {
  live "$QF/hold6" "$QF/live6.log" 'echo up; cat'
  monitor=$(status_json | jq '[.connections[] | select(.sessions[0].command == "echo")][-1].pid')
  net=$(pgrep -P "$monitor" -u qufabric)
  kill -STOP "$net"
  shows ".pid == $monitor and .answers and .counted == false and .os_user == \"$TARGET\""
  shows ".pid == $monitor and .answers and .counted == false"
  kill -CONT "$net"
  until_true 60 shows ".pid == $monitor and .counted"
}

@test "the status socket is root's alone; clients that do not read harm nobody" {
  socket=$QF/run/sshd-status.sock
  [ "$(stat -c '%U %a' "$socket")" = "root 600" ]
  run ! as "$TARGET" "$BIN/qf-up" status -d $FOLDERS
  [[ $output != *"machine:$CLIENT"* ]]
  # open to all, it still answers root alone
  chmod 711 "$QF/run" && chmod 666 "$socket"
  run -0 as "$TARGET" "$PYTHON" -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(5)
try:
    print(len(s.recv(10)))
except ConnectionError:
    print(0)' "$socket"
  [ "$output" = 0 ]
  chmod 600 "$socket" && chmod 700 "$QF/run"
  mkfifo "$QF/hold7"
  "$PYTHON" -c '
import socket, sys
kept = []
for _ in range(40):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    try:
        s.send(b"\xff" * 1000)
    except BrokenPipeError:
        pass  # the server was quicker to send it away
    kept.append(s)
print("there", flush=True)
sys.stdin.read()' "$socket" <"$QF/hold7" >"$QF/deaf" 3>&- 4>&- &
  note_process $!
  exec 9>"$QF/hold7"
  until_true 60 grep -q there "$QF/deaf"
  run -0 on_peer true
  exec 9>&-
  until_true 60 status_json
}

@test "without a server, status says so" {
  server_stop
  run -1 "$BIN/qf-up" status -d $FOLDERS
  [[ $output == *"connections:  "*"unknown, no qf-sshd runs here"* ]]
  run -1 "$BIN/qf-up" status -d --json $FOLDERS
  [ "$(jq .connections <<<"$output")" = null ]
}
