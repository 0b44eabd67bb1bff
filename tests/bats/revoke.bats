#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A new fabric document judges the live connections again: what it no longer allows is told and ended, what it allows
# does not notice. Field note 22.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start --enable-ssh-local-port-forwarding --enable-ssh-remote-port-forwarding && warm
  # says back each line as it comes
  free_port >"$QF/echo.port"
  background "$QF/echo.log" socat "TCP-LISTEN:$(cat "$QF/echo.port"),bind=127.0.0.1,reuseaddr,fork" EXEC:cat
  until_true 60 listens "$(cat "$QF/echo.port")"
}
teardown_file() { fabric_end; }
setup() { ECHO=$(cat "$QF/echo.port") && chmod 777 "$QF/home"; }
# each test leaves its session behind, and its document
teardown() {
  [ -z "${LIVE:-}" ] || end_process "$LIVE"
  LIVE=
  end_user_processes "$TARGET"
  fabric_apply
}

# live NAME [WORD…]: a session as the OS user LOGIN, else TARGET, that waits, in the background; returns when it runs.
# WORD: of env, or options of ssh.
live() {
  local name=$1
  shift
  rm -f "$QF/home/$name.runs"
  background_as "$CLIENT" "$QF/$name.log" "${BEFORE[@]}" ssh -F "$CONF" -l "${LOGIN:-$TARGET}" "$@" server \
    "echo \$\$ >$QF/home/$name.runs; echo running; sleep 400; echo finished"
  LIVE=$PID
  until_true 60 test -s "$QF/home/$name.runs"
  RUNS=$(cat "$QF/home/$name.runs")
  STARTED=$(start_of "$RUNS")
}
# ended NAME WORDS: the session is gone, with everything that ran in it; ssh has said why and exits 255.
ended() {
  until_true 60 gone "$RUNS" "$STARTED"
  local status=0
  wait "$LIVE" || status=$?
  LIVE=
  [ "$status" = 255 ] || { echo "exit $status" && cat "$QF/$1.log" && false; }
  grep -F "$2" "$QF/$1.log" || { cat "$QF/$1.log" && false; }
  run -1 grep finished "$QF/$1.log"
}
revoked_events() { audit -s '[.[] | select(.event == "revoked")] | length'; }

@test "a removed policy ends the session: the user is told, the audit log has it" {
  live removed
  until_true 60 grep -q running "$QF/removed.log"
  fabric_apply '.policies = []'
  ended removed "access withdrawn by a new policy: User is not authorized to access this peer"
  run -0 audit_says '.event == "revoked" and .what == "session" and .identity == "machine:'"$CLIENT"'" and .os_user == "'"$TARGET"'"
    and .peer == "client" and (.reason | test("no policy lets this source reach this peer"))'
  # what it had carried by then: "running"
  until_true 60 audit_says '.event == "session-end" and .kind == "exec" and .bytes_out >= 8'
}

@test "a removed group member is out, others do not notice" {
  local limited='.policies[0] += {access: "limited", authorized_groups: {people: [$target], more: [$client]}} |
    .user_groups.more = ["machine:\($client)"]'
  fabric_apply "$limited"
  LOGIN=$CLIENT live other
  local other=$LIVE runs=$RUNS started=$STARTED
  live member
  fabric_apply "$limited | .user_groups.people = [\"machine:somebody\"]"
  ended member "User is not authorized to login as OS user"
  run -0 alive "$runs" "$started"
  end_process "$other"
  run ! audit_says '.event == "revoked" and .os_user == "'"$CLIENT"'"'
  [ ! -s "$QF/other.log" ] || [ "$(cat "$QF/other.log")" = running ]
}

@test "an OS user that is no longer listed" {
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: [$target]}}'
  live listed
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: ["developer"]}}'
  ended listed "No authorization mapping for OS user"
}

@test "what the new document allows goes on, under another policy as well, and the next one ends it" {
  live goes-on
  before=$(revoked_events)
  fabric_apply '.policies[0].name = "another" | .user_groups.more = ["machine:\($client)"]'
  # a login after it shows that the server has it; the judging is told in the same turn
  run -0 on_peer true
  run -0 alive "$RUNS" "$STARTED"
  [ "$(revoked_events)" = "$before" ]
  fabric_apply '.policies += [.policies[0] + {name: "third", action: "deny"}]'
  ended goes-on "denied by policy"
  run -0 audit_says '.event == "revoked" and (.reason | test("third"))'
}

