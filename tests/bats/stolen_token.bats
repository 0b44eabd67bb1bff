#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a thief can do with a token, also after a refresh that took its binding away: up to the peer.
# Besides: credential.bats has credentials that are wrong in one point, key_rotation.bats providers that change their keys.

load tokend_helpers

setup_file() {
  fabric_begin && provider_start && fabric_write '.issuers |= reverse' && server_start
  PLACES="--config-dir $QF/config --state-dir $QF/state"
  RUNTIME=$(runtime_of "$CLIENT")
  SOCKET=$RUNTIME/tokend.sock
  FINGERPRINT=$(ssh-keygen -lf "$QF/state/ssh_host_ed25519_key.pub" | cut -d' ' -f2)
  mkdir "$QF/mint"
  "$PYTHON" "$TOP/tests/bats/mint.py" keys "$QF/mint"
  export PLACES RUNTIME SOCKET FINGERPRINT
}
teardown_file() { fabric_end; }
setup() {
  knob '{"reset":true}' >/dev/null
  daemon_start
}
teardown() { end_process "$DAEMON"; }

# capture: what a hostile peer sees of a login: the certificate, with the token and the salt of its binding.
capture() {
  log_in alice >"$QF/logged-in"
  [ "$(jq .bound "$QF/logged-in")" = true ] && ask "$CREDENTIAL" | tail -n 1 | jq -r .certificate >"$QF/captured"
}
# replay USER [CHANGES]: the thief makes a certificate around the captured token.
replay() {
  local all
  all=$(jq -n --argjson changes "${2:-{\}}" --arg fingerprint "$FINGERPRINT" --arg captured "$QF/captured" \
    '{peer: "server", fingerprints: [$fingerprint], stolen: $captured} + $changes')
  "$PYTHON" "$TOP/tests/bats/mint.py" credential "$QF/mint" key "$all" || return 99
  timeout 60 ssh -F none -p 22022 -o IdentitiesOnly=yes -i "$QF/mint/key" -o CertificateFile="$QF/mint/key-cert.pub" \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -l "$1" "$ADDRESS" 'echo logged-in' </dev/null
}
refused_for() {
  audit_says ".event == \"login\" and .allowed == false and (((.refusal // \"\") + \" \" + (.reason // \"\")) | contains(\"$1\"))"
}
accept_bearer() { fabric_apply '.issuers |= reverse' ".issuers[0].accept_bearer = $1"; }

@test "a captured token with another key is refused, also where bearer tokens are accepted" {
  capture
  local accept
  for accept in false true; do
    accept_bearer $accept
    : >"$AUDIT"
    run -255 replay "$TARGET"
    [[ $output == *"Authentication failed"* && $output != *logged-in* ]]
    refused_for "not to the key that signed the certificate"
    # without the salt, as if it had never been bound
    run -255 replay "$TARGET" '{"binding": false}'
    refused_for "not to the key that signed the certificate"
  done
  accept_bearer false
}

@test "a captured token in the tunnel is refused" {
  capture
  accept_bearer true
  : >"$AUDIT"
  run -255 replay qufabric-tunnel
  refused_for "not to the key that signed the certificate"
  accept_bearer false
}

@test "a captured token as a password is refused, also where bearer tokens are accepted, and the log says why" {
  capture
  accept_bearer true
  : >"$AUDIT"
  ask '{"version":1,"op":"show","issuer":"corp"}' | jq -r .token >"$QF/token"
  run -255 timeout 60 "$PYTHON" "$TOP/tests/bats/foreign_login.py" password "$ADDRESS" "$TARGET" id <"$QF/token"
  refused_for "bound"
  run ! grep -qF "$(cut -d. -f3 "$QF/token")" "$AUDIT" "$QF/qf-up.log"
  accept_bearer false
}

@test "the binding survives a refresh that drops the nonce" {
  knob '{"refresh_nonce":false,"id_ttl":12}'
  log_in alice
  until_true 60 ran_out
  knob '{"id_ttl":300}'
  run -0 on_peer true
  [ "$(hits '/token refresh_token')" = 1 ]
  [ "$(ask_status | jq '.issuers[0].bound')" = true ]
  says "$QF/tokend.log" 'the first one proves its binding'
  # now directly, and once more after the next refresh
  : >"$AUDIT"
  run -0 on_peer true
  audit_says '.event == "login" and .allowed and .key_bound and .tunnel != true'
  # the fresh token alone is a bearer token
  ask "$CREDENTIAL" | tail -n 1 | jq -r .certificate >"$QF/captured"
  run -255 replay "$TARGET" '{"binding": false}'
  [[ $output == *"the token is not bound to a key"* ]]
  run -255 replay "$TARGET"
  refused_for "the original token is not bound to the certificate's signer"
}
ran_out() { [ "$(ask_status | jq -r '.issuers[0].state')" = refreshable ]; }

@test "after the login's end, a logout and SIGKILL nothing of use is left in the credential folder" {
  log_in alice
  run -0 on_peer true
  [ -e "$RUNTIME/ssh/server-cert.pub" ]
  ask '{"version":1,"op":"logout"}' >/dev/null
  [ ! -e "$RUNTIME/ssh/server-cert.pub" ]
  log_in alice
  run -0 on_peer true
  local old
  old=$(cat "$RUNTIME/ssh/server-cert.pub")
  end_process "$DAEMON" KILL
  # what a killed one has left is good for minutes; the next one removes it
  [[ $(ssh-keygen -L -f "$RUNTIME/ssh/server-cert.pub") == *"Valid: from"* ]]
  daemon_start
  [ ! -e "$RUNTIME/ssh/server-cert.pub" ]
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq -r .error <<<"$output")" = login_required ]
  log_in alice
  run -0 on_peer true
  [ "$(cat "$RUNTIME/ssh/server-cert.pub")" != "$old" ]
}
