#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up enroll and rotate-host-key: a machine's entry for the document, and another host key without a client that is
# locked out.

load helpers

setup() { fabric_begin; }
teardown() { fabric_end; }

key_shown() { ssh-keyscan -t ed25519 -p 22022 "$ADDRESS" 2>/dev/null | cut -d' ' -f2,3; }
shows() { [ "$(key_shown)" = "$1" ]; }
private_key() { ssh-keygen -y -f "$QF/state/ssh_host_ed25519_key$1" | cut -d' ' -f1,2; }

# enroll ARGUMENT…: on a machine with an interface of the fabric
enroll() {
  unshare -n sh -c 'ip link set lo up && ip link add name qf0 type veth peer name qf1 && ip link set qf0 up &&
    ip addr add 10.75.0.1/24 dev qf0 && ip addr add fd00:75::1/64 dev qf0 nodad && exec "$@"' sh "$BIN/qf-up" enroll $FOLDERS "$@"
}

@test "enroll prints an entry that a document takes, and the server of which clients know" {
  run -0 --separate-stderr enroll --interface qf0 --self new-peer
  [ "$stderr" = "" ]
  [ "$(jq -c '[.name, .addresses, .ssh, .version, (.ssh_host_keys | length)]' <<<"$output")" = \
    '["new-peer",["10.75.0.1","fd00:75::1"],true,"'"$(cat "$TOP/VERSION")"'",1]' ]
  [ "$(jq -r '.ssh_host_keys[0]' <<<"$output")" = "$("$BIN/qf-up" host-key $FOLDERS)" ]
  echo "$output" >"$QF/entry"
  fabric_write ".peers += [$(cat "$QF/entry")]"
  run -0 "$BIN/qf-up" check $FOLDERS
  # the interface and the name may be remembered, and so is which key comes next
  mkdir -p "$QF/state"
  echo '{"self": "server", "interface": "qf0"}' >"$QF/state/choices.json"
  "$BIN/qf-up" rotate-host-key $FOLDERS
  run -0 --separate-stderr enroll
  [ "$(jq -c '[.name, (.ssh_host_keys | length)]' <<<"$output")" = '["server",2]' ]
  fabric_write ".peers[0] = $output"
  run -0 "$BIN/qf-up" check $FOLDERS
}

@test "enroll of a client makes no key; without a name the host's counts" {
  run -0 --separate-stderr enroll --interface qf0 --client
  [ "$(jq -c . <<<"$output")" = '{"name":"'"$(hostname | cut -d. -f1 | tr A-Z a-z)"'","addresses":["10.75.0.1","fd00:75::1"],"ssh":false,"version":"'"$(cat "$TOP/VERSION")"'","ssh_host_keys":[]}' ]
  [ ! -e "$QF/state/ssh_host_ed25519_key" ]
  fabric_write ".peers += [$(jq '.name = "laptop"' <<<"$output")]"
  run -0 "$BIN/qf-up" check $FOLDERS
}

