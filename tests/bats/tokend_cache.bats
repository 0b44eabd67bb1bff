#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What qf-tokend keeps and for how long: tokens, certificates, what qf-detect found out; and that it is all gone
# afterwards.
# run first

load tokend_helpers

setup_file() { tokend_file_begin 3600; }
teardown_file() { fabric_end; }
setup() { tokend_fresh 3600 && daemon_start; }
teardown() { tokend_test_end; }

MATCH='{"version":1,"op":"match","peer":"server","host":"server","pid":4711,"start":"99"}'
DETECTED='{"version":1,"op":"detected","peer":"server","host":"server","detection":"jwt","pid":4711,"start":"99"}'
CONFIRM='{"version":1,"op":"confirm","peer":"server","pid":4711,"start":"99"}'
certificate() { echo "$RUNTIME/ssh/server-cert.pub"; }

@test "within the TTL no second login" {
  log_in
  run -0 ask "$CREDENTIAL"
  [ "$(jq .ok <<<"$output")" = true ]
  [ "$(hits /device/auth)" = 1 ]
}

@test "after the TTL the token is gone, and its files with it" {
  apply 2
  log_in
  ask "$DETECTED"
  [ -f "$(certificate)" ]
  until_true 60 test ! -e "$(certificate)"
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq -r .error <<<"$output")" = login_required ]
  run -0 ask "$CONFIRM"
  [ "$(jq .direct <<<"$output")" = false ]
}

@test "a token that runs out, and cannot be refreshed, is not kept longer than itself" {
  fabric_write '.issuers |= reverse' '.issuers[0].client.scopes -= ["offline_access"]' && apply 3600
  knob '{"id_ttl":12}'
  log_in
  [ "$(ask_status | jq -r '.issuers[0].state')" = cached ]
  until_true 60 no_token
}
no_token() { [ "$(ask_status | jq -r '.issuers[0].state')" = none ]; }

@test "with a TTL of 0 nothing is kept: each connection logs in" {
  apply 0
  ask_in_background "$QF/answer" "$CREDENTIAL"
  local pid=$PID
  approve "$QF/answer"
  wait "$pid"
  [ "$(last "$QF/answer" .ok)" = true ]
  [ "$(ask_status | jq -r '.issuers[0].state')" = none ]
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq -r .error <<<"$output")" = login_required ]
  run -0 ask "$DETECTED"
  [ "$(jq .credential <<<"$output")" = false ]
  [ ! -e "$(certificate)" ]
}

@test "with a TTL of 0 qf-token login says that tokens are not kept and how to change it" {
  apply 0
  run -1 token login
  [[ $output == *"tokens are not kept"*"hint: "*--ssh-jwt-cache-ttl* ]]
  [ "$(hits /device/auth)" = 0 ]
}

@test "--ttl goes before what qf-up says" {
  ask '{"version":1,"op":"stop"}'
  until_true 60 gone "$DAEMON" 0
  daemon_start --ttl 7
  [ "$(ask_status | jq .ttl)" = 7 ]
}

@test "a provider that hangs delays no answer from the cache" {
  log_in
  slow=$("$IDP/start" "$QF/slow-idp")
  note_process "$(cat "$QF/slow-idp/pid")"
  curl -sS -d '{"hang":["/.well-known/openid-configuration"]}' "$slow/_test" >"$QF/knobs"
  fabric_write '.issuers |= reverse' ".issuers += [.issuers[0] + {name: \"slow\", issuer: \"$slow\"}]"
  apply 3600
  ask_in_background "$QF/slow" '{"version":1,"op":"login","interactive":true,"issuer":"slow"}'
  until_true 60 slow_login_hangs
  ask "$MATCH" "$CREDENTIAL" >"$QF/answers"
  [ "$(last "$QF/answers" .ok)" = true ]
  # and the other one still waits
  [ ! -s "$QF/slow" ]
  kill -0 "$PID"
}
slow_login_hangs() { curl -sS "$slow/_test" | jq -e '.hits["/.well-known/openid-configuration"] == 1'; }

@test "a match writes the certificate of that name, for that peer, and ssh-keygen can read it" {
  log_in
  run -0 ask "$MATCH"
  [ "$output" = '{"ok":true,"credential":false}' ]
  run -0 ask "$DETECTED"
  [ "$output" = '{"ok":true,"detection":"jwt","credential":true}' ]
  run -0 ask "$MATCH"
  [ "$output" = '{"ok":true,"detection":"jwt","credential":true}' ]
  [ "$(stat -c '%a %U' "$(certificate)")" = "600 $CLIENT" ]
  run -0 ssh-keygen -L -f "$(certificate)"
  [[ $output == *'Key ID: "corp alice"'*'peer@qufabric'*'jwt@qufabric'* ]]
  [ "$(stat -c '%a %U' "$RUNTIME/ssh/subject")" = "600 $CLIENT" ]
  run -0 ssh-keygen -l -f "$RUNTIME/ssh/subject"
}

