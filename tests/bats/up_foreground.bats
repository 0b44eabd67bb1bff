#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up in the foreground, with a stand-in for qf-sshd beside it that writes down what happens to it.

setup() {
  bin=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin
  cd "$BATS_TEST_TMPDIR"
  mkdir config bin
  cp "$bin/qf-up" "$bin/qufabric" bin/
  cat >bin/qf-sshd <<EOF
#!/bin/sh
echo "start \$*" >>$PWD/events
case \$(cat $PWD/mode 2>/dev/null) in
  crash) exit 3 ;;
  config) exit 78 ;;
  deaf) trap '' TERM ;;
  *) trap 'echo term >>$PWD/events; exit 0' TERM ;;
esac
echo \$\$ >$PWD/pid
while :; do sleep 0.05; done
EOF
  chmod +x bin/qf-sshd
  export QF_CONFIG_DIR=$PWD/config QF_STATE_DIR=$PWD/state QF_RUNTIME_DIR=$PWD/run
  cp "$BATS_TEST_DIRNAME/../../conf/fabric.example.json" config/fabric.json
  up=
}

teardown() {
  [ -z "$up" ] || { kill -KILL "$up" 2>/dev/null && wait "$up" 2>/dev/null || true; }
  # a deaf stand-in outlives its supervisor
  if [ -e pid ] && [ "$(cat "/proc/$(cat pid)/comm" 2>/dev/null)" = qf-sshd ]; then kill -KILL "$(cat pid)"; fi
}

# until COMMAND...: polls for it, 15 s at most
until_true() {
  local end=$((SECONDS + 60))
  until "$@"; do
    [ $SECONDS -lt $end ] && sleep 0.02 && continue
    echo "still not: $*"
    cat log events
    return 1
  done
}

events() {
  [ "$(grep -c "$1" events 2>/dev/null)" -ge "$2" ]
}

start() {
  bin/qf-up "$@" >log 2>&1 3>&- &
  up=$!
}

ended() {
  ! kill -0 "$1" 2>/dev/null
}

@test "starts qf-sshd with folders, name and flags, and down stops both" {
  start up --allow-server-ssh --self DB1 --enable-ssh-sftp
  until_true test -e pid
  [ "$(head -1 events)" = "start --config-dir $PWD/config --state-dir $PWD/state --runtime-dir $PWD/run --self db1 --enable-ssh-sftp" ]
  run bin/qufabric status
  [ "$status" -eq 0 ]
  [[ $output == *"running:  "*"yes, pid $up"* ]]
  [[ $output == *"self:  "*" db1"* ]]
  run bin/qufabric down
  [ "$status" -eq 0 ]
  wait "$up"
  [ "$(tail -1 events)" = term ]
  [ ! -e state/99-qufabric.conf ]
  run bin/qufabric status
  [ "$status" -eq 1 ]
}

@test "the choices of the last time count without flags" {
  start --allow-server-ssh --self db1
  until_true test -e pid
  bin/qf-up down
  wait "$up"
  rm pid
  start
  until_true test -e pid
  [ "$(grep -c '^start .* --self db1$' events)" -eq 2 ]
  bin/qf-up down
}

@test "a killed qf-sshd is started again" {
  start --allow-server-ssh --self db1
  until_true test -e pid
  kill -KILL "$(cat pid)"
  until_true events start 2
  grep -q "qf-sshd killed by signal 9 (Killed); starting it again in 200 ms" log
}

@test "a qf-sshd that keeps failing is started ever more rarely" {
  echo crash >mode
  start --allow-server-ssh --self db1
  until_true grep -q "starting it again in 1600 ms" log
  [ "$(grep -c start events)" -le 4 ]
}

@test "a qf-sshd that refuses its configuration is not started again" {
  echo config >mode
  start --allow-server-ssh --self db1
  status=0
  wait "$up" || status=$?
  [ "$status" -eq 78 ]
  [ "$(grep -c start events)" -eq 1 ]
  grep -q "qf-sshd refuses its configuration" log
}

@test "SIGTERM and SIGINT stop qf-sshd and leave the ssh_config file" {
  for signal in TERM INT; do
    rm -f pid
    # bash starts background jobs with SIGINT ignored; qf-up takes it from a signalfd all the same
    start --allow-server-ssh --self db1
    until_true test -e pid
    kill -$signal "$up"
    wait "$up"
    [ "$(tail -1 events)" = term ]
    [ -e state/99-qufabric.conf ]
  done
}

@test "a killed qf-up takes qf-sshd with it" {
  start --allow-server-ssh --self db1
  until_true test -e pid
  kill -KILL "$up"
  until_true events term 1
}

@test "a qf-sshd that ignores SIGTERM is killed in the end" {
  echo deaf >mode
  start --allow-server-ssh --self db1
  until_true test -e pid
  sshd=$(cat pid)
  bin/qf-up down
  ended "$sshd"
  grep -q "qf-sshd does not end; killing it" log
}

@test "SIGHUP applies the document again; a wrong one leaves what is in force" {
  start
  until_true grep -q "up; no SSH server runs here" log
  jq '.serial = 2' config/fabric.json >next && mv next config/fabric.json
  kill -HUP "$up"
  until_true grep -q "serial 2 is in force" log
  echo '{' >config/fabric.json
  kill -HUP "$up"
  until_true grep -q "is not a valid fabric document" log
  [ "$(bin/qf-up status --json | jq .serial)" -eq 2 ]
  kill -0 "$up"
}

