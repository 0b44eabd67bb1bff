#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up apply and down: what is in force changes as a whole or not at all, and serials only rise. Field note 9:
# after down there is no stale file.

bats_require_minimum_version 1.5.0

setup() {
  bin=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin
  cd "$BATS_TEST_TMPDIR"
  mkdir config
  export QF_CONFIG_DIR=$PWD/config QF_STATE_DIR=$PWD/state
  unset QF_RUNTIME_DIR
  cp "$BATS_TEST_DIRNAME/../../conf/fabric.example.json" config/fabric.json
}

sums() {
  (cd state && sha256sum peers.mdb policy.mdb known_hosts choices.json 99-qufabric.conf)
}

change() {
  jq "$1" config/fabric.json >changed && mv changed config/fabric.json
}

@test "apply writes everything, and the same document again changes nothing" {
  run "$bin/qf-up" apply
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"serial 1 is in force: 4 peers, 5 policies; ssh reads $PWD/state/99-qufabric.conf"* ]]
  [ "$(stat -L -c %a state/peers.mdb state/policy.mdb state/known_hosts | tr '\n' ' ')" = "644 600 644 " ]
  sums >before
  "$bin/qf-up" apply
  sums | diff before -
}

@test "a lower serial is refused unless forced" {
  change '.serial = 5'
  "$bin/qf-up" apply
  sums >before
  change '.serial = 4'
  run "$bin/qf-up" apply
  [ "$status" -eq 78 ]
  [[ $output == *"serial 4 is older than 5, which is in force"* ]]
  [[ $output == *"hint: raise the serial in the document, or run: qf-up apply --force"* ]]
  sums | diff before -
  "$bin/qf-up" apply --force
  [ "$("$bin/qf-up" status --json | jq .serial)" -eq 4 ]
}

@test "the same serial with other bytes is refused unless forced" {
  "$bin/qf-up" apply
  change '.domain = "other.example"'
  run "$bin/qf-up" apply
  [ "$status" -eq 78 ]
  [[ $output == *"another document with serial 1 is in force"* ]]
  "$bin/qf-up" apply --force
}

@test "a wrong document changes nothing" {
  "$bin/qf-up" apply
  sums >before
  change '.serial = 2 | .policies[0].sources = ["nobody"]'
  run "$bin/qf-up" apply
  [ "$status" -eq 78 ]
  [[ $output == *'$.policies[0].sources[0] (policy "database work"): no peer or peer group "nobody"'* ]]
  sums | diff before -
}

@test "a full disk changes nothing" {
  [ "$(id -u)" -eq 0 ] || skip "mounting a small file system needs root"
  unshare -m true 2>/dev/null || skip "no private mounts here"
  cat >small <<EOF
set -e
mkdir -p state && mount -t tmpfs -o size=600k tmpfs state
"$bin/qf-up" apply
cd state; sha256sum *.mdb known_hosts 99-qufabric.conf >../before; cd ..
jq '.serial = 2 | .peers += [range(20000) | {name: "p\(.)", addresses: []}]' config/fabric.json >large.json
if "$bin/qf-up" apply large.json; then exit 9; fi
cd state; sha256sum -c ../before
[ -z "\$(ls | grep qf-up-new)" ] && ls -d applied.* | wc -l | grep -qx 1
EOF
  run unshare -m sh ./small
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"hint: nothing was changed; is the disk full?"* ]]
}

@test "two at once do not mix" {
  for i in 1 2 3 4 5 6; do
    jq --argjson s "$i" '.serial = $s | .domain = "d\($s).example"' config/fabric.json >"$i.json"
    "$bin/qf-up" apply --force "$i.json" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  domain=$("$bin/qf-up" status --json | jq -r .domain)
  grep -q "db1.$domain" state/99-qufabric.conf
  grep -q "db1.$domain" state/known_hosts
}

@test "--self must be a peer of the document, and is remembered" {
  run "$bin/qf-up" apply --self nobody
  [ "$status" -eq 78 ]
  [[ $output == *'the fabric document has no peer "nobody"'* ]]
  [ ! -e state/peers.mdb ]
  "$bin/qf-up" apply --self DB1 --ssh-jwt-cache-ttl 3600 --enable-ssh-root
  "$bin/qf-up" apply --enable-ssh-root=false
  "$bin/qf-up" status --json >status.json || true
  jq -e '.self == "db1" and .["ssh-jwt-cache-ttl"] == 3600 and .["enable-ssh-root"] == false' status.json
}

