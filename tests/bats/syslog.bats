#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-sshd --syslog, with a /dev/log of the test's own in a private mount.

load helpers

setup() {
  fabric_begin && fabric_write
  # qf-up makes the system users and applies the document
  server_start && server_stop
  syslog_start
}
teardown() { fabric_end; }

# The server in a /dev of its own, where a socket takes what is logged. The receiver is a child of neither.
syslog_start() {
  cat >"$QF/receiver.py" <<'PYTHON'
import os, socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
with open(sys.argv[2], "ab", 0) as out:
    while True:
        out.write(log.recv(65536).replace(b"\0", b"") + b"\n")
PYTHON
  cat >"$QF/private" <<'SH'
#!/bin/sh
# private FOLDER COMMAND…: with a /dev whose log is FOLDER/log
set -e
folder=$1
shift
mount --make-rprivate /
mkdir -p "$folder/dev"
mount -t tmpfs tmpfs "$folder/dev"
for name in null zero random urandom full tty; do
  touch "$folder/dev/$name"
  mount --bind "/dev/$name" "$folder/dev/$name"
done
mkdir "$folder/dev/pts"
mount --rbind /dev/pts "$folder/dev/pts"
ln -s pts/ptmx "$folder/dev/ptmx"
ln -s /proc/self/fd "$folder/dev/fd"
ln -s "$folder/log" "$folder/dev/log"
mount --move "$folder/dev" /dev
exec "$@"
SH
  chmod 755 "$QF/private"
  background "$QF/receiver.log" "$PYTHON" "$QF/receiver.py" "$QF/log" "$QF/syslog.out"
  until_true 60 test -S "$QF/log"
  server_start_by unshare --mount "$QF/private" "$QF" "$BIN/qf-sshd" --self server $FOLDERS --syslog
  # it became qf-sshd itself
  LISTENER=$(qf_up)
}

@test "sessions work, on the direct path and in the tunnel, and what is logged arrives" {
  warm
  for _ in 1 2 3; do
    run -0 on_peer 'echo in'
    [ "$output" = in ]
  done
  run -0 tunnelled -l "$TARGET" server 'echo through'
  [ "$output" = through ]
  run -255 qssh -l root server true
  run -0 on_peer 'echo in again'
  # 86: facility authpriv, level info; 84: warning
  run -0 grep -E "^<86>.* qf-sshd\[$LISTENER\]: listening on $ADDRESS" "$QF/syslog.out"
  run -0 grep -E '^<86>.* qf-sshd\[[0-9]+\]: login allowed: ' "$QF/syslog.out"
  run -0 grep -E '^<84>.* qf-sshd\[[0-9]+\]: login refused: ' "$QF/syslog.out"
}

@test "the audit log goes there too, line by line as it is in the file; not with --disable-audit-syslog" {
  warm
  run -0 on_peer true
  until_true 60 audit_says '.event == "session-end"'
  # 86: authpriv, info
  same() { diff <(sed -n 's/^<86>[^{]* qf-audit\[[0-9]*\]: //p' "$QF/syslog.out" | sort) <(tail -n +"$FIRST" "$AUDIT" | sort); }
  # the first server had another /dev/log
  FIRST=$(($(grep -n '"event":"policy"' "$AUDIT" | tail -n 1 | cut -d: -f1)))
  until_true 60 same
  [ "$(grep -c ' qf-audit\[' "$QF/syslog.out")" -ge 4 ]
  server_stop
  server_start_by unshare --mount "$QF/private" "$QF" "$BIN/qf-sshd" --self server $FOLDERS --syslog --disable-audit-syslog
  before=$(grep -c ' qf-audit\[' "$QF/syslog.out")
  written=$(wc -l <"$AUDIT")
  run -0 on_peer true
  [ "$(wc -l <"$AUDIT")" -gt "$written" ]
  [ "$(grep -c ' qf-audit\[' "$QF/syslog.out")" = "$before" ]
}

@test "no net holds a way to the log, and no syslog is no harm" {
  warm
  mkfifo -m 666 "$QF/hold"
  background_as "$CLIENT" "$QF/session.log" sh -c "exec ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold'"
  until_true 60 grep -q up "$QF/session.log"
  for pid in $(descendants "$LISTENER"); do
    [ "$(ps -o user= -p "$pid")" = qufabric ] || continue
    # its sockets by name: those to /dev/log have one on the other side
    for inode in $(readlink "/proc/$pid/fd/"* | grep -oE 'socket:\[[0-9]+' | cut -d[ -f2); do
      run -1 bash -c "ss -Hxp state connected | grep -F ' $inode ' | grep -F '$QF/log'"
    done
  done
  receiver=$(pgrep -f "$QF/receiver.py")
  end_process "$receiver"
  run -0 on_peer 'echo without'
  [ "$output" = without ]
}
