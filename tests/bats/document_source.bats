#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The fabric document from an https URL: a real TLS server, real signatures of ssh-keygen. Whatever the server does, what is
# in force stays, status says why, and the log says it once.

load helpers
load sources

setup() {
  QF=$(mktemp -d "${TMPDIR:-/tmp}/qf-d.XXXXXX")
  chmod 755 "$QF"
  cd "$QF"
  mkdir config www
  mkfifo tick
  export QF_CONFIG_DIR=$PWD/config QF_STATE_DIR=$PWD/state QF_RUNTIME_DIR=$PWD/run
  tls_certificate
  for name in ops other; do ssh-keygen -q -t ed25519 -N '' -C '' -f $name; done
  signers ops
  server=
  up=
  serve
  publish 1
}
teardown() {
  for pid in $up $server; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || :; done
  [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 30 log requests 2>/dev/null || :
  cd / && rm -rf "$QF"
}

# signers NAME…: who may sign
signers() {
  local name
  for name; do echo "$name@test namespaces=\"qufabric-document\" $(cut -d' ' -f1,2 "$name.pub")"; done >signers.new
  mv signers.new signers
}
# serve [PORT]
serve() {
  rm -f port
  "$PYTHON" "$TOP/tests/bats/servers/document.py" "$PWD" tls.pem tls.key "$@" >server.log 2>&1 3>&- 4>&- &
  server=$!
  until_true 60 test -s port
  url=https://127.0.0.1:$(cat port)/fabric.json
}
# publish SERIAL [JQ-FILTER] [KEY] [NAMESPACE]: a document, signed
publish() {
  jq ".serial = $1 | ${2:-.}" "$TOP/conf/fabric.example.json" >new.json
  rm -f new.json.sig
  ssh-keygen -q -Y sign -n "${4:-qufabric-document}" -f "${3:-ops}" new.json 2>/dev/null
  mv new.json.sig www/fabric.json.sig
  mv new.json www/fabric.json
}
first() { "$BIN/qf-up" apply --document "$url" --document-signers "$PWD/signers" --document-ca-file "$PWD/tls.pem" "$@"; }
apply() { "$BIN/qf-up" apply "$@"; }
start() {
  "$BIN/qf-up" up "$@" >>log 2>&1 3>&- 4>&- &
  up=$!
}
stop() { kill "$up" && wait "$up"; up=; }

@test "applied by hand, remembered, and known to status with who signed it" {
  run -0 first
  [[ $output == *"serial 1 is in force"* ]]
  [ "$(status .source.url)" = "$url" ]
  [ "$(status .source.signer)" = ops@test ]
  [ "$(status .source.error)" = null ]
  [ "$(status .source.age)" -lt 60 ]
  alarm_is 0
  [[ $("$BIN/qf-up" status) == *"document:  "*"$url, signed by ops@test"*"last good answer: "*" ago, serial 1"* ]]
  [ "$(stat -c %a state/document.kept)" = 600 ]
  publish 2
  run -0 refresh
  [[ $output == *"serial 2 is in force"* ]]
  run -0 "$BIN/qf-up" check
  [[ $output == *"$url: good; serial 2,"* ]]
  # back to the file
  jq '.serial = 3' www/fabric.json >config/fabric.json
  run -0 apply --document=
  [ "$(status .source)" = null ]
  [ ! -e state/document.kept ]
  run -78 refresh
}

@test "test without a file runs the tests of the kept document; without one it says so" {
  first
  jq '.tests = []' "$TOP/conf/fabric.example.json" >config/fabric.json
  run -0 "$BIN/qf-up" test
  [ "${lines[0]}" = "1..$(jq '.tests | length' "$TOP/conf/fabric.example.json")" ]
  [ "${lines[0]}" != 1..0 ]
  rm state/document.kept
  run ! "$BIN/qf-up" test
  echo "$output"
  [[ $output == *"no document is kept"*"hint: name a document: qf-up test FILE"* ]]
}

@test "a source needs signers, an https URL of a file, and absolute paths" {
  run -78 apply --document "$url"
  [[ $output == *"--document needs --document-signers FILE"* ]]
  for wrong in http://127.0.0.1/x /etc/x https:// "https:///x" "https://h/" "https://h" "https://h/x?y" "https://h/x#y" \
    "https://u@h/x" "https://u:p@h/x" "https://h/a b" "ftp://h/x"; do
    run -64 apply --document "$wrong" --document-signers /x
    [[ $output == *"--document "* ]]
  done
  run -64 apply --document-signers x
  run -64 apply --document-interval 0
  [ ! -e state/choices.json ]
}

@test "the same document costs a 304 and nothing else; by ETag and by date" {
  first
  : >requests
  run -0 refresh
  [ -z "$output" ]
  [ "$(cat requests)" = "/fabric.json 304 if" ]
  publish 2
  echo plain >mode
  touch -d '2026-01-01' www/fabric.json
  run -0 refresh
  : >requests
  run -0 refresh
  [ "$(cat requests)" = "/fabric.json 304 if" ]
}

@test "signatures: of other bytes, of a stranger, for another purpose, empty, none, no signature, huge" {
  first
  publish 2
  printf ' ' >>www/fabric.json
  refused "the signature of the document is refused: it is not of these bytes" ssh-keygen
  # line ends are bytes like others
  publish 2
  sed -i 's/$/\r/' www/fabric.json
  run -1 refresh
  serial_is 1
  publish 2 . other
  refused "its key is of no signer in $PWD/signers"
  publish 2 . ops file
  refused "it was made for another purpose than qufabric-document"
  publish 2
  : >www/fabric.json.sig
  refused "it is empty"
  echo hello >www/fabric.json.sig
  refused "it is no SSH signature"
  printf -- '-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n' >www/fabric.json.sig
  refused "signature of the document is refused"
  head -c 100000 /dev/zero >www/fabric.json.sig
  refused "is longer than 65536 bytes"
  rm www/fabric.json.sig
  refused "answers with HTTP status 404" "sign the document"
  publish 2
  run -0 refresh
  [[ $output == *"$url is good again"* ]]
  serial_is 2
  [ "$(status .source.error)" = null ]
}

@test "signers: rotated, expired, and a file that others could write" {
  first
  signers ops other
  publish 2 . other
  run -0 refresh
  [ "$(status .source.signer)" = other@test ]
  # who goes takes away the trust in what they signed, also when the server has nothing newer
  signers ops
  refused "its key is of no signer"
  # signed again, the same document is good
  publish 2
  run -0 refresh
  echo "ops@test valid-before=\"20200101\" $(cut -d' ' -f1,2 ops.pub)" >signers
  refused "the key of its signer has expired"
  signers ops
  chmod 666 signers
  refused "can be written by others"
  chmod 644 signers
  rm signers
  run -1 refresh
  [[ $output == *"signers"*"No such file"* ]]
  serial_is 2
}

@test "the server: down, redirecting, busy, cut off, endless, answering what was not asked, of another authority" {
  first
  publish 2
  echo redirect >mode
  refused "answers with a redirect (HTTP 302), which is not followed"
  echo busy >mode
  refused "answers with HTTP status 503"
  [ "$(jq .retry_after state/document-source.json)" = 7 ]
  echo truncated >mode
  refused "cannot reach"
  echo endless >mode
  refused "is longer than 67108864 bytes"
  echo loose >mode
  rm state/document.kept
  run -1 refresh
  [[ $output == *"HTTP 304"* ]]
  echo >mode
  openssl req -x509 -newkey ed25519 -nodes -days 2 -keyout /dev/null -out tls.pem -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 2>/dev/null
  refused "cannot reach" "no authority that is trusted by --document-ca-file"
  kill "$server" && ! wait "$server"
  server=
  refused "cannot reach 127.0.0.1"
  [ "$(status .source.failures)" -gt 2 ]
  [ "$(status .source.last_success)" -gt 0 ]
}

@test "a server that never comes to an end is given up" {
  first
  echo slow >mode
  run -1 refresh
  [[ $output == *"did not answer in time"* ]]
  serial_is 1
}

@test "documents: rolled back, changed under the same serial, wrong, of another fabric, expired" {
  publish 5
  first
  publish 4
  refused "serial 4 is older than 5, which is in force" "raise the serial"
  publish 5 '.peers[0].version = "0.61.1"'
  refused "another document with serial 5 is in force"
  publish 6 '.peers[0].ssh = 1'
  refused "fabric.json:" '$.peers[0].ssh'
  publish 6 '.domain = "other.example"'
  refused "the document is of the fabric other.example, and fabric.example is in force"
  publish 6 '.expires = "2020-01-01T00:00:00Z"'
  refused "serial 6 has expired, at 2020-01-01T00:00:00Z"
  publish 6 '.expires = "2020-02-31T00:00:00Z"'
  refused '$.expires: "2020-02-31T00:00:00Z" is no moment in UTC'
  publish 4 '.domain = "other.example"'
  run -0 apply --force
  serial_is 4
  [ "$(status .domain)" = other.example ]
  run -0 refresh
}

@test "a document that expires while it is in force stays, and is an alarm" {
  publish 1 ".expires = \"$(date -u -d '+4 seconds' +%FT%TZ)\""
  first
  [ "$(status .expired)" = false ]
  has_expired() { [ "$(status .expired)" = true ]; }
  until_true 60 has_expired
  refused "serial 1 has expired"
  [[ $("$BIN/qf-up" status) == *"ALARM: document has expired"* ]]
  publish 2
  run -0 refresh
  [ "$(status .expires)" = null ]
}

@test "expires in a file: not applied when it has passed" {
  jq '.expires = "2020-01-01T00:00:00Z"' "$TOP/conf/fabric.example.json" >config/fabric.json
  run -0 "$BIN/qf-up" check
  [[ $output == *"has expired, at 2020-01-01T00:00:00Z"* ]]
  run -78 apply
  [[ $output == *"has expired, at 2020-01-01T00:00:00Z"* ]]
  [ ! -e state/peers.mdb ]
}

@test "expires in a file, while qf-up runs: the log says so once as it comes, for each document" {
  said() { [ "$(grep -c "ALARM: the fabric document of serial $1 has expired" log)" = 1 ]; }
  local_document() {
    jq --arg expires "$(date -u -d "$2" +%FT%TZ)" ".serial = $1 | .expires = \$expires" "$TOP/conf/fabric.example.json" >config/fabric.json
    apply
  }
  local_document 1 '+3 seconds'
  start
  until_true 60 said 1
  [[ $("$BIN/qf-up" status) == *"ALARM: document has expired"* ]]
  # another one is applied, and nobody tells the running one
  local_document 2 '+3 seconds'
  until_true 60 said 2
  local_document 3 '+1 hour'
  [[ $("$BIN/qf-up" status) == *"document expires"* ]]
  stop
  said 1 && said 2 && ! said 3
}

@test "a full disk: said, and the old state stays" {
  [ "$(id -u)" = 0 ] || skip "wants root: it mounts"
  first
  mkdir small
  unshare -m bash -ec '
    mount -t tmpfs -o size=400k none small
    cp -a state small/state
    export QF_STATE_DIR=$PWD/small/state
    head -c 1M /dev/zero >small/fill 2>/dev/null || :
    "$1" refresh && exit 9
    rm small/fill
    "$1" status --json | jq -e ".serial == 1"
  ' _ "$BIN/qf-up" >full.log 2>&1 <<<"$(publish 2)"
  cat full.log
  grep -q "No space left" full.log
}

@test "the running qf-up takes a new document, outlives a dead server, and starts without it" {
  start --document "$url" --document-signers "$PWD/signers" --document-ca-file "$PWD/tls.pem" --document-interval 1
  until_true 60 serial_is 1
  publish 2
  until_true 60 serial_is 2
  kill "$server" && ! wait "$server"
  alarm() { [ "$(status '.source.failures // 0')" -ge "$1" ]; }
  until_true 60 alarm 3
  [ "$(grep -c 'cannot reach' log)" = 1 ]
  stop
  # at the start nobody waits for the server
  start
  until_true 60 grep -q "up; no SSH server" log
  serial_is 2
  [ "$(status .running)" = true ]
  # and when it is back, the next look finds it
  serve "$(cat port)"
  publish 3
  kill -HUP "$up"
  third() { serial_is 3 || { kill -HUP "$up"; false; }; }
  until_true 60 third
  grep -q "is good again" log
  stop
}

@test "the first start without a server fails; the databases lost, the kept document serves" {
  kill "$server" && ! wait "$server"
  server=
  run -71 first
  run ! "$BIN/qf-up" up --document "$url" --document-signers "$PWD/signers"
  [ ! -e state/peers.mdb ]
  serve
  first
  kill "$server" && ! wait "$server"
  server=
  rm -rf state/current state/applied.* state/*.mdb
  cp state/choices.json . 2>/dev/null || :
  start --document "$url" --document-signers "$PWD/signers" --document-ca-file "$PWD/tls.pem"
  until_true 60 serial_is 1
  stop
}

@test "killed at any call that changes files: the old document or the new one, and the next turn goes on" {
  strace -qq -o /dev/null true 2>/dev/null || skip "no process can be traced here"
  first
  publish 2
  cp -a state saved
  strace -f -qq -o trace -e trace=rename,renameat,renameat2,symlink,symlinkat,unlink,unlinkat,mkdir "$BIN/qf-up" refresh
  calls=$(grep -cE '^[0-9]+ +(rename|symlink|unlink|mkdir)' trace)
  [ "$calls" -ge 5 ]
  for call in rename symlink unlink mkdir; do
    for n in 1 2 3 4; do
      rm -rf state
      cp -a saved state
      strace -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$n "$BIN/qf-up" refresh >/dev/null 2>&1 || :
      now=$(serial)
      [ "$now" = 1 ] || [ "$now" = 2 ]
      run -0 refresh
      serial_is 2
      run -0 refresh
      [ -z "$output" ]
    done
  done
}
