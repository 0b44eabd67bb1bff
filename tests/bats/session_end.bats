#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# How sessions end: nothing lost, nothing left, nobody held up; as sshd has it.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm
}
teardown_file() { fabric_end; }

# hold NAME SSH-ARGUMENT…: a session that stands until its PID is ended; it has printed "up" in $QF/NAME.log.
hold() {
  local name=$1
  shift
  mkfifo -m 666 "$QF/$name.hold"
  background_as "$CLIENT" "$QF/$name.log" sh -c "exec \"\$@\" <>'$QF/$name.hold'" sh ssh -F "$CONF" "$@"
  until_true 60 grep -q up "$QF/$name.log"
}
# The pid that a session has noted in the file.
noted() { cat "$QF/home/$TARGET/$1"; }

@test "without a terminal, a disconnect closes the pipes: a reader sees the end, a writer gets SIGPIPE" {
  hold reader -l "$TARGET" server 'echo $$ >reader; echo up; cat; echo over >reader-over'
  end_process "$PID"
  until_true 60 test -e "$QF/home/$TARGET/reader-over"
  hold writer -l "$TARGET" server 'echo $$ >writer; echo up; trap "" HUP; while :; do echo more; done'
  pid=$(noted writer)
  end_process "$PID"
  until_true 60 test ! -d "/proc/$pid"
}

@test "without a terminal, what neither reads nor writes goes on, as with sshd" {
  mkfifo -m 666 "$QF/go"
  hold lasting -l "$TARGET" server "echo up; read _ <'$QF/go'; echo done >lasted"
  end_process "$PID"
  monitors_gone
  echo >"$QF/go"
  until_true 60 test -e "$QF/home/$TARGET/lasted"
}
no_monitor() { [ -z "$(pgrep -P "$(listener_pid)" -u root -x qf-sshd)" ]; }
monitors_gone() { until_true 60 no_monitor; }

@test "with a terminal, a disconnect is SIGHUP to the shell and to what runs in front" {
  hold hup -tt -l "$TARGET" server "trap 'echo hup >hung-up; exit' HUP; echo up; while :; do read _; done"
  end_process "$PID" KILL
  until_true 60 test -e "$QF/home/$TARGET/hung-up"
}

@test "nohup in a terminal survives the disconnect" {
  mkfifo -m 666 "$QF/go2"
  hold nohup -tt -l "$TARGET" server "nohup sh -c \"read _ <'$QF/go2'; echo done >survived\" >/dev/null 2>&1 & echo up; cat"
  end_process "$PID" KILL
  monitors_gone
  echo >"$QF/go2"
  until_true 60 test -e "$QF/home/$TARGET/survived"
}

@test "a background process in a terminal does not hold the connection" {
  SECONDS=0
  run -0 qssh -tt -l "$TARGET" server 'trap "" HUP; sleep 300 & echo $! >left; echo said' </dev/null
  [[ $output == *said* ]]
  [ $SECONDS -lt 20 ]
  kill "$(noted left)" || :
}

@test "a background process without the session's pipes does not hold the connection; one that has them may still talk" {
  SECONDS=0
  run -0 on_peer 'sleep 300 >/dev/null 2>&1 </dev/null & echo $! >left; echo said'
  [ "$output" = said ]
  [ $SECONDS -lt 20 ]
  kill "$(noted left)"
  mkfifo -m 666 "$QF/go3"
  background_as "$CLIENT" "$QF/talks.log" ssh -F "$CONF" -l "$TARGET" server "(read _ <'$QF/go3'; echo later) & echo first; exit 4"
  until_true 60 grep -q first "$QF/talks.log"
  echo >"$QF/go3"
  until_true 60 grep -q later "$QF/talks.log"
  until_true 60 gone_client
}
gone_client() { [ -z "$(pgrep -u "$CLIENT" -x ssh)" ]; }

@test "when the client leaves, a background process that has the pipes keeps neither connection nor monitor" {
  hold pipes -l "$TARGET" server 'sleep 300 & echo $! >left; echo up; exit 0'
  end_process "$PID"
  monitors_gone
  kill "$(noted left)"
}

