#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Silent renewal: a login stays good for its TTL although its tokens do not, and what a provider may do about it.

load tokend_helpers

setup_file() { tokend_file_begin 3600; }
teardown_file() { fabric_end; }
setup() { tokend_fresh 3600 && daemon_start; }
teardown() { tokend_test_end; }

QUIET=${CREDENTIAL/true/false} # nobody can be asked
quiet() { ask "$QUIET" | tail -n 1; } # there may be a notice before
quiet_is() { [ "$(quiet | jq -r "${2:-.ok}")" = "$1" ]; }
refreshes() { hits '/token refresh_token'; }
state() { ask_status | jq -r '.issuers[0].state'; }
# A token that is good for two seconds more. The peers take it up to its end; we leave ten seconds for its way there.
short_login() {
  knob '{"id_ttl":12}' >/dev/null
  log_in "$@" && until_true 60 ran_out
}
ran_out() { [ "$(state)" = refreshable ]; }
# A token that is good for almost a minute, and nine tenths of its life are over.
old_login() {
  knob '{"id_ttl":60,"iat_shift":-500}' >/dev/null
  log_in "$@" && knob '{"id_ttl":300,"iat_shift":0}' >/dev/null
}

@test "a token that has run out is refreshed without a word" {
  short_login
  knob '{"id_ttl":300}'
  quiet_is true
  [ "$(refreshes)" = 1 ]
  [ "$(hits /device/auth)" = 1 ]
  [ "$(state)" = cached ]
  says "$QF/tokend.log" 'the token of issuer corp was refreshed'
  # with what the provider gave in the place of the one before
  [ "$(knob | jq .live_refresh_tokens)" = 1 ]
}

@test "field note 11: minute 11 of an hour's TTL, with a maximum age of 600" {
  knob '{"id_ttl":3600,"iat_shift":-585}'
  log_in
  knob '{"iat_shift":0}'
  until_true 60 ran_out
  quiet_is true
  [ "$(refreshes)" = 1 ]
}

@test "ten callers at once: one refresh" {
  short_login
  knob '{"id_ttl":300,"delay_ms":500}'
  local i pids=()
  for i in 0 1 2 3 4 5 6 7 8 9; do
    ask_in_background "$QF/answer$i" "$QUIET"
    pids+=("$PID")
  done
  wait "${pids[@]}"
  for i in 0 1 2 3 4 5 6 7 8 9; do [ "$(last "$QF/answer$i" .ok)" = true ]; done
  [ "$(refreshes)" = 1 ]
}

@test "ahead of need: the cached token serves at once, and the next caller finds a fresh one" {
  old_login
  knob '{"delay_ms":1000}'
  local before after
  before=$(ask '{"version":1,"op":"show"}' | jq -r .token)
  quiet_is true
  until_true 60 refreshed_once
  until_true 60 says "$QF/tokend.log" 'was refreshed'
  after=$(ask '{"version":1,"op":"show"}' | jq -r .token)
  [ "$before" != "$after" ]
  # not at every connection
  quiet_is true
  [ "$(refreshes)" = 1 ]
}
refreshed_once() { [ "$(refreshes)" = 1 ]; }

@test "a provider that hangs in a refresh delays nobody who has a token" {
  old_login
  knob '{"refresh_fail":"hang"}'
  local i
  for i in 1 2 3 4 5; do quiet_is true; done
  [ "$(refreshes)" = 1 ]
  # the answers came while the provider still said nothing
  run ! says "$QF/tokend.log" 'could not be renewed'
}

@test "a provider that fails for a while: the cached token serves, and a later try succeeds" {
  old_login
  knob '{"refresh_fail":"503"}'
  quiet_is true
  until_true 60 says "$QF/tokend.log" 'could not be renewed: .*503.*; it is tried again later'
  quiet_is true
  [ "$(ask_status | jq '.issuers[0].refresh')" = true ]
  # not at every connection
  [ "$(refreshes)" = 1 ]
}

@test "a provider that refuses a refresh: the cached token serves to its end, then one clear prompt" {
  local fault
  for fault in empty400 invalid_grant; do
    old_login
    knob "{\"refresh_fail\":\"$fault\"}"
    quiet_is true
    until_true 60 says "$QF/tokend.log" 'could not be renewed'
    [ "$(ask_status | jq '.issuers[0].refresh')" = false ]
    quiet_is true
    ask '{"version":1,"op":"logout"}' >/dev/null
    : >"$QF/tokend.log"
    knob '{"refresh_fail":null}'
  done
  short_login
  knob '{"refresh_fail":"empty400"}'
  quiet_is login_required .error
  ask_in_background "$QF/answer" "$CREDENTIAL"
  approve "$QF/answer"
  wait "$PID"
  [ "$(grep -c '"event":"prompt"' "$QF/answer")" = 1 ]
  [ "$(last "$QF/answer" .ok)" = true ]
}

@test "who has to log in after all is told why" {
  short_login
  knob '{"refresh_fail":"invalid_grant"}'
  ask_in_background "$QF/answer" "$CREDENTIAL"
  until_true 60 user_code "$QF/answer"
  [ "$(jq -rs '.[0].message' "$QF/answer")" = "the login at issuer corp could not be renewed: invalid_grant: grant request is invalid (HTTP status 400)" ]
}