@test "a session with a terminal, and what ignores the hang-up" {
  live terminal -tt
  fabric_apply '.policies = []'
  ended terminal "access withdrawn by a new policy"
}

@test "what ignores SIGHUP and SIGTERM is killed" {
  rm -f "$QF/home/stubborn.runs"
  background_as "$CLIENT" "$QF/stubborn.log" ssh -F "$CONF" -l "$TARGET" server \
    "trap '' HUP TERM; echo \$\$ >$QF/home/stubborn.runs; while :; do sleep 1; done"
  LIVE=$PID
  until_true 60 test -s "$QF/home/stubborn.runs"
  RUNS=$(cat "$QF/home/stubborn.runs")
  STARTED=$(start_of "$RUNS")
  fabric_apply '.policies = []'
  ended stubborn "access withdrawn by a new policy"
}

@test "a client that reads nothing cannot stay" {
  live deaf
  kill -STOP "$LIVE"
  fabric_apply '.policies = []'
  until_true 60 gone "$RUNS" "$STARTED"
  until_true 60 no_process_of "$TARGET"
  kill -CONT "$LIVE"
}

@test "background jobs of an interactive shell go with it" {
  background_as "$CLIENT" "$QF/jobs.log" ssh -tt -F "$CONF" -l "$TARGET" server \
    "exec bash -ic 'set -m; nohup sleep 7773 & echo \$! >$QF/home/job; sleep 7774'"
  LIVE=$PID
  until_true 60 test -s "$QF/home/job"
  local job started
  job=$(cat "$QF/home/job")
  started=$(start_of "$job")
  fabric_apply '.policies = []'
  until_true 60 gone "$job" "$started"
}

# left_behind NAME COMMAND…: a session of the connection "left" that ends at once and leaves a process behind, in a
# session of its own and with SIGHUP ignored: sets LEFT and SINCE. The connection stays, as LIVE.
left_behind() {
  rm -f "$QF/home/left.pid"
  if [ -z "$LIVE" ]; then
    background_as "$CLIENT" "$QF/left.log" ssh -F "$CONF" -l "$TARGET" -S "$QF/home/left" -M -N server
    LIVE=$PID
    until_true 60 as_client ssh -F "$CONF" -S "$QF/home/left" -O check server
  fi
  run -0 qssh -S "$QF/home/left" -l "$TARGET" server \
    "nohup setsid sh -c 'echo \$\$ >$QF/home/left.pid; exec $1' >/dev/null 2>&1 </dev/null & until test -s $QF/home/left.pid; do sleep 0.1; done"
  LEFT=$(cat "$QF/home/left.pid")
  SINCE=$(start_of "$LEFT") || :
}
# of the one connection of TARGET
monitor_of() { pgrep -P "$(listener_pid)" -f "qf-sshd.*$TARGET \\[monitor\\]"; }
parent_of() { ps -o ppid= -p "$1" | tr -d ' '; }

@test "what sessions have left behind goes with a withdrawn login, from whichever session of it" {
  local first since
  left_behind "sleep 7775"
  first=$LEFT since=$SINCE
  # one that becomes another process all the time
  left_behind "sh -c \"(setsid sleep 7776; true) & (setsid sleep 7777; true) & true\""
  until_true 60 pgrep -u "$TARGET" -f "sleep 7777"
  run -0 alive "$first" "$since"
  fabric_apply '.policies = []'
  until_true 60 gone "$first" "$since"
  until_true 60 no_process_of "$TARGET"
}

@test "what sessions have left behind lives on after an ordinary end, as a child of init; the dead are buried meanwhile" {
  left_behind "sleep 0.1"
  # no corpse of it either
  until_true 60 test ! -e "/proc/$LEFT"
  left_behind "sleep 7775"
  local monitor
  monitor=$(monitor_of)
  [ "$(parent_of "$LEFT")" = "$monitor" ]
  end_process "$LIVE"
  LIVE=
  until_true 60 test ! -e "/proc/$monitor"
  run -0 alive "$LEFT" "$SINCE"
  [ "$(parent_of "$LEFT")" != "$monitor" ]
  kill "$LEFT"
}

@test "what sessions have left behind lives on when max_session ends them: its user may come again" {
  left_behind "sleep 7775"
  fabric_apply '.policies[0].max_session = 1'
  until_true 60 grep -q "the time of this session is over" "$QF/left.log"
  until_true 60 gone "$LIVE" "$(start_of "$LIVE")"
  LIVE=
  until_true 60 sessions_over
  run -0 alive "$LEFT" "$SINCE"
  kill "$LEFT"
}
sessions_over() { ! pgrep -P "$(listener_pid)" -x qf-sshd; }

