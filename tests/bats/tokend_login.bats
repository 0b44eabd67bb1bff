#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Logging in at a real OpenID provider with the device flow: one prompt, and every way in which it can go wrong.
# run first

load tokend_helpers

setup_file() { tokend_file_begin 3600; }
teardown_file() { fabric_end; }
setup() { tokend_fresh 3600 && daemon_start; }
teardown() { tokend_test_end; }

@test "a login gives the token of the person who approved it, bound to our key" {
  run -0 log_in bob
  [ "$(jq -r .subject <<<"$output")" = bob ]
  [ "$(jq -r .issuer <<<"$output")" = corp ]
  [ "$(jq .bound <<<"$output")" = true ]
  says "$QF/login" '"event":"prompt"'
}

@test "qf-token login in a terminal shows where to log in, and says who has" {
  in_terminal "$QF/screen" 'expect=enter the code' 'expect=logged in at corp as alice' exit -- \
    "$BIN/qf-token" login $PLACES &
  local pid=$!
  approve "$QF/screen"
  wait "$pid"
  run -0 token status
  [[ $output == *"corp: alice, good for "* ]]
}

@test "field note 14: ten cold callers at once, one login, ten credentials" {
  local i pids=()
  for i in 0 1 2 3 4 5 6 7 8 9; do
    ask_in_background "$QF/answer$i" "$CREDENTIAL"
    pids+=("$PID")
  done
  for i in 0 1 2 3 4 5 6 7 8 9; do until_true 60 says "$QF/answer$i" '"prompt"'; done
  approve "$QF/answer7"
  wait "${pids[@]}"
  for i in 0 1 2 3 4 5 6 7 8 9; do
    [[ $(last "$QF/answer$i" -r .certificate) == ssh-ed25519-cert-v01@openssh.com\ * ]]
  done
  [ "$(hits /device/auth)" = 1 ]
}

@test "a caller who comes later sees the same code" {
  ask_in_background "$QF/first" "$LOGIN"
  until_true 60 user_code "$QF/first"
  ask_in_background "$QF/second" "$LOGIN"
  until_true 60 user_code "$QF/second"
  [ "$(user_code "$QF/first")" = "$(user_code "$QF/second")" ]
}

@test "a person who says no: access_denied" {
  ask_in_background "$QF/answer" "$LOGIN"
  local pid=$PID
  export DENY=1
  approve "$QF/answer"
  wait "$pid"
  [ "$(last "$QF/answer" -r .error)" = access_denied ]
  [[ $(last "$QF/answer" -r .message) == *corp* ]]
  [[ $(last "$QF/answer" -r .hint) == "run the command again"* ]]
}

@test "a login that nobody finishes expires" {
  knob '{"device_ttl":2}'
  run -0 ask "$LOGIN"
  [ "$(jq -rs '.[-1].error' <<<"$output")" = expired ]
}

@test "slow_down is heeded, and the login still succeeds" {
  knob '{"slow_down":1}'
  ask_in_background "$QF/answer" "$LOGIN"
  local pid=$PID start=$SECONDS
  approve "$QF/answer"
  wait "$pid"
  [ "$(last "$QF/answer" .ok)" = true ]
  # interval 1, then 1 + 5
  ((SECONDS - start >= 5))
}

@test "a provider that fails in mid-login is waited out, and the person is told" {
  knob '{"fail":2}'
  ask_in_background "$QF/answer" "$LOGIN"
  local pid=$PID
  approve "$QF/answer"
  wait "$pid"
  says "$QF/answer" '"event":"notice"'
  [ "$(last "$QF/answer" .ok)" = true ]
}

@test "a provider that is down is named" {
  "$IDP/stop" "$QF/idp"
  run -0 ask "$LOGIN"
  [ "$(jq -r .error <<<"$output")" = provider ]
  [[ $output == *"issuer corp ($ISSUER_URL)"* ]]
  [[ $output == *"cannot reach ${ISSUER_URL#http://}"* ]]
}

