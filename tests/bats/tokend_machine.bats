#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The machine issuer: whom it believes to be whom.
# run first

load tokend_helpers

setup() {
  tokend_begin 3600
  NONCE=qf1.$(head -c 32 /dev/zero | basenc --base64url | tr -d =)
  ISSUE="{\"version\":1,\"op\":\"issue\",\"nonce\":\"$NONCE\"}"
}
teardown() { fabric_end; }

# The system's: root's, for every user. In a folder of the test.
system_issuer() {
  SYSTEM=$QF/system
  mkdir -p "$SYSTEM" && chmod 755 "$SYSTEM"
  background "$QF/system.log" "$BIN/qf-tokend" --machine-issuer --foreground --runtime-dir "$SYSTEM" \
    --state-dir "$QF/system-state" "$@"
  until_true 60 test -S "$SYSTEM/machine-issuer.sock"
}
# issue_as USER [COMMAND…]: asks the system's as USER
issue_as() {
  local user=$1
  shift
  as "$user" "$@" socat -t 100 - "UNIX-CONNECT:$SYSTEM/machine-issuer.sock" <<<"$ISSUE"
}
# handed SOCKET COMMAND…: the command with that Python expression as what systemd hands in
handed() {
  "$PYTHON" - "$SYSTEM/machine-issuer.sock" "$@" <<'END'
import os, socket, sys
path = sys.argv[1]
def at(path, kind=socket.SOCK_STREAM, listen=True):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(path)
    if listen: s.listen()
    return s
sockets = eval(sys.argv[2])
sockets = sockets if isinstance(sockets, list) else [sockets]
high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
for i, fd in enumerate(high): os.dup2(fd, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)))
os.execv(sys.argv[3], sys.argv[3:])
END
}
claims() { jq -r .token | cut -d. -f2 | basenc -d --base64url 2>/dev/null || :; }

@test "qf-token login at it needs no person, and the token is bound" {
  daemon_start
  run -0 --separate-stderr token login --issuer machine
  [[ $stderr == *"logged in at machine as $CLIENT"* ]]
  run -0 token show --issuer machine --claims
  [ "$(jq -r .sub <<<"$output")" = "$CLIENT" ]
  [ "$(jq -r .iss <<<"$output")" = urn:qufabric:test ]
  [[ $(jq -r .nonce <<<"$output") == qf1.* ]]
  [ "$(ask_status | jq '.issuers[] | select(.name == "machine") | .bound')" = true ]
}

@test "without a terminal too" {
  daemon_start
  run -0 as_client setsid "$BIN/qf-token" login --issuer machine $PLACES
}

@test "rootless it serves its own user and nobody else" {
  [ "$(stat -c '%a %U' "$RUNTIME/machine-issuer.sock")" = "600 $CLIENT" ]
  run -0 socat -t 100 - "UNIX-CONNECT:$RUNTIME/machine-issuer.sock" <<<"$ISSUE"
  [ "$(jq -r .error <<<"$output")" = refused ]
}

@test "the system's tells users apart by the kernel's word" {
  system_issuer
  [ "$(stat -c '%a %U' "$SYSTEM/machine-issuer.sock")" = "666 root" ]
  local user
  for user in "$CLIENT" "$TARGET"; do
    run -0 issue_as "$user"
    [ "$(claims <<<"$output" | jq -r .sub)" = "$user" ]
    [ "$(claims <<<"$output" | jq -r .iss)" = "qufabric-machine:$(hostname)" ]
    [ "$(claims <<<"$output" | jq -r .aud)" = qufabric ]
    [ "$(claims <<<"$output" | jq '.exp - .iat')" = 600 ]
  done
}

@test "root gets no token unless told otherwise" {
  system_issuer
  run -0 issue_as root
  [[ $(jq -r .message <<<"$output") == *"no token to root"* ]]
  [[ $(jq -r .hint <<<"$output") == *"--allow-root"* ]]
  end_process "$PID"
  system_issuer --allow-root
  run -0 issue_as root
  [ "$(claims <<<"$output" | jq -r .sub)" = root ]
}

