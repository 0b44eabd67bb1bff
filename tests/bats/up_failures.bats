#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What goes wrong around qf-up, for real: disks that are full at each point, kills at each call, a system that cannot be
# written, somebody else's folder, another fabric's document, a document server that is gone for a week. Each time the words
# are clear, the old state is kept, and the next run heals it. More of it is in up_apply, up_apply_killed, up_bad_documents,
# up_enroll, up_redirect, document_source, audit and doctor.

bats_require_minimum_version 1.5.0

setup() {
  [ "$(id -u)" = 0 ] || skip "wants root: it mounts"
  unshare -m true 2>/dev/null || skip "no private mounts here"
  bin=$(cd "${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin" && pwd)
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  cd "$BATS_TEST_TMPDIR"
  mkdir config
  cp "$top/conf/fabric.example.json" config/fabric.json
  export QF_CONFIG_DIR=$PWD/config QF_STATE_DIR=$PWD/state QF_RUNTIME_DIR=$PWD/run
  export bin top
  up=
}
teardown() {
  [ -z "$up" ] || { kill -KILL "$up" 2>/dev/null && wait "$up" 2>/dev/null || :; }
  [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 30 log 2>/dev/null || :
}

until_true() {
  local end=$((SECONDS + 60))
  until "$@"; do
    [ $SECONDS -lt $end ] && sleep 0.02 && continue
    echo "still not: $*"
    return 1
  done
}
start() {
  "$bin/qf-up" up "$@" >>log 2>&1 3>&- 4>&- &
  up=$!
}
stop() { kill "$up" && wait "$up"; up=; }
serial() { "$bin/qf-up" status --json 2>/dev/null | jq -r .serial; }
document() { jq "$1" "$top/conf/fabric.example.json" >config/new && mv config/new config/fabric.json; }

# ---- full disks

# full WHAT SCRIPT AFTER COMMAND…: the command, in a file system of its own on $PWD/small that has room for nothing, then for
# one page or one file more, and so on until it succeeds. SCRIPT makes what is there before, AFTER is a test that must be
# true when the command has succeeded, then or with the disk emptied. Where it fails, what SCRIPT made is as it was, and
# the words say why. WHAT is pages or files.
full() {
  local what=$1
  cat >full.sh <<'SH'
set -eu
what=$1 script=$2 after=$3
shift 3
shown() { find -L small -type f ! -name fill ! -name '*.lock' ! -path '*/applied.*' ! -path '*/current/*' -exec sha256sum {} + | sort -k 2; }
failures=0
for room in $(seq 0 400); do
  umount small 2>/dev/null || :
  mkdir -p small
  mount -t tmpfs -o size=4m,nr_inodes=2000,mode=755 none small
  eval "$script" >/dev/null 2>&1
  shown >before
  if [ "$what" = pages ]; then
    dd if=/dev/zero of=small/fill bs=4096 2>/dev/null || :
    truncate -s "$(($(stat -c %s small/fill) - room * 4096))" small/fill
  else
    used=$(df --output=iused small | tail -n 1)
    mount -o "remount,nr_inodes=$((used + room))" small
  fi
  code=0
  "$@" >said 2>&1 || code=$?
  [ "$code" != 0 ] || break
  failures=$((failures + 1))
  shown | cmp before - || { echo "changed, with room for $room $what:" && shown | diff before -; exit 1; }
  grep -qiE 'no space left|disk full|full\?' said || { echo "unclear, with room for $room $what (status $code):" && cat said; exit 1; }
  rm -f small/fill
  mount -o remount,nr_inodes=2000 small
  "$@" >said 2>&1 || { echo "not healed, after room for $room $what:" && cat said; exit 1; }
  eval "$after" || { echo "healed, and not true, after room for $room $what: $after"; exit 1; }
  [ -z "$(find small -name '*.new*' -o -name '*qf-up-new*')" ] || { find small; exit 1; }
done
[ "$code" = 0 ] || { echo "never done: $code" && cat said; exit 1; }
eval "$after"
echo "failed $failures times"
[ "$failures" -ge 1 ]
SH
  run unshare -m sh full.sh "$@"
  echo "$output"
  [ "$status" = 0 ]
}

with_state() {
  export QF_STATE_DIR=$PWD/small/state
  before="$bin/qf-up apply --self db1 --ssh-jwt-cache-ttl 60"
}

@test "full disk: another document and other choices; the folder of the state" {
  with_state
  document '.serial = 2'
  cp "$top/conf/fabric.example.json" one.json
  before+=" $PWD/one.json"
  after='[ "$("$bin/qf-up" status --json | jq -r "\"\(.serial) \(.[\"ssh-jwt-cache-ttl\"])\"")" = "2 77" ]'
  full pages "$before" "$after" "$bin/qf-up" apply --ssh-jwt-cache-ttl 77
  full files "$before" "$after" "$bin/qf-up" apply --ssh-jwt-cache-ttl 77
}

@test "full disk: the first document" {
  with_state
  full pages : '[ "$("$bin/qf-up" status --json | jq -r .serial)" = 1 ]' "$bin/qf-up" apply
  full files : '[ "$("$bin/qf-up" status --json | jq -r .serial)" = 1 ]' "$bin/qf-up" apply
}

@test "full disk: the folder of ssh_config files" {
  mkdir small
  "$bin/qf-up" apply
  after='grep -q db1 small/fabric.conf'
  full files : "$after" "$bin/qf-up" apply --ssh-config-file "$PWD/small/fabric.conf"
}

@test "full disk: the host key, the entry of this machine, the next host key, the change to it" {
  with_state
  local key='ssh-keygen -y -P "" -f small/state/ssh_host_ed25519_key >/dev/null'
  local next='ssh-keygen -y -P "" -f small/state/ssh_host_ed25519_key.next >/dev/null'
  full pages "$before" "$key" "$bin/qf-up" host-key
  full files "$before" "$key" "$bin/qf-up" host-key
  full pages : "$key" "$bin/qf-up" enroll --interface lo --self db1
  full pages "$before; $bin/qf-up host-key" "$key && $next" "$bin/qf-up" rotate-host-key
  full files "$before; $bin/qf-up host-key" "$key && $next" "$bin/qf-up" rotate-host-key
  # both listed
  cat >listed.sh <<'SH'
"$bin/qf-up" host-key
"$bin/qf-up" rotate-host-key >keys
jq --rawfile keys keys '.peers[0].ssh_host_keys = ($keys | split("\n")[0:2])' "$top/conf/fabric.example.json" >config/fabric.json
"$bin/qf-up" apply --self db1
rm small/state/ssh_host_ed25519_key.pub
SH
  after='[ ! -e small/state/ssh_host_ed25519_key.next ] && [ "$(ssh-keygen -y -f small/state/ssh_host_ed25519_key | cut -d " " -f 1,2)" = "$(cut -d " " -f 1,2 keys | tail -n 1)" ]'
  full files "sh listed.sh" "$after" "$bin/qf-up" rotate-host-key --finish
}

@test "full disk: the machine issuer's key" {
  with_state
  after='"$bin/qf-up" machine-jwks | jq -e ".keys | length == 1" >/dev/null'
  full pages "mkdir small/state" "$after" "$bin/qf-up" machine-jwks
  full files "mkdir small/state" "$after" "$bin/qf-up" machine-jwks
}

@test "full disk, where the token daemon lives: it says so and does not start; with room it does" {
  cat >tokend.sh <<'SH'
set -eu
mkdir small
mount -t tmpfs -o size=4m,nr_inodes=2000 none small
"$bin/qf-up" apply
for room in 1 2 3 4; do
  used=$(df --output=iused small | tail -n 1)
  mount -o "remount,nr_inodes=$((used + room))" small
  code=0
  timeout 20 "$bin/qf-tokend" --foreground --runtime-dir "$PWD/small/run" >said 2>&1 || code=$?
  cat said
  [ "$code" = 71 ] || break
  grep -q 'No space left on device' said
  rm -rf small/run
done
[ "$room" -ge 2 ]
mount -o remount,nr_inodes=2000 small
rm -rf small/run
"$bin/qf-tokend" --runtime-dir "$PWD/small/run"
"$bin/qf-token" stop --runtime-dir "$PWD/small/run"
SH
  run unshare -m sh tokend.sh
  echo "$output"
  [ "$status" = 0 ]
}

@test "full disk at the start: what is in force goes on; other choices are not taken halfway" {
  mkdir small
  cat >start.sh <<'SH'
mount -t tmpfs -o size=1m,mode=755 none small
export QF_STATE_DIR=$PWD/small/state
"$bin/qf-up" apply --self db1
jq '.serial = 2' "$top/conf/fabric.example.json" >config/fabric.json
dd if=/dev/zero of=small/fill bs=4096 2>/dev/null
"$bin/qf-up" up >log 2>&1 &
up=$!
for n in $(seq 600); do ! grep -q 'up; no SSH server' log || break; sleep 0.1; done
cat log
"$bin/qf-up" status --json | jq -e '.serial == 1 and .running' || exit 2
kill $up
wait $up || exit 3
timeout 20 "$bin/qf-up" up --enable-ssh-root && exit 4
rm small/fill
"$bin/qf-up" status --json | jq -e '.serial == 1 and .["enable-ssh-root"] == false'
"$bin/qf-up" apply && "$bin/qf-up" status --json | jq -e '.serial == 2'
SH
  run unshare -m sh start.sh
  echo "$output"
  [ "$status" = 0 ]
  [[ $output == *"nothing was changed; is the disk full?"*"going on with serial 1, which is in force"* ]]
}

@test "full disk, where the server's sockets are: it is said, and served as soon as there is room" {
  mkdir small
  address=127.88.$((BASHPID >> 8 & 255)).$((BASHPID & 255))
  cat >server.sh <<'SH'
set -eu
address=$1
mount -t tmpfs -o size=1m,nr_inodes=1,mode=755 none small
export QF_RUNTIME_DIR=$PWD/small/run
key=$("$bin/qf-up" host-key)
jq --arg key "$key" --arg address "$address" '.peers[0] += {addresses: [$address], ssh_host_keys: [$key]}' "$top/conf/fabric.example.json" >config/fabric.json
"$bin/qf-up" up --self db1 --allow-server-ssh --disable-ssh-auth >log 2>&1 &
up=$!
for n in $(seq 600); do ! grep -q 'No space left' log || break; sleep 0.1; done
mount -o remount,nr_inodes=100 small
for n in $(seq 600); do ! grep -q "listening on $address" log || break; sleep 0.1; done
grep "No space left" log
grep "listening on $address" log
# the sockets for qf-up status are there too, at the latest after a restart
kill $up
wait $up
SH
  run unshare -m sh server.sh "$address"
  echo "$output"
  [ "$status" = 0 ]
}

# ---- a system that cannot be written

@test "a read-only /etc: applied, up and down as ever, and ssh goes by the folder of the state" {
  cat >ro.sh <<'SH'
set -eu
unset QF_CONFIG_DIR QF_STATE_DIR
mount -t tmpfs none /var/lib
mkdir etc && cp /etc/passwd /etc/group etc/ && mkdir -p etc/qufabric etc/ssh/ssh_config.d
cp config/fabric.json etc/qufabric/
mount --bind etc /etc && mount -o remount,bind,ro /etc
! touch /etc/touched 2>/dev/null
"$bin/qf-up" up >log 2>&1 &
up=$!
for n in $(seq 600); do ! grep -q 'up; no SSH server' log || break; sleep 0.1; done
cat log
"$bin/qf-up" status | grep -xE 'ssh_config: +/var/lib/qufabric/99-qufabric.conf'
"$bin/qf-up" down
wait $up
"$bin/qf-up" apply --self db1
SH
  run unshare -m sh ro.sh
  echo "$output"
  [ "$status" = 0 ]
  [[ $output == *"/etc/ssh/ssh_config.d is not there or cannot be written"*"hint: use qufabric ssh"* ]]
}

@test "a read-only /etc without the system users: it is said what is missing, and nothing runs half" {
  cat >users.sh <<'SH'
set -eu
mkdir etc
grep -v '^qufabric' /etc/passwd >etc/passwd
grep -v '^qufabric' /etc/group >etc/group
: >etc/shadow
mount --bind etc /etc && mount -o remount,bind,ro /etc
"$bin/qf-up" up --self db1 --allow-server-ssh
SH
  run -71 unshare -m sh users.sh
  echo "$output"
  [[ $output == *"useradd"*"hint: "*"sysusers"* ]]
}

@test "a state folder that cannot be written: nothing starts, and the words say why" {
  "$bin/qf-up" apply
  run -71 unshare -m sh -c 'mount --bind state state && mount -o remount,bind,ro state && "$bin/qf-up" up'
  [[ $output == *"Read-only file system"* ]]
  [ "$(serial)" = 1 ]
}

@test "root's qf-up takes no state folder that somebody else may change" {
  mkdir -m 755 state && chown 12345 state
  for words in apply up host-key rotate-host-key enroll down; do
    options=
    [ $words != enroll ] || options="--interface lo --self db1"
    run -78 "$bin/qf-up" $words $options
    echo "$words: $output"
    [[ $output == *"$PWD/state belongs to uid 12345, and this is uid 0"*"hint: run it as that user; or name a folder of your own: --state-dir"* ]]
    [ -z "$(ls -A state)" ]
  done
  chown 0 state && chmod 757 state
  run -78 "$bin/qf-up" apply
  [[ $output == *"$PWD/state can be changed by others"*"hint: run: chmod o-w $PWD/state"* ]]
  chmod 755 state
  run -0 "$bin/qf-up" apply
}

# ---- kills

# killed LEAST AFTER COMMAND…: before each call that changes files or starts a program; afterwards what is in force is that
# of before or of after, and AFTER, which does it again, succeeds.
killed() {
  strace -qq -o /dev/null true 2>/dev/null || skip "no process can be traced here"
  local least=$1 after=$2 n count=0 calls
  shift 2
  calls=mkdir,rename,unlink,rmdir,symlink,link,openat,write,fsync,chmod,fchmod,flock,fcntl,clone,clone3,fork,vfork,kill,pidfd_send_signal
  rm -rf saved && cp -a state saved 2>/dev/null || mkdir saved
  for ((n = 1; ; n++)); do
    rm -rf state && cp -a saved state
    code=0
    timeout 60 strace -qq -o /dev/null -e trace=$calls -e inject=$calls:signal=KILL:when=$n "$@" >said 2>&1 || code=$?
    # 137 is how strace ends when its tracee was killed
    [ "$code" = 137 ] || break
    count=$((count + 1))
    eval "$after" >after.log 2>&1 || { echo "after kill $n:" && cat after.log said; return 1; }
  done
  echo "killed $count times; then $code"
  [ "$count" -ge "$least" ]
}
in_order() {
  local now
  now=$(serial)
  [ "$now" = 1 ] || [ "$now" = 2 ]
}

@test "killed at each point of down: it can be done again, and ssh goes without the fabric then" {
  "$bin/qf-up" apply
  killed 10 'in_order && "$bin/qf-up" down && [ ! -e state/99-qufabric.conf ] && [ ! -e state/ssh_config ] && "$bin/qf-up" apply && grep -q db1 state/99-qufabric.conf' \
    "$bin/qf-up" down
  [ ! -e state/99-qufabric.conf ]
}

@test "killed at each point of the start: the old document or the new one, and the next start goes on to the new one" {
  "$bin/qf-up" apply
  document '.serial = 2'
  start_and_stop() {
    : >log
    start
    until_true grep -q "up; no SSH server" log && [ "$(serial)" = 2 ] && stop
  }
  strace -qq -o /dev/null true 2>/dev/null || skip "no process can be traced here"
  cp -a state saved
  calls=mkdir,rename,unlink,rmdir,symlink,link,openat,write,fsync,chmod,fchmod,flock,fcntl,close_range
  for ((n = 1; ; n++)); do
    rm -rf state && cp -a saved state
    : >started
    strace -qq -o /dev/null -e trace=$calls -e inject=$calls:signal=KILL:when=$n "$bin/qf-up" up >started 2>&1 3>&- 4>&- &
    tracer=$!
    until_true eval '! kill -0 $tracer 2>/dev/null || grep -q "up; no SSH server" started'
    if kill -0 $tracer 2>/dev/null && "$bin/qf-up" down >/dev/null 2>&1 && wait $tracer; then break; fi
    wait $tracer || :
    in_order
    start_and_stop || { cat log && false; }
  done
  echo "killed $n times"
  [ "$n" -ge 40 ]
}

@test "killed at each point of enroll and host-key: one whole key in the end, or none yet" {
  whole='[ "$("$bin/qf-up" host-key)" = "$(ssh-keygen -y -P "" -f state/ssh_host_ed25519_key | cut -d " " -f 1,2)" ]'
  whole+=' && [ "$(cut -d " " -f 1,2 state/ssh_host_ed25519_key.pub)" = "$("$bin/qf-up" host-key)" ] && [ ! -e state/ssh_host_ed25519_key.new ]'
  killed 8 "$whole" "$bin/qf-up" host-key
  rm -rf state
  killed 8 "$whole" "$bin/qf-up" enroll --interface lo --self db1
}

# ---- documents

@test "a document of another fabric is refused by hand, at the start and on SIGHUP, and forced when it is meant" {
  "$bin/qf-up" apply
  document '.serial = 2 | .domain = "other.example"'
  run -78 "$bin/qf-up" apply
  [[ $output == *"the document is of the fabric other.example, and fabric.example is in force"*"hint: is the file the right one? if it is, run: qf-up apply --force"* ]]
  run -78 "$bin/qf-up" apply config/fabric.json
  [ "$(serial)" = 1 ]
  start
  until_true grep -q "up; no SSH server" log
  grep -q "the document is of the fabric other.example" log
  grep -q "going on with serial 1, which is in force" log
  kill -HUP "$up"
  until_true eval '[ "$(grep -c "the document is of the fabric other.example" log)" = 2 ]'
  [ "$(serial)" = 1 ]
  run -0 "$bin/qf-up" apply --force
  [ "$(serial)" = 2 ]
  stop
}

@test "two peers of one name: the same, in another case, with the domain, an address as a name, each refused" {
  "$bin/qf-up" apply
  clash() {
    document ".serial = 2 | .peers += [{name: $1, addresses: [\"10.9.9.9\"], ssh: false}]"
    run -78 "$bin/qf-up" apply
    echo "$1: $output"
    [[ $output == *"$2"*"hint: "* ]]
    [ "$(serial)" = 1 ]
  }
  clash '"db1"' 'two peers have the name "db1"'
  clash '"DB1"' '"DB1" and "db1" differ by letter case only'
  clash '"db1.fabric.example"' '"db1.fabric.example" would also be the peer "db1"'
  clash '"DB1.Fabric.Example"' 'would also be the peer "db1"'
  clash '.peers[1].addresses[0]' 'a peer name must not look like an address'
  clash '"fd00::68"' 'a peer name has letters, digits'
  document '.serial = 2 | .peers += [{name: "other", addresses: [.peers[0].addresses[0]], ssh: false}]'
  run -78 "$bin/qf-up" apply
  [[ $output == *"is an address of the peer \"db1\" too"* ]]
}

@test "a document server that is gone for a week: the kept document serves, and status and doctor say since when" {
  ssh-keygen -q -t ed25519 -N '' -f ops
  echo "ops@test $(cut -d' ' -f1,2 ops.pub)" >signers
  "$bin/qf-up" apply --self db1
  # what a week ago has left: nobody answers at port 1
  url=https://127.0.0.1:1/fabric.json
  ssh-keygen -q -Y sign -n qufabric-document -f ops config/fabric.json 2>/dev/null
  jq --arg url $url --arg signers "$PWD/signers" '.document = $url | .document_signers = $signers' state/choices.json >choices
  cat choices >state/current/choices.json
  rm config/fabric.json
  "$bin/qf-up" refresh || :
  jq --argjson week "$(($(date +%s) - 7 * 86400))" '.last_success = $week | .serial = 1 | .error_since = $week' state/document-source.json >record
  cat record >state/document-source.json
  run "$bin/qf-up" status
  echo "$output"
  [[ $output == *"last good answer: "*"7 days ago, serial 1"*"ALARM: since "*"(7 days ago): "*"127.0.0.1"* ]]
  run -1 "$bin/qf-up" doctor
  echo "$output"
  [[ $output == *"wrong"*"document"*"its last good answer was 168 h ago; serial 1, in force "*" still"* ]]
  # nothing is said anew, and what is in force stays
  run -1 "$bin/qf-up" refresh
  [ "$(serial)" = 1 ]
  start
  until_true grep -q "up; no SSH server" log
  [ "$(serial)" = 1 ]
  stop
}

# ---- what is inherited

@test "the running qf-up keeps no descriptor that its starter left open" {
  mkfifo pipe
  exec 8<>pipe
  start 8<&8 9>left-open
  until_true grep -q "up; no SSH server" log
  run -1 eval 'ls -l "/proc/$up/fd" | grep -E "pipe$|left-open"'
  stop
  exec 8>&-
}
