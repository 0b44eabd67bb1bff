#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Access tokens bound by DPoP (RFC 9449), where the issuer's entry wants access tokens: in the device flow, with the
# browser and after a refresh, up to the peer.

load tokend_helpers

RESOURCE=https://peers.fabric.example

setup_file() {
  fabric_begin && provider_start && dpop_document && server_start --enable-ssh-sftp
  RUNTIME=$(runtime_of "$CLIENT")
  SOCKET=$RUNTIME/tokend.sock
  PLACES="--config-dir $QF/config --state-dir $QF/state"
  export RUNTIME SOCKET PLACES
}
teardown_file() { fabric_end; }
setup() {
  knob '{"reset":true}' >/dev/null
  daemon_start
}
teardown() { end_process "$DAEMON"; }

dpop_document() {
  fabric_write '.issuers |= reverse' ".issuers[0] |= (.audiences = [\"$RESOURCE\"] |
    .client += {token: \"access_token\", resource: \"$RESOURCE\"})" "$@"
}
claims() { token show --issuer corp --claims; }
bound() { [ "$(ask_status | jq '.issuers[0].bound')" = true ] && [ "$(claims | jq -r '.cnf.jkt | length')" = 43 ]; }

@test "the device flow gives an access token that is bound to our key, and the peer takes it" {
  run -0 log_in alice
  [ "$(jq .bound <<<"$output")" = true ]
  bound
  [ "$(claims | jq -r .aud)" = "$RESOURCE" ]
  run -0 on_peer 'id -un'
  [ "$output" = "$TARGET" ]
  audit_says '.event == "login" and .allowed and .identity == "corp:alice" and .key_bound'
  run -0 tunnelled -l "$TARGET" server 'id -un'
  [ "$output" = "$TARGET" ]
}

@test "a provider that knows only ES256 gets a proof by a P-256 key, and the certificate is signed with that" {
  knob '{"discovery":{"dpop_signing_alg_values_supported":["ES256"]}}'
  run -0 log_in alice
  bound
  run -0 on_peer 'id -un'
  [ "$output" = "$TARGET" ]
  ask "$CREDENTIAL" | jq -r .certificate >"$QF/certificate"
  run -0 ssh-keygen -L -f "$QF/certificate"
  [[ $output == *"Signing CA: ECDSA"* ]]
}

@test "a provider that wants a nonce in the proof gets one" {
  knob '{"dpop_nonce":true}'
  run -0 log_in alice
  bound
}

@test "the browser flow too" {
  dpop_document '.issuers[0].client.flow = "browser"' && "$BIN/qf-up" apply $FOLDERS >&2
  ask_in_background "$QF/answer" "$LOGIN"
  until_true 60 says "$QF/answer" verification_uri
  local url
  url=$(jq -r .verification_uri "$QF/answer" | head -n 1)
  [[ $url == *"&dpop_jkt="* && $url == *"&resource=https%3A%2F%2Fpeers.fabric.example"* ]]
  "$IDP/authorize" "$url"
  wait "$PID"
  [ "$(last "$QF/answer" .bound)" = true ]
  bound
  run -0 on_peer true
  dpop_document && "$BIN/qf-up" apply $FOLDERS >&2
}

@test "a refreshed access token is bound again" {
  knob '{"access_ttl":12}'
  log_in alice
  until_true 60 ran_out
  knob '{"access_ttl":300}'
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq .ok <<<"$output")" = true ]
  [ "$(hits '/token refresh_token')" = 1 ]
  bound
  run -0 on_peer true
}
ran_out() { [ "$(ask_status | jq -r '.issuers[0].state')" = refreshable ]; }

@test "without openid among the scopes, which an access token does not need" {
  dpop_document '.issuers[0].client.scopes = ["groups"]' && "$BIN/qf-up" apply $FOLDERS >&2
  run -0 log_in alice
  bound
  dpop_document && "$BIN/qf-up" apply $FOLDERS >&2
}

@test "a provider that does not bind gives a bearer token, which the peer refuses; one bound to another key we refuse" {
  knob '{"discovery":{"dpop_signing_alg_values_supported":null}}'
  run -0 log_in alice
  [ "$(jq .bound <<<"$output")" = false ]
  run -255 on_peer true
  [[ $output == *"the token is not bound to a key"* ]]
  ask '{"version":1,"op":"logout"}' >/dev/null
  knob '{"discovery":{},"access_claims":{"cnf":{"jkt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}}'
  run -0 log_in alice
  [ "$(jq -r .error <<<"$output")" = provider ]
  [[ $output == *"bound to a key that is not ours"* ]]
}

@test "an id_token is no access token" {
  dpop_document '.issuers[0].audiences += ["qf-tokend"]' && "$BIN/qf-up" apply $FOLDERS >&2
  knob '{"discovery":{}}'
  log_in alice
  run -0 on_peer true
  dpop_document '.issuers[0].client.token = "id_token"' '.issuers[0].audiences += ["qf-tokend"]' && "$BIN/qf-up" apply $FOLDERS >&2
  # the login is none for an issuer of id_tokens
  [ "$(ask_status | jq -r '.issuers[0].state')" = none ]
  says "$QF/tokend.log" 'another issuer corp now'
  dpop_document && "$BIN/qf-up" apply $FOLDERS >&2
}