@test "a uid without a passwd entry gets none" {
  system_issuer
  run -0 setpriv --reuid 4242424 --clear-groups socat -t 100 - "UNIX-CONNECT:$SYSTEM/machine-issuer.sock" <<<"$ISSUE"
  [[ $output == *"no passwd entry"* ]]
}

@test "callers from another pid or user namespace get none" {
  system_issuer
  run -0 unshare --pid --fork runuser -u "$CLIENT" -- socat -t 100 - "UNIX-CONNECT:$SYSTEM/machine-issuer.sock" \
    <<<"$ISSUE"
  [[ $output == *"another pid namespace"* ]]
  if ! as_client unshare --user true; then skip "no user namespaces for ordinary users here"; fi
  run -0 issue_as "$CLIENT" unshare --user
  [[ $output == *"another user namespace"* ]]
}

@test "a user's daemon may ask the system's although nobody can look into it" {
  system_issuer
  daemon_start
  # as qf-tokend, socat makes itself undumpable here: root may still read its namespaces
  run -0 as_client "$PYTHON" - "$SYSTEM/machine-issuer.sock" "$ISSUE" <<'END'
import ctypes, socket, sys
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b'\n')
assert b'"ok":true' in s.recv(65536)
END
}

@test "it signs its own issuer and audience only, and no bearer token" {
  system_issuer
  ISSUE='{"version":1,"op":"issue","issuer":"https://idp.example","nonce":"'$NONCE'"}'
  run -0 issue_as "$CLIENT"
  [[ $output == *no_issuer*"--issuer must agree"* ]]
  ISSUE='{"version":1,"op":"issue","nonce":"mine"}'
  run -0 issue_as "$CLIENT"
  [ "$(jq -r .error <<<"$output")" = malformed ]
  ISSUE='{"version":1,"op":"show"}'
  run -0 issue_as "$CLIENT"
  [ "$(jq -r .error <<<"$output")" = unknown_op ]
}

@test "its key is made at the first start, private, and stays" {
  system_issuer
  [ "$(stat -c '%a %U' "$QF/system-state/machine-issuer.pem")" = "600 root" ]
  run -0 "$BIN/qf-tokend" --machine-issuer --print-jwks --state-dir "$QF/system-state"
  local first=$output
  [ "$(jq -r '.keys[0] | .kty + " " + .crv + " " + .alg' <<<"$first")" = "OKP Ed25519 EdDSA" ]
  [ "$(jq '.keys[0].d' <<<"$first")" = null ]
  ISSUE='{"version":1,"op":"jwks"}'
  run -0 issue_as "$CLIENT"
  [ "$(jq -c .jwks <<<"$output")" = "$(jq -c . <<<"$first")" ]
  end_process "$PID"
  system_issuer
  run -0 "$BIN/qf-tokend" --machine-issuer --print-jwks --state-dir "$QF/system-state"
  [ "$output" = "$first" ]
}

# key_refused WORD…: in the message of a start
key_refused() {
  run -78 "$BIN/qf-tokend" --machine-issuer --print-jwks --state-dir "$QF/system-state"
  for word in "$QF/system-state/machine-issuer.pem" "hint: " "$@"; do [[ $output == *"$word"* ]]; done
}

@test "a key that others may read, own or have linked there is refused" {
  local key=$QF/system-state/machine-issuer.pem
  mkdir "$QF/system-state"
  openssl genpkey -algorithm ed25519 -out "$key"
  chmod 644 "$key"
  key_refused "mode 0600" "chmod 600 $key"
  chmod 600 "$key"
  chown "$CLIENT" "$key"
  key_refused "belongs to uid $(id -u "$CLIENT")"
  chown root "$key"
  mv "$key" "$QF/elsewhere.pem"
  ln -s "$QF/elsewhere.pem" "$key"
  key_refused "is a symlink"
  # the service does not start with it either
  run -78 "$BIN/qf-tokend" --machine-issuer --foreground --state-dir "$QF/system-state" --runtime-dir "$QF/system-state"
  [[ $output == *"is a symlink"* ]]
  mv "$QF/elsewhere.pem" "$key"
  run -0 "$BIN/qf-tokend" --machine-issuer --print-jwks --state-dir "$QF/system-state"
}

