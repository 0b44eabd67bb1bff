#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Clients with none of our programs: the server logs people in at the provider itself, over keyboard-interactive.

load helpers

setup() {
  fabric_begin && provider_start && server_logins
  SHOWN=$QF/shown
}
teardown() { fabric_end; }

SERVER_LOGIN='.issuers[0].server_login = {client_id: "qf-server", scopes: ["openid", "groups"]}'
# server_logins [FILTER…]: the document, with a login of the servers' own at the provider.
server_logins() { fabric_write '.issuers |= reverse' "$SERVER_LOGIN" "$@"; }
PLAIN=(ssh -F none -p 22022 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1)

# plain STEP… -- [OPTION…] [COMMAND…]: ssh as somebody runs it who has nothing of ours, in a terminal.
plain() {
  local words=() word
  for word in "$@"; do
    words+=("$word")
    [ "$word" != -- ] || words+=("${PLAIN[@]}" "$TARGET@$ADDRESS")
  done
  in_terminal "$SHOWN" "${words[@]}"
}
# plain_begins STEP… -- …: the same in the background, until the code is there. plain_ends STATUS: and to its end.
plain_begins() {
  rm -f "$SHOWN"
  plain "$@" 3>&- &
  echo $! >"$QF/plain.pid"
  until_true 60 user_code "$SHOWN" || { cat "$SHOWN" >&2; return 1; }
}
plain_ends() {
  local status=0
  wait "$(<"$QF/plain.pid")" || status=$?
  [ "$status" = "$1" ] || { cat "$SHOWN" >&2; return 1; }
}
person() { "$IDP/approve" "$ISSUER_URL" "$(user_code "$SHOWN")" "$@"; }
shown() { grep -aqF "$1" "$SHOWN" || { cat "$SHOWN" >&2; return 1; }; }
monitors_gone() { ! pgrep -P "$(listener_pid)" -f monitor >"$QF/monitors"; }
PROMPT='press Enter when it is allowed: '

@test "a person presses Enter, then logs in with a browser, and the session starts" {
  server_start
  plain_begins "expect=$PROMPT" 'send=\r' "expect=in as $TARGET" -- 'echo in as $(id -un)'
  until_true 60 shown "waiting for the login at $ISSUER_URL/device"
  person alice
  plain_ends 0
  shown "To log in to server as $TARGET, from 127.0.0.1, open within"
  shown "$ISSUER_URL/device?user_code=$(user_code "$SHOWN")"
  shown 'Do so only if you have started this login yourself.'
  audit_says '.event == "login" and .allowed and .method == "device" and .identity == "corp:alice" and .key_bound == false and
    .policy == "all" and .tunnel == false'
  # no token in any log
  run -1 grep -rqE 'eyJ[A-Za-z0-9_-]{10}' "$AUDIT" "$QF/qf-up.log" "$SHOWN"
}

@test "a person logs in with a browser, then presses Enter; groups of the token count" {
  server_logins '.issuers[0].group_map = {"dba": "DBAs"} | .user_groups.DBAs = [] | .issuers[0].members = "all" |
    .policies[0] += {access: "limited", authorized_groups: {DBAs: [$target]}}'
  server_start
  plain_begins "expect=$PROMPT" "wait=$QF/approved" 'send=\r' -- 'id -un'
  person bob
  touch "$QF/approved"
  plain_ends 0
  shown "$TARGET"
  rm "$QF/approved"
  # alice is no DBA
  plain_begins "expect=$PROMPT" "wait=$QF/approved" 'send=\r' -- 'id -un'
  person alice
  touch "$QF/approved"
  plain_ends 255
  shown 'User is not authorized to access this peer'
}

@test "ssh that says little (LogLevel ERROR) shows where to go all the same" {
  server_start
  plain_begins "expect=$PROMPT" 'send=\r' -- -o LogLevel=ERROR true
  shown "Code $(user_code "$SHOWN") at $ISSUER_URL/device"
  person alice
  plain_ends 0
}