@test "no zombie stays: neither of many sessions on one connection nor of their signals" {
  control=$QF/home/$CLIENT/mux
  as_client ssh -F "$CONF" -o ControlMaster=yes -o ControlPath="$control" -o ControlPersist=60 -l "$TARGET" -fN server 3>&- 4>&-
  for i in 1 2 3 4 5 6 7 8 9 10; do
    run -0 as_client ssh -F "$CONF" -S "$control" -l "$TARGET" server 'true & true'
    run -0 as_client ssh -F "$CONF" -S "$control" -tt -l "$TARGET" server 'true & true' </dev/null
  done
  monitor=$(pgrep -P "$(listener_pid)" -u root -x qf-sshd)
  [ "$(wc -w <<<"$monitor")" = 1 ]
  until_true 60 only_net "$monitor"
  [ -z "$(ps -o stat=,ppid= --ppid "$monitor","$(listener_pid)" | grep '^Z')" ]
  as_client ssh -F "$CONF" -S "$control" -O exit server
}
only_net() { [ "$(pgrep -P "$1" | wc -l)" = 1 ]; }

@test "field note 7, again and at once: no line is lost at the end, with a terminal or without" {
  for i in 1 2 3; do
    qssh -tt -l "$TARGET" server 'seq 1 200000' </dev/null 2>/dev/null | tr -d '\r' >"$QF/out$i" &
    jobs[i]=$!
  done
  for i in 1 2 3; do wait "${jobs[i]}"; done
  seq 1 200000 >"$QF/expected"
  for i in 1 2 3; do cmp "$QF/out$i" "$QF/expected"; done
  on_peer 'seq 1 200000; seq 1 200000 >&2' >"$QF/out" 2>"$QF/err"
  cmp "$QF/out" "$QF/expected"
  cmp "$QF/err" "$QF/expected"
}

@test "a slow reader loses nothing of a terminal's output either" {
  qssh -tt -l "$TARGET" server 'seq 1 100000; exit 3' </dev/null 2>/dev/null | { for_a_while 2; tr -d '\r'; } >"$QF/slow"
  cmp "$QF/slow" <(seq 1 100000)
}

@test "the exit status after a terminal's output is the command's" {
  run -7 qssh -tt -l "$TARGET" server 'seq 1 50000; exit 7' </dev/null
  run -255 qssh -tt -l "$TARGET" server 'kill -KILL $$' </dev/null
}

# Writes to the terminal until nobody takes it for a while, notes how much that was, and ends.
write_fill() {
  cat >"$QF/fill.py" <<'PY'
import os, sys, time
os.set_blocking(1, False)
written, last = 0, time.monotonic()
while time.monotonic() - last < 1:
    try:
        written += os.write(1, b"x" * 1000)
        last = time.monotonic()
    except BlockingIOError:
        time.sleep(0.02)
with open(sys.argv[1] + ".new", "w") as note:
    note.write(str(written))
os.rename(sys.argv[1] + ".new", sys.argv[1])
PY
}

@test "what a terminal still holds when its process has ended reaches a client that was stalled, however long" {
  write_fill
  mkfifo "$QF/stalled"
  qssh -tt -l "$TARGET" server "stty raw -echo; exec $PYTHON $QF/fill.py filled" </dev/null >"$QF/stalled" 2>/dev/null 3>&- 4>&- &
  ssh=$!
  exec 8<"$QF/stalled"
  until_true 60 test -s "$QF/home/$TARGET/filled"
  # longer than any patience that there might be
  for_a_while 2
  [ "$(wc -c <&8)" = "$(cat "$QF/home/$TARGET/filled")" ]
  exec 8<&-
  wait $ssh
}

@test "a background process that goes on writing to the terminal does not hold the session either" {
  for rest in 'while :; do echo tick; sleep 0.1; done' 'exec yes'; do
    run -3 qssh -tt -l "$TARGET" server "trap '' HUP; sh -c '$rest' & echo \$! >left; exit 3" </dev/null
    kill "$(noted left)" 2>/dev/null || :
  done
}
