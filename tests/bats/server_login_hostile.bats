#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A login by the server itself at a provider that means harm, in each of the three requests that it makes. Every time: a
# sentence for the person, one line in the audit log, within the time of the code, and the process that asks lives on.

load helpers

setup_file() {
  fabric_begin
  hostile_provider_start
  FAULTS='hang drip cut reset redirect headers endless html empty nested'
  CASES=$("$PYTHON" -c 'import re, sys; print(*re.findall(r"^    \"([a-z0-9-]+)\": \(\{", open(sys.argv[1]).read(), re.M))' \
    "$TOP/tests/bats/servers/provider.py")
  for request in discovery device token; do
    for fault in $FAULTS; do CASES+=" $fault-$request"; done
  done
  export FAULTS CASES
  fabric_write "$(jq -nr --arg cases "$CASES" --arg url "$(cat "$QF/url")" --arg ca "$QF/tls.pem" '
    [$cases | split(" ")[] | {name: ., issuer: "\($url)/\(.)", audiences: ["nobody"], max_token_age: 600, ca_file: $ca,
      server_login: {client_id: "of-the-servers", client_secret: "secret-of-the-servers"}}] | ".issuers += \(.)"')"
  server_start --max-device-logins 100 --per-source-max-device-logins 100 --max-startups 100 --per-source-max-startups 100
  keyfetch >"$QF/keyfetch"
}
teardown_file() { fabric_end; }
keyfetch() { pgrep -P "$(listener_pid)" -f qf-keyfetch; }
memory() { awk '/^VmHWM/ { print $2 }' "/proc/$(cat "$QF/keyfetch")/status"; } # KiB, the most that there was
asked() { grep -c "^$1\$" "$QF/requests"; }

# person CASE: presses Enter at each question; what is shown goes to $QF/shown-CASE.
person() {
  printf '%s\n\n' "$1" | timeout 100 "$PYTHON" "$TOP/tests/bats/foreign_login.py" interactive "$ADDRESS" "$TARGET" true \
    >"$QF/shown-$1" 2>&1 3>&-
}
# persons CASE…: all at once; nobody gets in.
persons() {
  local case pids=() status
  for case in "$@"; do
    person "$case" &
    pids+=($!)
  done
  for case in "$@"; do
    status=0
    wait "${pids[0]}" || status=$?
    pids=("${pids[@]:1}")
    [ "$status" = 255 ] || { echo "$case: $status" && cat "$QF/shown-$case" && return 1; }
    until_true 20 audited "$case"
  done
  # the process that has asked is the same one
  [ "$(keyfetch)" = "$(cat "$QF/keyfetch")" ]
}
# audited CASE: one login that was refused names its issuer
audited() {
  [ "$(audit -s --arg issuer "issuer $1 (" '[.[] | select(.event == "login" and .method == "device" and (.allowed | not) and
    (.reason | contains($issuer)))] | length')" = 1 ]
}
# says CASE WORDS…: that, and nothing that moves a cursor
says() {
  local case=$1 words
  shift
  for words in "$@"; do grep -aqF "$words" "$QF/shown-$case" || { cat -v "$QF/shown-$case" && return 1; }; done
  run -1 grep -aqP '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]' "$QF/shown-$case"
}

@test "hanging, or a byte a second, at each of the three requests: an end within the time of an answer" {
  persons {hang,drip}-{discovery,device,token}
  for fault in hang drip; do
    for request in discovery device; do says $fault-$request 'Authentication failed: issuer '$fault-$request 'did not answer in time (15 s)' 'hint: '; done
    says $fault-token "the login at issuer $fault-token" 'did not end within 5 s' 'did not answer in time (15 s)' 'hint: '
  done
}

@test "cut off in the middle of an answer, or of its first line" {
  persons {cut,reset}-{discovery,device,token}
  for fault in cut reset; do
    for request in discovery device token; do says $fault-$request 'Authentication failed: ' "issuer $fault-$request" 'cannot reach 127.0.0.1:' 'hint: '; done
  done
}

