#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A bad fabric document, of every kind, while a server runs: check and apply refuse it with the place and a reason, what is
# in force stays to the byte, and who is connected notices nothing. Every key, type, reference and name of the format is
# tried in tests/unit/up_bad_documents_test.cc; here is one of each kind, given to the programs.

load helpers.bash

setup() {
  fabric_begin
  fabric_write
  server_start
  good=$QF/config/fabric.json
  bad=$QF/bad.json
}
teardown() { fabric_end; }

# All that counts, and nothing beside it.
in_force() {
  (cd "$QF/state" && sha256sum policy.mdb peers.mdb known_hosts choices.json 99-qufabric.conf && ls -i applied.* current -d)
}

# refused TEXT [STATUS]: what lies in $bad, by check and by apply, with TEXT in the message.
refused() {
  run "-${2:-1}" timeout 60 "$BIN/qf-up" check "$bad" $FOLDERS
  [[ $output == *"$1"*"hint: "* ]] || { echo "check: $output" && false; }
  run -78 timeout 60 "$BIN/qf-up" apply "$bad" $FOLDERS
  [[ $output == *"$1"*"hint: "* ]] || { echo "apply: $output" && false; }
  in_force | diff "$QF/before" - || { echo "changed by: $1" && false; }
}
# refused_with JQ-FILTER TEXT
refused_with() {
  jq ".serial += 1 | $1" "$good" >"$bad"
  refused "$2"
}
# replaced FROM TO TEXT: bytes that jq would not write
replaced() {
  "$PYTHON" -c 'import os, sys
text = sys.stdin.buffer.read()
start, end = (os.fsencode(word).decode("unicode_escape").encode("latin-1") for word in sys.argv[1:])
assert start in text
sys.stdout.buffer.write(text.replace(start, end, 1))' "$1" "$2" <"$good" >"$bad"
  refused "$3"
}

@test "one document of each bad kind is refused with its place, and the running server does not notice" {
  in_force >"$QF/before"
  # somebody who is logged in all the while
  mkfifo "$QF/in"
  exec 8<>"$QF/in"
  as_words "$CLIENT"
  "${AS[@]}" timeout 600 ssh -F "$CONF" -l "$TARGET" server 'echo here; cat' <&8 >"$QF/session" 2>&1 3>&- 4>&- &
  session=$!
  note_process "$session"
  until_true 60 grep -q here "$QF/session"
  listener=$(listener_pid)

  refused_with '.peers[0].adresses = []' '$.peers[0].adresses (peer "server"): unknown key'
  refused_with '.policies[0].Enabled = true' '$.policies[0].Enabled (policy "all"): unknown key'
  refused_with '.polices = .policies | del(.policies)' '$.polices: unknown key; did you mean "policies"?'
  refused_with '.peers[0].ssh_host_keys = ["ssh-ed25519 AAAA..."]' "a placeholder is in the key's place; qf-up host-key prints it"
  refused_with '.serial = "7"' '$.serial: expected a number, found a string'
  refused_with '.peers = {}' '$.peers: expected a list, found an object'
  refused_with '.policies[0].enabled = null' '$.policies[0].enabled (policy "all"): expected true or false, found null'
  refused_with 'del(.domain)' '$.domain: missing'
  refused_with '.policies[0].sources = ["nobody"]' '$.policies[0].sources[0] (policy "all"): no peer or peer group "nobody"'
  refused_with '.policies[0].sources = ["Client"]' '(there is "client")'
  refused_with '.peer_groups.servers = ["server2"]' '$.peer_groups.servers[0]: no peer "server2"'
  refused_with '.user_groups.people = ["nobody:x"]' '$.user_groups.people[0]: no issuer "nobody"'
  refused_with '.policies[0].authorized_groups = {"others": []}' '$.policies[0].authorized_groups.others (policy "all"): no user group "others"'
  refused_with '.peers[1].addresses = .peers[0].addresses' 'is an address of the peer "server" too'
  refused_with '.peers[1].name = "SERVER"' '$.peers[1].name: "SERVER" and "server" differ by letter case only'
  refused_with '.peers[1].name = "server"' '$.peers[1].name: two peers have the name "server"'
  refused_with '.user_groups.People = []' '$.user_groups.People: another one has this name in other letter case'
  refused_with '.peers[0].ssh_host_keys = ["ssh-ed25519 AAAA"]' '$.peers[0].ssh_host_keys[0] (peer "server"): the key is not of the type ssh-ed25519; qf-up host-key'
  refused_with '.peers[0].ssh_host_keys = ["garbage"]' '$.peers[0].ssh_host_keys[0] (peer "server"): '
  refused_with '.issuers[0].name = "a\u001b[31m\nb"' '$.issuers[0].name: has the control character U+001B'
  replaced '"format":' '"format": 1, "format":' ':2:16: $.format: duplicate key "format"'
  replaced '"server"' '"ser\xffver"' 'not UTF-8'
  replaced '"server"' "$(printf '[%.0s' {1..40})" 'nested too deeply'
  replaced '{' '{{' 'a key in double quotes is missing'
  : >"$bad"
  refused ':1:1: $: '
  truncate -s $((2 ** 30 + 1)) "$bad"
  refused "$bad is longer than 1073741824 bytes"
  rm "$bad"
  refused "cannot open $bad: No such file or directory" 78
  mkdir "$bad"
  refused "cannot read $bad: Is a directory" 78
  rmdir "$bad"

  # good ones that may not come into force: check has nothing against them
  jq '.serial -= 1' "$good" >"$bad"
  run -78 "$BIN/qf-up" apply "$bad" $FOLDERS
  [[ $output == *"is older than $(jq .serial "$good"), which is in force"*"hint: raise the serial"* ]]
  jq '.policies[0].enabled = false' "$good" >"$bad"
  run -78 "$BIN/qf-up" apply "$bad" $FOLDERS
  [[ $output == *"another document with serial $(jq .serial "$good") is in force"*"hint: raise the serial"* ]]
  in_force | diff "$QF/before" -

  # the running qf-up reads a bad one itself
  cp "$good" "$QF/kept"
  echo '{"format": 1, "serial": 99' >"$good"
  kill -HUP "$(qf_up)"
  until_true 30 grep -q 'fabric.json is not a valid fabric document' "$QF/qf-up.log"
  in_force | diff "$QF/before" -
  mv "$QF/kept" "$good"

  # the same server, the same session, and a new one
  [ "$(listener_pid)" = "$listener" ]
  echo still >&8
  until_true 30 grep -q still "$QF/session"
  [ "$(on_peer id -un </dev/null)" = "$TARGET" ]
  exec 8>&-
}

@test "the document with every key, which the unit tests make bad, has every key of the manual" {
  keys=$(sed -n '/^\.Ss Top level/,/^\.Ss Judgement/{/^\.It Cm/p; s/^\.Em Later.*/LATER/p}' "$TOP/man/fabric.json.5" |
    "$PYTHON" -c 'import sys
lines = sys.stdin.read().splitlines()
for line, after in zip(lines, lines[1:] + [""]):
    if line != "LATER" and after != "LATER":
        print(line.removeprefix(".It Cm ").replace(" , ", "\n"))' | sort -u)
  [ "$(wc -l <<<"$keys")" -gt 40 ]
  for key in $keys; do
    grep -q "\"$key\":" "$TOP/tests/unit/up_every_key.h" || { echo "tests/unit/up_every_key.h has no \"$key\"" && false; }
  done
}
