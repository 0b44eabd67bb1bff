#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a newcomer does first: make demo, make install; and that make bench works.
# run first

load helpers

setup() { fabric_begin; }
teardown() { fabric_end; }

@test "the demo runs to its end and leaves nothing" {
  run -0 env BUILD="$(dirname "$BIN")" TMPDIR="$QF" "$TOP/conf/demo"
  [[ $output == *"hello from qfdemo"* ]]
  [[ $output == *"No authorization mapping for OS user"* ]]
  [[ $output == *"Done; everything is stopped and removed."* ]]
  user=$(grep -oE 'qfdemo[0-9]+' <<<"$output" | head -n 1)
  run -2 getent passwd "$user"
  [ -z "$(ls -d "$QF"/qf-demo* 2>/dev/null)" ]
  [ -z "$(pgrep -f "$QF/qf-demo")" ]
}

# interrupted_at TEXT: a demo that gets SIGTERM when it has said TEXT
interrupted_at() {
  background "$QF/demo.log" env BUILD="$(dirname "$BIN")" TMPDIR="$QF" "$TOP/conf/demo"
  until_true 60 grep -q "$1" "$QF/demo.log"
  user=$(grep -oE 'qfdemo[0-9]+' "$QF/demo.log" | head -n 1)
  uid=$(id -u "$user")
  end_process "$PID"
  # at its end everything is away, not some time later
  run -2 getent passwd "$user"
  [ -z "$(ls -d "$QF"/qf-demo* 2>/dev/null)" ]
  [ -z "$(pgrep -f "$QF/qf-demo")" ]
  [ -z "$(pgrep -U "$uid" --runstates DRST)" ]
  : >"$QF/demo.log"
}

@test "a demo that is interrupted leaves nothing either" {
  interrupted_at 'qf-up host-key'
  interrupted_at 'Plain ssh'
}

@test "a throw-away user gets a uid that no process, user or group has" {
  add() { "$TOP/conf/throw-away-user" "$1" --home-dir "$QF/home/$1" && echo "$1" >>"$QF/users"; }
  add "qfa$NUMBER"
  uid=$(id -u "qfa$NUMBER")
  [ "$uid" -ge 70000 ]
  "$TOP/conf/throw-away-user" --remove "qfa$NUMBER"
  # somebody of another container, say, who is in no passwd file here
  background "$QF/stranger.log" setpriv --reuid "$uid" --regid "$uid" --clear-groups sleep 600
  until_true 60 bash -c "pgrep -U $uid | grep -q ."
  for letter in a b; do
    add "qf$letter$NUMBER"
    [ "$(id -u "qf$letter$NUMBER")" != "$uid" ]
  done
  [ "$(id -u "qfa$NUMBER")" != "$(id -u "qfb$NUMBER")" ]
}

@test "make install puts programs, pages and units where they belong, and the programs find each other there" {
  make -C "$TOP" BUILD="$(dirname "$BIN")" DESTDIR="$QF/root" PREFIX=/usr install >"$QF/install.log"
  for program in bin/qf-detect bin/qf-proxy bin/qf-token bin/qf-tokend bin/qufabric sbin/qf-sshd sbin/qf-up libexec/qufabric/qf-tunnel; do
    [ -x "$QF/root/usr/$program" ]
  done
  [ -s "$QF/root/usr/share/man/man8/qf-sshd.8" ]
  [ -s "$QF/root/usr/share/man/man5/fabric.json.5" ]
  [ -d "$QF/root/etc/qufabric" ]
  for unit in system/qufabric system/qf-machine-issuer user/qf-tokend; do
    [ -s "$QF/root/usr/lib/systemd/$unit.service" ]
    [ -s "$QF/root/usr/lib/systemd/$unit.socket" ]
  done
  # libpam looks there whatever the prefix
  [ -s "$QF/root/etc/pam.d/qf-sshd" ]
  [ -s "$QF/root/etc/logrotate.d/qufabric" ]
  run -1 grep -r @PREFIX@ "$QF/root"
  # a session through the installed programs, in the tunnel, which needs the one in libexec
  BIN=$QF/installed
  mkdir "$BIN"
  ln -s "$QF"/root/usr/*bin/* "$BIN/"
  fabric_write
  server_start
  run -0 tunnelled -l "$TARGET" server id -un
  [ "$output" = "$TARGET" ]
  grep -q "$QF/root/usr/bin/qf-proxy" "$CONF"
  # and away again
  make -C "$TOP" DESTDIR="$QF/root" PREFIX=/usr uninstall >"$QF/install.log"
  [ -z "$(find "$QF/root" -type f)" ]
}

@test "PAM=no builds without libpam, and installs no service for it" {
  run -0 make -C "$TOP" -n BUILD="$QF/none" DESTDIR="$QF/root" PAM=no install
  [[ $output == *qf-sshd* && $output != *lpam* && $output != *QF_PAM* && $output != *pam.d* ]]
  cd "$TOP"
  g++ -std=c++20 -I. -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror qf-sshd/pam.cc
}

@test "the benchmark measures every figure (small sizes)" {
  run -0 env BENCH_QUICK=1 BUILD="$(dirname "$BIN")" TMPDIR="$QF" "$TOP/tests/bench/run"
  for figure in "warm token" "50 ms round trip" "direct, down" "direct, up" "tunnel, to ssh -J down" "tunnel, to ssh -J up" "idle connection" "--match, no peer" "--match, a peer" "16 at once" \
    "qf-up apply" "its memory" "authorisation decision" "policy.mdb opened for it" "to that among 10" "JWT verification ES256" "from apply to the end of" \
    "processor time of 20 idle" "echo beside a copy of 64 MiB, p50" "echo beside a copy of 64 MiB, p99" "through -L" "through -R"; do
    [[ $output == *"$figure"* ]] || { echo "$output" && false; }
  done
}
