#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The tunnel with a token at hand: everything that a session is, inside an SSH connection of our own.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start --enable-ssh-sftp && warm
}
teardown_file() { fabric_end; }

on_peer_tunnelled() { tunnelled -l "$TARGET" server "$@"; }

# ends_with STATUS PID: waits for the end of a process of ours. (`run wait` would not wait: it is a subshell.)
ends_with() {
  local got=0
  wait "$2" || got=$?
  [ "$got" = "$1" ]
}

@test "a command with its streams and its exit status" {
  run -7 --separate-stderr on_peer_tunnelled 'id -un; echo to-err >&2; exit 7' </dev/null
  [ "$output" = "$TARGET" ]
  [ "$stderr" = to-err ]
  run -0 audit_says '.event == "login" and .method == "tunnel"'
}

@test "field note 7: the first bytes of a connection and the last lines of a session arrive" {
  run -0 bash -c "$(declare -f tunnelled as_client as as_words passwd_of on_peer_tunnelled)
    on_peer_tunnelled -tt 'seq 1 200000' </dev/null | tr -d '\r' | md5sum"
  [[ $output == *"$(seq 1 200000 | md5sum)"* ]]
}

@test "100 MB arrive unchanged, down and up at the same time" {
  head -c 100M /dev/urandom >"$QF/bulk"
  chmod 644 "$QF/bulk"
  on_peer_tunnelled 'tee /dev/stderr 2>sum-in | cat' <"$QF/bulk" >"$QF/back"
  cmp "$QF/bulk" "$QF/back"
  cmp "$QF/bulk" "$QF/home/$TARGET/sum-in"
  rm "$QF/bulk" "$QF/back" "$QF/home/$TARGET/sum-in"
}

@test "the end of stdin arrives, and the other direction goes on" {
  run -0 on_peer_tunnelled 'wc -c; sleep 0.3; echo after' <<<"twelve bytes"
  [ "$output" = $'13\nafter' ]
}

@test "a client that stops reading stops the server; nothing grows" {
  # the tunnel of the test before may still be ending
  until_true 60 no_tunnel
  mkfifo "$QF/slow"
  on_peer_tunnelled 'yes | head -c 200M; echo' </dev/null >"$QF/slow" 2>/dev/null 3>&- 4>&- &
  exec 9<"$QF/slow"
  until_true 60 one_tunnel
  tunnel=$(pgrep -u "$CLIENT" -x qf-tunnel)
  until_true 60 quiet "$tunnel"
  [ "$(awk '/^VmRSS/ {print $2}' "/proc/$tunnel/status")" -lt 40000 ]
  [ "$(wc -c <&9)" = $((200 * 1024 * 1024 + 1)) ]
  exec 9<&-
  wait
}
no_connection() { ! ss -Htnp state established src "$ADDRESS" sport = :22022 | grep -q pid=; }
no_tunnel() { ! pgrep -u "$CLIENT" -x qf-tunnel; }
one_tunnel() { [ "$(pgrep -c -u "$CLIENT" -x qf-tunnel)" = 1 ]; }
# quiet PID: it has used no processor for a while
quiet() {
  local before after
  before=$(cut -d' ' -f14,15 "/proc/$1/stat")
  for_a_while 0.5
  after=$(cut -d' ' -f14,15 "/proc/$1/stat")
  [ "$before" = "$after" ]
}

@test "a client that reads nothing and writes all the same: what it writes goes on, and nothing spins, also without the peer" {
  until_true 60 no_tunnel
  as_words "$CLIENT"
  "${AS[@]}" QF_SSH=tunnel ssh -F "$CONF" -M -S "$QF/home/$CLIENT/shared" -l "$TARGET" server 'cat /dev/zero' \
    >/dev/null 2>&1 3>&- 4>&- </dev/null &
  local master=$!
  note_process "$master"
  until_true 60 test -S "$QF/home/$CLIENT/shared"
  for _ in 1 2 3; do
    as_client ssh -F "$CONF" -S "$QF/home/$CLIENT/shared" -l "$TARGET" server 'cat /dev/zero' >/dev/null 2>&1 3>&- 4>&- </dev/null &
    note_process $!
  done
  for_a_while 1
  kill -STOP "$master"
  tunnel=$(pgrep -u "$CLIENT" -x qf-tunnel)
  until_true 60 quiet "$tunnel"
  head -c 4000 /dev/zero >"/proc/$tunnel/fd/0"
  until_true 60 quiet "$tunnel"
  # nothing is left in the pipe that the client writes to
  run -0 "$PYTHON" -c 'import array, fcntl, sys, termios; n = array.array("i", [0]); fcntl.ioctl(open(sys.argv[1]), termios.FIONREAD, n); print(n[0])' "/proc/$tunnel/fd/0"
  [ "$output" = 0 ]
  # the peer's end of the connection
  for pid in $(ss -Htnp state established src "$ADDRESS" sport = :22022 | grep -o 'pid=[0-9]*' | cut -d= -f2); do kill -KILL "$pid"; done
  until_true 60 no_connection
  until_true 60 quiet "$tunnel"
  kill -CONT "$master"
  until_true 60 no_tunnel
}

