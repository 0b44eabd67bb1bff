#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up apply is one step: killed at any moment it leaves the old state or the new one, and never a mixture, whatever lay
# there before; and who reads meanwhile finds one of them at each moment.

bats_require_minimum_version 1.5.0

setup() {
  bin=$(cd "${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin" && pwd)
  cd "$BATS_TEST_TMPDIR"
  unset QF_CONFIG_DIR QF_STATE_DIR QF_RUNTIME_DIR
}

# killed SITUATION LEAST: at each point of an apply, LEAST of them or more
killed() {
  strace -qq -o /dev/null true 2>/dev/null || skip "no process can be traced here"
  run -0 --separate-stderr /usr/bin/python3 "$BATS_TEST_DIRNAME/kill_points.py" "$bin" "$BATS_TEST_TMPDIR" "$1"
  echo "killed $output times"
  [ "$output" -ge "$2" ]
}

@test "killed at fifty points and more: the old document or the new one, and the next apply leaves nothing behind" { killed next 50; }
@test "killed the first time: nothing, or all" { killed first 15; }
@test "killed where an older version left plain files" { killed plain 30; }
@test "killed where an editor replaced a file and a person removed another" { killed edited 15; }
@test "killed after down: ssh goes on without the fabric, or with the new document" { killed down 10; }
@test "killed while the ssh_config file moves: it is here or there" { killed moved 15; }

@test "who reads while documents come and go finds a whole one each time" {
  cat >read.py <<'PY'
import os, subprocess, sys
up, example, state = sys.argv[1:]
names = ["policy.mdb", "peers.mdb", "known_hosts", "choices.json", "99-qufabric.conf"]
def plain():
    for name in names:
        with open(f"{state}/{name}", "rb") as file:
            text = file.read()
        with open(f"{state}/{name}.plain", "wb") as file:
            file.write(text)
        os.replace(f"{state}/{name}.plain", f"{state}/{name}")
    os.unlink(f"{state}/current")
apply = [up, "apply", "--state-dir", state, example]
subprocess.run(apply, check=True, capture_output=True)
reads = 0
for turn in range(8):
    if turn % 2:
        plain()
    running = subprocess.Popen(apply, stderr=subprocess.DEVNULL)
    while running.poll() is None:
        for name in names:
            with open(f"{state}/{name}", "rb") as file:
                assert file.read(), name
            reads += 1
    assert running.returncode == 0
print(reads)
PY
  run -0 /usr/bin/python3 read.py "$bin/qf-up" "$BATS_TEST_DIRNAME/../../conf/fabric.example.json" "$PWD/state"
  echo "$output reads"
  [ "$output" -gt 100 ]
}