@test "qf-up machine-jwks prints its key set for the document" {
  run -0 "$BIN/qf-up" machine-jwks --state-dir "$QF/system-state"
  [ "$(jq -r '.keys[0].kty' <<<"$output")" = OKP ]
  local first=$output
  system_issuer
  ISSUE='{"version":1,"op":"jwks"}'
  run -0 issue_as "$CLIENT"
  [ "$(jq -c .jwks <<<"$output")" = "$(jq -c . <<<"$first")" ]
  run -0 "$BIN/qf-up" machine-jwks --state-dir "$QF/system-state"
  [ "$output" = "$first" ]
  # what an admin does with it
  fabric_write "(.issuers[] | select(.name == \"machine\")) |= (.jwks = $first)"
  run -0 "$BIN/qf-up" check "$QF/config/fabric.json"
  # another user may not have the key, and the folders are handed on
  run -71 as_client "$BIN/qf-up" machine-jwks --state-dir "$QF/system-state"
  [[ $output == *"$QF/system-state"*"Permission denied"* ]]
}

@test "who asks for too many tokens waits, is told how long, and fills no log" {
  system_issuer
  local line=$ISSUE
  ISSUE=$(for _ in {1..100}; do echo "$line"; done)
  run -0 issue_as "$CLIENT"
  [ "${#lines[@]}" = 100 ]
  local good
  good=$(jq -s 'map(select(.ok)) | length' <<<"$output")
  # one more for each second that this took
  [ "$good" -ge 60 ] && [ "$good" -lt 90 ]
  [ "$(jq -s 'map(select(.ok | not) | .error) | unique == ["busy"]' <<<"$output")" = true ]
  [[ $(jq -rs 'map(select(.ok | not))[0] | .message + .hint' <<<"$output") == *"too many tokens"*"try again in 1 s"* ]]
  [ "$(grep -c "too many tokens" "$QF/system.log")" = 1 ]
  # others are not kept waiting, and the key set is free
  ISSUE=$line
  run -0 issue_as "$TARGET"
  [ "$(claims <<<"$output" | jq -r .sub)" = "$TARGET" ]
  ISSUE='{"version":1,"op":"jwks"}'
  run -0 issue_as "$CLIENT"
  [ "$(jq .ok <<<"$output")" = true ]
  # a second later there is one again
  ISSUE=$line
  issued() { issue_as "$CLIENT" | jq -e .ok; }
  until_true 60 issued
}

@test "socket activation: the first who asks starts it, and it leaves the socket in place" {
  SYSTEM=$QF/system
  mkdir "$SYSTEM"
  # systemd's part of it, in one process: makes the socket, and becomes the issuer when somebody connects
  background "$QF/system.log" systemd-socket-activate -l "$SYSTEM/machine-issuer.sock" "$BIN/qf-tokend" --machine-issuer \
    --foreground --runtime-dir "$SYSTEM" --state-dir "$QF/system-state"
  until_true 60 says "$QF/system.log" Listening
  chmod 666 "$SYSTEM/machine-issuer.sock"
  local inode user
  inode=$(stat -c %i "$SYSTEM/machine-issuer.sock")
  [[ $(readlink "/proc/$PID/exe") != *qf-tokend ]]
  for user in "$CLIENT" "$TARGET"; do
    run -0 issue_as "$user"
    [ "$(claims <<<"$output" | jq -r .sub)" = "$user" ]
  done
  [[ $(readlink "/proc/$PID/exe") == *qf-tokend ]]
  run -0 issue_as root
  [[ $(jq -r .message <<<"$output") == *"no token to root"* ]]
  run -0 unshare --pid --fork runuser -u "$CLIENT" -- socat -t 100 - "UNIX-CONNECT:$SYSTEM/machine-issuer.sock" \
    <<<"$ISSUE"
  [[ $output == *"another pid namespace"* ]]
  end_process "$PID"
  [ "$(stat -c %i "$SYSTEM/machine-issuer.sock")" = "$inode" ]
}

