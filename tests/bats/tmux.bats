#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# tmux on the peer, in the terminal of a session: driven, resized, detached, found again.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm || return
  # keys that come within a millisecond would be taken for pasted text, and bindings not looked at
  echo 'set -g assume-paste-time 0' >"$(home_of "$TARGET")/.tmux.conf"
}
teardown() { as "$TARGET" tmux -L work kill-server 2>/dev/null || :; }
teardown_file() {
  # the folder of its socket
  rm -rf "/tmp/tmux-$(id -u "$TARGET")"
  fabric_end
}

# at_peer STEP… -- COMMAND…: in_terminal with a session of a capable terminal.
at_peer() {
  local steps=()
  while [ "$1" != -- ]; do steps+=("$1") && shift; done
  shift
  in_terminal "$QF/shown$BATS_TEST_NUMBER" deadline=20 "${steps[@]}" -- env TERM=xterm-256color ssh -F "$CONF" "$@"
}
# what a person would see in that pane now
pane() { as "$TARGET" tmux -L work capture-pane -p -t main; }
tmux_runs() { as "$TARGET" tmux -L work has-session -t main; }

@test "tmux in a session: keys go in, its screen comes out, and the screen is what tmux itself says" {
  run -0 at_peer size=30x100 'expect=\[main\]' 'send=echo seen-$((40+2)); stty size\r' 'expect=seen-42' 'expect=29 100' \
    'send=exit\r' -- -t -l "$TARGET" server tmux -L work new -s main
  # it took over the whole screen and gave it back
  grep -qF $'\e[?1049h' "$QF/shown$BATS_TEST_NUMBER"
  grep -qF $'\e[?1049l' "$QF/shown$BATS_TEST_NUMBER"
}

@test "two panes, the window's size follows, and umlauts arrive" {
  run -0 at_peer size=30x100 'expect=\[main\]' 'send=\x02%' 'send=stty size; echo right-$((1+1))\r' 'expect=29 49' 'expect=right-2' \
    resize=40x160 'send=clear; until stty size | grep 79; do sleep 0.05; done\r' 'expect=39 79' 'send=printf "\\303\\274mlaut-%s" $((3+4))\r' 'expect=\xc3\xbcmlaut-7' \
    'send=\x02&' 'expect=kill-window' 'send=y' -- -t -l "$TARGET" server tmux -u -L work new -s main
}

@test "a tmux that was left goes on, is driven from another session, and is found again" {
  run -0 at_peer 'expect=\[main\]' 'send=echo first-$((40+2))\r' 'expect=first-42' 'send=\x02d' 'expect=detached' -- \
    -t -l "$TARGET" server tmux -L work new -s main
  tmux_runs
  run -0 qssh -l "$TARGET" server "tmux -L work send-keys -t main 'echo second-\$((40+3))' Enter"
  until_true 60 pane_shows second-43
  run -0 qssh -l "$TARGET" server tmux -L work capture-pane -p -t main
  [[ $output == *first-42*second-43* ]]
  run -0 at_peer 'expect=second-43' 'send=exit\r' 'expect=exited' -- -t -l "$TARGET" server tmux -L work attach
  until_true 60 tmux_is_gone
}
pane_shows() { pane | grep -q "^$1"; }
tmux_is_gone() { ! tmux_runs; }

@test "a connection that breaks leaves tmux running" {
  run at_peer 'expect=\[main\]' 'send=echo before-$((40+2))\r' 'expect=before-42' 'send=\r~.' -- \
    -t -l "$TARGET" server tmux -L work new -s main
  until_true 60 no_client
  run -0 at_peer 'expect=before-42' 'send=exit\r' -- -t -l "$TARGET" server tmux -L work attach
}
no_client() { tmux_runs && [ -z "$(as "$TARGET" tmux -L work list-clients)" ]; }

@test "a command in tmux that prints much loses nothing of it" {
  run -0 at_peer size=24x80 'expect=\[main\]' 'send=seq 1 100000; echo al""l\r' 'expect=all' 'send=\x02d' 'expect=detached' -- \
    -t -l "$TARGET" server tmux -L work new -s main
  pane | grep -qx 100000
}
