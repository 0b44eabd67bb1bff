#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ssh -L, -D, -W and -J: connections through the peer, made as the logged-in user.

load helpers

setup_file() {
  fabric_begin
  fabric_write
  server_start --enable-ssh-local-port-forwarding
  # who connects can be seen: the echo server tells the uid of the other end
  background "$QF/echo.log" "$PYTHON" "$TOP/tests/bats/servers/echo.py" "$QF/echo.port" 127.0.0.1 ::1
  until_true 60 test -s "$QF/echo.port"
}
teardown_file() { fabric_end; }
setup() { ECHO=$(cat "$QF/echo.port"); }

# forwarded OPTION…: a connection in the background with these options; until it stands.
forwarded() {
  rm -f "$QF/control"
  background_as "$CLIENT" "$QF/ssh.log" ssh -F "$CONF" -l "$TARGET" -o ExitOnForwardFailure=yes -S "$QF/home/control" -M -N "$@" server
  FORWARD=$PID
  until_true 60 as_client ssh -F "$CONF" -S "$QF/home/control" -O check server
}
setup_home() { chmod 777 "$QF/home"; }
# say HOST PORT TEXT: what comes back
say() { printf '%s' "$3" | timeout 60 socat -t 50 - "TCP:$1:$2"; }

@test "-L carries bytes both ways, to a name that the peer resolves, and the user's own rights hold" {
  setup_home
  port=$(free_port)
  forwarded -L "$port:localhost:$ECHO"
  run -0 say 127.0.0.1 "$port" hello
  [ "$output" = "uid $(id -u "$TARGET"): hello" ]
  end_process "$FORWARD"
}

@test "-L to IPv4 and IPv6 addresses" {
  setup_home
  four=$(free_port) six=$(free_port)
  forwarded -L "$four:127.0.0.1:$ECHO" -L "$six:[::1]:$ECHO"
  run -0 say 127.0.0.1 "$four" v4
  [[ $output == *": v4" ]]
  run -0 say 127.0.0.1 "$six" v6
  [[ $output == *": v6" ]]
  end_process "$FORWARD"
}

@test "-D: a SOCKS client names the target" {
  setup_home
  port=$(free_port)
  forwarded -D "$port"
  run -0 bash -c "printf 'by socks' | timeout 60 socat -t 50 - SOCKS4A:127.0.0.1:localhost:$ECHO,socksport=$port"
  [[ $output == *": by socks" ]]
  end_process "$FORWARD"
}

@test "-W, and -J through the peer to an sshd beyond it" {
  run -0 bash -c "$(declare -f as as_words as_client passwd_of qssh); printf 'w' | qssh -l '$TARGET' -W localhost:$ECHO server"
  [[ $output == *": w" ]]
  # the peer itself, as seen from the peer: its second connection comes from 127.0.0.1 too
  run -0 qssh -l "$TARGET" -o ProxyCommand="ssh -F $CONF -l $TARGET -W $ADDRESS:22022 server" server 'echo jumped as $(id -un)'
  [ "$output" = "jumped as $TARGET" ]
}

@test "half-close: the end of one direction does not end the other" {
  # the echo server answers only after the end of its input
  run -0 bash -c "$(declare -f as as_words as_client passwd_of qssh); head -c 3000000 /dev/zero | qssh -l '$TARGET' -W localhost:$ECHO server | wc -c"
  [ "$output" -gt 3000000 ]
}

@test "a refused, an unreachable and an unknown target: the channel is refused, the reason is shown and logged" {
  port=$(free_port)
  run -255 qssh -v -l "$TARGET" -W "127.0.0.1:$port" server
  [[ $output == *"open failed"* ]]
  [[ $output == *"Connection refused"* ]]
  run -255 qssh -v -l "$TARGET" -W no-such-host.invalid:80 server
  [[ $output == *"cannot resolve the name"*"names are looked up on the peer"* ]]
  run -0 audit_says ".event == \"forward\" and .kind == \"connect\" and .allowed == false and .target == \"127.0.0.1:$port\""
  # a session beside it is told on standard error
  setup_home
  local_port=$(free_port)
  mkfifo -m 666 "$QF/home/fifo"
  qssh -l "$TARGET" -L "$local_port:127.0.0.1:$port" server "read -r x <'$QF/home/fifo'; echo done" >"$QF/out" 2>"$QF/err" 3>&- &
  pid=$!
  until_true 60 bash -c "echo | timeout 5 socat - TCP:127.0.0.1:$local_port"
  until_true 60 grep -q 'Connection refused' "$QF/err"
  echo >"$QF/home/fifo"
  wait $pid
  [ "$(cat "$QF/out")" = "done" ]
}