@test "a session is hung up before the audit log is waited for" {
  rm -f "$QF/home/hung-up"
  live waited-for
  # bash, so that the trap is not put off until the sleep ends
  background_as "$CLIENT" "$QF/trap.log" ssh -F "$CONF" -l "$TARGET" server \
    "exec bash -c 'trap \"echo >$QF/home/hung-up; exit\" HUP; echo >$QF/home/trap; sleep 300 & wait'"
  until_true 60 test -e "$QF/home/trap"
  before=$(revoked_events)
  background "$QF/lock.log" "$PYTHON" -c '
import fcntl, os, sys, time
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)' "$QF/state/audit.tail" "$QF/home/hung-up"
  until_true 60 grep -q locked "$QF/lock.log"
  fabric_apply '.policies = []'
  ended waited-for "access withdrawn by a new policy"
  # who would have waited first has given it up
  two_more() { [ "$(revoked_events)" = $((before + 2)) ]; }
  until_true 60 two_more
}

@test "inside a tunnel" {
  BEFORE=(env QF_SSH=tunnel)
  live tunnel
  fabric_apply '.user_groups.people = ["machine:somebody"]'
  ended tunnel "access withdrawn by a new policy"
}

@test "all sessions of a multiplexed connection end together" {
  live one -o ControlMaster=yes -o "ControlPath=$QF/home/shared" -o ControlPersist=no
  background_as "$CLIENT" "$QF/two.log" ssh -F "$CONF" -l "$TARGET" -S "$QF/home/shared" server "echo \$\$ >$QF/home/two.runs; sleep 400"
  until_true 60 test -s "$QF/home/two.runs"
  two=$(cat "$QF/home/two.runs")
  began=$(start_of "$two")
  fabric_apply '.policies = []'
  ended one "access withdrawn by a new policy"
  until_true 60 gone "$two" "$began"
}

@test "a connection on which nothing happens gets its words, too" {
  background_as "$CLIENT" "$QF/idle.log" ssh -F "$CONF" -l "$TARGET" -S "$QF/home/idle" -M -N server
  LIVE=$PID
  until_true 60 as_client ssh -F "$CONF" -S "$QF/home/idle" -O check server
  fabric_apply '.policies = []'
  until_true 60 grep -q "access withdrawn by a new policy" "$QF/idle.log"
}

@test "the issuer is removed from the document, or this peer no longer takes it" {
  live issuer
  fabric_apply '.issuers = [] | .user_groups.people = []'
  ended issuer "is no longer in the fabric document"
  fabric_apply
  live refused
  fabric_apply '.issuers += [.issuers[0] + {name: "other", issuer: "urn:qufabric:other"}] | .peers[0].issuers = ["other"]'
  ended refused "this peer no longer takes logins of issuer"
}

@test "an inline key is removed: its sessions end; a key beside it may come and go" {
  keys=$(as_client sh -c "'$BIN/qf-tokend' --machine-issuer --print-jwks --state-dir \"\$(mktemp -d -p '$QF/home')\"")
  live key
  fabric_apply ".issuers[0].jwks.keys += $(jq -c '[.keys[0] + {kid: "another"}]' <<<"$keys")"
  run -0 on_peer true
  run -0 alive "$RUNS" "$STARTED"
  fabric_apply ".issuers[0].jwks.keys = $(jq -c .keys <<<"$keys")"
  ended key "is no longer in the fabric document"
}

@test "the source moves: an address that no peer has any more" {
  live moved
  fabric_apply '.peers[1].addresses = ["100.64.0.9"]'
  ended moved "no peer has the address 127.0.0.1"
}

@test "max_session counts from the login, also when it comes later" {
  live limited
  fabric_apply '.policies[0].max_session = 1'
  ended limited "the time of this session is over"
}

