#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The listener's life: SIGHUP, addresses that come and go, log and key rotation, restarts with live sessions, sockets
# that are handed in.

load helpers

setup_file() {
  fabric_begin
  OTHER=$(address_of 1)
  THIRD=$(address_of 2)
  export OTHER THIRD
  fabric_write && server_start && warm
}
teardown_file() { fabric_end; }

listens() { [ -n "$(ss -Htln "src $1 and sport = :22022")" ]; }
not_listens() { ! listens "$1"; }
says() { grep -qE "$1" "$QF/qf-up.log"; }
# live FIFO LOG: a session that stands until the fifo ends; `echo x >FIFO` goes through it
live() {
  mkfifo -m 666 "$1"
  background_as "$CLIENT" "$2" sh -c "ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$1'; echo exit=\$?"
  until_true 60 grep -q up "$2"
}
status_json() { "$BIN/qf-up" status -d --json $FOLDERS; }
connections() { [ "$(status_json | jq "[.connections[] | select(.logged_in)] | length")" = "$1" ]; }

@test "addresses of a new document are listened on, and gone ones closed" {
  live "$QF/hold1" "$QF/live1.log"
  fabric_apply '.peers[0].addresses += ["'"$OTHER"'", "::1"]'
  until_true 60 listens "$OTHER"
  until_true 60 listens '[::1]'
  listens "$ADDRESS"
  fabric_apply '.peers[0].addresses = ["'"$OTHER"'"]'
  until_true 60 not_listens "$ADDRESS"
  until_true 60 not_listens '[::1]'
  listens "$OTHER"
  # the session on the address that is gone goes on
  echo word1 >"$QF/hold1"
  until_true 60 grep -q word1 "$QF/live1.log"
  fabric_apply
  until_true 60 listens "$ADDRESS"
  run -0 on_peer true
}

@test "an address that cannot be bound keeps the others, is said, and is taken when it is free" {
  "$PYTHON" -c '
import socket, sys
s = socket.socket()
s.bind((sys.argv[1], 22022))
s.listen()
print("bound", flush=True)
sys.stdin.read()' "$THIRD" <>"$QF/tick" >"$QF/bound" 3>&- 4>&- &
  blocker=$!
  note_process $blocker
  until_true 60 grep -q bound "$QF/bound"
  fabric_apply '.peers[0].addresses += ["'"$THIRD"'"]'
  until_true 60 says "cannot listen on $THIRD port 22022: Address already in use; the other addresses are served"
  run -0 on_peer true
  kill "$blocker"
  until_true 60 says "listening on $THIRD port 22022"
  fabric_apply
  until_true 60 not_listens "$THIRD"
}

@test "SIGHUP opens the audit log again and passes from qf-up to qf-sshd; live sessions do not notice" {
  live "$QF/hold2" "$QF/live2.log"
  mv "$AUDIT" "$AUDIT.1"
  kill -HUP "$(qf_up)"
  until_true 60 test -s "$AUDIT" -o -f "$AUDIT"
  until_true 60 says 'SIGHUP: reading the fabric document and the host key again'
  run -0 on_peer true
  run -0 audit_says '.event == "login" and .allowed'
  echo word2 >"$QF/hold2"
  until_true 60 grep -q word2 "$QF/live2.log"
  [ "$(stat -c %a "$AUDIT")" = 600 ]
}

@test "SIGHUP takes up a new host key once the document lists it; a broken one changes nothing" {
  key=$QF/state/ssh_host_ed25519_key
  cp -p "$key" "$QF/key.old"
  live "$QF/hold3" "$QF/live3.log"
  # broken: logins go on with the old one, which is in memory
  echo broken >"$key"
  kill -HUP "$(listener_pid)"
  until_true 60 says 'the host key stays as it was: .* is not a private key'
  run -0 on_peer true
  # new, and the document does not know it
  rm "$key"
  ssh-keygen -q -t ed25519 -N '' -f "$key" <<<y
  kill -HUP "$(listener_pid)"
  until_true 60 says 'the host key stays as it was: the fabric document does not list'
  run -0 on_peer true
  # the document lists both: taken up with no further word
  new=$(cut -d' ' -f1,2 "$key.pub")
  fabric_apply '.peers[0].ssh_host_keys += ["'"$new"'"]'
  until_true 60 says 'the host key is now SHA256:'
  run -0 on_peer true
  [ "$(ssh-keyscan -p 22022 "$ADDRESS" 2>/dev/null | cut -d' ' -f2,3)" = "$new" ]
  echo word3 >"$QF/hold3"
  until_true 60 grep -q word3 "$QF/live3.log"
  cp -p "$QF/key.old" "$key"
  kill -HUP "$(qf_up)"
  fabric_apply
  until_true 60 on_peer true
}

@test "field note 22: sessions outlive their listener, killed or stopped, and the next one learns of them" {
  live "$QF/hold4" "$QF/live4.log"
  before=$(status_json | jq '[.connections[] | select(.logged_in)] | length')
  [ "$before" -ge 1 ]
  monitor=$(status_json | jq '[.connections[] | select(.logged_in)][-1].pid')
  # killed, as an upgrade that goes wrong would
  kill -KILL "$(listener_pid)"
  until_true 60 server_answers
  until_true 60 connections "$before"
  [ "$(status_json | jq "[.connections[] | select(.pid == $monitor)][0] | .logged_in and .answers")" = true ]
  # and after another one, stopped properly
  kill -TERM "$(listener_pid)"
  until_true 60 server_answers
  until_true 60 connections "$before"
  echo word4 >"$QF/hold4"
  until_true 60 grep -q word4 "$QF/live4.log"
}