@test "a slow reader costs the server no memory, and holds up nothing else" {
  setup_home
  port=$(free_port)
  forwarded -L "$port:127.0.0.1:$ECHO"
  # 64 MB asked for, and nothing read
  background "$QF/slow.log" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf 'stream 64000000\n' >&3; read -r -t 3600 _ <>$QF/tick"
  run -0 say 127.0.0.1 "$port" beside
  [[ $output == *": beside" ]]
  for pid in $(descendants "$(listener_pid)"); do
    awk '$1 == "VmData:" && $2 > 65536 { bad = 1 } END { exit bad }' "/proc/$pid/status"
  done
  end_process "$FORWARD"
}

@test "without the flag it is refused, with the documented words" {
  server_restart --enable-ssh-local-port-forwarding=false
  run -255 qssh -v -l "$TARGET" -W "127.0.0.1:$ECHO" server
  [[ $output == *"Port forwarding not available"* ]]
  [[ $output == *"--enable-ssh-local-port-forwarding"* ]]
  run -0 audit_says '.event == "forward" and .allowed == false and (.reason | startswith("Port forwarding not available"))'
  server_restart --enable-ssh-local-port-forwarding
}

# The name is not in any DNS: only the fabric document can have led to the address.
@test "a peer is found by its names, and permit_open means the words that the user gave" {
  fabric_apply '.policies[0].permit_open = ["server:22022", "SERVER.test.example:22022"]'
  server_restart
  for name in server Server server.TEST.example; do
    run -255 qssh -l "$TARGET" -o ProxyCommand="ssh -F $CONF -l $TARGET -W $name:22022 server" -o PreferredAuthentications=none server true
    [[ $output == *"Permission denied"* ]]
  done
  run -255 qssh -v -l "$TARGET" -W "$ADDRESS:22022" server
  [[ $output == *"$ADDRESS:22022 is not among the \"permit_open\""* ]]
  fabric_apply ".policies[0].permit_open = [\"$ADDRESS:22022\"]"
  server_restart
  run -255 qssh -v -l "$TARGET" -W server:22022 server
  [[ $output == *'server:22022 is not among the "permit_open"'* ]]
  fabric_apply
  server_restart
}

@test "permit_open of the policy is enforced" {
  fabric_apply ".policies[0].permit_open = [\"localhost:$ECHO\"]"
  run -0 bash -c "$(declare -f as as_words as_client passwd_of qssh); printf ok | qssh -l '$TARGET' -W localhost:$ECHO server"
  [[ $output == *": ok" ]]
  run -255 qssh -v -l "$TARGET" -W "127.0.0.1:$ECHO" server
  [[ $output == *'is not among the "permit_open" of policy "all"'*"hint: ask the admin of the fabric"* ]]
  fabric_apply
}

@test "the same inside the tunnel" {
  run -0 bash -c "$(declare -f as as_words as_client passwd_of tunnelled); printf t | tunnelled -l '$TARGET' -W localhost:$ECHO server"
  [[ $output == *": t" ]]
}

@test "the helper is the user's own process, without the server's memory, and its death ends no session" {
  setup_home
  until_true 60 no_helper
  port=$(free_port)
  forwarded -L "$port:127.0.0.1:$ECHO"
  run -0 say 127.0.0.1 "$port" one
  helper=$(pgrep -u "$TARGET" -x qf-helper)
  [ "$(awk '/^NoNewPrivs/ { print $2 }' "/proc/$helper/status")" = 1 ]
  [ "$(awk '/^Uid/ { print $2, $3, $4, $5 }' "/proc/$helper/status" | tr -s ' ' '\n' | sort -u)" = "$(id -u "$TARGET")" ]
  [ "$(basename "$(readlink "/proc/$helper/exe")")" = qf-helper ]
  as "$TARGET" kill -KILL "$helper"
  run -0 say 127.0.0.1 "$port" two
  [[ $output == *": two" ]]
  end_process "$FORWARD"
  until_true 60 no_helper
}
no_helper() { ! pgrep -u "$TARGET" -x qf-helper; }
