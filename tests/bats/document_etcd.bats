#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The fabric document out of a real etcd of three members: both forms, each change, a member killed in the middle, all of
# them gone, a watch that is cut off, a compaction. What does not fit changes nothing, and is an alarm.

load helpers
load sources
load etcd

setup_file() { etcd_file_begin 3; }
teardown_file() { etcd_file_end; }
setup() { etcd_begin; }
teardown() { etcd_end; }

@test "one document: published, applied by hand, remembered, and known to status with who signed it" {
  run -0 publish 1
  [[ $output == *"serial 1 is published at $url: 2 keys written, 0 removed"* ]]
  [ "$(keys | tr '\n' ' ')" = "fabric.json fabric.json.sig " ]
  cmp <(get fabric.json | head -c -1) new.json
  run -0 apply
  [[ $output == *"serial 1 is in force"* ]]
  [ "$(status .source.url)" = "$url" ]
  [ "$(status .source.signer)" = ops@test ]
  no_alarm
  publish 2
  run -0 refresh
  [[ $output == *"serial 2 is in force"* ]]
  run -0 refresh
  [ -z "$output" ]
  run -0 "$BIN/qf-up" check
  [[ $output == *"$url: good; serial 2,"* ]]
}

@test "a key for each peer, policy and group: only what differs is written, and both forms are one document" {
  publish 1
  run -0 publish 2 . --one-key-per-part
  [[ $output == *"keys written, 0 removed"* ]]
  [ "$(keys | grep -c ^peers/)" = "$(jq '.peers | length' new.json)" ]
  [ "$(keys | grep -c ^policies/)" = "$(jq '.policies | length' new.json)" ]
  [ "$(keys | grep -c ^peer_groups/)" = "$(jq '.peer_groups | length' new.json)" ]
  [ "$(keys | grep -c ^user_groups/)" = "$(jq '.user_groups | length' new.json)" ]
  # its digest, made by hand
  keys | grep / | LC_ALL=C sort | while read -r key; do
    echo "$(etcdctl get --print-value-only "$prefix/$key" | head -c -1 | sha256sum | cut -d' ' -f1)  $key"
  done >lines
  [ "$(get fabric.json | jq -r .parts.sha256)" = "$(sha256sum <lines | cut -d' ' -f1)" ]
  [ "$(get fabric.json | jq .parts.count)" = "$(wc -l <lines)" ]
  run -0 apply
  [[ $output == *"serial 2 is in force: $(jq '.peers | length' new.json) peers, $(jq '.policies | length' new.json) policies"* ]]
  # it stays in this form, and one policy is one key beside root and signature
  run -0 publish 3 '.policies[0]["x-note"] = "another"'
  [[ $output == *"3 keys written, 0 removed"* ]]
  run -0 publish 4 'del(.tests, .policies[-1])'
  [[ $output == *" 1 removed"* ]]
  run -0 refresh
  [[ $output == *"serial 4 is in force"* ]]
  # what was verified is kept: without etcd and databases it serves again
  rm -rf state/current state/applied.* state/*.mdb
  url=etcd://127.0.0.1:1$prefix
  start
  until_true 60 serial_is 4
  alarm "cannot reach 127.0.0.1:1"
  stop
  # and back in one key
  url=etcd://$(hosts 3)$prefix
  run -0 publish 5 . --one-document
  [ "$(keys | tr '\n' ' ')" = "fabric.json fabric.json.sig " ]
}

@test "the running qf-up takes each change, in both forms" {
  publish 1
  start
  until_true 60 serial_is 1
  until_true 60 watches
  publish 2
  until_true 60 serial_is 2
  publish 3 . --one-key-per-part
  until_true 60 serial_is 3
  publish 4 '.policies[0]["x-note"] = "x"'
  until_true 60 serial_is 4
  no_alarm
  [ "$(grep -c 'is in force' log)" -ge 4 ]
  # it has what qf-keyfetch(8) says, and nothing of a secret in its arguments
  [ "$(awk '/^Seccomp:/ { print $2 }' "/proc/$(keyfetch)/status")" = 2 ]
  if [ "$(id -u)" = 0 ]; then [ "$(ps -o user= -p "$(keyfetch)" | cut -c 1-7)" = qufabri ]; fi
  stop
}

@test "a member is killed in the middle of changes; then the next; the last one has no majority" {
  follow
  victim=$member
  etcd_kill "$FILE/etcd" "$victim"
  for serial in 2 3 4; do until_true 60 published $serial; done
  until_true 60 serial_is 4
  no_alarm
  next=$((victim % 3 + 1))
  etcd_kill "$FILE/etcd" $next
  until_true 60 alarm "no member of etcd is of use"
  serial_is 4
  etcd_start "$FILE/etcd" $next
  until_true 60 published 5
  until_true 60 serial_is 5
  etcd_start "$FILE/etcd" "$victim"
  until_true 60 no_alarm
  # said once, however often it was tried
  [ "$(grep -c "no member of etcd is of use" log)" -le 2 ]
  stop
}

@test "a silent member is given up: its kernel still answers" {
  url=etcd://$(hosts 2)$prefix
  follow
  silent=$member
  kill -STOP "$(cat "$FILE/etcd/m$silent.pid")"
  other() { [ "$(watched)" != "$port" ] && watches; }
  until_true 60 other
  # the others go on
  ETCDCTL_ENDPOINTS=127.0.0.1:$(watched)
  url=etcd://$ETCDCTL_ENDPOINTS$prefix
  until_true 60 published 2
  until_true 60 serial_is 2
  kill -CONT "$(cat "$FILE/etcd/m$silent.pid")"
  no_alarm
  stop
}

@test "cut off while keys change and are compacted: it reads everything anew; and goes on from its revision without" {
  publish 1 . --one-key-per-part
  start
  until_true 60 serial_is 1
  until_true 60 watches
  fetcher=$(keyfetch)
  member=$(watched)
  kill -STOP "$fetcher"
  # its connection is lost while it cannot see that
  ss -K dst 127.0.0.1 dport = "$member" >/dev/null 2>&1 || :
  publish 2 '.policies[0]["x-note"] = "y"'
  revision=$(etcdctl get "$prefix/fabric.json" --write-out=json | jq .header.revision)
  etcdctl compact "$revision" >/dev/null
  kill -CONT "$fetcher"
  until_true 60 serial_is 2
  no_alarm
  # the member that it watches goes and comes, and what was changed meanwhile is compacted
  victim=$(tr ' ' '\n' <"$FILE/etcd/ports" | grep -n "^$(watched)$" | cut -d: -f1)
  kill -STOP "$fetcher"
  etcd_kill "$FILE/etcd" "$victim"
  until_true 60 published 3
  compact() { etcdctl compact "$(etcdctl get "$prefix/fabric.json" --write-out=json | jq .header.revision)"; }
  until_true 60 compact
  kill -CONT "$fetcher"
  until_true 60 serial_is 3
  etcd_start "$FILE/etcd" "$victim"
  [ "$(keyfetch)" = "$fetcher" ]
  no_alarm
  stop
}

@test "all members gone and back; qf-up starts without them" {
  publish 1
  start
  until_true 60 serial_is 1
  until_true 60 watches
  for i in 1 2 3; do etcd_kill "$FILE/etcd" $i; done
  until_true 60 alarm "no member of etcd is of use"
  stop
  start
  until_true 60 grep -q "up; no SSH server" log
  serial_is 1
  for i in 1 2 3; do etcd_start "$FILE/etcd" $i; done
  until_true 60 published 2
  # at once, as SIGHUP says
  again() { serial_is 2 || { kill -HUP "$up"; for_a_while 1; false; }; }
  until_true 60 again
  until_true 60 no_alarm
  stop
}
