#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Logging in with a browser: the authorization code flow at a real OpenID provider, and every way in which the answer can
# be wrong. The person is tests/idp/authorize.

load tokend_helpers

BROWSER_LOGIN='{"version":1,"op":"login","interactive":true,"browser":true}'

setup_file() { tokend_file_begin 3600 '.issuers[0].client.flow = "auto"'; }
teardown_file() { fabric_end; }
setup() { tokend_fresh 3600 && daemon_start; }
teardown() { tokend_test_end; }

# login_begins [REQUEST]: sets PID and URL, where the person has to go.
login_begins() {
  ask_in_background "$QF/answer" "${1:-$BROWSER_LOGIN}"
  until_true 60 url_shown "$QF/answer" || return
  URL=$(url_shown "$QF/answer")
}
url_shown() { sed -n 's/.*"verification_uri":"\([^"]*\)".*/\1/p' "$1" | tail -n 1 | sed 's/\\//g' | grep .; }
# of the URL that the person opens
parameter() { grep -oE "[?&]$1=[^&]*" <<<"$URL" | sed 's/^[^=]*=//; s/%3A/:/g; s/%2F/\//g; s/%20/ /g; s/%5B/[/g; s/%5D/]/g'; }
# log_in_by_browser [LOGIN]: the whole login; prints the final answer.
log_in_by_browser() {
  login_begins && "$IDP/authorize" "$URL" "${1:-alice}" >"$QF/page" || :
  wait "$PID"
  tail -n 1 "$QF/answer"
}
# answered FILTER: of the final answer, after the page that ends the login was opened. In $(…) nothing can be waited for
# with wait.
answered() {
  until_true 60 last "$QF/answer" -e 'has("ok")' || return
  last "$QF/answer" -r "$1"
}

@test "the token is of who logged in, bound to our key by the nonce, and the page says that it worked" {
  run -0 log_in_by_browser bob
  [ "$(jq -r .subject <<<"$output")" = bob ]
  [ "$(jq .bound <<<"$output")" = true ]
  grep -q 'you are logged in' "$QF/page"
  [ "$(hits /device/auth)" = 0 ]
  [ "$(hits '/token authorization_code')" = 1 ]
  says "$QF/answer" '"event":"approved"'
}