@test "it says when it listens (Type=notify), and when it ends" {
  "$PYTHON" -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True: print(s.recv(4096).decode(), flush=True)' "$QF/notify" >"$QF/notified" 3>&- 4>&- &
  note_process $!
  until_true 60 test -S "$QF/notify"
  NOTIFY_SOCKET=$QF/notify system_issuer
  until_true 60 grep -qx READY=1 "$QF/notified"
  run -0 issue_as "$CLIENT"
  end_process "$PID"
  until_true 60 grep -qx STOPPING=1 "$QF/notified"
}

@test "what is no listening Unix stream socket at its path is refused, if systemd hands it in" {
  SYSTEM=$QF/system
  mkdir "$SYSTEM"
  # refuses EXPRESSION WORDS
  refuses() {
    rm -f "$SYSTEM"/*
    run -78 handed "$1" "$BIN/qf-tokend" --machine-issuer --foreground --runtime-dir "$SYSTEM" --state-dir "$QF/system-state"
    [[ $output == *"systemd has handed in"*"$2"* ]]
  }
  refuses 'socket.create_server(("127.0.0.1", 0))' "it is not a Unix stream socket"
  refuses 'at(path, socket.SOCK_DGRAM, False)' "it is not a Unix stream socket"
  refuses 'at(path, socket.SOCK_SEQPACKET)' "it is not a Unix stream socket"
  refuses 'at(path, listen=False)' "it does not listen"
  refuses 'at(path + "2")' "it listens at $SYSTEM/machine-issuer.sock2, and clients look at $SYSTEM/machine-issuer.sock"
  refuses 'at("\0qufabric-test-" + path)' "it listens at no path"
  refuses '[at(path), at(path + "2")]' "2 sockets"
  refuses '[at(path), os.unlink(path)][:1]' "it is no longer at"
  # and taken away is nothing
  refuses 'at(path + "2")' ""
  [ -S "$SYSTEM/machine-issuer.sock2" ]
}

@test "a pid that is somebody else's by now vouches for nobody" {
  [ -w /proc/sys/kernel/ns_last_pid ] || skip "this kernel gives no chosen pids"
  "$PYTHON" -c 'import socket; a, b = socket.socketpair(); a.getsockopt(1, 77)' || skip "this kernel has no SO_PEERPIDFD"
  system_issuer
  kill -STOP "$PID"
  run -0 "$PYTHON" - "$SYSTEM/machine-issuer.sock" "$ISSUE" "$(id -u "$CLIENT")" "$PID" <<'END'
import os, signal, socket, sys
path, line, uid, issuer = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_UNIX)
gone = os.fork()
if gone == 0:
    os.setuid(uid)
    s.connect(path)
    os._exit(0)
os.waitpid(gone, 0)
for _ in range(200):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last: last.write(str(gone - 1))
    other = os.fork()
    if other == 0:
        signal.pause()
    if other == gone: break
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)
assert other == gone, "others took the pid"
os.kill(issuer, signal.SIGCONT)
s.sendall(line.encode() + b"\n")
print(s.recv(65536).decode())
os.kill(other, signal.SIGKILL)
END
  [[ $(jq -r .message <<<"$output") == *"has ended"* ]]
}

@test "no machine issuer there: the message says how to start it" {
  daemon_start
  local pid
  pid=$(pgrep -u "$CLIENT" -f 'qf-tokend --machine-issuer')
  end_process "$pid"
  run -1 token login --issuer machine
  [[ $output == *"no machine issuer"*"hint: start it: qf-tokend --machine-issuer"* ]]
}
