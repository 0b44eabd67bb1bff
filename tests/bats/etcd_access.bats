#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# etcd with users and TLS, as its own clients use it; and who writes: publish by two at once, without the right to, in many
# transactions, and a machine that enrolls itself.

load helpers
load sources
load etcd

setup_file() {
  etcd_file_begin 1
  tls_files
}
teardown_file() { etcd_file_end; }
setup() {
  etcd_begin 1
  tls=
}
teardown() {
  [ -z "$tls" ] || etcd_remove "$tls"
  etcd_end
}

# Certificates of an authority for 127.0.0.1 and for clients, and of another one, in $FILE.
tls_files() {
  cd "$FILE" || return
  local name
  for name in ca wrong; do
    openssl req -x509 -newkey ed25519 -nodes -days 2 -keyout $name.key -out $name.pem -subj /CN=$name 2>/dev/null
  done
  for name in server client; do
    openssl req -new -newkey ed25519 -nodes -keyout $name.key -out $name.csr -subj /CN=$name 2>/dev/null
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $name.pem \
      -extfile <(echo "subjectAltName=IP:127.0.0.1") 2>/dev/null
  done
  openssl req -new -newkey ed25519 -nodes -keyout stranger.key -out stranger.csr -subj /CN=stranger 2>/dev/null
  openssl x509 -req -in stranger.csr -CA wrong.pem -CAkey wrong.key -CAcreateserial -days 2 -out stranger.pem 2>/dev/null
  chmod 644 ./*.pem
}

@test "TLS with client certificates: the right ones, none, a stranger's, a server of another authority" {
  tls=$PWD/tls
  PLAIN=https etcd_cluster "$tls" 1 --cert-file "$FILE/server.pem" --key-file "$FILE/server.key" --client-cert-auth \
    --trusted-ca-file "$FILE/ca.pem"
  url=etcd://127.0.0.1:$(cut -d' ' -f1 "$tls/ports")$prefix
  with=(--document-ca-file "$FILE/ca.pem" --document-cert-file "$FILE/client.pem" --document-key-file "$FILE/client.key")
  first() { publish 1 . "${with[@]}"; }
  until_true 60 first
  run -71 apply
  run -71 apply --document-ca-file "$FILE/ca.pem"
  run -71 apply --document-ca-file "$FILE/wrong.pem" "${with[@]:2}"
  [[ $output == *"no authority that is trusted by --document-ca-file"* ]]
  run -71 apply "${with[@]:0:2}" --document-cert-file "$FILE/stranger.pem" --document-key-file "$FILE/stranger.key"
  run -71 apply "${with[@]:0:2}" --document-cert-file "$FILE/client.pem" --document-key-file "$FILE/server.key"
  [ ! -e state/peers.mdb ]
  chmod 604 "$FILE/client.key"
  run -78 apply "${with[@]}"
  [[ $output == *"is a secret, and others can read or write it"* ]]
  chmod 600 "$FILE/client.key"
  run -0 apply "${with[@]}"
  serial_is 1
  # remembered; the key itself is in no argument and no file of ours
  start
  until_true 60 watches
  run ! grep -aq "PRIVATE KEY" "/proc/$(keyfetch)/cmdline" "/proc/$(keyfetch)/environ"
  publish 2 . "${with[@]}"
  until_true 60 serial_is 2
  run ! grep -rq "PRIVATE KEY" state/choices.json state/document-source.json
  stop
}

@test "users of etcd: who reads, who writes, a wrong password, a token that has gone" {
  publish 1
  etcdctl user add root:r >/dev/null
  etcdctl user grant-role root root >/dev/null
  etcdctl user add reader:readpw >/dev/null
  etcdctl user add writer:writepw >/dev/null
  for role in reader:read writer:readwrite; do
    etcdctl role add "${role%:*}" >/dev/null
    etcdctl role grant-permission --prefix=true "${role%:*}" "${role#*:}" "$prefix/" >/dev/null
    etcdctl user grant-role "${role%:*}" "${role%:*}" >/dev/null
  done
  etcdctl auth enable >/dev/null
  for user in reader:readpw writer:writepw reader:wrong; do
    file=user-${user%pw} && file=${file/:/-}
    echo "$user" >"$file"
    chmod 600 "$file"
  done
  reader="--document-user-file $PWD/user-reader-read" writer="--document-user-file $PWD/user-writer-write"
  all_of_it() {
    run -71 apply
    [[ $output == *"user name is empty"*"--document-user-file"* ]]
    run -71 apply --document-user-file "$PWD/user-reader-wrong"
    [[ $output == *"etcd refuses: "*"authentication failed"*"hint: are user and password in the file"* ]]
    run -0 apply $reader
    serial_is 1
    run -71 publish 2 . $reader
    [[ $output == *"permission denied"*"nothing was written"*"may read and write the keys from $prefix/"* ]]
    run -0 publish 2 . $writer
    start
    until_true 60 serial_is 2
    until_true 60 watches
    run -0 publish 3 . $writer
    until_true 60 serial_is 3
    # what users may do was changed: tokens of before are refused, and another one is asked for
    etcdctl --user root:r role add later >/dev/null
    run -0 publish 4 . $writer
    until_true 60 serial_is 4
    etcdctl --user root:r role revoke-permission --prefix=true reader "$prefix/" >/dev/null
    kill -HUP "$up"
    until_true 60 alarm "permission denied"
    etcdctl --user root:r role grant-permission --prefix=true reader read "$prefix/" >/dev/null
    until_true 60 no_alarm
    stop
    run ! grep -rq readpw state log
  }
  local failed=0
  all_of_it || failed=1
  # for the other tests, whatever became of this one
  etcdctl --user root:r auth disable >/dev/null
  return $failed
}

@test "publish: not signed for these peers, not the next one, not a document" {
  run -0 publish 3
  run -78 publish 3
  [[ $output == *"serial 3 is not higher than 3, which is at $url"*"raise the serial"* ]]
  run -78 publish 4 '.domain = "other.example"'
  [[ $output == *"is of the fabric other.example, and fabric.example is at"* ]]
  run -78 publish 4 '.peers[0].ssh = 1'
  run -78 publish 4 '.expires = "2023-11-14T22:13:20Z"'
  [[ $output == *"serial 4 has expired, at 2023-11-14T22:13:20Z; nothing was written"*"later \"expires\""* ]]
  document 4
  run -78 "$BIN/qf-up" publish new.json --document "$url" --document-signers "$PWD/signers" --sign-key "$FILE/other"
  [[ $output == *"no peer would take it: "*"its key is of no signer"*"list the key of --sign-key in $PWD/signers"* ]]
  run -78 "$BIN/qf-up" publish new.json --document "$url" --document-signers "$PWD/signers" --sign-key /nowhere
  [[ $output == *"ssh-keygen does not sign with /nowhere"* ]]
  run -78 "$BIN/qf-up" publish new.json --document "$url" --document-signers "$PWD/signers"
  [[ $output == *"give --sign-key KEY"* ]]
  run -78 "$BIN/qf-up" publish new.json --document https://h/x --document-signers "$PWD/signers" --sign-key "$FILE/ops"
  [[ $output == *"in etcd alone"* ]]
  run -64 "$BIN/qf-up" publish --sign-key x
  run -64 "$BIN/qf-up" publish a b
  [ "$(get fabric.json | jq .serial)" = 3 ]
  # the private half in an agent
  eval "$(ssh-agent -s)" >/dev/null
  ssh-add -q "$FILE/ops"
  mkdir public && cp "$FILE/ops.pub" public
  run "$BIN/qf-up" publish new.json --document "$url" --document-signers "$PWD/signers" --sign-key public/ops.pub
  kill "$SSH_AGENT_PID"
  [ "$status" = 0 ]
  # what nobody has signed does not stand in the way of who may
  put fabric.json <<<'{"serial": 99}'
  run -0 publish 5
  [[ $output == *"what is there is replaced: the signature"* ]]
}

@test "two publish at once: one document is there, and who loses has written nothing" {
  publish 1 . --one-key-per-part
  for one in a b; do
    jq ".serial = 2 | .policies[0][\"x-note\"] = \"$one\" | .policies[1][\"x-note\"] = \"$one\"" new.json >$one.json
  done
  pids=()
  for one in a b; do
    "$BIN/qf-up" publish $one.json --document "$url" --document-signers "$PWD/signers" --sign-key "$FILE/ops" >$one.log 2>&1 3>&- &
    pids+=($!)
  done
  won=0
  for pid in "${pids[@]}"; do wait "$pid" && won=$((won + 1)) || [ $? = 78 ]; done
  cat a.log b.log
  [ $won = 1 ]
  cat a.log b.log | grep -qE "somebody else has changed the document|is not higher than 2"
  run -0 apply
  serial_is 2
  [ "$(keys | grep ^policies/ | while read -r key; do get "$key" | jq -r '.["x-note"] // empty'; done | sort -u | wc -l)" = 1 ]
}

@test "a fabric of more keys than a transaction takes: peers see the old one or the new one" {
  add='.peers += [range(0; 300) | {name: "n\(.)", addresses: ["10.1.\(. / 250 | floor).\(. % 250 + 1)"], ssh: false, version: "0.61.0", ssh_host_keys: []}]'
  publish 1 . --one-key-per-part
  start
  until_true 60 serial_is 1
  until_true 60 watches
  run -0 publish 2 "$add"
  [[ $output == *": 302 keys written, 0 removed"* ]]
  until_true 60 serial_is 2
  run -0 publish 3 .
  [[ $output == *": 2 keys written, 300 removed"* ]]
  until_true 60 serial_is 3
  no_alarm
  keys >now
  run ! grep publishing now
  stop
  # and too long for one key
  run -71 publish 4 '.["x-note"] = ("x" * 1700000)' --one-document
  [[ $output == *"request is too large; nothing was written"*"--one-key-per-part"* ]]
  [ "$(get fabric.json | jq .serial)" = 3 ]
}

# entry NAME: the entry of that peer, in either form
entry() {
  if keys | grep -q "^peers/$1$"; then get "peers/$1"; else get fabric.json | jq --arg name "$1" '.peers[] | select(.name == $name)'; fi
}
enroll() {
  "$BIN/qf-up" enroll --publish --interface lo --sign-key "$FILE/ops" --document "$url" --document-signers "$PWD/signers" "$@"
}

@test "enroll --publish: added, kept up to date with what an admin wrote, refused for another machine's name" {
  publish 1 'del(.tests)'
  for form in --one-document --one-key-per-part; do
    base=$(get fabric.json | jq .serial)
    run -0 enroll --self fresh${form:6:1}
    [[ $output == *"the peer \"fresh${form:6:1}\" is published at $url with serial $((base + 1))"* ]]
    run -0 enroll --self fresh${form:6:1}
    [[ $output == *"is there as it must be, in serial $((base + 1))"* ]]
    run -0 apply
    serial_is $((base + 1))
    # an admin adds to the entry, and the next host key comes beside the one in use
    "$BIN/qf-up" check | grep -q "5 peers"
    "$BIN/qf-up" rotate-host-key >/dev/null 2>&1
    run -0 enroll --self fresh${form:6:1}
    run -0 apply
    [ "$(entry fresh${form:6:1} | jq -r '.ssh_host_keys[1]')" = "$(ssh-keygen -y -f state/ssh_host_ed25519_key.next | cut -d' ' -f1,2)" ]
    # a name of another machine
    run -78 enroll --self db1
    [[ $output == *'the peer "db1" of the document is another machine: none of its host keys is ours'*"--replace"* ]]
    [ "$(get fabric.json | jq .serial)" = $((base + 2)) ]
    rm -f state/ssh_host_ed25519_key.next
    if [ $form = --one-document ]; then
      publish $((base + 3)) 'del(.tests)' --one-key-per-part
    fi
  done
}