@test "discovery documents that lie are refused by issuer and field" {
  knob '{"discovery":{"issuer":"https://evil.example"}}'
  run -0 ask "$LOGIN"
  [[ $output == *'issuer corp ('*'\"issuer\" of its discovery document is another one'* ]]
  knob '{"discovery":{"token_endpoint":"http://evil.example/token"}}'
  run -0 ask "$LOGIN"
  [[ $output == *'\"token_endpoint\" of its discovery document'*https* ]]
  knob '{"discovery":{"device_authorization_endpoint":null}}'
  run -0 ask "$LOGIN"
  [[ $output == *'\"device_authorization_endpoint\"'*missing* ]]
}

@test "tokens for another client, issuer or login are refused" {
  local claims
  for claims in '{"aud":"another"}' '{"iss":"https://evil.example"}' '{"nonce":"another"}' '{"exp":1000}' \
    '{"sub":null}'; do
    knob "{\"claims\":$claims}"
    run -0 log_in
    [ "$(jq -r .error <<<"$output")" = provider ]
    [[ $output == *"issuer corp ($ISSUER_URL): the token that it gave"* ]]
  done
  run -0 ask_status
  [ "$(jq -r '.issuers[0].state' <<<"$output")" = none ]
}

@test "field note 12: an iat backdated by five minutes, and clocks a minute off, are fine" {
  local shift
  for shift in -300 -60 60; do
    knob "{\"iat_shift\":$shift}"
    ask '{"version":1,"op":"logout"}'
    run -0 log_in
    [ "$(jq .ok <<<"$output")" = true ]
  done
}

@test "a provider that drops the nonce gives a bearer token, and status says so" {
  knob '{"echo_device_nonce":false}'
  run -0 log_in
  [ "$(jq .bound <<<"$output")" = false ]
  run -0 token status
  [[ $output == *"a bearer token"* ]]
}

@test "a login whose callers are all gone is cancelled" {
  ask_in_background "$QF/first" "$LOGIN"
  local first=$PID second
  ask_in_background "$QF/second" "$LOGIN"
  second=$PID
  until_true 60 user_code "$QF/first"
  until_true 60 user_code "$QF/second"
  # shellcheck disable=SC2046  # pids
  kill $(descendants "$first")
  until_true 60 gone_without_trace "$first"
  [ "$(ask_status | jq -r '.issuers[0].state')" = logging_in ]
  # shellcheck disable=SC2046  # pids
  kill $(descendants "$second")
  until_true 60 says "$QF/tokend.log" 'cancelled: nobody waits'
  [ "$(ask_status | jq -r '.issuers[0].state')" = none ]
}

gone_without_trace() { [ -z "$(descendants "$1")" ]; }

@test "qf-tokend killed in mid-login: the caller is told at once" {
  in_terminal "$QF/screen" 'expect=enter the code' 'expect=went away' 'expect=hint: .*run qf-token login' exit -- \
    "$BIN/qf-token" login $PLACES &
  local pid=$! status=0
  until_true 60 user_code "$QF/screen"
  end_process "$DAEMON" KILL
  wait "$pid" || status=$?
  [ "$status" = 71 ]
}

@test "nobody at a terminal: qf-token login fails at once and says why" {
  run -1 --separate-stderr as_client setsid "$BIN/qf-token" login --issuer corp $PLACES
  [[ $stderr == *"takes a person at a terminal"*"hint: "* ]]
  [ "$(hits /device/auth)" = 0 ]
}

@test "what cannot be interactive is refused at once: login_required" {
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq -r .error <<<"$output")" = login_required ]
  [[ $(jq -r .hint <<<"$output") == *"qf-token login"* ]]
}

@test "tokens signed with RS256 and EdDSA work alike" {
  local client
  for client in qf-rs256 qf-eddsa; do
    fabric_write '.issuers |= reverse' ".issuers[0].client.client_id = \"$client\" | .issuers[0].audiences = [\"$client\"]"
    apply 3600
    ask '{"version":1,"op":"logout"}'
    run -0 log_in
    [ "$(jq .ok <<<"$output")" = true ]
  done
}

@test "the log names logins and failures, and never a token or a code" {
  run -0 log_in
  local code token
  code=$(user_code "$QF/login")
  token=$(ask '{"version":1,"op":"show"}' | jq -r .token)
  says "$QF/tokend.log" 'login at issuer corp as alice succeeded'
  run ! grep -qF "$code" "$QF/tokend.log"
  run ! grep -qF "${token##*.}" "$QF/tokend.log"
}
