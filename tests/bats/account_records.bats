#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who is logged in, as who, last and lastlog say it.

load helpers
load private_system

setup_file() {
  fabric_begin && private_system && fabric_write && private_start && warm
}
teardown_file() { fabric_end; }

# shell TRANSCRIPT STEP…: a login shell with a terminal, to its end.
shell() {
  local transcript=$1
  shift
  in_terminal "$transcript" 'expect=[$] ' "$@" 'send=exit 0\r' -- ssh -F "$CONF" -l "$TARGET" server
}
nobody_logged_in() { [ -z "$(inside who)" ]; }

@test "a session with a terminal is in utmp while it lasts: user, terminal, address, process" {
  run -0 shell "$QF/shown$BATS_TEST_NUMBER" 'send=tty; echo pid=$$; who -u; echo shown-$((1+1))\r' 'expect=shown-2'
  tty=$(grep -oE '/dev/pts/[0-9]+' "$QF/shown$BATS_TEST_NUMBER" | head -n 1)
  pid=$(grep -oE 'pid=[0-9]+' "$QF/shown$BATS_TEST_NUMBER" | cut -d= -f2)
  grep -E "^$TARGET +${tty#/dev/} .* $pid +\(127\.0\.0\.1\)" "$QF/shown$BATS_TEST_NUMBER"
  until_true 60 nobody_logged_in
}

# of what has ended within the second of now, last says "still running"
wtmp_is_whole() {
  run -0 inside last -w -i
  [[ ${lines[0]} =~ ^$TARGET\ +pts/[0-9]+\ +127\.0\.0\.1\ .*-\ .*\([0-9:]+\) ]] || { cat <<<"$output" && false; }
}
@test "wtmp has its beginning and its end" { until_true 60 wtmp_is_whole; }

@test "lastlog has the last one, and the next shell says it" {
  run -0 inside lastlog -u "$TARGET"
  [[ ${lines[1]} == "$TARGET"*pts/*127.0.0.1* ]]
  run -0 shell "$QF/shown$BATS_TEST_NUMBER"
  grep -qE '^Last login: [A-Z][a-z]{2} [A-Z][a-z]{2} .* 20[0-9]{2} from 127\.0\.0\.1' "$QF/shown$BATS_TEST_NUMBER"
}

@test "the first login ever has none to tell" {
  : >"$SYSTEM/log/lastlog"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER"
  run -1 grep 'Last login' "$QF/shown$BATS_TEST_NUMBER"
}

@test "not said with a command, nor with ~/.hushlogin; entered all the same" {
  run -0 qssh -tt -l "$TARGET" server 'tty; who' </dev/null
  [[ $output != *"Last login"* ]]
  [[ $output == *"$TARGET "* ]]
  as "$TARGET" touch "$QF/home/$TARGET/.hushlogin"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER" 'send=who; echo shown-$((1+1))\r' 'expect=shown-2'
  rm "$QF/home/$TARGET/.hushlogin"
  run -1 grep 'Last login' "$QF/shown$BATS_TEST_NUMBER"
  grep -q "^$TARGET " "$QF/shown$BATS_TEST_NUMBER"
}

@test "a session without a terminal is no login there" {
  before=$(inside last | grep -c "^$TARGET")
  run -0 on_peer who
  [[ $output != *"$TARGET"* ]]
  [ "$(inside last | grep -c "^$TARGET")" = "$before" ]
}

@test "the logout is entered when the connection breaks, and when the monitor is told to end" {
  for way in client monitor net; do
    hold "records-$way" -tt -l "$TARGET" server 'echo up; cat'
    [ "$(inside who | grep -c "^$TARGET ")" = 1 ]
    monitor=$(monitor_pid)
    case $way in
      client) end_process "$PID" KILL ;;
      monitor) kill -TERM "$monitor" ;;
      net) kill -KILL "$(pgrep -P "$monitor" -u qufabric)" ;;
    esac
    until_true 60 nobody_logged_in
    [[ $(inside last | head -n 1) != *"still logged in"* ]]
  done
}

@test "two sessions on one connection are two logins, each with its end" {
  control=$QF/home/$CLIENT/mux
  as_client ssh -F "$CONF" -o ControlMaster=yes -o ControlPath="$control" -o ControlPersist=60 -l "$TARGET" -fN server 3>&- 4>&-
  hold one -S "$control" -tt -l "$TARGET" server 'echo up; cat'
  one=$PID
  hold two -S "$control" -tt -l "$TARGET" server 'echo up; cat'
  [ "$(inside who | grep -c "^$TARGET ")" = 2 ]
  echo $'\x04' >"$QF/one.hold"
  until_true 60 one_logged_in
  as_client ssh -F "$CONF" -S "$control" -O exit server
  until_true 60 nobody_logged_in
}
one_logged_in() { [ "$(inside who | grep -c "^$TARGET ")" = 1 ]; }

@test "who holds a lock on these files delays nobody else" {
  control=$QF/home/$CLIENT/locked
  as_client ssh -F "$CONF" -o ControlMaster=yes -o ControlPath="$control" -o ControlPersist=60 -l "$TARGET" -fN server 3>&- 4>&-
  hold locked -S "$control" -tt -l "$TARGET" server 'echo up; cat'
  # for reading, which anybody may
  background "$QF/lock.log" "$PYTHON" -c '
import fcntl, sys, time
held = [open(path) for path in sys.argv[2:]]
for file in held:
    fcntl.lockf(file, fcntl.LOCK_SH)
open(sys.argv[1], "w").write("held")
time.sleep(3600)' "$QF/lock-held" "$SYSTEM/log/wtmp" "$SYSTEM/run/utmp"
  lock=$PID
  until_true 60 test -s "$QF/lock-held"
  echo $'\x04' >"$QF/locked.hold"
  until_true 60 pgrep -f 'qf-sshd: .*logout record'
  run -0 as_client ssh -F "$CONF" -S "$control" -l "$TARGET" server 'echo meanwhile'
  [ "$output" = meanwhile ]
  # the record still waits
  pgrep -f 'qf-sshd: .*logout record'
  end_process "$lock"
  until_true 60 nobody_logged_in
  as_client ssh -F "$CONF" -S "$control" -O exit server
}

@test "through the tunnel too, with the address of the client" {
  run -0 tunnelled -tt -l "$TARGET" server who </dev/null
  [[ $output == "$TARGET "*"(127.0.0.1)"* ]]
}

@test "without these files sessions are as they were, and none is made" {
  rm "$SYSTEM/run/utmp" "$SYSTEM/log/wtmp" "$SYSTEM/log/lastlog"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER"
  run -1 grep 'qf-sshd' "$QF/shown$BATS_TEST_NUMBER"
  [ -z "$(ls "$SYSTEM/log")" ]
  [ ! -e "$SYSTEM/run/utmp" ]
}