@test "refusals of the inner login reach the user, and ssh exits 255" {
  run -255 tunnelled -l root server true </dev/null
  [[ $output == *"User is not authorized to login as OS user"* ]]
  run -255 tunnelled -l qufabric-tunnel server true </dev/null
}

@test "sftp and many sessions on one connection" {
  echo content >"$QF/file"
  run -0 as_client QF_SSH=tunnel timeout 60 sftp -q -F "$CONF" -b - "$TARGET@server" <<<"put $QF/file arrived"
  [ "$(cat "$QF/home/$TARGET/arrived")" = content ]
  control=$(home_of "$CLIENT")/control
  tunnelled -M -S "$control" -N -f -l "$TARGET" server 3>&- 4>&-
  for i in 1 2 3 4 5; do
    run "-$i" qssh -S "$control" -l "$TARGET" server "exit $i" </dev/null
  done
  qssh -S "$control" -O exit server
}

@test "host keys are checked inside too: a key that ssh does not know ends it" {
  run -255 tunnelled -o GlobalKnownHostsFile=/dev/null -o BatchMode=yes -l "$TARGET" server true </dev/null
  [[ $output == *"Host key verification failed"* ]]
}

@test "clients that are not OpenSSH come through their own ProxyCommand" {
  cat >"$QF/client.py" <<'PYTHON'
import sys, paramiko
proxy = paramiko.ProxyCommand(sys.argv[1])
client = paramiko.Transport(proxy)
client.start_client(timeout=20)
client.auth_none(sys.argv[2])
channel = client.open_session()
channel.exec_command("cat; exit 5")
channel.sendall(b"through paramiko\n")
channel.shutdown_write()
print(channel.makefile().read().decode(), end="")
status = channel.recv_exit_status()
client.close()
sys.exit(status)
PYTHON
  run -5 as_client timeout 60 "$PYTHON" "$QF/client.py" \
    "$BIN/qf-proxy --config-dir $QF/config --state-dir $QF/state server 22" "$TARGET"
  [[ $output == *"through paramiko"* ]]
}

# signal_servers SIGNAL: to every qf-sshd process below the listener
signal_servers() {
  local pid
  for pid in $(descendants "$(listener_pid)"); do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = qf-sshd ] && kill "-$1" "$pid" 2>/dev/null
  done
  return 0
}

@test "field note 8: ServerAliveInterval tests the real peer, on both paths" {
  for path in tunnelled qssh; do
    rm -f "$QF/out"
    "$path" -o ServerAliveInterval=1 -o ServerAliveCountMax=2 -l "$TARGET" server 'echo started; sleep 60' </dev/null \
      >"$QF/out" 2>"$QF/err" 3>&- 4>&- &
    ssh_pid=$!
    until_true 60 grep -q started "$QF/out"
    signal_servers STOP
    ends_with 255 "$ssh_pid"
    signal_servers CONT
    grep -q 'not responding' "$QF/err"
  done
}

@test "field note 2: a server that is killed in mid-command makes ssh exit 255 and says so" {
  on_peer_tunnelled 'echo started; sleep 60' </dev/null >"$QF/out" 2>"$QF/err" 3>&- 4>&- &
  ssh_pid=$!
  until_true 60 grep -q started "$QF/out"
  signal_servers KILL
  ends_with 255 "$ssh_pid"
  [ -s "$QF/err" ]
}