@test "--disable-ssh-auth says what it gives up" {
  run "$bin/qf-up" apply --disable-ssh-auth
  [ "$status" -eq 0 ]
  [[ $output == *"no user identity is asked for"* ]]
  [[ $output == *"hint: "*"--disable-ssh-auth=false"* ]]
}

@test "field note 9: down removes the ssh_config file and nothing else" {
  "$bin/qf-up" apply
  ls state | grep -vxE '99-qufabric.conf|ssh_config' >before
  run "$bin/qf-up" down
  echo "$output"
  [ "$status" -eq 0 ]
  [ ! -e state/99-qufabric.conf ] && [ ! -e state/ssh_config ]
  ls state | diff before -
  "$bin/qf-up" down
  "$bin/qf-up" apply
  [ -e state/99-qufabric.conf ]
}

@test "down without anything applied makes no folder" {
  run "$bin/qf-up" down
  [ "$status" -eq 0 ]
  [ ! -e state ]
}

@test "a file that qf-up did not write is neither replaced nor removed" {
  echo "Host *" >mine
  run "$bin/qf-up" apply --ssh-config-file "$PWD/mine"
  [ "$status" -eq 78 ]
  [[ $output == *"$PWD/mine was not written by qf-up"* ]]
  run "$bin/qf-up" down --ssh-config-file "$PWD/mine"
  [ "$status" -ne 0 ] || [ ! -e state ]
  [ "$(cat mine)" = "Host *" ]
}

@test "the missing Include is said when the file goes to /etc/ssh" {
  [ "$(id -u)" -eq 0 ] || skip "writing into /etc/ssh needs root"
  unshare -m true 2>/dev/null || skip "no private mounts here"
  cat >system <<EOF
set -e
mount -t tmpfs tmpfs /etc/ssh && mkdir /etc/ssh/ssh_config.d && echo 'Host *' >/etc/ssh/ssh_config
"$bin/qf-up" apply --ssh-config-file /etc/ssh/ssh_config.d/99-qufabric.conf
echo 'Include /etc/ssh/ssh_config.d/*.conf' >/etc/ssh/ssh_config
echo second
"$bin/qf-up" apply
ssh -G db1 | grep -c '^port'
EOF
  run unshare -m sh ./system
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"hint: add this line at its top: Include /etc/ssh/ssh_config.d/*.conf"*second* ]]
  [[ ${output#*second} != *Include* ]]
}

@test "the ssh_config file is a symlink: others' ssh reads it, and passes over one that leads nowhere" {
  [ "$(id -u)" -eq 0 ] || skip "writing into /etc/ssh needs root"
  unshare -m true 2>/dev/null || skip "no private mounts here"
  cat >system <<EOF
set -e
mount -t tmpfs tmpfs /etc/ssh && mkdir /etc/ssh/ssh_config.d && mount -t tmpfs tmpfs /mnt && chmod 755 /etc/ssh /mnt
echo 'Include /etc/ssh/ssh_config.d/*.conf' >/etc/ssh/ssh_config
"$bin/qf-up" apply --state-dir /mnt/state --ssh-config-file /etc/ssh/ssh_config.d/99-qufabric.conf
others() { setpriv --reuid 65534 --regid 65534 --clear-groups ssh -vG other.example 2>&1 | tr -d '\r'; }
others | grep 'Reading configuration data /etc/ssh/ssh_config.d/99-qufabric.conf'
echo second
rm /mnt/state/current
others | grep -cE '^port 22|Reading.*99-qufabric'
"$bin/qf-up" down --state-dir /mnt/state --ssh-config-file /etc/ssh/ssh_config.d/99-qufabric.conf
ls -A /etc/ssh/ssh_config.d | wc -l
EOF
  run unshare -m sh ./system
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"Reading configuration data /etc/ssh/ssh_config.d/99-qufabric.conf"$'\n'second$'\n'1$'\n'*$'\n'0 ]]
}

