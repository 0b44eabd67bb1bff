#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What libssh cannot do on the server's side (qf-sshd(8), "What cannot be done"): each is refused cleanly, which means
# that the client is told, the connection goes on, and the audit log has no violation.

load helpers

setup_file() {
  fabric_begin
  chmod 777 "$QF/home"
  fabric_write
  server_start --enable-ssh-local-port-forwarding --enable-ssh-remote-port-forwarding --enable-ssh-x11
  warm
}
teardown_file() { fabric_end; }
setup() { : >"$AUDIT"; }
teardown() {
  run ! audit_says '.event == "violation"'
  run -0 on_peer true
}

# a connection of master and control socket with these options, in the background; until it stands
connected() {
  background_as "$CLIENT" "$QF/ssh.log" ssh -v -F "$CONF" -l "$TARGET" -S "$QF/home/control" -M -N "$@" server
  MASTER=$PID
  until_true 60 as_client ssh -F "$CONF" -S "$QF/home/control" -O check server
}
beside() { as_client ssh -F "$CONF" -l "$TARGET" -S "$QF/home/control" server "$@"; }

@test "-L to a Unix socket: the channel is refused, the session beside it goes on" {
  run -0 on_peer "rm -f '$QF/home/target.sock'"
  background_as "$TARGET" "$QF/target.log" socat "UNIX-LISTEN:$QF/home/target.sock,fork" EXEC:cat
  until_true 60 test -S "$QF/home/target.sock"
  connected -L "$QF/home/local.sock:$QF/home/target.sock"
  run as_client sh -c "echo through | timeout 20 socat -t 10 - 'UNIX-CONNECT:$QF/home/local.sock' 2>/dev/null"
  [ -z "$output" ]
  until_true 60 grep -q 'open failed' "$QF/ssh.log"
  run -0 beside 'echo session'
  [ "$output" = session ]
  end_process "$MASTER"
}

@test "-R of a Unix socket: the request is refused, and no socket is made" {
  run qssh -v -l "$TARGET" -o ExitOnForwardFailure=yes -R "$QF/home/remote.sock:$QF/home/none.sock" server 'echo ran'
  [ "$status" = 255 ]
  [[ $output == *"remote port forwarding failed"* ]]
  [ ! -e "$QF/home/remote.sock" ]
  # without that option the session is worth more
  run -0 qssh -l "$TARGET" -R "$QF/home/remote.sock:$QF/home/none.sock" server 'echo ran'
  [[ $output == *ran* ]]
}

@test "-w, a tunnel device: the channel is refused, the session goes on" {
  # a device that is there and up already, so that CLIENT may use it
  device=tun$((NUMBER % 10000 + 1000))
  ip tuntap add "$device" mode tun user "$CLIENT"
  ip link set "$device" up
  run qssh -v -l "$TARGET" -w "${device#tun}:any" server 'echo ran'
  ip tuntap del "$device" mode tun
  [ "$status" = 0 ]
  [[ $output == *"open failed"* ]]
  [[ $output == *ran* ]]
}

@test "channel types and requests that the library does not know are refused, each with an answer" {
  key=$(home_of "$CLIENT")/.qufabric/ssh
  run -0 as_client "$PYTHON" "$TOP/tests/bats/strange_requests.py" "$ADDRESS" "$TARGET" "$key/subject" "$key/server-cert.pub"
  diff - <(echo "$output") <<'EOF'
channel tun@openssh.com: refused, reason 1
channel direct-streamlocal@openssh.com: refused, reason 1
channel x11: refused, reason 1
channel auth-agent@openssh.com: refused, reason 1
channel forwarded-tcpip: refused, reason 1
channel no-such-type: refused, reason 1
global streamlocal-forward@openssh.com: failure
global no-such-request: failure
request break: failure
request eow@openssh.com: failure
request no-such-request: failure
request x11-req: failure
command: still here
EOF
}

@test "modes of the client's terminal are not applied: the peer's defaults hold" {
  run -0 as_client script -qec "stty intr ^X; timeout --foreground 60 ssh -F '$CONF' -l $TARGET -tt server stty -a" /dev/null
  [[ $output == *"intr = ^C"* ]]
}
