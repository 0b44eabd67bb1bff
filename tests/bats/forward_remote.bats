#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ssh -R: ports of the peer that lead to the client's side, made as the logged-in user.

load helpers

setup_file() {
  fabric_begin
  chmod 777 "$QF/home"
  fabric_write
  server_start --enable-ssh-remote-port-forwarding
  background "$QF/echo.log" "$PYTHON" "$TOP/tests/bats/servers/echo.py" "$QF/echo.port" 127.0.0.1 ::1
  until_true 60 test -s "$QF/echo.port"
}
teardown_file() { fabric_end; }
setup() { ECHO=$(cat "$QF/echo.port"); }

# master NAME OPTION…: a connection in the background with these options; until it stands.
master() {
  local name=$1
  shift
  background_as "$CLIENT" "$QF/$name.log" ssh -F "$CONF" -l "$TARGET" -o ExitOnForwardFailure=yes -S "$QF/home/$name" -M -N "$@" server
  until_true 60 control "$name" check
}
control() { as_client ssh -F "$CONF" -S "$QF/home/$1" -O "${@:2}" server; }
say() { printf '%s' "$3" | timeout 60 socat -t 50 - "TCP:$1:$2"; }
places() { ss -Hltn "sport = :$1" | awk '{ print $4 }' | sort; }

@test "-R listens on the peer's loopback, IPv4 and IPv6, as the user" {
  port=$(free_port)
  master one -R "$port:localhost:$ECHO"
  run -0 say 127.0.0.1 "$port" four
  [[ $output == *": four" ]]
  run -0 say "[::1]" "$port" six
  [[ $output == *": six" ]]
  run -0 ss -Hltne "sport = :$port"
  [[ $output == *"uid:$(id -u "$TARGET")"* ]]
  control one exit
  until_true 60 silent "$port"
}

@test "port 0: the peer chooses and says which; cancelled by that number" {
  master zero
  run -0 control zero forward -R "0:localhost:$ECHO"
  port=$output
  [[ $port =~ ^[0-9]+$ ]]
  run -0 say 127.0.0.1 "$port" any
  [[ $output == *": any" ]]
  # the audit log has the port that it is, not the 0
  run -0 audit_says ".event == \"forward\" and .kind == \"listen\" and .target == \"localhost:$port\""
  control zero cancel -R "0:localhost:$ECHO"
  until_true 60 silent "$port"
  control zero exit
}

@test "a port that is taken, or an address of somebody else, is refused with what to do" {
  port=$(free_port)
  master taken -R "$port:localhost:$ECHO"
  run -255 qssh -l "$TARGET" -v -o ExitOnForwardFailure=yes -R "$port:localhost:$ECHO" server true
  [[ $output == *"cannot listen on port $port: Address already in use (something on the peer has it: take another port, or 0"* ]]
  control taken exit
}

@test "GatewayPorts is no by default: whatever address is asked for, loopback it is" {
  port=$(free_port)
  master gate -R "*:$port:localhost:$ECHO"
  run -0 places "$port"
  [ "$output" = $'127.0.0.1:'"$port"$'\n[::1]:'"$port" ]
  control gate exit
  until_true 60 silent "$port"
}

@test "field note 20: a forward belongs to its connection: another one cannot cancel it, and its end ends it" {
  port=$(free_port)
  master owner -R "$port:localhost:$ECHO"
  master other
  # not even one that asks the server itself
  run -0 timeout 60 "$PYTHON" "$TOP/tests/bats/foreign_cancel.py" "$ADDRESS" "$TARGET" "$(home_of "$CLIENT")/.qufabric/ssh" server localhost "$port"
  [ "$output" = refused ]
  run -0 say 127.0.0.1 "$port" still
  [[ $output == *": still" ]]
  # nor can it take the port
  run control other forward -R "$port:localhost:$ECHO"
  [ "$status" != 0 ]
  control owner cancel -R "$port:localhost:$ECHO"
  until_true 60 silent "$port"
  run -0 control other forward -R "$port:localhost:$ECHO"
  run -0 say 127.0.0.1 "$port" now
  [[ $output == *": now" ]]
  control owner exit
  run -0 say 127.0.0.1 "$port" after
  [[ $output == *": after" ]]
  control other exit
  until_true 60 silent "$port"
}

