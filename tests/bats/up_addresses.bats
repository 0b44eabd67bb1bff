#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where the SSH server listens: at this peer's own addresses, on one interface when that is insisted on, and without a gap
# while the server is started again.

load helpers

setup() { fabric_begin; }
teardown() { fabric_end; }

# answers ADDRESS: whether our server is there
answers() {
  "$PYTHON" -c '
import socket, sys
try:
    s = socket.create_connection((sys.argv[1], 22022), 20)
    sys.exit(b"QuFabric" not in s.makefile("rb").readline())
except OSError as error:
    print(error)
    sys.exit(2)' "$1"
}
listeners() { ss -Hltnp "sport = :22022" | grep -F "$1:22022" || :; }
held_by_up() { [[ "$(listeners "$1")" == *"pid=$(qf_up),"* ]]; }
new_listener() { [ -n "$(listener_pid)" ] && [ "$(listener_pid)" != "$1" ] && [ "$(cat "/proc/$(listener_pid)/comm")" = qf-sshd ]; }

@test "connections wait while the server is started again, and none is refused" {
  fabric_write
  server_start
  held_by_up "$ADDRESS"
  until_true 60 server_answers
  # one after the other, until told to end
  "$PYTHON" - "$ADDRESS" "$QF/end" >"$QF/count" 3>&- 4>&- <<'PY' &
import os, socket, sys, time
good, bad = 0, []
while not os.path.exists(sys.argv[2]):
    try:
        s = socket.create_connection((sys.argv[1], 22022), 20)
        line = s.makefile("rb").readline()
        if b"QuFabric" in line:
            good += 1
        else:
            bad.append(repr(line))
        s.close()
    except OSError as error:
        bad.append(str(error))
    time.sleep(0.01)
print(good, len(bad), *bad)
PY
  local client=$! old n
  note_process "$client"
  for n in 1 2 3; do
    old=$(listener_pid)
    kill "$old"
    until_true 60 new_listener "$old"
    held_by_up "$ADDRESS"
    answers "$ADDRESS"
  done
  touch "$QF/end"
  wait "$client"
  run -0 cat "$QF/count"
  [[ $output =~ ^[1-9][0-9]*" 0"$ ]]
  grep -q "listening on $ADDRESS port 22022, by the socket that qf-up holds" "$QF/qf-up.log"
}

@test "an address that the document takes away is closed for good, and a new one is held from the next start on" {
  fabric_write
  server_start
  local other old
  other=$(address_of 1)
  fabric_apply ".peers[0].addresses = [\"$other\"]"
  until_true 60 answers "$other"
  until_true 60 eval '[ -z "$(listeners "$ADDRESS")" ]'
  run -2 answers "$ADDRESS"
  [[ $output == *"refused"* ]]
  run ! held_by_up "$other"
  old=$(listener_pid)
  kill "$old"
  until_true 60 new_listener "$old"
  until_true 60 answers "$other"
  held_by_up "$other"
  [ -z "$(listeners "$ADDRESS")" ]
  # and back again, while it runs
  fabric_apply ".peers[0].addresses = [\"$other\", \"$ADDRESS\"]"
  until_true 60 answers "$ADDRESS"
  answers "$other"
}

@test "nobody else can take the port while there is no server" {
  fabric_write
  mkdir "$QF/bin" && cp "$BIN/qf-up" "$QF/bin/"
  printf '#!/bin/sh\nexit 1\n' >"$QF/bin/qf-sshd" && chmod 755 "$QF/bin/qf-sshd"
  background "$QF/qf-up.log" "$QF/bin/qf-up" $FOLDERS --self server --allow-server-ssh
  echo "$PID" >"$QF/qf-up.pid"
  until_true 60 grep -q "starting it again in 400 ms" "$QF/qf-up.log"
  run -1 as_client "$PYTHON" -c 'import socket, sys; socket.create_server((sys.argv[1], 22022))' "$ADDRESS"
  [[ $output == *"Address already in use"* ]]
}

# on_interface SCRIPT COMMAND…: in a network with the interface qf0, set up by the script
on_interface() {
  local script="ip link set lo up && ip link add name qf0 type veth peer name qf1 && ip link set qf0 up && $1"
  shift
  unshare -n sh -c "$script"' && exec "$@"' sh "$@"
}