@test "denied" {
  server_start
  plain_begins "expect=$PROMPT" 'send=\r' -- true
  DENY=1 "$IDP/approve" "$ISSUER_URL" "$(user_code "$SHOWN")" alice
  plain_ends 255
  shown 'Authentication failed: the login at issuer corp'
  shown 'was denied'
  audit_says '.event == "login" and (.allowed | not) and .method == "device" and .refusal == "Authentication failed" and (.reason | contains("was denied"))'
}

@test "nobody comes: the code expires" {
  knob '{"device_ttl": 4}' >/dev/null
  server_start
  plain_begins "expect=$PROMPT" 'send=\r' -- true
  plain_ends 255
  shown 'nobody finished the login at issuer corp'
}

@test "nobody comes: the time that the peer gives is over; the login grace time of others is not what counts" {
  server_start --login-grace-time 2 --device-login-grace-time 7
  plain_begins "expect=$PROMPT" 'send=\r' -- true
  shown 'open within 7 seconds'
  for_a_while 3
  kill -0 "$(<"$QF/plain.pid")"
  plain_ends 255
  shown 'nobody has logged in within the time that this peer gives'
  audit_says '.event == "violation" and (.reason | contains("login grace time"))'
}

@test "the provider is down" {
  server_start
  "$IDP/stop" "$QF/idp"
  run -255 plain -- true
  shown 'Authentication failed: issuer corp'
  shown 'hint: is the network up, and the provider?'
}

@test "the provider has no device login" {
  knob '{"discovery": {"device_authorization_endpoint": null}}' >/dev/null
  server_start
  run -255 plain -- true
  shown '"device_authorization_endpoint" of its discovery document is missing, so nobody can log in from here'
}

@test "a client that the provider does not know, or that may not: the hint names the servers' own and its place" {
  server_logins '.issuers[0].server_login.client_id = "nobody"'
  server_start
  run -255 plain -- true
  shown 'hint: "client_id" in "server_login" of issuer "corp" in the fabric document must be a client that the provider knows'
  shown 'it is "nobody"'
  fabric_apply '.issuers |= reverse' "$SERVER_LOGIN" '.issuers[0].server_login.scopes += ["everything"]'
  knob '{"fail": 1, "fail_path": "/device/auth", "fail_status": 400, "fail_body": {"error": "invalid_scope"}}' >/dev/null
  run -255 plain -- true
  shown 'hint: "scopes" in "server_login" of issuer "corp" in the fabric document are openid, groups, everything'
}

@test "the provider answers nonsense" {
  server_start
  for answer in '{' '{"device_code": 1}' '{"device_code": "x", "user_code": "\u001b[2J", "verification_uri": "https://idp.example/"}' \
    '{"device_code": "x", "user_code": "AAAA", "verification_uri": "javascript:alert(1)"}'; do
    knob "$(jq -n --arg body "$answer" '{fail: 1, fail_path: "/device/auth", fail_status: 200, fail_body: $body}')" >/dev/null
    run -255 plain -- true
    shown 'Authentication failed: issuer corp'
  done
}

@test "several issuers: the person chooses" {
  server_logins '.issuers += [.issuers[0] | .name = "other" | .issuer = "http://127.0.0.1:1"]'
  server_start
  plain_begins 'expect=server takes logins at:' 'expect=1  corp' 'expect=2  other' 'expect=Log in at \(1 to 2\): ' 'send=elsewhere\r' \
    'expect=Log in at \(1 to 2\): ' 'send=corp\r' "expect=$PROMPT" 'send=\r' -- true
  person alice
  plain_ends 0
  run -255 plain 'expect=Log in at \(1 to 2\): ' 'send=2\r' -- true
  shown 'Authentication failed: issuer other'
}

@test "a peer that takes one issuer alone asks nothing" {
  server_logins '.issuers += [.issuers[0] | .name = "other" | .issuer = "http://127.0.0.1:1"]' "$(provider_alone)"
  server_start
  plain_begins "expect=$PROMPT" 'send=\r' -- true
  person alice
  plain_ends 0
}

@test "in batch mode nobody is asked, and it ends at once" {
  server_start
  as_client ssh-keygen -q -t ed25519 -N '' -f "$(home_of "$CLIENT")/own"
  run -255 as_client "${PLAIN[@]}" -o BatchMode=yes -i "$(home_of "$CLIENT")/own" "$TARGET@$ADDRESS" true
  [[ $output == *"Your ssh offered no login token of this fabric"* ]]
  run -1 audit_says '.method == "device"'
}