@test "each match writes a fresh certificate" {
  log_in
  ask "$DETECTED"
  local before
  before=$(stat -c %i "$(certificate)")
  ask "$MATCH"
  [ "$(stat -c %i "$(certificate)")" != "$before" ]
}

@test "each name that is used gets a file of its own" {
  log_in
  ask "$DETECTED" "${DETECTED/\"host\":\"server\"/\"host\":\"Server.Test.Example\"}" \
    "${DETECTED/\"host\":\"server\"/\"host\":\"$ADDRESS\"}"
  [ -f "$RUNTIME/ssh/server-cert.pub" ]
  [ -f "$RUNTIME/ssh/server.test.example-cert.pub" ]
  [ -f "$RUNTIME/ssh/$ADDRESS-cert.pub" ]
}

@test "a name of another peer, or of none, gets nothing" {
  log_in
  run -0 ask "${DETECTED/\"host\":\"server\"/\"host\":\"client\"}"
  [ "$(jq -r .error <<<"$output")" = no_peer ]
  run -0 ask "${DETECTED//server/nobody}"
  [ "$(jq -r .error <<<"$output")" = no_peer ]
}

@test "direct is confirmed to that ssh alone" {
  log_in
  ask "$DETECTED"
  run -0 ask "$CONFIRM" "${CONFIRM/4711/4712}" "${CONFIRM/99/98}" "${CONFIRM/server/client}" "$CONFIRM"
  [ "$(jq -sc 'map(.direct)' <<<"$output")" = '[true,false,false,false,true]' ]
}

@test "without a pid nothing is confirmed" {
  log_in
  ask '{"version":1,"op":"detected","peer":"server","host":"server","detection":"jwt"}'
  run -0 ask "$CONFIRM"
  [ "$(jq .direct <<<"$output")" = false ]
}

@test "negative detections are forgotten after five seconds" {
  ask "${DETECTED/jwt/none}"
  [ "$(ask "$MATCH" | jq -r .detection)" = none ]
  until_true 60 no_detection
}
no_detection() { [ "$(ask "$MATCH" | jq -r .detection)" = null ]; }

@test "a peer without JWT gets no certificate" {
  log_in
  run -0 ask "${DETECTED/jwt/no-jwt}"
  [ "$output" = '{"ok":true,"detection":"no-jwt","credential":false}' ]
  [ ! -e "$(certificate)" ]
}

@test "logout forgets token, certificates and confirmations" {
  log_in
  ask "$DETECTED"
  run -0 token logout
  [ ! -e "$(certificate)" ]
  run -1 token status
  run -0 ask "$CONFIRM"
  [ "$(jq .direct <<<"$output")" = false ]
}

@test "SIGTERM: nothing is left but the lock" {
  log_in
  ask "$DETECTED"
  end_process "$DAEMON"
  run -0 find "$RUNTIME" -not -type d
  [ "$output" = "$RUNTIME/tokend.lock"$'\n'"$RUNTIME/machine-issuer.lock"$'\n'"$RUNTIME/machine-issuer.sock" ] ||
    [ "$(grep -v machine-issuer <<<"$output")" = "$RUNTIME/tokend.lock" ]
}

@test "SIGKILL: the next one removes what was left, and has keys of its own" {
  log_in
  ask "$DETECTED"
  local before
  before=$(cat "$RUNTIME/ssh/subject")
  end_process "$DAEMON" KILL
  [ -f "$(certificate)" ]
  daemon_start
  [ ! -e "$(certificate)" ]
  [ "$(cat "$RUNTIME/ssh/subject")" != "$before" ]
}

@test "a new fabric document counts at once" {
  run -0 ask '{"version":1,"op":"match","peer":"new","host":"new"}'
  [ "$(jq -r .error <<<"$output")" = no_peer ]
  fabric_write '.peers[0].name = "new" | .peer_groups.servers = ["new"]'
  apply 3600
  run -0 ask '{"version":1,"op":"match","peer":"new","host":"new"}'
  [ "$(jq .ok <<<"$output")" = true ]
}

@test "no fabric document: a clear word and the next command" {
  mv "$QF/state/peers.mdb" "$QF/peers.mdb"
  run -0 ask '{"version":1,"op":"status"}'
  [ "$(jq -r .error <<<"$output")" = config ]
  [[ $(jq -r .hint <<<"$output") == *"qf-up apply"* ]]
}
