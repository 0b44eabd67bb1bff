#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The line protocol of qf-tokend, spoken by hand, well and badly.

load tokend_helpers

setup_file() {
  tokend_begin 3600 && daemon_start
  export DAEMON
}
teardown_file() { fabric_end; }

@test "the socat example of qf-tokend-protocol(7) works as it is printed there" {
  local example
  example=$(awk '/^[.].. example-begin/ { on = 1; next } /^[.].. example-end/ { on = 0 } on && !/^[.]/' "$TOP/man/qf-tokend-protocol.7" |
    sed 's/\\e/\\/g')
  [ -n "$example" ]
  run -0 as_client socket="$SOCKET" sh -c "$example"
  [[ $output == *'"ok":true'* ]]
}

@test "the example of a whole login with socat works as it is printed there" {
  local example
  example=$(awk '/^[.].. credential-example-begin/ { on = 1; next } /^[.].. credential-example-end/ { on = 0 } on && !/^[.]/' \
    "$TOP/man/qf-tokend-protocol.7" | sed 's/\\e/\\/g')
  [ -n "$example" ]
  cd "$(home_of "$CLIENT")"
  as_client socket="$SOCKET" peer=server sh -c "$example" >"$QF/key" 2>"$QF/said" 3>&- 4>&- &
  local pid=$!
  approve "$QF/said"
  wait "$pid"
  [ "$(cat "$QF/key")" = "$RUNTIME/ssh/subject" ]
  run -0 ssh-keygen -L -f server-cert.pub
  [[ $output == *'Key ID: "corp alice"'* ]]
  ask '{"version":1,"op":"logout"}' >/dev/null
}

@test "several requests on one connection are answered in order" {
  run -0 ask '{"version":1,"op":"status"}' '{"op":"bogus"}' '{"op":"match","peer":"server","host":"server"}'
  [ "$(jq -sc 'map(.error // .ok)' <<<"$output")" = '[true,"unknown_op",true]' ]
}

@test "unknown versions are answered clearly, and the connection ends" {
  run -0 ask '{"version":2,"op":"status"}' '{"version":1,"op":"status"}'
  [ "${#lines[@]}" = 1 ]
  [ "$(jq -r .error <<<"$output")" = version ]
  [[ $output == *"only version 1"* ]]
  run -0 ask '{"op":"status"}'
  [ "$(jq -r .error <<<"$output")" = version ]
}

@test "what is no JSON object is answered clearly" {
  local line
  for line in 'hello' '[]' '{"version":1,"op":"status"' '' '{"version":1,"version":1,"op":"status"}'; do
    run -0 ask "$line"
    [ "$(jq -r .error <<<"$output")" = malformed ]
  done
}

@test "a line of more than 256 KiB is answered and ends the connection" {
  run -0 ask "$(printf '{"version":1,"op":"%0262200d"}' 0)"
  [ "$(jq -r .error <<<"$output")" = too_long ]
  run -0 ask_status
}

@test "clients that send half a line, or nothing, or go away, disturb nobody" {
  as_client "$PYTHON" - "$SOCKET" <<'END'
import socket, sys
open_ones = []
for i in range(1000):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    if i % 3 == 0: s.sendall(b'{"version":1,"op":')
    if i % 3 == 1: s.close()
    open_ones.append(s)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(5)
s.sendall(b'{"version":1,"op":"status"}\n')
assert b'"ok":true' in s.recv(65536)
END
}

@test "10,000 connections that stay open: the idle ones make room" {
  as_client "$PYTHON" - "$SOCKET" <<'END'
import resource, socket, sys
most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 12000)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
open_ones = []
for i in range(min(10000, most - 100)):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    open_ones.append(s)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(10)
s.sendall(b'{"version":1,"op":"status"}\n')
assert b'"ok":true' in s.recv(65536)
END
  run -0 ask_status
}

@test "a client that asks without end and never reads is dropped, and nobody else notices" {
  as_client "$PYTHON" - "$SOCKET" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(1)
s.sendall(b'{"version":1,"op":"status"}\n')
sent = 0
try:
    while sent < 100_000_000:
        sent += s.send(b'{"op":"status"}\n' * 1000)
except (TimeoutError, BrokenPipeError, ConnectionResetError):
    pass
assert sent < 100_000_000, "it was served without bound"
t = socket.socket(socket.AF_UNIX)
t.connect(sys.argv[1])
t.settimeout(5)
t.sendall(b'{"version":1,"op":"status"}\n')
assert b'"ok":true' in t.recv(65536)
END
}

@test "memory stays small after all that" {
  run -0 awk '/^Pss:/ { print $2 }' "/proc/$DAEMON/smaps_rollup"
  echo "PSS $output KiB"
  ((output < 32768))
}

@test "an address of the peer is a name like any other" {
  run -0 ask "{\"version\":1,\"op\":\"match\",\"peer\":\"server\",\"host\":\"$ADDRESS\"}"
  [ "$(jq .ok <<<"$output")" = true ]
}

@test "an issuer that the document does not have" {
  run -0 ask '{"version":1,"op":"login","issuer":"nobody"}'
  [ "$(jq -r .error <<<"$output")" = no_issuer ]
  [[ $(jq -r .hint <<<"$output") == *corp* ]]
}

@test "the machine issuer's operations are refused with the socket to ask" {
  run -0 ask '{"version":1,"op":"issue","nonce":"n"}'
  [ "$(jq -r .error <<<"$output")" = unknown_op ]
  [[ $output == *machine-issuer.sock* ]]
}
