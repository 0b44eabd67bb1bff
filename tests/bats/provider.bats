#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A real OpenID provider: logins of a person, and a provider that is down, hangs, or changes its keys.
# run first

load helpers

setup() {
  fabric_begin && provider_start && fabric_write '.issuers |= reverse' && server_start
}
teardown() { fabric_end; }

@test "a person logs in once; then plain ssh is direct, as that person" {
  person_login bob
  run -0 on_peer id -un
  [ "$output" = "$TARGET" ]
  audit_says '.event == "login" and .allowed and .identity == "corp:bob" and .method == "certificate" and .tunnel == false and .key_bound'
}

@test "groups of the token count through the issuer's group_map alone" {
  fabric_apply '.issuers |= reverse' '.issuers[0].group_map = {"dba": "DBAs"} | .user_groups.DBAs = [] |
    .policies[0] += {access: "limited", authorized_groups: {DBAs: [$target]}}' '.issuers[0].members = "all"'
  person_login bob
  run -0 on_peer id -un
  token logout
  person_login alice
  run -255 on_peer id -un
  [[ $output == *"User is not authorized to access this peer"* ]]
}

@test "{email.local}: only of a verified email in the issuer's domains" {
  user=$(add_user m)
  knob "{\"users\": {\"alice\": {\"email\": \"$user@example.com\", \"email_verified\": true, \"groups\": []},
    \"bob\": {\"email\": \"$user@example.com\", \"email_verified\": false, \"groups\": []},
    \"mallory\": {\"email\": \"$user@elsewhere.org\", \"email_verified\": true, \"groups\": []}}}" >/dev/null
  fabric_apply '.issuers |= reverse' '.issuers[0].email_domains = ["example.com"] | .issuers[0].client.scopes += ["email"] | .issuers[0].members = "all" |
    .policies[0] += {access: "limited", authorized_groups: {people: ["{email.local}"]}} | .user_groups.people += ["corp:mallory"]'
  person_login alice
  run -0 qssh -l "$user" server id -un
  [ "$output" = "$user" ]
  run -255 on_peer true
  for other in bob mallory; do
    token logout
    person_login "$other"
    run -255 qssh -l "$user" server true
  done
}

@test "provider down, key known: logins go on, also after a restart of the server" {
  person_login
  run -0 on_peer true
  "$IDP/stop" "$QF/idp"
  run -0 on_peer true
  server_restart
  run -0 on_peer true
}

# kept_for HOURS: the provider is down, the server starts with a key set of that age
kept_for() {
  local kept=$QF/state/keysets/corp.json
  server_stop
  "$IDP/stop" "$QF/idp"
  jq -c --argjson age "$1" '.fetched -= $age * 3600' "$kept" >"$QF/aged" && cat "$QF/aged" >"$kept"
  server_start
}
stale_warnings() { grep -c "cannot fetch the key set of issuer corp (.*); the one of [0-9]* min ago stays in use" "$QF/qf-up.log"; }

@test "provider down, key set older than its lifetime: it is used within its hard limit, with a warning, not one a login" {
  person_login
  on_peer true
  kept_for 23
  until_true 30 stale_warnings
  grep -q "the one of 138[0-9] min ago stays in use" "$QF/qf-up.log"
  for i in 1 2 3 4 5 6; do run -0 on_peer true; done
  audit_says '.event == "login" and .allowed and .identity == "corp:alice"'
  [ "$(stale_warnings)" -lt 6 ]
  # the provider is back, with new keys: the first login that needs them has them fetched, and that is said
  "$IDP/start" "$QF/idp" "${ISSUER_URL##*:}" && note_process "$(<"$QF/idp/pid")" "${SHARED:-$QF}"
  "$IDP/rotate" "$QF/idp" back
  token logout
  person_login
  run -0 on_peer true
  grep -q "key set of issuer corp: fetched again" "$QF/qf-up.log"
}

@test "provider down, key set beyond its hard limit: refused, and why is said" {
  person_login
  on_peer true
  kept_for 25
  grep -q "the kept key set of issuer corp is of 150[0-9] min ago, beyond its limit of 24 h: it is not used" "$QF/qf-up.log"
  run -255 on_peer true
  [[ $output == *"Authentication failed"*"there is no usable key set for the issuer"* ]] || { echo "$output" && false; }
  audit_says '.event == "login" and .allowed == false and ((.refusal + (.reason // "")) | test("no usable key set"))'
}