@test "SIGHUP does not bring back what apply has taken away meanwhile" {
  start up --enable-ssh-root --ssh-jwt-cache-ttl 60
  until_true grep -q "up; no SSH server runs here" log
  bin/qf-up apply --enable-ssh-root=false --ssh-jwt-cache-ttl 3600
  jq '.serial = 2' config/fabric.json >next && mv next config/fabric.json
  kill -HUP "$up"
  until_true grep -q "serial 2 is in force" log
  [ "$(jq -c '[.enable_ssh_root, .ssh_jwt_cache_ttl]' state/choices.json)" = '[false,3600]' ]
}

@test "an older document at the start, or another of the same serial: the one in force goes on, and that is said" {
  jq '.serial = 2' config/fabric.json >newer.json
  run -0 bin/qf-up apply newer.json --self db1 --allow-server-ssh
  [[ $output == *"config/fabric.json is another document"*"hint: run: install -m 644 newer.json "* ]]
  for change in . '.serial = 2 | .domain = "other.example"'; do
    rm -f pid
    jq "$change" config/fabric.json >next && mv next config/fabric.json
    start
    until_true test -e pid
    grep -q "going on with serial 2, which is in force" log
    grep -q "^hint: raise the serial in the document" log
    bin/qf-up down
  done
}

@test "a broken document at the start: the one in force goes on, and that is said" {
  bin/qf-up apply --self db1 --allow-server-ssh
  cp config/fabric.json good.json
  echo '{' >config/fabric.json
  start
  until_true test -e pid
  grep -q "fabric.json is not a valid fabric document" log
  grep -q "going on with serial 1, which is in force" log
  grep -q "^hint: correct the document, then run: qf-up apply" log
  [ "$(head -1 events)" = "start --config-dir $PWD/config --state-dir $PWD/state --runtime-dir $PWD/run --self db1" ]
  bin/qf-up down
  wait "$up"
  # none in force
  rm state/policy.mdb
  run bin/qf-up
  [ "$status" -eq 78 ]
}

@test "two qf-up for one state folder: the second says who runs" {
  start
  until_true grep -q "up; no SSH server" log
  run bin/qf-up
  [ "$status" -eq 78 ]
  [[ $output == *"another qf-up (pid $up) is running for $PWD/state"* ]]
  # apply is still possible
  bin/qf-up apply
}

@test "down trusts the lock and no stale pid" {
  start
  until_true grep -q "up; no SSH server" log
  kill -KILL "$up"
  wait "$up" || true
  # an innocent process, whatever stale files may say
  tail -f /dev/null &
  innocent=$!
  echo "$innocent" >state/qf-up.lock
  run bin/qf-up down
  kill -0 "$innocent"
  kill "$innocent"
  [ "$status" -eq 0 ]
  [[ $output == *"no qf-up was running"* ]]
}

@test "--allow-server-ssh without --self is refused" {
  run bin/qf-up --allow-server-ssh
  [ "$status" -eq 78 ]
  [[ $output == *"--allow-server-ssh needs --self NAME"* ]]
}

@test "a host key that the document does not pin is said, with the line to put in" {
  start --allow-server-ssh --self db1
  until_true test -e pid
  grep -q "the fabric document does not pin this machine's host key" log
  grep -qF "$(bin/qf-up host-key)" log
}

@test "as root the system users are made" {
  [ "$(id -u)" -eq 0 ] || skip "needs root"
  start --allow-server-ssh --self db1
  until_true test -e pid
  for user in qufabric qufabric-fetch; do
    [ "$(getent passwd $user | cut -d: -f7)" = /usr/sbin/nologin ]
    [ "$(getent passwd $user | cut -d: -f3)" -lt 1000 ]
  done
}

@test "an idle qf-up does not wake up" {
  start --allow-server-ssh --self db1
  until_true test -e pid
  until_true events start 1
  # a second in which nothing happens
  before=$(awk '/voluntary/ { n += $2 } END { print n }' "/proc/$up/status")
  read -r -t 1 _ <> <(:) || :
  after=$(awk '/voluntary/ { n += $2 } END { print n }' "/proc/$up/status")
  [ $((after - before)) -le 1 ]
}

@test "qufabric ssh is the user's ssh, detect and proxy are ours" {
  run bin/qufabric ssh -V
  [[ $output == OpenSSH_* ]]
  printf '#!/bin/sh\necho "detect $*"\n' >bin/qf-detect && chmod +x bin/qf-detect
  printf '#!/bin/sh\necho "proxy $*"\n' >bin/qf-proxy && chmod +x bin/qf-proxy
  printf '#!/bin/sh\necho "token $*"\n' >bin/qf-token && chmod +x bin/qf-token
  [ "$(bin/qufabric ssh detect 'a b' 22)" = "detect a b 22" ]
  [ "$(bin/qufabric ssh proxy host 22022)" = "proxy host 22022" ]
  [ "$(bin/qufabric login --issuer corp)" = "token login --issuer corp" ]
  run bin/qufabric frobnicate
  [ "$status" -eq 64 ]
}