# clocks PID: of the timers that a process has; 7 is CLOCK_BOOTTIME
clocks() { sed -n 's/^clockid: //p' "/proc/$1/fdinfo"/*; }

@test "max_session goes on while the machine sleeps" {
  fabric_apply '.policies[0].max_session = 7773'
  live sleeps
  monitor=$(monitor_of)
  run -0 clocks "$monitor"
  [ "$output" = 7 ]
  run -0 grep -h '^it_value: ([1-9]' "/proc/$monitor/fdinfo/"*
  # taken back, and set again
  fabric_apply
  until_true 60 eval '! grep -qh "^it_value: ([1-9]" "/proc/'"$monitor"'/fdinfo/"*'
  run -0 alive "$RUNS" "$STARTED"
  fabric_apply '.policies[0].max_session = 1'
  ended sleeps "the time of this session is over"
}

# ---- forwards

# forwarding OPTION…: a master connection with these options.
forwarding() {
  rm -f "$QF/home/control" "$QF/forward.log"
  background_as "$CLIENT" "$QF/forward.log" ssh -F "$CONF" -l "$TARGET" -o ExitOnForwardFailure=yes -S "$QF/home/control" -M "$@" server \
    'echo running; sleep 400'
  LIVE=$PID
  until_true 60 grep -q running "$QF/forward.log"
}
# talk PORT NAME: a connection that stays open; a line more when $QF/NAME.go is there.
talk() {
  background "$QF/$2.log" sh -c "(echo hello; until test -e $QF/$2.go || ! test -d $QF; do sleep 0.1; done; echo again; sleep 300) | socat -t 50 - TCP:127.0.0.1:$1"
  until_true 60 grep -q hello "$QF/$2.log"
}

@test "a connection through -L that the policy no longer permits ends, another one and the session do not" {
  port=$(free_port) other=$(free_port)
  fabric_apply ".policies[0].permit_open = [\"localhost:$ECHO\", \"127.0.0.1:*\"]"
  forwarding -L "$port:localhost:$ECHO" -L "$other:127.0.0.1:$ECHO"
  talk "$port" ends
  talk "$other" stays
  fabric_apply '.policies[0].permit_open = ["127.0.0.1:*"]'
  until_true 60 audit_says ".event == \"revoked\" and .what == \"forward\" and .target == \"localhost:$ECHO\""
  until_true 60 grep -q "a new policy ends the forward of localhost:$ECHO" "$QF/forward.log"
  until_true 60 no_connection "$port"
  touch "$QF/stays.go"
  until_true 60 grep -q again "$QF/stays.log"
  run -0 kill -0 "$LIVE"
}
no_connection() { ! ss -Htn state established "sport = :$1" | grep -q .; }

@test "a listened-on port of -R is closed, with the connections that came through it" {
  port=$(free_port)
  forwarding -R "$port:localhost:$ECHO"
  talk "$port" through
  fabric_apply '.policies[0].permit_listen = ["localhost:1"]'
  until_true 60 audit_says ".event == \"revoked\" and .what == \"forward\" and (.target | endswith(\":$port\"))"
  until_true 60 silent "$port"
  until_true 60 no_connection "$port"
  run -0 kill -0 "$LIVE"
}

# accepted PORT: who listens there has accepted all that have connected
accepted() { ss -Htn state established "dport = :$1" | grep -q . && [ "$(ss -Hltn "sport = :$1" | awk '{ n += $2 } END { print n + 0 }')" = 0 ]; }

@test "a channel that the client opens when its -R is closed already is closed, too" {
  port=$(free_port)
  forwarding -R "$port:localhost:$ECHO"
  client=$(pgrep -u "$CLIENT" -f -- "-S $QF/home/control -M")
  kill -STOP "$client"
  background "$QF/opening.log" socat -u "TCP:127.0.0.1:$port" STDOUT
  until_true 60 accepted "$port"
  fabric_apply '.policies[0].permit_listen = ["localhost:1"]'
  until_true 60 no_connection "$port"
  kill -CONT "$client"
  # it answers in order: what it has opened for the connection that is gone comes first
  run -0 as_client ssh -F "$CONF" -l "$TARGET" -S "$QF/home/control" server true
  until_true 60 eval '! ss -Htnp state established "dport = :$ECHO" | grep -q "pid=$client,"'
}

# ---- without a listener

@test "a session whose listener is gone is judged all the same" {
  live alone
  kill -STOP "$(qf_up)"
  kill -KILL "$(listener_pid)"
  fabric_apply '.policies = []'
  ended alone "access withdrawn by a new policy"
  kill -CONT "$(qf_up)"
  fabric_apply
  until_true 60 server_answers
}

@test "an apply that is refused ends nothing" {
  live refused-apply
  fabric_write '.policies[0].destinations = ["nobody"]'
  run -78 qf-up-apply
  run -0 on_peer true
  run -0 alive "$RUNS" "$STARTED"
}
qf-up-apply() { "$BIN/qf-up" apply $FOLDERS; }
