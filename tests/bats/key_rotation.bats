#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A provider that changes its keys while people are logged in. Each test has a server of its own: one asks a provider for
# unknown keys seldom.

load tokend_helpers

setup() {
  tokend_begin 3600 && server_start && daemon_start
}
teardown() { fabric_end; }
ran_out() { [ "$(ask_status | jq -r '.issuers[0].state')" = refreshable ]; }
# outlived_login NONCE PREFIX [keep]: logged in with a token that has run out, and the next ones are good for longer.
outlived_login() {
  knob "{\"id_ttl\":12,\"refresh_nonce\":$1}" >/dev/null
  log_in alice >"$QF/logged-in"
  run -0 on_peer true
  "$IDP/rotate" "$QF/idp" "${@:2}"
  until_true 60 ran_out
  knob '{"id_ttl":300}' >/dev/null
}

@test "keys that overlap disturb nobody: the fresh token is signed by the new one, the first one by the old" {
  outlived_login false overlap keep
  run -0 on_peer true
  [ "$(hits /device/auth)" = 1 ]
  audit_says '.event == "login" and .allowed and .key_bound'
}

@test "a key that is dropped takes the bindings with it: one login, and all is well" {
  outlived_login false dropped
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq -rs '.[-1].error' <<<"$output")" = login_required ]
  [[ $output == *"the provider has dropped the key of the bound token"* ]]
  log_in alice
  run -0 on_peer true
}

@test "where a refreshed token has the nonce, the provider may drop what it likes" {
  outlived_login true another
  run -0 on_peer true
  [ "$(hits /device/auth)" = 1 ]
}

@test "key sets that are junk keep who is logged in where they are, and the next refresh too" {
  knob '{"refresh_nonce":false,"id_ttl":12}'
  log_in alice
  run -0 on_peer true
  until_true 60 ran_out
  # a kind of key that nobody knows, a thousand of them, a megabyte of nothing: no reason to doubt the first token
  knob "$(jq -nc '{id_ttl: 20, jwks: {keys: [range(1000) | {kty: "XYZ", kid: "k\(.)"}]}}')" >/dev/null
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq -rs '.[-1].ok' <<<"$output")" = true ]
  until_true 60 ran_out
  head -c 1000000 /dev/zero | tr '\0' x | jq -Rs '{jwks: .}' >"$QF/junk"
  curl -sS -d "@$QF/junk" "$ISSUER_URL/_test" >/dev/null
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq -rs '.[-1].ok' <<<"$output")" = true ]
  # the peer keeps the key set that it has
  run -0 on_peer true
}

@test "a session that is open lives on when the provider changes its keys" {
  log_in alice
  qssh -l "$TARGET" server 'read line; echo "got $line"' < <(for_a_while 3; echo through) >"$QF/out" 3>&- &
  local pid=$!
  "$IDP/rotate" "$QF/idp" session
  wait $pid
  [ "$(cat "$QF/out")" = "got through" ]
}
