#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up check: a wrong fabric document is refused with the place of each fault, and changes nothing.

bats_require_minimum_version 1.5.0

setup() {
  bin=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin
  conf=$BATS_TEST_DIRNAME/../../conf
  unset QF_CONFIG_DIR QF_STATE_DIR QF_RUNTIME_DIR
  cd "$BATS_TEST_TMPDIR"
}

@test "the example document is good" {
  run "$bin/qf-up" check "$conf/fabric.example.json"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *": good; serial "* ]]
}

@test "the examples for workload identities are good" {
  local example
  for example in github gitlab kubernetes; do
    run "$bin/qf-up" check "$conf/examples/$example.json"
    echo "$output"
    [ "$status" -eq 0 ]
  done
}

@test "a dangling reference is named with its JSON path" {
  jq '.policies[2].destinations[0] = "dbs"' "$conf/fabric.example.json" >bad.json
  run "$bin/qf-up" check bad.json
  echo "$output"
  [ "$status" -eq 1 ]
  [[ $output == *'qf-up: $.policies[2].destinations[0]: no peer or peer group "dbs"'* ]]
  [[ $output == *"hint: correct it and run: qf-up check bad.json"* ]]
}

@test "all faults come at once" {
  jq '.serial = "x" | .domain = 7 | .peers[0].ssh = 1' "$conf/fabric.example.json" >bad.json
  run "$bin/qf-up" check bad.json
  [ "$status" -eq 1 ]
  [[ $output == *'$.serial: expected a number, found a string'* ]]
  [[ $output == *'$.domain: expected a string, found a number'* ]]
  [[ $output == *'$.peers[0].ssh: expected true or false, found a number'* ]]
}

@test "a duplicate key is named with its JSON path" {
  echo '{"format":1,"serial":1,"domain":"a.example","peers":[{"name":"a","name":"b"}]}' >bad.json
  run "$bin/qf-up" check bad.json
  [ "$status" -eq 1 ]
  [[ $output == *'$.peers[0].name: line 1 column 66: duplicate key "name"'* ]]
}

@test "control characters of a document do not reach the terminal" {
  printf '{"format":1,"serial":1,"domain":"a.example","\\u001b[31m\\u000aforged line":1}' >bad.json
  run "$bin/qf-up" check bad.json
  [ "$status" -eq 1 ]
  [[ $output != *$'\e'* ]]
  [[ ${lines[0]} == *"forged line"* ]]
}

@test "a missing document is said with what to do" {
  run "$bin/qf-up" --config-dir "$PWD/none" check
  [ "$status" -eq 78 ]
  [[ $output == *"cannot open $PWD/none/fabric.json"* ]]
  [[ $output == *"hint: "* ]]
}

@test "wrong usage exits 64 with a hint" {
  for words in "--bogus" "frobnicate" "check a b" "apply --enable-ssh-sftp=maybe" "apply --ssh-jwt-cache-ttl x" \
    "apply --ssh-config-file relative" "down x"; do
    # shellcheck disable=SC2086
    run "$bin/qf-up" $words
    echo "$words: $status $output"
    [ "$status" -eq 64 ]
    [[ $output == *"hint: run qf-up --help"* ]]
  done
}

@test "a switch does not take the next word for its value" {
  run "$bin/qf-up" --state-dir "$PWD/state" apply --enable-ssh-sftp "$conf/fabric.example.json"
  echo "$output"
  [ "$status" -eq 0 ]
  jq -e .enable_ssh_sftp state/choices.json
}

@test "--help and --version" {
  run "$bin/qf-up" --help
  [ "$status" -eq 0 ]
  run "$bin/qf-up" --version
  [ "$output" = "qf-up $(cat "$BATS_TEST_DIRNAME/../../VERSION")" ]
  run "$bin/qufabric" --version
  [ "$output" = "qufabric $(cat "$BATS_TEST_DIRNAME/../../VERSION")" ]
}

@test "one of something is no plural" {
  echo '{"format":1,"serial":1,"domain":"a.example","peers":[{"name":"a","addresses":["127.9.9.9"]}]}' >one.json
  run -0 "$bin/qf-up" check one.json
  [[ $output == *": good; serial 1, 0 issuers, 1 peer, 0 policies" ]]
}

@test "a format that is another one" {
  echo '{"format":2,"serial":1,"domain":"a.example"}' >bad.json
  run -1 "$bin/qf-up" check bad.json
  [[ $output == *'$.format: must be 1'$'\n'* ]]
}

@test "an option that means nothing to a command is refused" {
  for words in "check --enable-ssh-root" "check --json" "status --force" "apply --json" "down --self a" "host-key --force" \
    "status --ssh-jwt-cache-ttl 5" "--help extra" "up --json"; do
    run -64 "$bin/qf-up" $words
    [[ $output == "qf-up: "*"hint: run qf-up --help" ]] || { echo "$words: $output" && false; }
  done
  for words in "--version --x" "--help extra" "-h up"; do
    run -64 "$bin/qufabric" $words
    [[ $output == *"hint: run qufabric --help" ]]
  done
  run -0 "$bin/qf-up" -h
  [[ $output == *"--self NAME"* && $output != *" arg"* ]]
  run -0 "$bin/qufabric" -h
}
