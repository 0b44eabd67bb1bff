#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ssh -A and ssh -Y: the client's agent and display in a session of the peer.

load helpers

setup_file() {
  fabric_begin
  chmod 777 "$QF/home"
  fabric_write
  server_start --enable-ssh-x11
  eval "$(as_client ssh-agent)" >/dev/null
  note_process "$SSH_AGENT_PID"
  as_client ssh-keygen -q -t ed25519 -N '' -C 'key in the agent' -f "$(home_of "$CLIENT")/key"
  as_client SSH_AUTH_SOCK="$SSH_AUTH_SOCK" ssh-add -q "$(home_of "$CLIENT")/key"
  echo "$SSH_AUTH_SOCK" >"$QF/agent"
}
teardown_file() { fabric_end; }
setup() { AGENT=$(cat "$QF/agent"); }
with_agent() { as_client SSH_AUTH_SOCK="$AGENT" timeout 60 ssh -F "$CONF" -l "$TARGET" "$@"; }
folder_gone() { [ ! -e "$1" ]; }

with_display() { as_client DISPLAY=":$DISPLAY_NUMBER" timeout 60 ssh -F "$CONF" -l "$TARGET" "$@"; }

@test "field note 1: ssh -A peer ssh-add -l lists the forwarded agent" {
  run -0 with_agent -A server ssh-add -l
  [[ $output == *"key in the agent"* ]]
  run -0 as_client QF_SSH=tunnel SSH_AUTH_SOCK="$AGENT" timeout 60 ssh -F "$CONF" -l "$TARGET" -A server ssh-add -l
  [[ $output == *"key in the agent"* ]]
}

@test "the agent's socket is the user's alone, in a folder of its own that goes with the session" {
  run -0 with_agent -A server 'stat -c "%a %U" "$SSH_AUTH_SOCK" "$(dirname "$SSH_AUTH_SOCK")"; echo "$SSH_AUTH_SOCK"'
  [ "${lines[0]}" = "600 $TARGET" ]
  [ "${lines[1]}" = "700 $TARGET" ]
  until_true 60 folder_gone "$(dirname "${lines[2]}")"
}

@test "without -A, or where the admin forbids it, there is no agent" {
  run -0 with_agent -a server 'echo "agent=$SSH_AUTH_SOCK"'
  [ "$output" = "agent=" ]
  server_restart --disable-ssh-agent-forwarding --enable-ssh-x11
  run -0 with_agent -A server 'echo "agent=$SSH_AUTH_SOCK"'
  [ "$output" = "agent=" ]
  server_restart --disable-ssh-agent-forwarding=false --enable-ssh-x11
}

@test "many agent connections at once" {
  run -0 with_agent -A server 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ssh-add -l & done; wait'
  [ "$(grep -c 'key in the agent' <<<"$output")" = 12 ]
}

@test "ssh -Y: a program of the peer draws on the client's display, with the session's cookie alone" {
  display
  run -0 with_display -Y server 'echo "$DISPLAY"; xdpyinfo | grep -c dimensions; xauth -q list "$DISPLAY" | grep -c MIT-MAGIC-COOKIE-1'
  [[ ${lines[0]} =~ ^localhost:[0-9]+\.0$ ]]
  [ "${lines[1]}" = 1 ]
  [ "${lines[2]}" = 1 ]
  # who does not show the cookie is turned away
  run -0 with_display -Y server 'XAUTHORITY=/nonexistent xdpyinfo 2>&1 || echo "no cookie, no display"'
  [[ $output == *"no cookie, no display"* ]]
  # nothing of it stays in other processes' arguments
  # (of processes that may be looked at: a file has it here, and one argument, which is found)
  run -0 with_display -Y server 'cookie=$(mktemp) && xauth -q list "$DISPLAY" | awk "{ print \$3 }" >"$cookie" && test -s "$cookie" || exit
    seen() { cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" "\n" | grep -cF -f "$cookie"; }
    seen
    tail -q -f /dev/null "/$(cat "$cookie")" >/dev/null 2>&1 &
    until [ "$(tr "\0" " " </proc/$!/cmdline | cut -c1-4)" = tail ]; do sleep 0.1; done
    seen
    kill $! && rm "$cookie"'
  echo "$output"
  [ "${lines[-2]}" = 0 ]
  [ "${lines[-1]}" = 1 ]
}

@test "two sessions have two displays; the port goes with the session" {
  display
  mkfifo -m 666 "$QF/home/hold"
  background_as "$CLIENT" "$QF/hold.log" env DISPLAY=":$DISPLAY_NUMBER" ssh -F "$CONF" -l "$TARGET" -Y server "echo \$DISPLAY >'$QF/home/first'; chmod 666 '$QF/home/first'; read -r x <'$QF/home/hold'"
  holder=$PID
  until_true 60 test -s "$QF/home/first"
  first=$(cat "$QF/home/first")
  run -0 with_display -Y server 'echo "$DISPLAY"'
  [ "$output" != "$first" ]
  number=${first#localhost:}
  port=$((6000 + ${number%.*}))
  ss -Hltn "sport = :$port" | grep -q .
  echo >"$QF/home/hold"
  until_true 60 gone "$holder" "$(start_of "$holder")"
  until_true 60 bash -c "! ss -Hltn 'sport = :$port' | grep -q ."
}

@test "X11 is refused where the admin has not allowed it" {
  display
  server_restart --enable-ssh-x11=false
  run -0 with_display -Y server 'echo "display=$DISPLAY"'
  [[ $output == *"display=" ]]
}