@test "the request has PKCE with S256, a state, a nonce that binds, and a loopback redirect on a port of our own" {
  login_begins
  [ "$(parameter response_type)" = code ]
  [ "$(parameter code_challenge_method)" = S256 ]
  [[ $(parameter code_challenge) =~ ^[A-Za-z0-9_-]{43}$ ]]
  [[ $(parameter state) =~ ^[A-Za-z0-9_-]{43}$ ]]
  [[ $(parameter nonce) =~ ^qf1\.[A-Za-z0-9_-]{43}$ ]]
  [[ $(parameter redirect_uri) =~ ^http://127\.0\.0\.1:[0-9]+/callback$ ]]
  [ "$(parameter scope)" = "openid groups offline_access" ]
  [ "$(parameter prompt)" = consent ]
}

@test "offline_access is not asked for where nothing is kept" {
  end_process "$DAEMON"
  daemon_start --ttl 0
  login_begins
  [ "$(parameter scope)" = "openid groups" ]
  [ -z "$(parameter prompt)" ]
}

@test "auto: the device flow for who cannot open a browser, and whichever the provider has" {
  ask_in_background "$QF/device" "$LOGIN"
  until_true 60 user_code "$QF/device"
  [ "$(hits /device/auth)" = 1 ]
  # shellcheck disable=SC2046  # pids
  kill $(descendants "$PID") && wait "$PID" || :
  until_true 60 says "$QF/tokend.log" 'nobody waits for it'
  knob '{"discovery":{"device_authorization_endpoint":null}}'
  run -0 log_in_by_browser
  [ "$(jq .ok <<<"$output")" = true ]
  ask '{"version":1,"op":"logout"}'
  knob '{"discovery":{"authorization_endpoint":null}}'
  ask_in_background "$QF/again" "$BROWSER_LOGIN"
  until_true 60 user_code "$QF/again"
}

@test "a provider without the flow that the document wants: named by its field" {
  fabric_write '.issuers |= reverse' '.issuers[0].client.flow = "browser"' && apply 3600
  knob '{"discovery":{"code_challenge_methods_supported":["plain"]}}'
  run -0 ask "$BROWSER_LOGIN"
  [ "$(jq -r .error <<<"$output")" = unsupported ]
  [[ $output == *'issuer corp ('*'\"code_challenge_methods_supported\" of its discovery document lacks S256'* ]]
  knob '{"discovery":{"authorization_endpoint":null}}'
  run -0 ask "$BROWSER_LOGIN"
  [[ $output == *'\"authorization_endpoint\" of its discovery document is missing'* ]]
  knob '{"discovery":{"authorization_endpoint":"http://evil.example/auth"}}'
  run -0 ask "$BROWSER_LOGIN"
  [ "$(jq -r .error <<<"$output")" = provider ]
  [[ $output == *'\"authorization_endpoint\" of its discovery document'*https* ]]
}

@test "one of all who wait opens the browser" {
  login_begins
  ask_in_background "$QF/second" "$BROWSER_LOGIN"
  until_true 60 url_shown "$QF/second"
  [ "$(grep -c '"open":true' "$QF/answer")" = 1 ]
  run ! grep -q '"open":true' "$QF/second"
  [ "$(url_shown "$QF/second")" = "$URL" ]
  "$IDP/authorize" "$URL"
  wait "$PID"
  [ "$(last "$QF/second" .ok)" = true ]
}

@test "an answer with another state, or from elsewhere, is told so and ends nothing" {
  login_begins
  local back
  back=$(NO_CALLBACK=1 "$IDP/authorize" "$URL")
  run -0 curl -sS -w '%{http_code}' "${back/state=/state=x}"
  [[ $output == *"belongs to no login"*400 ]]
  # a page of another site that has our address under its own name
  run -0 curl -sS -o /dev/null -w '%{http_code}' -H 'Host: evil.example' "$back"
  [ "$output" = 400 ]
  run -0 curl -sS -o /dev/null -w '%{http_code}' -d x=y "$back"
  [ "$output" = 405 ]
  run -0 curl -sS -o /dev/null -w '%{http_code}' "${back%%/callback*}/favicon.ico"
  [ "$output" = 404 ]
  run -0 curl -sS "$back"
  [[ $output == *"you are logged in"* ]]
  [ "$(answered .ok)" = true ]
}

@test "connections that say nothing, and many of them, keep the answer out of nothing" {
  login_begins
  local port i
  port=$(parameter redirect_uri | grep -oE '[0-9]+/' | tr -d /)
  for i in {1..40}; do eval "exec {fd}<>/dev/tcp/127.0.0.1/$port"; done
  head -c 100000 /dev/zero | tr '\0' a >"$QF/long"
  run curl -sS --max-time 20 "http://127.0.0.1:$port/callback?$(head -c 20000 "$QF/long")"
  "$IDP/authorize" "$URL"
  [ "$(answered .ok)" = true ]
}

@test "another user who has seen the address puts nobody else's answer in its place" {
  login_begins
  local back
  back=$(NO_CALLBACK=1 "$IDP/authorize" "$URL" mallory)
  run as "$TARGET" curl -sS "$back"
  [[ $output == *"belongs to another user of this machine"* ]]
  run as "$TARGET" curl -sS "${back/code=/error=access_denied&x=}"
  [[ $output == *"belongs to another user of this machine"* ]]
  # and keeps nobody out by asking for ever
  background_as "$TARGET" "$QF/flood.log" "$PYTHON" -c 'import socket, sys
while True:
    try: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
    except OSError: pass' "$(parameter redirect_uri | grep -oE '[0-9]+/' | tr -d /)"
  "$IDP/authorize" "$URL" alice
  [ "$(answered .subject)" = alice ]
}

@test "RFC 9207: an answer of another issuer is refused, and one that should name its issuer and does not" {
  knob '{"wrong_iss":"https://evil.example"}'
  login_begins
  run "$IDP/authorize" "$URL"
  [[ $output == *"the login did not work"* ]]
  [ "$(answered .error)" = provider ]
  [[ $(answered .message) == *"issuer corp ("*'"iss" of the authorization response is another one: "https://evil.example"' ]]
  knob '{"wrong_iss":null,"drop_iss":true}'
  login_begins
  run "$IDP/authorize" "$URL"
  [[ $(answered .message) == *'"iss" of the authorization response is missing'* ]]
  # a provider that does not promise one may leave it out
  knob '{"discovery":{"authorization_response_iss_parameter_supported":null}}'
  login_begins
  "$IDP/authorize" "$URL"
  [ "$(answered .ok)" = true ]
}

@test "a person who says no, and a provider that does" {
  login_begins
  DENY=1 run "$IDP/authorize" "$URL"
  [[ $output == *"the login did not work"*denied* ]]
  [ "$(answered .error)" = access_denied ]
  knob '{"auth_error":"invalid_scope"}'
  login_begins
  run "$IDP/authorize" "$URL"
  [[ $(answered .message) == *"the authorization is refused: invalid_scope"* ]]
}

@test "a code that the provider does not take, and token answers that are none" {
  login_begins
  local back
  back=$(NO_CALLBACK=1 "$IDP/authorize" "$URL")
  run curl -sS "$(sed 's/code=[^&]*/code=wrong/' <<<"$back")"
  [[ $(answered .message) == *"the token is refused: invalid_grant"* ]]
  local body
  for body in 'no JSON at all' '[]' '{}' '{"id_token":"a.b"}' '{"id_token":17}'; do
    knob "$(jq -n --arg body "$body" '{token_body: $body}')"
    login_begins
    run "$IDP/authorize" "$URL"
    [ "$(answered .error)" = provider ]
    [[ $(answered .message) == "issuer corp ($ISSUER_URL): "*token* ]]
  done
}

@test "tokens for another client or with another nonce are refused, and the page says so" {
  local claims
  for claims in '{"aud":"another"}' '{"nonce":"another"}' '{"iss":"https://evil.example"}'; do
    knob "{\"claims\":$claims}"
    login_begins
    run "$IDP/authorize" "$URL"
    [[ $output == *"the login did not work"* ]]
    [[ $(answered .message) == *"the token that it gave"* ]]
  done
}

@test "a fixed redirect port is used, and named when it is taken" {
  local port
  port=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  fabric_write '.issuers |= reverse' ".issuers[0].client.flow = \"browser\" | .issuers[0].client.redirect_port = $port" && apply 3600
  login_begins
  [ "$(parameter redirect_uri)" = "http://127.0.0.1:$port/callback" ]
  "$IDP/authorize" "$URL"
  [ "$(answered .ok)" = true ]
  ask '{"version":1,"op":"logout"}'
  background "$QF/taken.log" socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr" -
  until_true 60 port_taken "$port"
  run -0 ask "$BROWSER_LOGIN"
  [ "$(jq -r .error <<<"$output")" = config ]
  [[ $output == *"port $port of 127.0.0.1"*'redirect_port'*"Address already in use"*"ss -ltnp"* ]]
}
port_taken() { ss -Hltn "sport = :$1" | grep -q .; }

@test "clients with a secret log in too, in whichever way the provider takes it" {
  local client
  for client in qf-conf qf-post; do
    if [ $client = qf-post ]; then knob '{"discovery":{"token_endpoint_auth_methods_supported":["client_secret_post"]}}'; fi
    fabric_write '.issuers |= reverse' ".issuers[0].client |= (.client_id = \"$client\" | .client_secret = \"s3cret\" | .flow = \"browser\")" \
      ".issuers[0].audiences = [\"$client\"]" && apply 3600
    ask '{"version":1,"op":"logout"}'
    run -0 log_in_by_browser
    [ "$(jq .ok <<<"$output")" = true ]
  done
  fabric_write '.issuers |= reverse' '.issuers[0].client |= (.client_id = "qf-conf" | .client_secret = "wrong" | .flow = "browser")' \
    '.issuers[0].audiences = ["qf-conf"]' && apply 3600
  ask '{"version":1,"op":"logout"}'
  run -0 log_in_by_browser
  [[ $output == *invalid_client*'client_secret'* ]]
}

# browser_script: stands in for a browser: the person logs in at once.
browser_script() {
  printf '#!/bin/sh\nexec %s "$1" >%s 2>&1\n' "$IDP/authorize" "$(home_of "$CLIENT")/page" >"$QF/browser"
  chmod 755 "$QF/browser"
}

@test "qf-token opens the browser of the person's session, and prints the URL all the same" {
  browser_script
  run -0 in_terminal "$QF/screen" 'expect=a browser opens to log in at corp' 'expect=http://127.0.0.1' \
    'expect=was approved' 'expect=logged in at corp as alice' exit -- \
    env DISPLAY=:9 BROWSER="nothing:$QF/browser" "$BIN/qf-token" login $PLACES
  grep -q 'you are logged in' "$(home_of "$CLIENT")/page"
}

@test "in an ssh session, and without a display, it is the device flow" {
  browser_script
  in_terminal "$QF/screen" 'expect=enter the code' 'send=\x03' -- \
    env DISPLAY=:9 SSH_CONNECTION='192.0.2.1 1 192.0.2.2 22' BROWSER="$QF/browser" "$BIN/qf-token" login $PLACES || :
  says "$QF/screen" 'the login was given up'
  in_terminal "$QF/screen" 'expect=enter the code' 'send=\x03' -- \
    env BROWSER="$QF/browser" "$BIN/qf-token" login $PLACES || :
  until_true 60 says "$QF/tokend.log" 'nobody waits for it'
}

@test "Ctrl-C is heard whenever it comes, also while the prompt is still being written and nothing else wakes up" {
  strace -qq -o /dev/null true 2>/dev/null || skip "no process can be traced here"
  # each write takes a while to return; without a TERM there is no countdown
  in_terminal "$QF/screen" 'expect=enter the code' 'send=\x03' -- env -u DISPLAY -u TERM \
    strace -qq -o /dev/null -e trace=write -e inject=write:delay_exit=300000 "$BIN/qf-token" login $PLACES || :
  says "$QF/screen" 'the login was given up'
}

# A network of its own, which has 127.0.0.2 and ::1 and no 127.0.0.1; sets NAMESPACE, for in_namespace COMMAND….
namespace_begin() {
  background "$QF/namespace.log" unshare --net -- sh -c \
    'ip link set lo up; ip address flush dev lo scope host; ip address add 127.0.0.2/32 dev lo; ip address add ::1/128 dev lo || :
     echo ready; exec sleep 600'
  NAMESPACE=$PID
  until_true 60 says "$QF/namespace.log" ready
}
in_namespace() { nsenter --net="/proc/$NAMESPACE/ns/net" "$@"; }

@test "where the machine has no 127.0.0.1 the redirect is on ::1" {
  end_process "$DAEMON"
  namespace_begin
  mkdir "$QF/idp6"
  ISSUER_URL=$(HOST=127.0.0.2 in_namespace "$IDP/start" "$QF/idp6")
  note_process "$(<"$QF/idp6/pid")"
  fabric_write '.issuers |= reverse' '.issuers[0].client.flow = "browser"' && apply 3600
  as_words "$CLIENT"
  background "$QF/tokend.log" nsenter --net="/proc/$NAMESPACE/ns/net" "${AS[@]}" "$BIN/qf-tokend" --foreground $PLACES
  DAEMON=$PID
  until_true 60 status_of_daemon
  login_begins
  [[ $(parameter redirect_uri) =~ ^'http://[::1]:'[0-9]+/callback$ ]]
  in_namespace "$IDP/authorize" "$URL"
  [ "$(answered .ok)" = true ]
}

@test "neither code nor verifier nor state is in a log" {
  login_begins
  local state back code
  state=$(parameter state)
  back=$(NO_CALLBACK=1 "$IDP/authorize" "$URL")
  code=$(grep -oE 'code=[^&]*' <<<"$back")
  curl -sS "$back" >"$QF/page"
  [ "$(answered .ok)" = true ]
  run ! grep -qF "$state" "$QF/tokend.log"
  run ! grep -qF "${code#code=}" "$QF/tokend.log"
}