@test "redirects are not followed, with no request" {
  persons redirect-{discovery,device,token}
  for request in discovery device token; do says redirect-$request 'answers with a redirect (HTTP 307), which is not followed' 'hint: '; done
  [ ! -s "$QF/visits" ]
  # the server there would have seen one
  curl -s --max-time 5 "$(cat "$QF/elsewhere")" || :
  until_true 20 test -s "$QF/visits"
}

@test "headers and bodies without end, in bounded memory" {
  before=$(memory)
  persons {headers,endless}-{discovery,device,token}
  for fault in headers endless; do
    for request in discovery device token; do says $fault-$request 'is longer than ' 'hint: '; done
  done
  echo "$before KiB, then $(memory) KiB"
  [ "$(memory)" -lt $((before + 20000)) ]
}

@test "no JSON: a page, nothing, brackets without end" {
  persons {html,empty,nested}-{discovery,device,token}
  for fault in html empty nested; do
    says $fault-discovery 'its discovery document is not JSON' 'hint: '
    says $fault-device 'the device authorization answer is not a JSON object' 'hint: '
    says $fault-token 'the token answer is not a JSON object' 'hint: '
  done
}

@test "tokens that are none, and error texts of 10 KB" {
  persons token-100k token-number token-none error-10k
  says token-100k '"id_token" of the token answer is longer than 16384 bytes' 'hint: '
  for case in token-number token-none; do
    says $case '"id_token" of the token answer is missing' "hint: \"scopes\" in \"server_login\" of issuer \"$case\" in the fabric document must hold openid"
  done
  says error-10k 'the token is refused: xxx' 'hint: '
  [ "$(grep -a 'the token is refused: xxx' "$QF/shown-error-10k" | wc -c)" -lt 1500 ]
}

@test "addresses and codes that nobody should see or type" {
  local uris=(uri-{control,lines,script,data,plain,user,10k}) codes=(code-{10k,control,number})
  persons "${uris[@]}" uri-script-complete "${codes[@]}" no-code
  for case in "${uris[@]}"; do says "$case" '"verification_uri" of the device authorization answer is missing or no URL to open' 'hint: '; done
  says uri-script-complete '"verification_uri_complete" of the device authorization answer'
  for case in "${codes[@]}"; do says "$case" '"user_code" of the device authorization answer is missing or nothing that a person could type' 'hint: '; done
  says no-code '"device_code" of the device authorization answer is missing' 'hint: '
  # none of it was asked about again
  for case in "${uris[@]}" "${codes[@]}"; do [ "$(asked "$case token")" = 0 ]; done
}

@test "intervals and lifetimes that nobody means; slow_down without end" {
  local intervals=(interval-{0,negative,huge,text,list}) short=(expires-{0,negative}) long=(expires-{huge,text})
  persons "${intervals[@]}" "${short[@]}" "${long[@]}" slow-down
  for case in "${intervals[@]}"; do
    says "$case" "nobody finished the login at issuer $case" 'within 4 s' 'hint: '
    [ "$(asked "$case token")" -le 4 ]
  done
  for case in "${short[@]}"; do says "$case" 'within 1 s' 'hint: '; done
  for case in "${long[@]}"; do says "$case" 'was denied' 'hint: '; done
  # after 1, 7 seconds, and no more
  says slow-down 'nobody finished the login' 'within 9 s' 'hint: '
  [ "$(asked 'slow-down token')" -le 2 ]
}

@test "a provider that fails at every other poll is said to fail once" {
  persons now-and-then
  says now-and-then 'the login at issuer now-and-then'
  [ "$(asked 'now-and-then token')" -ge 4 ]
  [ "$(grep -c 'device login: 127.0.0.1:.* answers HTTP status 503' "$QF/qf-up.log")" = 1 ]
}

@test "after all of that a login still begins, and no secret is in any log" {
  persons nothing-wrong
  says nothing-wrong 'the login at issuer nothing-wrong' 'was denied'
  run -1 grep -rqF secret-of-the-servers "$AUDIT" "$QF/qf-up.log" "$QF"/shown-*
}
