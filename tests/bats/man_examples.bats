#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The examples of the manual pages do what they say: each is taken from its page and run as it stands there, on a machine of
# its own (man_world.sh). The few that cannot run there are in man_examples.py, each with its reason.

load helpers
load private_system

setup_file() {
  fabric_begin && private_system || return
  # the world has folders of its own
  cp /etc/passwd /etc/shadow "$SYSTEM/"
  chmod 755 "$SYSTEM"
}
teardown_file() { fabric_end; }

# examples_of PAGE LEAST: all of them run, LEAST or more
examples_of() {
  local folder=$QF/$1 script count
  mkdir -p "$folder"
  "$PYTHON" "$TOP/tests/bats/man_examples.py" "$TOP/man/$1" "$folder" >"$folder/count"
  count=$(<"$folder/count")
  [ "$count" -ge "$2" ]
  chmod -R a+rX "$folder"
  for script in "$folder"/*.root "$folder"/*.user; do
    [ -e "$script" ] || continue
    echo "--- $script"
    cat "$script"
    unshare --mount --net --pid --fork --mount-proc --kill-child \
      env BIN="$BIN" TOP="$TOP" SYSTEM="$SYSTEM" CLIENT="$CLIENT" TARGET="$TARGET" bash "$TOP/tests/bats/man_world.sh" "$script" 3>&- 4>&-
  done
}

@test "fabric.json(5): the document of the example is a good one, but for the host key that is cut short" {
  awk '/^[.]Sh EXAMPLES/ { on = 1 } on && /^[.]Ed/ { exit } on && !/^[.]/' "$TOP/man/fabric.json.5" >"$QF/example.json"
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$QF/key"
  run ! "$BIN/qf-up" check "$QF/example.json" --state-dir "$QF/none"
  [ "$(grep -c '^qf-up: .*example.json:' <<<"$output")" = 1 ]
  sed "s,ssh-ed25519 AAAA[.]*,$(cut -d' ' -f1,2 "$QF/key.pub")," "$QF/example.json" >"$QF/whole.json"
  run -0 "$BIN/qf-up" check "$QF/whole.json" --state-dir "$QF/none"
}

@test "qf-detect(1)" { examples_of qf-detect.1 3; }
@test "qf-proxy(1)" { examples_of qf-proxy.1 2; }
@test "qf-token(1)" { examples_of qf-token.1 3; }
@test "qf-tokend(1)" { examples_of qf-tokend.1 2; }
@test "qf-tokend-protocol(7)" { examples_of qf-tokend-protocol.7 2; }
@test "qufabric(1)" { examples_of qufabric.1 1; }
@test "qufabric(7)" { examples_of qufabric.7 1; }
@test "qf-sshd(8)" { examples_of qf-sshd.8 4; }
@test "qf-up(8)" { examples_of qf-up.8 12; }
@test "qf-helper(8) and qf-keyfetch(8)" { examples_of qf-helper.8 1 && examples_of qf-keyfetch.8 1; }

@test "every page with examples is among them" {
  tested=$(sed -nE 's/^@test "[^"]*" \{ examples_of .*/&/p' "$BATS_TEST_FILENAME" | grep -oE 'examples_of [a-z-]+[.][178]' | cut -d' ' -f2; echo fabric.json.5; echo qf-tunnel.8)
  for page in "$TOP"/man/*.[1578]; do grep -qx "$(basename "$page")" <<<"$tested"; done
}