@test "the user's own rights hold: no port below 1024" {
  run -255 qssh -l "$TARGET" -v -o ExitOnForwardFailure=yes -R "81:localhost:$ECHO" server true
  [[ $output == *"Permission denied (ports below 1024 are root's: take a higher one)"* ]]
  run -0 audit_says '.event == "forward" and .kind == "listen" and .allowed == false and (.reason | test("Permission denied"))'
}

@test "many bytes both ways, and a client's side that does not answer" {
  port=$(free_port)
  dead=$(free_port)
  master bulk -R "$port:localhost:$ECHO" -R "$dead:localhost:1"
  run -0 bash -c "head -c 3000000 /dev/zero | timeout 60 socat -t 30 - TCP:127.0.0.1:$port | wc -c"
  [ "$output" -gt 3000000 ]
  run say 127.0.0.1 "$dead" x
  [ "$output" = "" ]
  run -0 say 127.0.0.1 "$port" alive
  [[ $output == *": alive" ]]
  control bulk exit
}

@test "inside the tunnel too" {
  port=$(free_port)
  background_as "$CLIENT" "$QF/tunnel.log" env QF_SSH=tunnel ssh -F "$CONF" -l "$TARGET" -o ExitOnForwardFailure=yes -S "$QF/home/tunnel" -M -N -R "$port:localhost:$ECHO" server
  until_true 60 control tunnel check
  run -0 say 127.0.0.1 "$port" deep
  [[ $output == *": deep" ]]
  control tunnel exit
  until_true 60 silent "$port"
}

@test "permit_listen of the policy is enforced" {
  port=$(free_port)
  fabric_apply ".policies[0].permit_listen = [\"localhost:$port\"]"
  run -0 qssh -l "$TARGET" -o ExitOnForwardFailure=yes -R "localhost:$port:localhost:$ECHO" server true
  run -255 qssh -l "$TARGET" -v -o ExitOnForwardFailure=yes -R "localhost:$((port + 1)):localhost:$ECHO" server true
  [[ $output == *'is not among the "permit_listen" of policy "all"'*"hint: ask the admin of the fabric"* ]]
  fabric_apply
}

@test "max_session of the policy ends the connection, with the reason" {
  fabric_apply '.policies[0].max_session = 1'
  run -255 on_peer 'sleep 300'
  [[ $output == *"the time of this session is over"* ]]
  run -0 audit_says '.event == "revoked" and .what == "session" and (.reason | test("max_session"))'
  fabric_apply
}

@test "one loopback address by itself is a forward of its own, as with sshd" {
  port=$(free_port)
  master both -R "127.0.0.1:$port:localhost:$ECHO" -R "[::1]:$port:localhost:1"
  [ "$(places "$port")" = $'127.0.0.1:'"$port"$'\n'"[::1]:$port" ]
  run -0 say 127.0.0.1 "$port" there
  [[ $output == *": there" ]]
  control both cancel -R "127.0.0.1:$port:localhost:$ECHO"
  until_true 60 silent_at "127.0.0.1:$port"
  [ "$(places "$port")" = "[::1]:$port" ]
  control both exit
}
silent_at() { ! ss -Hltn "src $1" | grep -q .; }

@test "--gateway-ports=clientspecified of the server: the client says where" {
  server_stop
  "$BIN/qf-up" apply $FOLDERS --self server >&2
  background "$QF/sshd.log" "$BIN/qf-sshd" $FOLDERS --self server --enable-ssh-remote-port-forwarding --gateway-ports clientspecified
  echo "$PID" >"$QF/qf-up.pid"
  until_true 60 server_answers
  port=$(free_port)
  master where -R "$ADDRESS:$port:localhost:$ECHO"
  run -0 say "$ADDRESS" "$port" there
  [[ $output == *": there" ]]
  control where cancel -R "$ADDRESS:$port:localhost:$ECHO"
  until_true 60 silent "$port"
  master every -R "*:$port:localhost:$ECHO"
  run -0 places "$port"
  [[ $output == *"0.0.0.0:$port"* ]]
  control every exit
  control where exit
}

@test "without the flag it is refused, with the documented words" {
  server_stop
  server_start --enable-ssh-remote-port-forwarding=false
  run -255 qssh -l "$TARGET" -v -o ExitOnForwardFailure=yes -R "0:localhost:$ECHO" server true
  [[ $output == *"Port forwarding not available"* ]]
  # where the client goes on, the session is told
  run -0 qssh -l "$TARGET" -R "0:localhost:$ECHO" server 'echo done'
  [[ $output == *"Port forwarding not available"* && $output == *done* ]]
}