@test "provider down, key unknown: refused with a clear word, exit 255, in the audit log" {
  person_login
  server_stop
  "$IDP/stop" "$QF/idp"
  rm -rf "$QF/state/keysets"
  server_start
  run -255 on_peer true
  [[ $output == *"Authentication failed"*"there is no usable key set for the issuer"* ]] || { echo "$output" && false; }
  audit_says '.event == "login" and .allowed == false and ((.refusal + (.reason // "")) | test("no usable key set"))'
}

@test "field note 13: a hanging key set delays nobody whose key is known" {
  person_login
  run -0 on_peer true
  knob '{"hang": ["/jwks", "/.well-known/openid-configuration"]}' >/dev/null
  asked=$(knob | jq '.hits["/jwks"]')
  run -0 on_peer true
  # nothing was asked of it on the way
  [ "$(knob | jq '.hits["/jwks"]')" = "$asked" ]
}

@test "provider hanging, key unknown: refused within a bounded time; others are not held up meanwhile" {
  person_login
  server_stop
  rm -rf "$QF/state/keysets"
  knob '{"hang": ["/jwks", "/.well-known/openid-configuration"]}' >/dev/null
  server_start
  on_peer true >"$QF/hung" 2>&1 3>&- &
  hung=$!
  # the other issuer's key is in the document
  other=$(add_user x)
  run -0 "$BIN/qf-detect" --config-dir "$QF/config" --state-dir "$QF/state" "$ADDRESS" 22022
  kill -0 $hung
  status=0
  wait $hung || status=$?
  [ $status = 255 ]
  grep -q "Authentication failed" "$QF/hung"
  audit_says '.event == "login" and .allowed == false'
}

@test "the provider's keys change: the new one is fetched once, and the login works" {
  person_login
  run -0 on_peer true
  "$IDP/rotate" "$QF/idp" k2
  token logout
  person_login
  run -0 on_peer true
  audit_says '.event == "login" and .allowed'
}

@test "provider down at the login: said, exit 255" {
  "$IDP/stop" "$QF/idp"
  status=0
  in_terminal "$QF/shown" -- ssh -F "$CONF" -l "$TARGET" server true || status=$?
  [ $status = 255 ]
  grep -q "qf-proxy: .*corp" "$QF/shown"
}

@test "provider hanging at the login: said within a bounded time, exit 255" {
  knob '{"hang": ["/device/auth", "/.well-known/openid-configuration"]}' >/dev/null
  status=0
  in_terminal "$QF/shown" -- ssh -F "$CONF" -l "$TARGET" server true || status=$?
  [ $status = 255 ]
  grep -q "qf-proxy: .*corp" "$QF/shown"
}

@test "field note 14: ten cold ssh in parallel log in once" {
  # one person, ten terminals
  for i in 1 2 3 4 5 6 7 8 9 10; do
    in_terminal "$QF/shown$i" -- ssh -F "$CONF" -l "$TARGET" server "echo session-$i-there" 3>&- &
    terminals[i]=$!
  done
  for i in 1 2 3 4 5 6 7 8 9 10; do until_true 60 user_code "$QF/shown$i"; done
  # all of them were shown the same code
  [ "$(for i in 1 2 3 4 5 6 7 8 9 10; do user_code "$QF/shown$i"; done | sort -u | wc -l)" = 1 ]
  approve "$QF/shown1"
  for i in 1 2 3 4 5 6 7 8 9 10; do
    wait "${terminals[i]}"
    grep -q "session-$i-there" "$QF/shown$i"
  done
  [ "$(knob | jq '.hits["/device/auth"]')" = 1 ]
  [ "$(audit -s '[.[] | select(.event == "session-start")] | length')" = 10 ]
}

@test "field note 14: twenty warm ssh in parallel all get in, from one certificate file" {
  person_login
  for i in $(seq 20); do
    on_peer "echo $i" >"$QF/out$i" 2>&1 3>&- &
    clients[i]=$!
  done
  for i in $(seq 20); do
    wait "${clients[i]}" || { cat "$QF/out$i" && false; }
    [ "$(cat "$QF/out$i")" = "$i" ]
  done
}