@test "nobody can be asked, and the provider fails: that is what is said, not that nobody is logged in" {
  short_login
  knob '{"refresh_fail":"503"}'
  run -0 quiet
  [ "$(jq -r .error <<<"$output")" = login_required ]
  [[ $(jq -r .message <<<"$output") == "the login at issuer corp could not be renewed: "*503*"takes a person at a terminal" ]]
  [[ $(jq -r .hint <<<"$output") == "when the provider is well again, connect again"*"qf-token login --issuer corp" ]]
}

@test "a new document: a lower age is heeded at once, and another issuer of the name ends the login" {
  knob '{"iat_shift":-60}'
  log_in
  [ "$(state)" = cached ]
  knob '{"iat_shift":0}'
  fabric_write '.issuers |= reverse' '.issuers[0].max_token_age = 30' && apply 3600
  quiet_is true
  [ "$(refreshes)" = 1 ]
  fabric_write '.issuers |= reverse' '.issuers[0].audiences += ["another"]' && apply 3600
  quiet_is login_required .error
  says "$QF/tokend.log" 'has another issuer corp now'
}

@test "no id_token in the answer, one of another person, for another client or none at all" {
  local change
  for change in '{"refresh_id_token":false}' '{"claims":{"sub":"bob"}}' '{"claims":{"aud":"another"}}' \
    '{"claims":{"nonce":"another"}}' '{"token_body":"nothing like JSON"}'; do
    short_login
    knob "$change"
    quiet_is login_required .error
    ask '{"version":1,"op":"logout"}' >/dev/null
    knob '{"reset":true}'
  done
  says "$QF/tokend.log" 'could not be renewed: .*"id_token" of the token answer is missing'
  says "$QF/tokend.log" 'could not be renewed: .*a refresh gave one for another subject, "bob"'
  says "$QF/tokend.log" 'could not be renewed: .*the token answer is not a JSON object'
}

@test "refresh tokens that do not rotate are used again" {
  knob '{"rotate_refresh":false}'
  short_login
  knob '{"id_ttl":20}'
  quiet_is true
  until_true 60 ran_out
  quiet_is true
  [ "$(refreshes)" = 2 ]
  [ "$(knob | jq .live_refresh_tokens)" = 1 ]
}

@test "past the TTL nothing is refreshed" {
  end_process "$DAEMON"
  daemon_start --ttl 4
  short_login
  until_true 60 forgotten
  quiet_is login_required .error
  [ "$(refreshes)" = 0 ]
}
forgotten() { [ "$(state)" = none ]; }

@test "what is refreshed while the user logs out stays forgotten" {
  short_login
  knob '{"delay_ms":2000,"delay_path":"/token"}'
  ask_in_background "$QF/answer" "$QUIET"
  until_true 60 refreshed_once
  ask '{"version":1,"op":"logout"}' >"$QF/logout"
  wait "$PID"
  [ "$(last "$QF/answer" -r .error)" = cancelled ]
  [ "$(state)" = none ]
}

@test "logout revokes the refresh token at the provider, and says so when it cannot" {
  log_in
  [ "$(knob | jq .live_refresh_tokens)" = 1 ]
  run -0 ask '{"version":1,"op":"logout"}'
  [ "$(jq .revoked <<<"$output")" = true ]
  [ "$(knob | jq .live_refresh_tokens)" = 0 ]
  [ "$(hits /token/revocation)" = 1 ]
  # nothing to revoke
  run -0 ask '{"version":1,"op":"logout"}'
  [ "$(jq .revoked <<<"$output")" = null ]
  log_in
  knob '{"fail":1,"fail_path":"/token/revocation"}'
  run -0 token logout
  [[ $output == *"could not be told to revoke"*"hint: "* ]]
  [ "$(state)" = none ]
  log_in
  knob '{"hang":["/token/revocation"]}'
  run -0 ask '{"version":1,"op":"logout"}'
  [ "$(jq .revoked <<<"$output")" = false ]
}

@test "status says that the next connection will not prompt" {
  short_login
  run -0 token status
  [[ $output == *"corp: alice, good for "*"to be refreshed by the next connection"* ]]
  run -0 token status --issuer corp --json
  [ "$(jq -c '[.prompt, (.issuers | length), .issuers[0].state, .issuers[0].refresh]' <<<"$output")" = '[false,1,"refreshable",true]' ]
  knob '{"refresh_fail":"invalid_grant"}'
  quiet >/dev/null
  run -1 token status
  [[ $output == *"corp: no token"* ]]
}

@test "qf-token login --renew logs in anew, and the old login is not brought back" {
  log_in alice
  ask_in_background "$QF/answer" "${LOGIN/\}/,\"renew\":true\}}"
  approve "$QF/answer" bob
  wait "$PID"
  [ "$(last "$QF/answer" -r .subject)" = bob ]
  [ "$(ask_status | jq -r '.issuers[0].subject')" = bob ]
}

@test "neither refresh token nor access token is in the log" {
  short_login
  quiet_is true
  run ! grep -qE 'ey[A-Za-z0-9_-]{20,}|[A-Za-z0-9_-]{40,}' <(grep -v listening "$QF/tokend.log")
}
