#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Long streams: gigabytes through a pipe arrive whole, also while the keys of the connection change under them.
# run first

load helpers

# Sums are CRCs with a length (cksum), which notice what is lost, doubled or moved, and blocks have 64 KiB: the rest would
# cost more time than the streams.
setup_file() {
  fabric_begin && fabric_write && server_start && warm
  # 2 GiB that take 128 MiB of disk: a stamp every 64 KiB tells where it belongs, the rest is a hole
  in_home "mkdir tree && echo beside > tree/small && $PYTHON -c '
import os
with open(\"tree/stamped\", \"wb\") as out:
    out.truncate(1 << 31)
    for at in range(0, 1 << 31, 65536):
        os.pwrite(out.fileno(), b\"%020d\" % at, at)'"
  # 1 GiB of which no two blocks are alike
  export NOISE="openssl enc -aes-128-ctr -bufsize 65536 -nosalt -K 01 -iv 00 -in /dev/zero 2>/dev/null |
    dd bs=64K count=16384 iflag=fullblock status=none"
  STAMPED_SUM=$(in_home 'cat tree/small tree/stamped | cksum')
  NOISE_SUM=$(in_home "{ $NOISE; } | cksum")
  export STAMPED_SUM NOISE_SUM
}
teardown_file() { fabric_end; }

# in_home COMMAND: a line of bash as CLIENT at home; "$ssh" is the generated configuration's, as TARGET.
in_home() { as_client timeout 400 bash -c "cd && ssh='ssh -F $CONF -l $TARGET' && $1"; }
# rekeyed N: so often at least, from what ssh -v wrote to "log"
rekeyed() {
  local count
  count=$(grep -c 'ssh_set_newkeys: mode 1' "$QF/home/$CLIENT/log")
  [ "$count" -gt "$1" ] || { echo "$count times" && false; }
}

@test "tar of 2 GiB through a pipe, up" {
  run -0 in_home "tar cb 128 tree/small tree/stamped | \$ssh server 'tar xOb 128 | cksum'"
  [ "$output" = "$STAMPED_SUM" ] || { echo "$output, not $STAMPED_SUM" && false; }
}

@test "tar of 2 GiB through a pipe, down" {
  run -0 in_home "\$ssh server 'tar cb 128 -C $QF/home/$CLIENT tree/small tree/stamped' | tar xOb 128 | cksum"
  [ "$output" = "$STAMPED_SUM" ] || { echo "$output, not $STAMPED_SUM" && false; }
}

@test "tar through a pipe in the tunnel, there and back at once" {
  run -0 in_home "head -c 100000000 tree/stamped > part; tar c part | QF_SSH=tunnel \$ssh server cat | tar xOb 128 | cmp - part && rm part"
}

@test "1 GiB down with new keys every 16 MiB (RekeyLimit)" {
  run -0 in_home "\$ssh -vv -o RekeyLimit=16M server '$NOISE' 2>log | cksum"
  [ "$output" = "$NOISE_SUM" ] || { echo "$output, not $NOISE_SUM" && false; }
  rekeyed 60
}

@test "1 GiB up with new keys every 16 MiB (RekeyLimit)" {
  run -0 in_home "{ $NOISE; } | \$ssh -vv -o RekeyLimit=16M server cksum 2>log"
  [ "$output" = "$NOISE_SUM" ] || { echo "$output, not $NOISE_SUM" && false; }
  rekeyed 60
}