@test "another place for the ssh_config file: the one of before goes" {
  "$bin/qf-up" apply
  "$bin/qf-up" apply --ssh-config-file "$PWD/here.conf"
  [ ! -L state/99-qufabric.conf ]
  grep -q ^Match here.conf
  cmp here.conf state/ssh_config
  mkdir there
  "$bin/qf-up" apply --ssh-config-file "$PWD/there/here.conf"
  [ ! -L here.conf ]
  grep -q ^Match there/here.conf
  # somebody else's file at the old place stays
  rm there/here.conf
  echo "Host *" >there/here.conf
  "$bin/qf-up" apply --ssh-config-file ""
  grep -q ^Match state/99-qufabric.conf
  cmp state/99-qufabric.conf state/ssh_config
  [ "$(cat there/here.conf)" = "Host *" ]
}

@test "where nothing can be written nothing is changed, and that is said" {
  [ "$(id -u)" -eq 0 ] || skip "mounting needs root"
  unshare -m true 2>/dev/null || skip "no private mounts here"
  "$bin/qf-up" apply
  sums >before
  ls -A state state/current >listed
  change '.serial = 2'
  run unshare -m sh -c "mount --bind state state && mount -o remount,bind,ro state && '$bin/qf-up' apply"
  echo "$output"
  [ "$status" -eq 71 ]
  [[ $output == *"Read-only file system"*"hint: "* ]]
  sums | diff before -
  ls -A state state/current | diff listed -
}

@test "a folder of somebody's under the name of ours is said, with a next step" {
  mkdir -p state/current
  run -78 "$bin/qf-up" apply
  [[ $output == *"$PWD/state/current is not a symlink"*"hint: move it away"* ]]
  rmdir state/current
  mkdir state/known_hosts
  run -78 "$bin/qf-up" apply
  [[ $output == *"$PWD/state/known_hosts is a folder"* ]]
}

@test "host-key makes the key once, private, and prints its public half" {
  run "$bin/qf-up" host-key
  [ "$status" -eq 0 ]
  [[ $output == "ssh-ed25519 AAAA"* ]]
  first=$output
  [ "$(stat -c %a state/ssh_host_ed25519_key)" = 600 ]
  run "$bin/qf-up" host-key
  [ "$output" = "$first" ]
  [ "$(cut -d' ' -f1,2 state/ssh_host_ed25519_key.pub)" = "$first" ]
  chmod 644 state/ssh_host_ed25519_key
  run "$bin/qf-up" host-key
  [ "$status" -eq 78 ]
  [[ $output == *"can be read by others"* ]]
}

@test "a host key that belongs to another user is not used" {
  [ "$(id -u)" = 0 ] || skip "needs root"
  "$bin/qf-up" host-key
  chown nobody state/ssh_host_ed25519_key
  run -78 "$bin/qf-up" host-key
  [[ $output == *"belongs to uid $(id -u nobody)"* ]]
  run -78 "$bin/qf-up" rotate-host-key
  [ ! -e state/ssh_host_ed25519_key.next ]
}

@test "100,000 peers are applied in seconds" {
  jq -n --arg key "$(jq -r '.peers[0].ssh_host_keys[0]' config/fabric.json)" \
    '{format: 1, serial: 9, domain: "fabric.example",
      peers: [range(100000) | {name: "host-\(.)", addresses: ["fd00::\(. / 10000 | floor):\(. % 10000)"], ssh: true, ssh_host_keys: [$key]}],
      peer_groups: {all: [range(100000) | "host-\(.)"]},
      policies: [{name: "p", action: "allow", protocol: "qufabric-ssh", sources: ["all"], destinations: ["all"], access: "full"}]}' >large.json
  timeout 60 "$bin/qf-up" apply large.json
  [ "$("$bin/qf-up" status --json | jq .peers)" -eq 100000 ]
}

