#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-tokend and a provider that means harm, in each of the three requests of a device login; the cases are those of
# server_login_hostile.bats. Every time: a sentence for who waits, within the time of the code, and the daemon lives on.

load tokend_helpers

setup() {
  fabric_begin
  hostile_provider_start
  PLACES="--config-dir $QF/config --state-dir $QF/state"
  RUNTIME=$(runtime_of "$CLIENT")
  SOCKET=$RUNTIME/tokend.sock
}
teardown() { fabric_end; }
memory() { awk '/^VmHWM/ { print $2 }' "/proc/$DAEMON/status"; } # KiB, the most that there was

# logins CASE…: all at once; nobody gets a token, and each is told in words about its issuer.
logins() {
  local case pids=()
  fabric_write "$(jq -nr --arg cases "$*" --arg url "$(cat "$QF/url")" --arg ca "$QF/tls.pem" '
    [$cases | split(" ")[] | {name: ., issuer: "\($url)/\(.)", audiences: ["nobody"], max_token_age: 600, ca_file: $ca,
      client: {client_id: "nobody", flow: "device"}}] | ".issuers = \(.) + .issuers"')"
  apply 3600
  daemon_start
  before=$(memory)
  for case in "$@"; do
    ask_in_background "$QF/answer-$case" "$(jq -nc --arg issuer "$case" '{version: 1, op: "login", issuer: $issuer, interactive: true}')"
    pids+=("$PID")
  done
  wait "${pids[@]}"
  for case in "$@"; do
    last "$QF/answer-$case" -e --arg case "$case" '(.ok | not) and (.error | IN("provider", "expired", "access_denied")) and
      (.message | contains("issuer \($case) (")) and (.message | test("[\u0000-\u001f\u007f]") | not) and .hint != ""' >/dev/null ||
      { cat -v "$QF/answer-$case" && return 1; }
  done
  [ "$(ask_status | jq .pid)" = "$DAEMON" ]
  echo "$before KiB, then $(memory) KiB"
  [ "$(memory)" -lt $((before + 40000)) ]
}

@test "answers that do not come, are cut off, lead elsewhere, have no end, or are no JSON" {
  logins {hang,drip,cut,reset,redirect,headers,endless,html,empty,nested}-{discovery,device,token}
  [ ! -s "$QF/visits" ]
}

@test "answers that no provider gives" {
  logins token-{100k,number,none} error-10k interval-{0,negative,huge,text,list} expires-{0,negative,huge,text} \
    uri-{control,lines,script,data,plain,user,10k,script-complete} code-{10k,control,number} no-code slow-down now-and-then
  [ "$(grep -c 'now-and-then: .* answers HTTP status 503' "$QF/tokend.log")" = 1 ]
}
