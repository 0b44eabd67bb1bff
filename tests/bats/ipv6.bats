#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A fabric of IPv6 addresses, client and server each in a network namespace of its own.

load helpers

in_client() { nsenter -t "$(cat "$QF/client.pid")" -n -- "$@"; }
# over the namespace of the helpers
server_answers() {
  in_client "$BIN/qf-detect" --config-dir "$QF/config" --state-dir "$QF/state" --quiet --timeout 1 fd00:7::68 22022 || [ $? = 1 ]
}
# ipv6_ssh ARGUMENT…: ssh as CLIENT from the client's namespace
ipv6_ssh() {
  as_words "$CLIENT"
  in_client "${AS[@]}" timeout 60 ssh -F "$CONF" -l "$TARGET" "$@"
}

setup_file() {
  # not loaded again here, which would undo the function above
  fabric_begin
  mkfifo "$QF/stay"
  background "$QF/client.log" unshare -n sh -c "exec cat <>'$QF/stay'"
  local client=$PID
  echo "$client" >"$QF/client.pid"
  until_true 60 eval '[ "$(readlink /proc/'"$client"'/ns/net)" != "$(readlink /proc/self/ns/net)" ]'
  fabric_write '.peers[0].addresses = ["fd00:7::68", "fd00:7::69"]' '.peers[1].addresses = ["fd00:7::7", "fd00:7::8"]'
  instance qf-up apply --self server --ssh-jwt-cache-ttl 3600 $FOLDERS
  server_start_by unshare -n sh -c '
    ip link set lo up &&
    ip link add qf0 type veth peer name qf1 netns '"$client"' &&
    ip addr add fd00:7::68/64 dev qf0 nodad && ip addr add fd00:7::69/64 dev qf0 nodad && ip link set qf0 up &&
    nsenter -t '"$client"' -n sh -c "ip addr add fd00:7::8/64 dev qf1 nodad && ip addr add fd00:7::7/64 dev qf1 nodad &&
      ip link set qf1 up" &&
    exec "$@"' sh "$BIN/qf-sshd" --self server --per-source-max-startups 4 $FOLDERS
  warm
}
teardown_file() { fabric_end; }

@test "a login over IPv6, by name and by address, direct and through the tunnel" {
  run -0 ipv6_ssh server 'echo $SSH_CONNECTION'
  [[ $output == fd00:7::*" "*" fd00:7::68 22022" ]]
  # an address names the peer, and the peer is dialled at its first one
  run -0 ipv6_ssh fd00:7::69 'echo $SSH_CONNECTION'
  [[ $output == *" fd00:7::68 22022" ]]
  run -0 in_client "$BIN/qf-detect" --config-dir "$QF/config" --state-dir "$QF/state" fd00:7::69 22022
  as_words "$CLIENT"
  run -0 in_client "${AS[@]}" QF_SSH=tunnel timeout 60 ssh -F "$CONF" -l "$TARGET" server whoami
  [ "$output" = "$TARGET" ]
}

@test "the addresses of an IPv6 network count as one source" {
  mkfifo "$QF/hold"
  in_client "$PYTHON" -c '
import socket, sys
answered, kept = 0, []
for i in range(6):
    s = socket.create_connection(("fd00:7::68", 22022), 10, source_address=("fd00:7::7" if i % 2 else "fd00:7::8", 0))
    s.settimeout(10)
    answered += s.recv(8) == b"SSH-2.0-"
    kept.append(s)
print(answered, flush=True)
sys.stdin.read()' <"$QF/hold" >"$QF/answered" 3>&- 4>&- &
  note_process $!
  exec 9>"$QF/hold"
  until_true 60 test -s "$QF/answered"
  exec 9>&-
  [ "$(cat "$QF/answered")" = 4 ]
  run -0 audit_says '.event == "connection" and .allowed == false and (.reason | test("one source"))'
}
