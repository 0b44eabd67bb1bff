# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A server whose /etc, /run, /var/log and /var/lib/extrausers are its own: in private mounts, so that nothing of the
# machine changes. Load after helpers. What is changed in $SYSTEM counts for the server at once; users must be there
# before private_system.

# private_system: makes the copies in SYSTEM, with empty utmp, wtmp and lastlog, and our PAM service.
private_system() {
  SYSTEM=$QF/system
  export SYSTEM
  mkdir -p "$SYSTEM/run" "$SYSTEM/log" "$SYSTEM/extrausers" /var/lib/extrausers
  cp -a /etc "$SYSTEM/etc"
  : >"$SYSTEM/run/utmp"
  : >"$SYSTEM/log/wtmp"
  : >"$SYSTEM/log/lastlog"
  rm -f "$SYSTEM/etc/nologin" "$SYSTEM/etc/ssh/sshrc" "$SYSTEM/etc/default/locale"
  : >"$SYSTEM/etc/environment"
  printf 'welcome to %s\n' "$NUMBER" >"$SYSTEM/etc/motd"
  rm -rf "$SYSTEM/etc/update-motd.d"
  cp "$TOP/conf/pam/qf-sshd" "$SYSTEM/etc/pam.d/qf-sshd"
  cat >"$SYSTEM/enter" <<'SH'
#!/bin/sh
set -e
system=$1
shift
mount --bind "$system/etc" /etc
mount --bind "$system/run" /run
mount --bind "$system/log" /var/log
mount --bind "$system/extrausers" /var/lib/extrausers
exec "$@"
SH
}

# private_start [FLAG…]: as server_start, in there.
private_start() {
  server_start_by unshare --mount sh "$SYSTEM/enter" "$SYSTEM" \
    "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh --ssh-jwt-cache-ttl=3600 "$@"
}
private_restart() {
  server_stop
  private_start "$@"
}

# inside COMMAND…: as root, where the server is.
inside() { nsenter --target "$(qf_up)" --mount --wd=/ -- "$@"; }

# service_adds LINE…: our PAM service with these lines at its end.
service_adds() {
  cp "$TOP/conf/pam/qf-sshd" "$SYSTEM/etc/pam.d/qf-sshd"
  printf '%s\n' "$@" >>"$SYSTEM/etc/pam.d/qf-sshd"
}

# The monitor of the one connection that stands: the newest of them.
monitor_pid() { pgrep -n -P "$(pgrep -P "$(qf_up)")" -x qf-sshd; }

# hold NAME SSH-ARGUMENT…: a session that stands until its PID is ended; it has printed "up" in $QF/NAME.log.
hold() {
  local name=$1
  shift
  mkfifo -m 666 "$QF/$name.hold"
  background_as "$CLIENT" "$QF/$name.log" sh -c "exec \"\$@\" <>'$QF/$name.hold'" sh ssh -F "$CONF" "$@"
  until_true 60 grep -q up "$QF/$name.log"
}