@test "without server_login, or for the tunnel's user, nobody is logged in so" {
  server_start
  run -255 in_terminal "$SHOWN" -- "${PLAIN[@]}" "qufabric-tunnel@$ADDRESS" true
  fabric_apply '.issuers |= reverse'
  run -255 plain -- true
  shown 'Authentication failed: your ssh offered no login token of this fabric'
  run -1 user_code "$SHOWN"
}

@test "a document that takes server_login out ends the sessions that came by it; others go on" {
  server_start
  person_login bob
  qssh -N -o ControlMaster=yes -o "ControlPath=$(home_of "$CLIENT")/mux" -l "$TARGET" server 3>&- &
  other=$!
  until_true 60 test -S "$(home_of "$CLIENT")/mux"
  plain_begins "expect=$PROMPT" 'send=\r' 'expect=here' -- 'echo here; sleep 60'
  person alice
  until_true 60 shown here
  fabric_apply '.issuers |= reverse'
  plain_ends 255
  shown 'peers no longer log people in at issuer "corp"'
  audit_says '.event == "revoked" and .identity == "corp:alice"'
  kill -0 $other
  kill $other
}

@test "a document that comes while the person logs in counts" {
  server_start
  plain_begins "expect=$PROMPT" 'send=\r' -- true
  fabric_apply '.issuers |= reverse' "$SERVER_LOGIN" '.user_groups.people -= ["corp:alice"]'
  person alice
  plain_ends 255
  shown 'User is not authorized to access this peer'
}

@test "limits: logins of one source and in all; who gives up makes no room at once" {
  server_start --per-source-max-device-logins 1
  plain_begins "expect=$PROMPT" "wait=$QF/leave" 'send=\x03' -- true
  run -255 in_terminal "$QF/second" -- "${PLAIN[@]}" "$TARGET@$ADDRESS" true
  grep -aq 'too many logins of your source address are waited for' "$QF/second"
  grep -aq 'hint: try again in a minute' "$QF/second"
  touch "$QF/leave"
  plain_ends 130
  until_true 60 monitors_gone
  run -255 in_terminal "$QF/second" -- "${PLAIN[@]}" "$TARGET@$ADDRESS" true
  grep -aq 'too many logins of your source address are waited for' "$QF/second"
  server_restart --max-device-logins 0
  run -255 in_terminal "$QF/second" -- "${PLAIN[@]}" "$TARGET@$ADDRESS" true
  grep -aq 'too many people are logging in at this peer' "$QF/second"
}

@test "a person who logs in holds no place of those that are not logged in" {
  server_start --per-source-max-startups 1
  plain_begins "expect=$PROMPT" 'send=\r' -- true
  person_login bob
  # the one place is free as soon as the server has seen the end of qf-detect's probe
  until_true 60 on_peer true
  person alice
  plain_ends 0
}

@test "who hangs up is not waited for at the provider" {
  knob '{"device_ttl": 600}' >/dev/null
  server_start
  plain_begins "expect=$PROMPT" "wait=$QF/leave" 'send=\x03' -- true
  polls() { knob | jq '.hits["/token"] // 0'; }
  until_true 60 eval '(($(polls) > 1))'
  touch "$QF/leave"
  plain_ends 130
  until_true 60 monitors_gone
  before=$(polls)
  for_a_while 4
  [ "$(polls)" -le $((before + 1)) ]
}

@test "keyfetch dies while somebody waits: a sentence, and the next login works" {
  server_start
  plain_begins "expect=$PROMPT" 'send=\r' -- true
  kill -9 "$(pgrep -P "$(listener_pid)" -f qf-keyfetch)"
  plain_ends 255
  shown 'the process of this peer that logs people in has ended'
  # it is started again after a pause
  again() {
    rm -f "$SHOWN"
    plain "expect=$PROMPT" 'send=\r' -- true 3>&- 2>/dev/null &
    echo $! >"$QF/plain.pid"
    until_true 3 user_code "$SHOWN" 2>/dev/null
  }
  until_true 60 again
  person alice
  plain_ends 0
}