# as_nobody COMMAND…: as an ordinary user, with qf-up where that user can read it
as_nobody() {
  [ "$(id -u)" = 0 ] || skip "wants root: it becomes another user"
  [ -d "$BATS_TEST_TMPDIR/nobody" ] || {
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
    mkdir -m 755 "$BATS_TEST_TMPDIR/nobody"
    cp "$bin/qf-up" "$BATS_TEST_TMPDIR/nobody/"
  }
  setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

@test "status for others than root: the file that ssh reads, and unknown where they cannot know" {
  [ "$(id -u)" = 0 ] || skip "wants root: it becomes another user"
  run -0 unshare -m bash -c '
    mkdir -p /var/lib/qufabric &&
    mount -t tmpfs none /var/lib/qufabric && mount -t tmpfs none /etc/ssh && mkdir /etc/ssh/ssh_config.d &&
    chmod 755 /var/lib/qufabric /etc/ssh /etc/ssh/ssh_config.d &&
    '"QF_CONFIG_DIR=$PWD/config"' env -u QF_STATE_DIR "'"$bin"'/qf-up" apply && touch /var/lib/qufabric/qf-up.lock &&
    chmod 600 /var/lib/qufabric/qf-up.lock && cp "'"$bin"'/qf-up" /etc/ssh/ && cd / &&
    setpriv --reuid 65534 --regid 65534 --clear-groups env -u QF_STATE_DIR /etc/ssh/qf-up status; echo "status $?"'
  echo "$output"
  [[ $output == *"running:  "*"unknown (it is another user's)"* ]]
  [[ $output == *"ssh_config:  "*" /etc/ssh/ssh_config.d/99-qufabric.conf"* ]]
  [[ $output != *"(not there)"* ]]
  [[ $output == *"hint: run: sudo qf-up status"* ]]
  [[ $output == *"status 1" ]]
}

@test "without rights the hint says how to go on" {
  for words in apply up host-key; do
    run -71 as_nobody env QF_STATE_DIR="$PWD/state" QF_CONFIG_DIR="$PWD/config" "$PWD/nobody/qf-up" $words
    [[ $output == *"hint: run it as root (sudo), or with folders of your own: --config-dir, --state-dir, --runtime-dir"* ]] ||
      { echo "$words: $output" && false; }
  done
}

@test "what cannot be written is refused with a next step" {
  echo '# mine' >mine
  run -78 "$bin/qf-up" apply --ssh-config-file "$PWD/mine"
  [[ $output == *"mine was not written by qf-up; it stays as it is"*"hint: move it away, or "*"--ssh-config-file /etc/ssh/ssh_config.d/99-qufabric.conf"* ]]
  run -78 "$bin/qf-up" apply --state-dir "$PWD/a folder"
  [[ $output == *"cannot stand in ssh_config"*"hint: use a folder "* ]]
}

@test "where /etc/ssh cannot be written the document is in force all the same, and qufabric ssh goes there" {
  [ "$(id -u)" -eq 0 ] || skip "writing into /etc/ssh needs root"
  unshare -m true 2>/dev/null || skip "no private mounts here"
  unset QF_STATE_DIR
  mkdir etc
  echo 'Host *' >etc/ssh_config
  cat >system <<EOF
set -e
mount -t tmpfs tmpfs /var/lib
mkdir /var/lib/qufabric
for folder in missing read-only open; do
  echo "--- \$folder"
  [ \$folder = missing ] || mkdir -p etc/ssh_config.d
  [ \$folder = missing ] || umount /etc/ssh
  mount --bind etc /etc/ssh
  [ \$folder = open ] || mount -o remount,bind,ro /etc/ssh
  "$bin/qf-up" apply
  "$bin/qf-up" status | grep ssh_config:
  "$bin/qufabric" ssh -G -F none db1 >/dev/null && echo asked
done
"$bin/qf-up" down
"$bin/qufabric" ssh -G db1 || echo "status \$?"
EOF
  run sh -c 'QF_RUNTIME_DIR= unshare -m sh ./system'
  echo "$output"
  [ "$status" -eq 0 ]
  for folder in missing read-only; do
    part=${output#*--- $folder}
    part=${part%%---*}
    [[ $part == *"/etc/ssh/ssh_config.d is not there or cannot be written, so plain ssh does not know the peers"*"hint: use qufabric ssh"* ]]
    [[ $part == *"ssh_config:  "*" /var/lib/qufabric/99-qufabric.conf"*asked* ]]
  done
  [[ ${output#*--- open} == *"ssh reads /etc/ssh/ssh_config.d/99-qufabric.conf"*"ssh_config:  "*" /etc/ssh/ssh_config.d/99-qufabric.conf"*asked* ]]
  [[ $output == *"no fabric document is in force here"*"status 78" ]]
}
