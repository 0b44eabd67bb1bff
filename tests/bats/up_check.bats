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
  line=$(grep -n '"dbs"' bad.json | cut -d: -f1)
  [[ $output == "qf-up: bad.json:$line:"*': $.policies[2].destinations[0] (policy "'*'"): no peer or peer group "dbs"'* ]]
  [[ $output == *"hint: correct it and run: qf-up check bad.json"* ]]
}

@test "all faults come at once" {
  jq '.serial = "x" | .domain = 7 | .peers[0].ssh = 1' "$conf/fabric.example.json" >bad.json
  run "$bin/qf-up" check bad.json
  [ "$status" -eq 1 ]
  [[ $output == *'$.serial: expected a number, found a string'* ]]
  [[ $output == *'$.domain: expected a string, found a number'* ]]
  [[ $output == *'$.peers[0].ssh (peer "'*'"): expected true or false, found a number'* ]]
}

@test "a duplicate key is named with its JSON path" {
  echo '{"format":1,"serial":1,"domain":"a.example","peers":[{"name":"a","name":"b"}]}' >bad.json
  run "$bin/qf-up" check bad.json
  [ "$status" -eq 1 ]
  [[ $output == 'qf-up: bad.json:1:66: $.peers[0].name: duplicate key "name"'* ]]
}

@test "what people write that is no JSON is called by its name" {
  printf '\xef\xbb\xbf{"format":1}' >bad.json
  run -1 "$bin/qf-up" check bad.json
  [[ $output == "qf-up: bad.json:1:1: "*"a byte order mark: "* ]]
  printf '{"format":1, // one\n"serial":1}' >bad.json
  run -1 "$bin/qf-up" check bad.json
  [[ $output == 'qf-up: bad.json:1:14: $: a comment, which JSON does not have'*'hint: '*'"x-'* ]]
  printf '{"format":1,\n"serial":1,\n}' >bad.json
  run -1 "$bin/qf-up" check bad.json
  [[ $output == 'qf-up: bad.json:2:11: $.serial: a comma before }: none follows the last one'* ]]
}

@test "a key, a list and a command that are misspelt: what is meant is said" {
  jq '.policies[0].Sources = .policies[0].sources | del(.policies[0].sources)' "$conf/fabric.example.json" >bad.json
  run -1 "$bin/qf-up" check bad.json
  [[ $output == *'): unknown key; did you mean "sources"?'* ]]
  jq '.user_group = .user_groups | del(.user_groups)' "$conf/fabric.example.json" >bad.json
  run -1 "$bin/qf-up" check bad.json
  [[ $output == *'$.user_group: unknown key; did you mean "user_groups"?'* ]]
  [ "$(grep -c '\$\.' <<<"$output")" = 1 ]
  run -64 "$bin/qf-up" chekc bad.json
  [[ $output == *'no command "chekc"'*'hint: did you mean qf-up check?'* ]]
  run -64 "$bin/qf-up" audit shwo
  [[ $output == *'did you mean "show"?'* ]]
}

@test "each command has a help of its own, with its options and exit status" {
  for command in up check apply down status host-key machine-jwks; do
    for words in "$command --help" "$command -h" "help $command"; do
      run -0 "$bin/qf-up" $words
      [[ $output == "usage: qf-up "*"$command"*--config-dir*"exit status: 0 "*"see qf-up(8)" ]] || { echo "$words: $output" && false; }
    done
    # no option is offered that the command refuses
    for option in $(grep -oE -- '^ +--[a-z0-9-]+' <<<"$output"); do
      grep -qF -e "$option" <("$bin/qf-up" --help)
    done
  done
  # so have those that read their options by themselves
  for command in publish enroll rotate-host-key doctor diff explain "explain --who x@y" test audit; do
    run -0 "$bin/qf-up" $command --help
    [[ $output == "usage: qf-up ${command%% *} "*"exit status: 0 "*"64 wrong usage"*--config-dir* ]] || { echo "$command: $output" && false; }
  done
  run -0 "$bin/qf-up" check --help
  [[ $output != *--self* && $output != *--force* && $output != *--json* ]]
  run -0 "$bin/qf-up" status --help
  [[ $output == *--json*--detail* && $output != *--enable-ssh-sftp* ]]
  run -0 "$bin/qf-up" help
  [[ $output == "$("$bin/qf-up" --help)" ]]
  run -0 "$bin/qf-up" help explain
  [[ $output == "usage: qf-up explain "* ]]
  run -0 "$bin/qufabric" status --help
  [[ $output == "usage: qf-up status "* ]]
  run -64 "$bin/qf-up" help nonsense
}

@test "--allow-server-ssh without --self: refused, and nothing is applied" {
  for words in "apply $conf/fabric.example.json" up; do
    run -78 "$bin/qf-up" $words --allow-server-ssh --config-dir "$conf" --state-dir "$PWD/fresh" --runtime-dir "$PWD/run"
    [[ $output == *"--allow-server-ssh needs --self NAME"*"hint: "*"--self"* ]] || { echo "$words: $output" && false; }
    [ ! -e fresh/current ] && [ ! -e fresh/choices.json ]
  done
  run -0 "$bin/qf-up" apply "$conf/fabric.example.json" --state-dir "$PWD/fresh"
  # chosen later, and then remembered
  run -78 "$bin/qf-up" apply "$conf/fabric.example.json" --state-dir "$PWD/fresh" --allow-server-ssh
  jq -e '.allow_server_ssh | not' fresh/choices.json
  run -0 "$bin/qf-up" apply "$conf/fabric.example.json" --state-dir "$PWD/fresh" --allow-server-ssh \
    --self "$(jq -r '.peers[0].name' "$conf/fabric.example.json")"
  run -0 "$bin/qf-up" apply "$conf/fabric.example.json" --state-dir "$PWD/fresh" --allow-server-ssh
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
