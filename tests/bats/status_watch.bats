#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up status for people: who is logged in, what answers at the peers, colours, and --watch on a real terminal and without.

load helpers

setup_file() {
  fabric_begin || return
  OTHER=$(address_of 1)
  CLOSED=$(address_of 2)
  export OTHER CLOSED
  # beside the server: another SSH server, one that answers nothing, a machine where nothing listens
  fabric_write ".peers += [{name: \"other\", addresses: [\"$OTHER\"], ssh: true, version: \"0.61.0\", ssh_host_keys: []},
    {name: \"down\", addresses: [\"$CLOSED\"], ssh: true, version: \"0.61.0\", ssh_host_keys: []}]" || return
  background "$QF/other.log" "$PYTHON" -c 'import socket, sys
s = socket.create_server((sys.argv[1], 22022))
while True:
    c = s.accept()[0]
    c.sendall(b"SSH-2.0-Other_1.0\r\n")
    c.close()' "$OTHER"
  server_start && warm
}
teardown() { close_screen; }
teardown_file() { fabric_end; }

status() { "$BIN/qf-up" status $FOLDERS "$@"; }

# on_screen COLUMNS ROWS COMMAND: in a terminal of root's, TERM as tmux has it; the shell stays when it ends
# a server that is about to end takes no other session, so each has one of its own
on_screen() {
  SCREEN=$((${SCREEN:-0} + 1))
  env -u NO_COLOR tmux -S "$QF/tmux$BATS_TEST_NUMBER.$SCREEN" -f /dev/null new-session -d -x "$1" -y "$2" -s main "sh -c 'stty -a >\"$QF/before\"; $3; echo \"ended \$?\"; stty -a >\"$QF/after\"; exec cat'"
}
on_tmux() { tmux -S "$QF/tmux$BATS_TEST_NUMBER.$SCREEN" "$@"; }
close_screen() { [ -z "${SCREEN:-}" ] || on_tmux kill-server 2>/dev/null || :; }
screen() { on_tmux capture-pane -p "$@" -t main; }
screen_has() { screen | grep -qe "$1"; }
screen_has_not() { ! screen_has "$1"; }
key() { on_tmux send-keys -t main "$1"; }
mode() { on_tmux display-message -p -t main "#{$1}"; }
on_alternate() { [ "$(mode alternate_on)" = 1 ]; }

@test "columns: each text of the first part begins in the same one" {
  run -0 status
  [ "$(grep -oE '^[a-zA-Z_ 0-9-]+:  +' <<<"$output" | awk '{ print length }' | sort -u | wc -l)" = 1 ]
  [[ $output =~ running:\ +yes,\ pid\ $(qf_up) ]]
  [[ $output == *"sessions:  "* && $output != *$'\e'* ]]
}

@test "the state of a user's own qf-tokend is told, and of nobody else's" {
  run -0 status
  [[ $output =~ qf-tokend:\ +"none runs for this user" ]]
  run -1 as_client "$BIN/qf-up" status --config-dir "$QF/config" --state-dir "$QF/state"
  [[ $output =~ qf-tokend:\ +"runs for this user, pid "[0-9]+", keeps tokens for 60 min" ]]
  [[ $output =~ login:\ +"machine: $CLIENT, good for "[0-9]+" min" ]]
  run -1 as_client "$BIN/qf-up" status --json --config-dir "$QF/config" --state-dir "$QF/state"
  jq -e ".tokend | .running and .issuers[0].name == \"machine\" and .issuers[0].state == \"cached\" and .issuers[0].ttl_left > 0" \
    < <(head -n 1 <<<"$output")
  [ "$(status --json | jq .tokend.running)" = false ]
  # one that is stuck is said to be, in a moment
  daemon=$(token status --json | jq .pid)
  kill -STOP "$daemon"
  run -1 as_client timeout 20 "$BIN/qf-up" status --config-dir "$QF/config" --state-dir "$QF/state"
  kill -CONT "$daemon"
  [[ $output =~ qf-tokend:\ +unknown ]]
}

@test "--peers says what answers at each peer, also to who has no rights" {
  for who in root "$TARGET"; do
    run as "$who" "$BIN/qf-up" status --peers --config-dir "$QF/config" --state-dir "$QF/state"
    [[ $output =~ PEER\ +ADDRESS\ +REACHABLE\ +"PORT 22022" ]]
    [[ $output =~ "server (this machine)"\ +$ADDRESS\ +yes\ +"qf-sshd $(cat "$TOP/VERSION"), wants a login" ]]
    [[ $output =~ other\ +$OTHER\ +yes\ +"another SSH server, Other_1.0" ]]
    [[ $output =~ down\ +$CLOSED\ +yes\ +"refuses connections" ]]
    [[ $output == *"4 peers: 1 with qf-sshd, 3 that answer otherwise, 0 that do not answer"* ]]
  done
  run -0 status --json --peers down "$ADDRESS"
  [ "$(jq -c '[.peer_answers[] | [.name, .answer, .reachable]]' <<<"$output")" = '[["down","refused",true],["server","jwt",true]]' ]
  run -78 status --peers nobody
  [[ $output == *'the fabric has no peer "nobody"'*hint:* ]]
  run -64 status server
}

@test "a peer that takes the connection away from who may not come" {
  fabric_apply '.policies[0].enabled = false'
  until_true 60 closed
  run -0 status --peers server
  [[ $output == *"takes no connection from"*"see qf-up doctor"* ]]
  fabric_apply
  until_true 60 server_answers
}
closed() { [ "$(status --json --peers server | jq -r '.peer_answers[0].answer')" = closed ]; }

@test "many peers that do not answer: the rest is left out, and how many is said" {
  fabric_apply '.peers += [range(5000) | {name: "far-\(.)", addresses: ["240.0.\(. / 250 | floor).\(. % 250 + 1)"], ssh: true, version: "0.61.0", ssh_host_keys: []}]'
  start=$SECONDS
  run -0 status --peers
  [ $((SECONDS - start)) -lt 40 ]
  [[ $output =~ "5002 peers: "(.*) ]]
  # each is in the table, or among those that were left out
  left=$(grep -oE '[0-9]+ not asked in time' <<<"${BASH_REMATCH[1]}" | cut -d' ' -f1 || :)
  [ $(($(grep -cE '^(far-|server \(|client )' <<<"$output") + ${left:-0})) = 5002 ]
  fabric_apply
}

@test "colours on a terminal alone, and not where they are not wanted" {
  on_screen 120 40 "$BIN/qf-up status $FOLDERS"
  until_true 30 screen_has 'ended 0'
  [[ $(screen -e) == *$'\e[32myes'* ]]
  close_screen
  on_screen 120 40 "NO_COLOR=1 $BIN/qf-up status $FOLDERS"
  until_true 30 screen_has 'ended 0'
  [[ $(screen -e) != *$'\e['* ]]
  close_screen
  on_screen 120 40 "TERM=dumb $BIN/qf-up status $FOLDERS"
  until_true 30 screen_has 'ended 0'
  [[ $(screen -e) != *$'\e['* ]]
}

@test "an alarm is red" {
  fabric_apply ".expires = \"$(date -u -d '+4 seconds' +%Y-%m-%dT%H:%M:%SZ)\""
  until_true 60 expired
  on_screen 120 40 "$BIN/qf-up status $FOLDERS"
  until_true 30 screen_has 'ended'
  screen -e >"$QF/seen"
  grep -F ALARM "$QF/seen" | grep -qE $'\e\\[(1;31m|1m\e\\[31m)ALARM: document has expired'
  fabric_apply
}
expired() { [ "$(status --json | jq .expired)" = true ]; }

@test "--watch redraws in place, follows what changes and the size of the window, and q ends it" {
  on_screen 70 30 "$BIN/qf-up status --watch 0.2 -d $FOLDERS"
  until_true 30 screen_has '^running: .*yes'
  on_alternate
  [ "$(mode cursor_flag)" = 0 ]
  screen_has 'every 0.2 s  (q: quit)'
  screen_has '^no connections'
  mkfifo -m 666 "$QF/hold"
  background_as "$CLIENT" "$QF/live.log" sh -c "exec ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold'"
  until_true 60 screen_has "^machine:$CLIENT"
  end_process "$PID"
  until_true 60 screen_has '^no connections'
  # it was drawn in place: nothing is there twice, and no line is wrapped
  [ "$(screen | grep -c '^running:')" = 1 ]
  on_tmux resize-window -t main -x 30 -y 8
  until_true 30 screen_has '^\.\.\. and [0-9]* more lines'
  [ "$(screen | grep -c .)" -le 8 ]
  screen | awk 'length > 30 { exit 1 }'
  on_tmux resize-window -t main -x 120 -y 40
  until_true 30 screen_has '^no connections'
  key q
  until_true 30 screen_has 'ended 0'
  terminal_as_before
}
# The screen, the cursor and the settings are what they were.
terminal_as_before() {
  until_true 30 test -s "$QF/after"
  ! on_alternate
  [ "$(mode cursor_flag)" = 1 ] && [ "$(mode wrap_flag)" = 1 ]
  screen_has_not '^running:'
  cmp <(grep -v speed "$QF/before") <(grep -v speed "$QF/after")
}

@test "--watch leaves the terminal as it was on ^C, SIGTERM and SIGHUP" {
  on_screen 80 30 "trap : INT; $BIN/qf-up status --watch $FOLDERS"
  until_true 30 screen_has '^running:'
  key C-c
  until_true 30 screen_has 'ended'
  terminal_as_before
  for signal in TERM HUP; do
    close_screen
    rm -f "$QF/after"
    on_screen 80 30 "$BIN/qf-up status --watch --peers $FOLDERS"
    until_true 30 screen_has '^running:'
    kill -$signal "$(pgrep -f -o "^$BIN/qf-up status --watch --peers $FOLDERS")"
    until_true 30 screen_has 'ended 1[24]'
    terminal_as_before
    run ! pgrep -f "^$BIN/qf-up status --watch --peers $FOLDERS"
  done
}

@test "--watch with --peers shows the rest at once, and the peers as they come" {
  on_screen 100 40 "$BIN/qf-up status --watch --peers $FOLDERS"
  until_true 30 screen_has '^running:'
  until_true 30 screen_has "^server (this machine) .*qf-sshd"
  key q
  until_true 30 screen_has 'ended 0'
}

@test "without a terminal there is a block each time, until nobody reads any more" {
  status --watch=0.1 | head -n 40 >"$QF/blocks"
  [ "$(grep -c '^running: ' "$QF/blocks")" -ge 2 ]
  [ "$(grep -c '^20[0-9-]* [0-9:]*  qf-up status, every 0.1 s$' "$QF/blocks")" -ge 2 ]
  run ! grep -q $'\e' "$QF/blocks"
  status --watch 0.1 --json --peers server | head -n 3 >"$QF/lines"
  [ "$(jq -s 'length == 3 and all(.running and .peer_answers[0].answer == "jwt")' "$QF/lines")" = true ]
}

@test "--watch wants a number that makes sense" {
  for wrong in 0 -1 x 86401 1.23; do run -64 status "--watch=$wrong"; done
  run -64 "$BIN/qf-up" apply --watch
}
