#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the daemon keeps secret, from whom, and where in its memory.

load tokend_helpers

setup() { tokend_begin 3600 && daemon_start; }
teardown() { fabric_end; }

@test "other processes of the same user cannot look into it" {
  run -0 stat -c %U "/proc/$DAEMON/mem"
  [ "$output" = root ]
  local file
  for file in mem environ maps; do run ! as_client cat "/proc/$DAEMON/$file"; done
  run -0 grep '^Max core file size' "/proc/$DAEMON/limits"
  [[ $output =~ ^Max\ core\ file\ size\ +0\  ]]
  run ! as_client timeout 20 strace -p "$DAEMON"
  [[ $output == *"Operation not permitted"* ]]
  # of a process that may be looked into the same user sees all of this
  background_as "$CLIENT" "$QF/sleep.log" sleep 60
  as_client cat "/proc/$PID/environ" >/dev/null
}

# of the token in an answer, without a newline
signature() { jq -rj '.token | split(".")[2]'; }

@test "tokens are in locked memory and nowhere else, after a login, after answers, and after a refresh" {
  knob '{"id_ttl":60,"iat_shift":-500}'
  log_in
  ask '{"version":1,"op":"show"}' | signature >"$QF/first"
  ask "$CREDENTIAL" "$CREDENTIAL" '{"op":"match","peer":"server","host":"server"}' >/dev/null
  until_true 60 says "$QF/tokend.log" 'was refreshed'
  ask '{"version":1,"op":"show"}' | signature >"$QF/fresh"
  knob | jq -rj '.refresh_tokens[0]' >"$QF/refresh"
  cmp "$QF/first" "$QF/fresh" && false
  run -0 "$TOP/tests/bats/memory_scan.py" "$DAEMON" "$QF/first" "$QF/fresh" "$QF/refresh"
  echo "$output"
  [ "${lines[0]}" = "first 0 0" ]
  [ "${lines[1]}" = "fresh 1 0" ]
  [ "${lines[2]}" = "refresh 1 0" ]
}

@test "the same over TLS" {
  tls_certificate
  ISSUER_URL=$(TLS_CERT=$QF/tls.pem TLS_KEY=$QF/tls.key "$IDP/start" "$QF/tls-idp")
  note_process "$(cat "$QF/tls-idp/pid")"
  fabric_write '.issuers |= reverse' ".issuers[0].ca_file = \"$QF/tls.pem\""
  apply 3600
  export CA_FILE=$QF/tls.pem
  log_in
  ask '{"version":1,"op":"show"}' | signature >"$QF/token"
  curl -sS --cacert "$QF/tls.pem" "$ISSUER_URL/_test" | jq -rj '.refresh_tokens[0]' >"$QF/refresh"
  run -0 "$TOP/tests/bats/memory_scan.py" "$DAEMON" "$QF/token" "$QF/refresh"
  [ "${lines[0]}" = "token 1 0" ]
  [ "${lines[1]}" = "refresh 1 0" ]
}

@test "private keys are in locked memory, and what was one is gone" {
  # the subject key is written to its file and forgotten; the user key is made the same way and never written
  "$PYTHON" - "$RUNTIME/ssh/subject" "$QF/seed" <<'END'
import sys
from cryptography.hazmat.primitives import serialization
with open(sys.argv[1], "rb") as file:
    key = serialization.load_ssh_private_key(file.read(), None)
raw = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
with open(sys.argv[2], "wb") as out:
    out.write(raw)
END
  run -0 "$TOP/tests/bats/memory_scan.py" "$DAEMON" "$QF/seed"
  [ "$output" = "seed 0 0" ]
  # the arena of the private keys: locked, and left out of core dumps
  run -0 awk '/^VmLck:/ { print $2 }' "/proc/$DAEMON/status"
  [ "$output" -ge 32 ]
}

@test "after a logout nothing of the tokens is left in memory" {
  log_in
  ask '{"version":1,"op":"show"}' | signature >"$QF/token"
  knob | jq -rj '.refresh_tokens[0]' >"$QF/refresh"
  ask "$CREDENTIAL" >/dev/null
  ask '{"version":1,"op":"logout"}' >/dev/null
  run -0 "$TOP/tests/bats/memory_scan.py" "$DAEMON" "$QF/token" "$QF/refresh"
  [ "${lines[0]}" = "token 0 0" ]
  [ "${lines[1]}" = "refresh 0 0" ]
}

@test "no secret is in the arguments, the environment or the files of the daemon" {
  log_in
  ask '{"version":1,"op":"show"}' | signature >"$QF/token"
  ask '{"version":1,"op":"detected","peer":"server","host":"server","detection":"jwt"}' >/dev/null
  run ! grep -qaF "$(cat "$QF/token")" "/proc/$DAEMON/cmdline" "/proc/$DAEMON/environ" "$QF/tokend.log"
  # the certificate has it, and is the user's alone
  [ "$(stat -c %a:%U "$RUNTIME/ssh/server-cert.pub")" = "600:$CLIENT" ]
}