@test "the server is started anew while somebody waits, or reads: a sentence" {
  server_start
  plain_begins "expect=$PROMPT" 'send=\r' -- true
  until_true 60 shown "waiting for the login at"
  server_restart
  plain_ends 255
  shown 'Authentication failed: the server of this peer was started anew in the meantime'
  rm -f "$QF/restarted"
  plain_begins "expect=$PROMPT" "wait=$QF/restarted" 'send=\r' -- true
  server_restart
  touch "$QF/restarted"
  plain_ends 255
  shown 'Authentication failed: the server of this peer was started anew in the meantime'
}

net() { pgrep -P "$(pgrep -P "$(listener_pid)" -f monitor)" -f net; }
# new_connection_knows_nothing_of FILE: neither its net, nor the listener that it comes from.
new_connection_knows_nothing_of() {
  exec 7<>"/dev/tcp/$ADDRESS/22022"
  until_true 60 net
  for pid in "$(listener_pid)" "$(net)"; do
    run -0 "$TOP/tests/bats/memory_scan.py" "$pid" "$1"
    [ "$output" = "$(basename "$1") 0 0" ]
  done
  exec 7>&-
}

@test "the token of one login is in the memory of no other connection, nor of the listener" {
  server_start
  "$IDP/issue" "$QF/idp" "$(jq -n --arg url "$ISSUER_URL" '{iss: $url, sub: "alice", aud: "qf-server"}')" >"$QF/token"
  tail -c 80 "$QF/token" | tr -d '\n' >"$QF/signature"
  knob "$(jq -n --rawfile token "$QF/token" '{fail: 1, fail_path: "/token", fail_status: 200,
    fail_body: {id_token: ($token | rtrimstr("\n")), token_type: "Bearer"}}')" >/dev/null
  run -0 plain "expect=$PROMPT" 'send=\r' -- true
  until_true 60 monitors_gone
  new_connection_knows_nothing_of "$QF/signature"
}

@test "the secret of the servers' client is in the memory of no process that talks to clients" {
  printf 'Xk7-a-client-secret-of-the-servers-9qZ' >"$QF/secret"
  server_logins ".issuers[0].server_login.client_secret = \"$(<"$QF/secret")\""
  server_start
  run -255 plain -- true
  until_true 60 monitors_gone
  new_connection_knows_nothing_of "$QF/secret"
}

@test "a client that answers what nobody asked, or asks while it is waited for, is sent away" {
  server_start --per-source-max-device-logins 8
  run -0 "$PYTHON" "$TOP/tests/bats/raw_interactive.py" "$ADDRESS" "$TARGET"
  [ "${lines[0]}" = 'another_number_of_answers disconnect 11 an answer to a question that was not asked' ]
  [ "${lines[1]}" = 'long_answer asked again' ]
  [ "${lines[2]}" = 'another_user disconnect 11 a login request out of turn' ]
  [ "${lines[3]}" = 'answered_twice disconnect 11 a login request while another one is waited for' ]
  [ "${lines[4]}" = 'request_while_waited_for disconnect 11 a login request while another one is waited for' ]
  run -0 audit_says '.event == "login" and (.allowed | not) and .refusal == "out of turn" and .os_user == "root"'
}

