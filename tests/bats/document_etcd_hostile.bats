#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who can write to etcd can hold a document back, and no more: nothing is rolled back, dropped or
# mixed. What is in force stays, and status says why.

load helpers
load sources
load etcd

setup_file() { etcd_file_begin 1; }
teardown_file() { etcd_file_end; }
setup() { etcd_begin 1; }
teardown() { etcd_end; }

@test "one document: rolled back, forged, unsigned, of another place, gone" {
  publish 5
  apply
  document 4
  by_hand new.json
  refused "serial 4 is older than 5, which is in force"
  document 6
  by_hand new.json other
  refused "its key is of no signer in $PWD/signers"
  sign new.json
  put fabric.json.sig <new.json.sig
  put fabric.json <<<'{}'
  refused "the signature of the document is refused: it is not of these bytes"
  etcdctl del "$prefix/fabric.json.sig" >/dev/null
  refused "there is no key fabric.json.sig under $url" "qf-up publish FILE"
  document 6 '.domain = "other.example"'
  by_hand new.json
  refused "the document is of the fabric other.example, and fabric.example is in force"
  etcdctl del --prefix "$prefix/" >/dev/null
  refused "there is no key fabric.json under"
  publish 7
  run -0 refresh
  [[ $output == *"$url is good again"* ]]
  no_alarm
}

@test "parts: dropped, changed, added, of another version, misplaced, and none of them signed" {
  publish 1 'del(.tests) | .policies += [.policies[0] | .name = "no way" | .action = "deny"]' --one-key-per-part
  apply
  get fabric.json >old.json
  get fabric.json.sig >old.sig
  get "policies/no way" >deny
  etcdctl del "$prefix/policies/no way" >/dev/null
  refused "the document has 16 parts, and fabric.json is of 17"
  head -c -1 deny | put "policies/no way"
  run -0 refresh
  head -c -1 deny | sed 's/"deny"/"allow"/' | put "policies/no way"
  refused "the parts of the document are not those of fabric.json"
  etcdctl put "$prefix/policies/another" "$(cat deny)" >/dev/null
  refused "the document has 18 parts, and fabric.json is of 17"
  etcdctl del "$prefix/policies/another" >/dev/null
  # all of an older version, signed then
  publish 2 'del(.tests)'
  run -0 refresh
  head -c -1 old.json | put fabric.json
  head -c -1 old.sig | put fabric.json.sig
  refused "the document has 16 parts, and fabric.json is of 17"
  head -c -1 deny | put "policies/no way"
  refused "serial 1 is older than 2, which is in force"
}

@test "a key that no document can have keeps nothing from being read or published" {
  local long
  long=policies/$(printf '%01100d' 0)
  publish 1 . --one-key-per-part
  etcdctl put "$prefix/$long" '{}' >/dev/null
  run -0 apply
  serial_is 1
  publish 2
  run -0 refresh
  serial_is 2
  # what lies beside one document is none of it
  publish 3 . --one-document
  etcdctl put "$prefix/policies/x" '{"name":"x"}' >/dev/null
  run -0 refresh
  serial_is 3
  document 4
  run -0 "$BIN/qf-up" publish new.json --document "$url" --document-signers "$PWD/signers" --sign-key "$FILE/ops"
  [[ $output == *"2 keys written, 1 removed"* ]]
}

@test "a root of parts whose parts are wrong, though an admin has signed it" {
  publish 1 . --one-key-per-part
  apply
  get fabric.json >root.json
  resigned() { # the digest of what is there, and the next serial
    keys | grep / | LC_ALL=C sort | while read -r key; do
      echo "$(etcdctl get --print-value-only "$prefix/$key" | head -c -1 | sha256sum | cut -d' ' -f1)  $key"
    done >lines
    jq --arg sum "$(sha256sum <lines | cut -d' ' -f1)" --argjson count "$(wc -l <lines)" \
      "$1 | .serial += 1 | .parts = {count: \$count, sha256: \$sum}" root.json >new.json
    by_hand new.json
  }
  etcdctl put "$prefix/policies/x" '{"name":"y"}' >/dev/null
  resigned .
  refused 'policies/x: its "name" is not "x"'
  etcdctl put "$prefix/policies/x" '{"name":"x"}, {"name":"z"}' >/dev/null
  resigned .
  refused 'policies/x: line 1 column 13'
  etcdctl put "$prefix/policies/x" '{"name":"x"}' >/dev/null
  resigned .
  refused '$.policies[' 'policy "x"'
  etcdctl del "$prefix/policies/x" >/dev/null
  resigned '.peers = []'
  refused '$.peers: there are parts of this name too'
  jq '.parts = 5' root.json >new.json
  by_hand new.json
  refused '$.parts: expected'
  resigned .
  run -0 refresh
  serial_is 2
}

@test "the running qf-up: a torn write is waited out, and is an alarm when it lasts" {
  publish 1 . --one-key-per-part
  start
  until_true 60 serial_is 1
  until_true 60 watches
  document 2
  sign new.json
  # one key after the other, as etcdctl puts them
  put fabric.json <new.json
  for_a_while 0.5
  no_alarm
  put fabric.json.sig <new.json.sig
  until_true 60 serial_is 2
  no_alarm
  run ! grep -q "signature" log
  # and one that stays so
  put fabric.json <<<'{}'
  until_true 60 alarm "it is not of these bytes"
  serial_is 2
  publish 3
  until_true 60 serial_is 3
  until_true 60 no_alarm
  # a refused document does not end the watch
  document 2
  by_hand new.json
  until_true 60 alarm "serial 2 is older than 3"
  publish 4
  until_true 60 serial_is 4
  stop
}

@test "choices: an etcd URL, files that belong together, secrets for us alone" {
  for wrong in etcd:// etcd://h etcd://h/ etcd:///x "etcd://h/x/" "etcd://h//x" "etcd://u@h/x" "etcd://h:0/x" "etcd://h:70000/x" \
    "etcd://h,/x" "etcd://h,h/x" "etcd://h/x?y" "etcd://h/x#y" "etcd://h/a b" "etcd://[::1/x" "etcd://::1/x" "etcd://h/%2e"; do
    echo "$wrong"
    run -64 "$BIN/qf-up" apply --document "$wrong" --document-signers "$PWD/signers"
    [[ $output == *"--document "* ]]
  done
  run -78 "$BIN/qf-up" apply --document "$url"
  [[ $output == *"--document needs --document-signers FILE"* ]]
  run -78 apply --document-cert-file /x
  [[ $output == *"--document-cert-file and --document-key-file belong together"* ]]
  run -78 "$BIN/qf-up" apply --document https://h/x --document-signers /x --document-user-file /x
  [[ $output == *"are for etcd alone"* ]]
  run -64 apply --document-user-file x
  publish 1
  echo nobody >user
  run -78 apply --document-user-file "$PWD/user"
  [[ $output == *"is a secret, and others can read or write it"*"chmod 600"* ]]
  chmod 600 user
  run -78 apply --document-user-file "$PWD/user"
  [[ $output == *"is not USER:PASSWORD"* ]]
  [ ! -e state/choices.json ]
  run -78 refresh --follow --document https://127.0.0.1/x --document-signers "$PWD/signers"
  [[ $output == *"--follow is for a document in etcd alone"* ]]
}
