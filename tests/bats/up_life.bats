#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A server that hangs, without systemd: qf-up hears no sign of life, kills it and starts another; live sessions stay. The
# same under systemd is in systemd.bats. Six seconds where a machine has thirty.

load helpers

setup() {
  fabric_begin
  fabric_write
  server_start_by env WATCHDOG_USEC=12000000 "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh --ssh-jwt-cache-ttl=3600
  server=$(listener_pid)
}
teardown() {
  [ -z "${server:-}" ] || kill -CONT "$server" 2>/dev/null || :
  fabric_end
}

new_listener() { [ -n "$(listener_pid)" ] && [ "$(listener_pid)" != "$server" ]; }

@test "a server that hangs is killed and started again; the session that stands notices nothing" {
  mkfifo "$QF/in"
  exec 8<>"$QF/in"
  as_words "$CLIENT"
  "${AS[@]}" timeout 300 ssh -F "$CONF" -l "$TARGET" server 'echo here; cat' <&8 >"$QF/session" 2>&1 3>&- 4>&- &
  note_process $!
  until_true 60 grep -q here "$QF/session"
  kill -STOP "$server"
  until_true 60 new_listener
  grep -q "qf-sshd has given no sign of life .*; killing it" "$QF/qf-up.log"
  grep -q "qf-sshd killed by signal 9 (Killed); starting it again" "$QF/qf-up.log"
  echo again >&8
  until_true 60 grep -q again "$QF/session"
  [ "$(on_peer id -un)" = "$TARGET" ]
  # the new one knows of the old one's session
  until_true 60 eval "$BIN/qf-up status -d --json $FOLDERS | jq -e '[.connections[].sessions[]] | length == 1'"
}

@test "a server that lives is left alone, with nothing to do and with much" {
  # longer than its silence may be, by far
  for_a_while 10
  [ "$(listener_pid)" = "$server" ]
  on_peer true
  kill -HUP "$(qf_up)"
  for_a_while 3
  [ "$(listener_pid)" = "$server" ]
  run ! grep -q "sign of life" "$QF/qf-up.log"
}

@test "stopped and continued together, as by a shell's job control or a machine that is frozen: nobody is killed" {
  kill -STOP "$(qf_up)" "$server"
  for_a_while 10
  kill -CONT "$(qf_up)"
  # it finds that the time is over, and that it slept itself
  for_a_while 2
  kill -CONT "$server"
  for_a_while 8
  [ "$(listener_pid)" = "$server" ]
  on_peer true
  run ! grep -q "sign of life" "$QF/qf-up.log"
}