@test "a client that answers with nonsense, changes its mind, or asks without end, is sent away with a reason in the log" {
  server_start --per-source-max-device-logins 20
  run -0 timeout 300 "$PYTHON" "$TOP/tests/bats/raw_interactive.py" "$ADDRESS" "$TARGET" hostile
  echo "$output"
  for name in no_answer hundred_answers answer_of_250_kib huge_tags; do grep -qx "$name asked again" <<<"$output"; done
  # what the library cannot read
  grep -qx 'more_answers_than_the_library_takes disconnect 11 a malformed answer: Too much answers received from client: 300 (0x012c)' <<<"$output"
  grep -qx 'four_billion_answers disconnect 11 a malformed answer: Too much answers .*' <<<"$output"
  for name in answers_announced_and_left_out answer_longer_than_it_is; do
    grep -qx "$name disconnect 11 a malformed answer: Short INFO_RESPONSE packet" <<<"$output"
  done
  grep -qx 'nothing_at_all disconnect 11 a malformed answer: .*' <<<"$output"
  grep -qx 'answer_of_more_than_a_packet disconnect 11 read_packet(): Packet len too high.*' <<<"$output"
  # another method, user or service in the middle
  for name in other_method other_method_of_another_user; do
    grep -qx "$name disconnect 11 an answer to a question that was not asked" <<<"$output"
  done
  grep -qx 'other_service disconnect 11 there is no service "ssh-connection" here' <<<"$output"
  grep -qx 'same_service_again disconnect 11 a login request while another one is waited for' <<<"$output"
  grep -qx 'methods_by_turns disconnect 11 too many login requests' <<<"$output"
  # each of the eleven that were ended has its line
  until_true 20 eval '[ "$(audit -s "[.[] | select(.event == \"violation\" or .refusal == \"too many login requests\")] | length")" = 11 ]'
  run -1 audit_says '.reason // "" | contains("net was ended by signal")'
}

@test "a token of the servers' own client is worth nothing in a client's hands" {
  server_logins '.issuers[0].accept_bearer = true' '.issuers[0].audiences += ["both"]'
  server_start
  for claims in '{"aud": ["qf-server"]}' '{"aud": ["both", "qf-server"]}' '{"aud": ["both"], "azp": "qf-server"}' \
    '{"aud": ["both"], "client_id": "qf-server"}' '{"aud": ["both"], "cid": "qf-server"}' '{"aud": ["both"], "appid": "qf-server"}'; do
    token=$("$IDP/issue" "$QF/idp" "$(jq -n --arg url "$ISSUER_URL" --argjson more "$claims" '{iss: $url, sub: "alice"} + $more')")
    run -255 as_client "$PYTHON" "$TOP/tests/bats/foreign_login.py" password "$ADDRESS" "$TARGET" true <<<"$token"
    [[ $output == *"the token is for another audience"* ]]
  done
  token=$("$IDP/issue" "$QF/idp" "$(jq -n --arg url "$ISSUER_URL" '{iss: $url, sub: "alice", aud: "both"}')")
  run -0 as_client "$PYTHON" "$TOP/tests/bats/foreign_login.py" password "$ADDRESS" "$TARGET" true <<<"$token"
}

@test "a client that is not OpenSSH: paramiko" {
  server_start
  mkfifo "$QF/answers"
  as_client "$PYTHON" "$TOP/tests/bats/foreign_login.py" interactive "$ADDRESS" "$TARGET" 'id -un' <<<'' >"$QF/said" 2>"$SHOWN" 3>&- &
  client=$!
  until_true 60 user_code "$SHOWN"
  person alice
  wait $client
  [ "$(<"$QF/said")" = "$TARGET" ]
}

libssh_person() {
  mkfifo "$QF/typed"
  echo "[$ADDRESS]:22022 $(host_key)" >"$QF/known_hosts"
  as_client timeout 60 "$PYTHON" "$TOP/tests/bats/libssh_client.py" interactive "$ADDRESS" 22022 "$TARGET" 'id -un' "$QF/known_hosts" \
    <>"$QF/typed" >"$QF/said" 2>"$SHOWN" 3>&- &
  client=$!
  until_true 60 user_code "$SHOWN"
}
@test "a client that is not OpenSSH: libssh" {
  server_start
  libssh_person
  echo >"$QF/typed"
  person alice
  wait $client
  [ "$(<"$QF/said")" = "$TARGET" ]
}

@test "libssh hears that the time is over, waiting as well as asked" {
  server_start --login-grace-time 3 --device-login-grace-time 4
  for typed in '' $'\n'; do
    libssh_person
    printf '%s' "$typed" >"$QF/typed"
    until_true 30 eval 'audit -s "[.[] | select(.event == \"violation\")] | length" | grep -qx '"$((${#typed} + 1))"
    [ -n "$typed" ] || echo >"$QF/typed"
    status=0
    wait $client || status=$?
    [ "$status" = 255 ] || { cat "$SHOWN" && false; }
    shown 'nobody has logged in within the time that this peer gives'
    rm "$QF/typed" "$SHOWN"
  done
}
