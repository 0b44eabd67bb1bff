#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a newcomer does first: make demo, make install; and that make bench works.

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
}

@test "a demo that is interrupted leaves nothing either" {
  background "$QF/demo.log" env BUILD="$(dirname "$BIN")" TMPDIR="$QF" "$TOP/conf/demo"
  until_true 40 grep -q 'qf-up host-key' "$QF/demo.log"
  user=$(grep -oE 'qfdemo[0-9]+' "$QF/demo.log" | head -n 1)
  end_process "$PID"
  until_true 40 bash -c "! getent passwd $user"
  [ -z "$(ls -d "$QF"/qf-demo* 2>/dev/null)" ]
  [ -z "$(pgrep -f "$QF/qf-demo")" ]
}

@test "make install puts programs, pages and units where they belong, and the programs find each other there" {
  make -C "$TOP" BUILD="$(dirname "$BIN")" DESTDIR="$QF/root" PREFIX=/usr install >"$QF/install.log"
  for program in bin/qf-detect bin/qf-proxy bin/qf-token bin/qf-tokend bin/qufabric sbin/qf-sshd sbin/qf-up libexec/qufabric/qf-tunnel; do
    [ -x "$QF/root/usr/$program" ]
  done
  [ -s "$QF/root/usr/share/man/man8/qf-sshd.8" ]
  [ -s "$QF/root/usr/share/man/man5/fabric.json.5" ]
  [ -s "$QF/root/usr/lib/systemd/system/qufabric.service" ]
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

@test "the benchmark measures every figure (small sizes)" {
  run -0 env BENCH_QUICK=1 BUILD="$(dirname "$BIN")" TMPDIR="$QF" "$TOP/tests/bench/run"
  for figure in "warm token" "50 ms round trip" "direct, down" "direct, up" "tunnel, to ssh -J down" "tunnel, to ssh -J up" "idle connection" "qf-detect --match"; do
    [[ $output == *"$figure"* ]] || { echo "$output" && false; }
  done
}