@test "enroll says what it lacks" {
  run -64 enroll
  [ "$output" = "qf-up: which interface is the fabric's?
hint: give --interface NAME; this machine has qf0 (10.75.0.1), qf0 (fd00:75::1)" ]
  run -71 enroll --interface wg9
  [ "$output" = 'qf-up: there is no interface "wg9" now
hint: bring it up, or name another one with --interface' ]
  run -71 enroll --interface qf1
  [ "${lines[0]}" = 'qf-up: the interface "qf1" has no address for a peer' ]
  run -78 enroll --interface qf0 --self 'a b'
  [[ $output == *'"a b" is no name for a peer: '*"hint: name it with --self NAME" ]]
  run -64 enroll --interface 'a b'
}

@test "another host key: at each step clients of the old and of the new document get in" {
  fabric_write
  server_start
  warm
  old=$(host_key)
  run -0 on_peer true
  run -0 --separate-stderr "$BIN/qf-up" rotate-host-key $FOLDERS
  [ "${lines[0]}" = "$old" ]
  new=${lines[1]}
  [ "$new" != "$old" ]
  [[ $stderr == *"the key in use and the next one; nothing changes for clients yet"*"qf-up rotate-host-key --finish" ]]
  # again is the same
  run -0 --separate-stderr "$BIN/qf-up" rotate-host-key $FOLDERS
  [ "$output" = "$old"$'\n'"$new" ]
  shows "$old"
  # too early
  run -78 "$BIN/qf-up" rotate-host-key --finish $FOLDERS
  [[ $output == *"the document in force (serial 1) does not list the next host key, so no client would take it"*"besides the other: $new" ]]
  [ "$(private_key "")" = "$old" ]
  # the document lists both: the old one stays, over a restart too
  fabric_apply '.peers[0].ssh_host_keys += ["'"$new"'"]'
  run -0 on_peer true
  server_restart
  until_true 60 shows "$old"
  run -0 on_peer true
  "$BIN/qf-up" down $FOLDERS && server_start
  live=$QF/live.log
  mkfifo -m 666 "$QF/hold"
  background_as "$CLIENT" "$live" sh -c "exec ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <'$QF/hold'"
  exec 9>"$QF/hold"
  until_true 60 grep -q up "$live"
  run -0 --separate-stderr "$BIN/qf-up" rotate-host-key --finish $FOLDERS
  [ "$output" = "$new" ]
  [[ $stderr == *"the host key was changed; the old one is gone"*"hint: take the old one out of the document: $old" ]]
  until_true 60 shows "$new"
  [ ! -e "$QF/state/ssh_host_ed25519_key.next" ]
  [ "$(cut -d' ' -f1,2 "$QF/state/ssh_host_ed25519_key.pub")" = "$new" ]
  run -0 on_peer true
  run -0 tunnelled -l "$TARGET" server true
  # who was logged in stays so
  echo still-there >&9
  until_true 60 grep -q still-there "$live"
  exec 9>&-
  fabric_apply '.peers[0].ssh_host_keys = ["'"$new"'"]'
  run -0 on_peer true
  run -78 "$BIN/qf-up" rotate-host-key --finish $FOLDERS
  [[ $output == *"there is no next host key to change to"*"hint: run: qf-up rotate-host-key" ]]
}

@test "a document with the next key alone: the server uses that, while it runs and after a restart" {
  fabric_write
  server_start
  warm
  new=$("$BIN/qf-up" rotate-host-key $FOLDERS 2>/dev/null | tail -n 1)
  fabric_apply '.peers[0].ssh_host_keys = ["'"$new"'"]'
  until_true 60 shows "$new"
  run -0 on_peer true
  server_restart
  until_true 60 shows "$new"
  run ! grep "does not pin this machine's host key" "$QF/qf-up.log"
  run -0 on_peer true
  # and back
  fabric_apply
  until_true 60 shows "$(host_key)"
  run -0 on_peer true
  fabric_apply '.peers[0].ssh_host_keys = ["'"$new"'"]'
  run -0 "$BIN/qf-up" rotate-host-key --finish $FOLDERS
  [[ $output == *"the host key was changed; the document lists the old one no more"* ]]
  run -0 on_peer true
}

@test "a machine without a key gets one, and that is all" {
  run -0 --separate-stderr "$BIN/qf-up" rotate-host-key $FOLDERS
  [ "$output" = "$("$BIN/qf-up" host-key $FOLDERS)" ]
  [[ $stderr == *"this machine had no host key; the first one was made"* ]]
  [ ! -e "$QF/state/ssh_host_ed25519_key.next" ]
  # no document to change to yet
  "$BIN/qf-up" rotate-host-key $FOLDERS
  run ! "$BIN/qf-up" rotate-host-key --finish $FOLDERS
  [ "$(private_key .next)" != "$(private_key "")" ]
}

@test "killed at each point of both steps: a key that the document lists is there, and the step can be done again" {
  strace -qq -o /dev/null true 2>/dev/null || skip "no process can be traced here"
  fabric_write
  "$BIN/qf-up" apply $FOLDERS --self server
  calls=openat,rename,unlink,clone,clone3,fork,vfork,chmod,fsync,write
  local n old killed=0
  old=$(host_key)
  for ((n = 1; ; n++)); do
    rm -f "$QF"/state/ssh_host_ed25519_key.next*
    run strace -qq -o /dev/null -e trace=$calls -e inject=$calls:signal=KILL:when=$n "$BIN/qf-up" rotate-host-key $FOLDERS
    [ "$status" != 0 ] || break
    killed=$((killed + 1))
    [ "$(private_key "")" = "$old" ]
    [ "$("$BIN/qf-up" rotate-host-key $FOLDERS 2>/dev/null | head -n 1)" = "$old" ]
    [ -s "$QF/state/ssh_host_ed25519_key.next" ]
  done
  new=$(private_key .next)
  fabric_apply '.peers[0].ssh_host_keys += ["'"$new"'"]'
  cp -a "$QF/state" "$QF/state.before"
  for ((n = 1; ; n++)); do
    cp -a "$QF"/state.before/ssh_host_* "$QF/state/"
    run strace -qq -o /dev/null -e trace=$calls -e inject=$calls:signal=KILL:when=$n "$BIN/qf-up" rotate-host-key --finish $FOLDERS
    [ "$status" != 0 ] || break
    killed=$((killed + 1))
    [[ "$(private_key "")" == "$old" || "$(private_key "")" == "$new" ]]
    run "$BIN/qf-up" rotate-host-key --finish $FOLDERS
    [ "$(private_key "")" = "$new" ]
    [ "$(cut -d' ' -f1,2 "$QF/state/ssh_host_ed25519_key.pub")" = "$new" ]
  done
  echo "killed $killed times"
  [ "$killed" -ge 20 ]
}