@test "the socket for monitors is root's; a stranger and nonsense harm nobody" {
  socket=$QF/run/sshd-monitors.sock
  [ "$(stat -c '%U %a' "$socket")" = "root 600" ]
  chmod 711 "$QF/run" && chmod 666 "$socket"
  cat >"$QF/monitor.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.settimeout(4)
try:
    s.send(bytes.fromhex(sys.argv[2]))
    print("end" if s.recv(100) == b"" else "answer")
except OSError as e:
    print("timeout" if isinstance(e, TimeoutError) else "end")
PY
  chmod 644 "$QF/monitor.py"
  # another user, a message of a type that is not its own, another version, too short
  run -0 as "$TARGET" "$PYTHON" "$QF/monitor.py" "$socket" 0000008c
  [ "$output" = end ]
  for message in 00000080 0000008c0000ffff 00 0000008c; do
    run -0 "$PYTHON" "$QF/monitor.py" "$socket" "$message"
    [ "$output" = end ]
  done
  chmod 600 "$socket" && chmod 700 "$QF/run"
  run -0 on_peer true
}

# activate.py COUNT ADDRESS:PORT… PROGRAM…: becomes the program, with sockets handed in as systemd does.
cat_activate() {
  cat >"$QF/activate.py" <<'PY'
import os, socket, sys
count = int(sys.argv[1])
sockets = []
for place in sys.argv[2:2 + count]:
    address, port = place.rsplit(":", 1)
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, int(port)))
    s.listen()
    sockets.append(s)
copies = [os.dup(s.fileno()) for s in sockets]
for s in sockets:
    s.detach()
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(copies)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.closerange(3 + count, 256)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=":".join(["ssh"] * count))
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
PY
}

@test "sockets that are handed in are used by qf-sshd itself; the address without one is bound" {
  server_stop
  cat_activate
  fabric_apply '.peers[0].addresses += ["'"$OTHER"'"]'
  server_start_by "$PYTHON" "$QF/activate.py" 1 "$ADDRESS:22022" "$BIN/qf-sshd" --self server $FOLDERS
  says "listening on $ADDRESS port 22022, by the socket that systemd has handed in"
  until_true 60 listens "$OTHER"
  run -0 on_peer 'ls -l /proc/self/fd | wc -l; env'
  # none of it reaches a session
  [[ $output != *LISTEN_* && $output != *NOTIFY_SOCKET* ]]
}

@test "sockets pass through qf-up, also to a qf-sshd that is started again" {
  server_stop
  server_start_by "$PYTHON" "$QF/activate.py" 2 "$ADDRESS:22022" "$OTHER:22022" \
    "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh
  [ "$(grep -c 'by the socket that systemd has handed in' "$QF/qf-up.log")" -ge 3 ]
  run -0 on_peer true
  kill -KILL "$(listener_pid)"
  until_true 60 server_answers
  run -0 on_peer true
  # the kernel's queue stood all the time: the socket is the same one
  [ "$(ss -Htln "src $ADDRESS and sport = :22022" | wc -l)" = 1 ]
}

@test "a socket at another address or port, or none at all, is refused with its name" {
  server_stop
  # in a network namespace: others on this machine have the port
  for place in "$THIRD:22022" "$ADDRESS:22023" 0.0.0.0:22022; do
    run -78 unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$PYTHON" "$QF/activate.py" 1 "$place" "$BIN/qf-sshd" --self server $FOLDERS
    [[ $output == *'cannot use descriptor 3 ("ssh"), handed in by systemd: it listens on '* ]]
  done
  run -78 env -i sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null' sh "$BIN/qf-sshd" --self server $FOLDERS
  [[ $output == *"it is not a TCP socket"* ]]
  run -78 env -i sh -c 'LISTEN_PID=$$ LISTEN_FDS=x exec "$@"' sh "$BIN/qf-sshd" --self server $FOLDERS
  [[ $output == *LISTEN_FDS* ]]
}

@test "readiness: through qf-up, at the start, around a reload and at the end" {
  cat >"$QF/notified.py" <<'PY'
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode().replace("\n", " "), flush=True)
PY
  background "$QF/notified.log" "$PYTHON" "$QF/notified.py" "$QF/notify"
  until_true 60 test -S "$QF/notify"
  server_start_by env NOTIFY_SOCKET="$QF/notify" "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh
  until_true 60 grep -q '^READY=1$' "$QF/notified.log"
  kill -HUP "$(qf_up)"
  until_true 60 eval '[ "$(grep -c "^READY=1$" "$QF/notified.log")" = 2 ]'
  grep -q '^RELOADING=1 MONOTONIC_USEC=[0-9]*$' "$QF/notified.log"
  server_stop
  until_true 60 eval '[ "$(tail -n 1 "$QF/notified.log")" = STOPPING=1 ]'
}
