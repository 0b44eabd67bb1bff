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

@test "a key that others may read is refused" {
  mkdir "$QF/system-state"
  openssl genpkey -algorithm ed25519 -out "$QF/system-state/machine-issuer.pem"
  chmod 644 "$QF/system-state/machine-issuer.pem"
  run -71 "$BIN/qf-tokend" --machine-issuer --print-jwks --state-dir "$QF/system-state"
  [[ $output == *"mode 0600"* ]]
}

@test "no machine issuer there: the message says how to start it" {
  daemon_start
  local pid
  pid=$(pgrep -u "$CLIENT" -f 'qf-tokend --machine-issuer')
  end_process "$pid"
  run -1 token login --issuer machine
  [[ $output == *"no machine issuer"*"hint: start it: qf-tokend --machine-issuer"* ]]
}
