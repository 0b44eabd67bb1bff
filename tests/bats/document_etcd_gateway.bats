#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A stranger who answers in the place of etcd: qf-up believes no byte of it, waits for nothing without end, and says why.

load helpers
load sources
load etcd

setup_file() { etcd_file_begin 0; }
teardown_file() { etcd_file_end; }
setup() {
  etcd_begin 1
  server=
}
teardown() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || :
  etcd_end
}

# gateway [MODE]: etcd played by a stranger, with the document 1; sets url
gateway() {
  echo "${1:-}" >mode
  [ -z "$server" ] || return 0
  document 1
  sign new.json
  jq -n --rawfile root new.json --rawfile signature new.json.sig --arg prefix "$prefix" \
    '{($prefix + "/fabric.json"): $root, ($prefix + "/fabric.json.sig"): $signature}' >keys
  "$PYTHON" "$TOP/tests/bats/servers/gateway.py" "$PWD" >server.log 2>&1 3>&- 4>&- &
  server=$!
  until_true 60 test -s port
  url=etcd://127.0.0.1:$(cat port)$prefix
}

@test "a stranger in the place of etcd: nonsense, silence, no end" {
  gateway
  run -0 apply
  serial_is 1
  for case in "nonsense:does not answer as etcd does" "html:HTTP status 500, and not as etcd does" \
    "endless:is longer than" "deep:does not answer as etcd does: it is not JSON" "order:its keys are not in order" \
    "foreign:answers with keys that nobody asked for" 'base64:"value" is no base64' \
    "pages:is longer than 67108864 bytes"; do
    gateway "${case%%:*}"
    refused "${case#*:}"
  done
  gateway silent
  run -1 refresh
  [[ $output == *"did not answer in time (10 s)"* ]]
  echo admin:secret >user
  chmod 600 user
  gateway token
  run -1 refresh --document-user-file "$PWD/user"
  [[ $output == *'it has no "token" of visible ASCII'* ]]
  : >requests
  gateway stale
  run -1 refresh --document-user-file "$PWD/user"
  [[ $output == *'etcd refuses: etcdserver: invalid auth token'* ]]
  [ "$(grep -c authenticate requests)" = 4 ]
  gateway
  run -0 refresh
}

@test "a stranger's watch: it hangs up, talks nonsense, has no end" {
  gateway hangup
  start
  until_true 60 serial_is 1
  until_true 60 alarm "has ended the watch"
  # after a watch was lost it goes on from the revision after the one that it has
  [ "$(grep -c '"start_revision":"8"' requests)" -gt 2 ]
  [ "$(grep -c '^/v3/kv/range' requests)" -le 6 ]
  gateway
  until_true 60 no_alarm
  for case in "strange-events:tells of keys that nobody asked for" "line:ends each watch"; do
    gateway "${case%%:*}"
    kill -HUP "$up"
    until_true 60 alarm "${case#*:}"
  done
  gateway
  kill -HUP "$up"
  until_true 60 no_alarm
  serial_is 1
  stop
}
