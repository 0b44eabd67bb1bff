#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-token from a shell: its answers and exit codes.

load tokend_helpers

setup_file() {
  tokend_begin 3600 && daemon_start
  export DAEMON
}
teardown_file() { fabric_end; }
setup() { ask '{"version":1,"op":"logout"}' >"$QF/logout"; }

@test "status: exit 1 without a token, 0 with one" {
  run -1 token status
  [[ $output == *"corp: no token"* ]]
  log_in
  run -0 token status
  [[ $output == *"corp: alice, good for "*"bound to this login's key"* ]]
  [[ $output == *"machine: no token yet; the next connection gets one without asking"* ]]
}

@test "status --json is the daemon's answer" {
  run -1 token status --json
  [ "$(jq -r '.issuers[0].state' <<<"$output")" = none ]
  log_in
  run -0 token status --json
  [ "$(jq -r '.issuers[0] | .state + " " + .subject' <<<"$output")" = "cached alice" ]
  [ "$(jq '.issuers[0].ttl_left > 0' <<<"$output")" = true ]
  [ "$(jq .ttl <<<"$output")" = 3600 ]
}

@test "show prints the JWT, and --claims what is in it" {
  run -1 token show
  [[ $output == *"no token of issuer corp"*"hint: "*"qf-token login"* ]]
  log_in
  run -0 --separate-stderr token show
  [[ $output =~ ^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$ ]]
  run -0 --separate-stderr token show --claims
  [ "$(jq -r .sub <<<"$output")" = alice ]
  [ "$(jq -c .groups <<<"$output")" = '["eng","admins"]' ]
}

@test "login when logged in is no second login" {
  log_in
  local before
  before=$(hits /device/auth)
  run -0 token login
  [[ $output == *"logged in at corp as alice, for "* ]]
  [ "$(hits /device/auth)" = "$before" ]
}

@test "issuers are kept apart" {
  log_in
  run -0 token login --issuer machine
  run -0 token show --issuer machine --claims
  [ "$(jq -r .sub <<<"$output")" = "$CLIENT" ]
  run -0 token logout --issuer machine
  run -1 token show --issuer machine
  run -0 token show --issuer corp
}

@test "an issuer that is not there" {
  run -1 token login --issuer nobody
  [[ $output == *'no issuer "nobody"'*"hint: its issuers: corp, machine"* ]]
  run -1 token logout --issuer nobody
  [[ $output == *'no issuer "nobody"'*"hint: its issuers: corp, machine"* ]]
}

@test "wrong usage exits 64 with a hint" {
  local words
  for words in "" "dance" "login extra" "--bogus" "status --claims" "show --json" "stop --issuer corp" "--iss x login"; do
    run -64 as_client "$BIN/qf-token" $words
    [[ $output == "qf-token: "*"hint: run qf-token --help"* ]]
  done
  for words in "--ttl x" "--ttl -1" "extra" "--issuer x" "--machine-issuer --ttl 5" "--bogus"; do
    run -64 as_client "$BIN/qf-tokend" $words
    [[ $output == "qf-tokend: "*"hint: run qf-tokend --help"* ]]
  done
  run -64 "$BIN/qf-tokend" extra
  [[ $output == *'unexpected word "extra"'* ]]
}

@test "--help and --version" {
  local program
  for program in qf-token qf-tokend; do
    run -0 "$BIN/$program" --version
    [ "$output" = "$program $(cat "$TOP/VERSION")" ]
    run -0 "$BIN/$program" --help
    [[ $output == "usage: $program"* ]]
    [ "$("$BIN/$program" -h)" = "$output" ]
  done
}

@test "without a daemon: status says so, logout and stop have nothing to do, and none is started" {
  local places="$PLACES --runtime-dir $QF/home/$CLIENT/none"
  as_client mkdir -m 700 -p "$QF/home/$CLIENT/none"
  run -1 as_client "$BIN/qf-token" status $places
  [[ $output == *"not running"* ]]
  run -1 as_client "$BIN/qf-token" status --json $places
  [ "$(jq -r .error <<<"$output")" = not_running ]
  run -1 as_client "$BIN/qf-token" show $places
  run -0 as_client "$BIN/qf-token" logout $places
  run -0 as_client "$BIN/qf-token" logout --issuer corp $places
  run -1 as_client "$BIN/qf-token" logout --issuer nobody $places
  [[ $output == *'no issuer "nobody"'*"hint: its issuers: corp, machine"* ]]
  run -0 as_client "$BIN/qf-token" stop $places
  [ ! -e "$QF/home/$CLIENT/none/tokend.sock" ]
}

@test "a runtime folder that others may enter: what to do is a hint" {
  local places="$PLACES --runtime-dir $QF/home/$CLIENT/open"
  as_client mkdir -m 755 "$QF/home/$CLIENT/open"
  run -71 as_client "$BIN/qf-token" login $places
  [[ $output == *"must have mode 0700"*$'\n'"hint: run: chmod 0700 $QF/home/$CLIENT/open"* ]]
}

@test "each command has a help of its own, and one that is misspelt says what is meant" {
  for command in login show status logout stop; do
    for words in "$command --help" "$command -h" "help $command"; do
      run -0 "$BIN/qf-token" $words
      [[ $output == "usage: qf-token $command"*"exit status: 0 "*"see qf-token(1)" ]] || { echo "$words: $output" && false; }
    done
  done
  run -0 "$BIN/qf-token" login --help
  [[ $output == *--renew* && $output != *--claims* && $output != *--json* ]]
  run -64 token lgoin
  [[ $output == *'did you mean "login"?'* ]]
}