@test "--interface: those addresses that are on it, and no other" {
  fabric_write '.peers[0].addresses = ["127.9.9.9", "10.74.0.1", "fd00:74::1"]'
  background "$QF/qf-up.log" unshare -n sh -c 'ip link set lo up && ip link add name qf0 type veth peer name qf1 &&
    ip link set qf0 up && ip addr add 10.74.0.1/24 dev qf0 && ip addr add fd00:74::1/64 dev qf0 nodad && exec "$@"' sh \
    "$BIN/qf-up" $FOLDERS --self server --allow-server-ssh --interface qf0
  echo "$PID" >"$QF/qf-up.pid"
  here() { nsenter -t "$(qf_up)" -n -- "$@"; }
  until_true 60 here "$PYTHON" -c 'import socket; socket.create_connection(("10.74.0.1", 22022), 5)'
  until_true 60 eval '[ "$(here ss -Hltn "sport = :22022" | wc -l)" = 2 ]'
  [ "$(here ss -Hltn 'src 127.9.9.9')" = "" ]
  [[ "$(here ss -Hltn 'sport = :22022')" == *10.74.0.1:22022*"[fd00:74::1]:22022"* ]]
  # the document takes the last ones of the interface away: nobody is let in elsewhere
  run -0 here "$BIN/qf-up" status --json $FOLDERS
  [[ $output == *'"interface":"qf0"'* ]]
  fabric_apply '.peers[0].addresses = ["127.9.9.9", "10.74.0.1"]'
  until_true 60 eval '[ "$(here ss -Hltn "sport = :22022" | wc -l)" = 1 ]'
  fabric_apply '.peers[0].addresses = ["127.9.9.9"]'
  until_true 60 grep -q "none of this peer's addresses (127.9.9.9) is on the interface \"qf0\", which has 10.74.0.1, fd00:74::1" "$QF/qf-up.log"
  until_true 60 eval '[ "$(here ss -Hltn "sport = :22022" | wc -l)" = 0 ]'
}

@test "--interface: none there is said at once, and a start tries until it is up" {
  fabric_write '.peers[0].addresses = ["10.74.0.1"] | .peers[1].addresses = ["10.74.0.3"]'
  run -71 on_interface true "$BIN/qf-up" apply $FOLDERS --self server --allow-server-ssh --interface wg9
  [ "$output" = "qf-up: there is no interface \"wg9\" now; nothing was changed
hint: bring it up, or name another one with --interface" ]
  run -71 on_interface "ip addr add 10.74.0.2/24 dev qf0" "$BIN/qf-up" apply $FOLDERS --self server --allow-server-ssh --interface qf0
  [ "${lines[0]}" = "qf-up: none of this peer's addresses (10.74.0.1) is on the interface \"qf0\", which has 10.74.0.2; nothing was changed" ]
  [ ! -e "$QF/state/choices.json" ]
  run -64 "$BIN/qf-up" apply $FOLDERS --interface 'a b'
  [[ $output == *"--interface must be the name of a network interface, not \"a b\""* ]]
  on_interface "ip addr add 10.74.0.1/24 dev qf0" "$BIN/qf-up" apply $FOLDERS --self server --allow-server-ssh --interface qf0
  background "$QF/qf-up.log" unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$BIN/qf-up" $FOLDERS
  echo "$PID" >"$QF/qf-up.pid"
  until_true 60 grep -q 'qf-sshd: there is no interface "qf0" now' "$QF/qf-up.log"
  nsenter -t "$(qf_up)" -n -- sh -c 'ip link add name qf0 type veth peer name qf1 && ip link set qf0 up && ip addr add 10.74.0.1/24 dev qf0 &&
    ip addr add 10.74.0.3/24 dev qf0'
  until_true 60 nsenter -t "$(qf_up)" -n -- "$PYTHON" -c '
import socket
assert b"QuFabric" in socket.create_connection(("10.74.0.1", 22022), 5, ("10.74.0.3", 0)).makefile("rb").readline()'
}
