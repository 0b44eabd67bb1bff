#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who may talk to a user's qf-tokend, and how it comes to run.
# run first

load tokend_helpers

setup() { tokend_begin 3600; }
teardown() { fabric_end; }

@test "field note 14: another local user can never get my token" {
  daemon_start
  log_in
  local token
  token=$(ask '{"version":1,"op":"show"}' | jq -r .token)
  [ -n "$token" ]
  run ! as "$TARGET" socat -t 100 - "UNIX-CONNECT:$SOCKET" <<<'{"version":1,"op":"show"}'
  [[ $output == *"Permission denied"* ]]
  run ! as "$TARGET" ls "$RUNTIME"
  # nor by a socket that has been handed on: whoever connects is judged
  run -0 socat -t 100 - "UNIX-CONNECT:$SOCKET" <<<'{"version":1,"op":"show"}'
  [ "$(jq -r .error <<<"$output")" = refused ]
  run -1 as "$TARGET" "$BIN/qf-token" show $PLACES
  [[ $output != *"$token"* ]]
}

@test "socket and folder are the user's alone" {
  daemon_start
  [ "$(stat -c '%a %U' "$SOCKET")" = "600 $CLIENT" ]
  [ "$(stat -c '%a %U' "$RUNTIME")" = "700 $CLIENT" ]
  [ "$(stat -c '%a %U' "$RUNTIME/ssh")" = "700 $CLIENT" ]
}

@test "a runtime folder that others may enter, or own, or that is a symlink, is refused" {
  local folder
  folder=$(home_of "$CLIENT")/own
  as_client mkdir -m 755 "$folder"
  run -71 as_client "$BIN/qf-tokend" $PLACES --runtime-dir "$folder"
  [[ $output == *"must have mode 0700"* ]]
  mkdir -m 700 "$QF/foreign"
  run -71 as_client "$BIN/qf-tokend" $PLACES --runtime-dir "$QF/foreign"
  [[ $output == *"belongs to uid 0"* ]]
  as_client chmod 700 "$folder"
  as_client ln -s "$folder" "$folder.link"
  run -71 as_client "$BIN/qf-tokend" $PLACES --runtime-dir "$folder.link"
  [[ $output == *"is not a folder"* ]]
}

@test "it starts on demand, in the background, and only once for many callers" {
  local i pids=() tokend
  for i in 1 2 3 4 5 6 7 8; do
    # with a descriptor as a script's lock would be: who keeps it open keeps it locked
    token login --issuer machine >"$QF/login$i" 2>&1 3>"$QF/lock" 4>&- 9>"$QF/lock" &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i"; done
  run -0 pgrep -u "$CLIENT" -f 'qf-tokend --config'
  [ "${#lines[@]}" = 1 ]
  tokend=$output
  note_process "$tokend"
  [ "$(ask_status | jq .pid)" = "$tokend" ]
  # its own session, and none of the caller's descriptors
  [ "$(ps -o sid= -p "$tokend" | tr -d ' ')" = "$tokend" ]
  [ "$(readlink "/proc/$tokend/fd/1")" = /dev/null ]
  run -1 grep -F "$QF/lock" <(readlink "/proc/$tokend"/fd/*)
  [ "$(readlink "/proc/$tokend/cwd")" = / ]
}

@test "a second one says that it is running already" {
  daemon_start
  run -1 as_client "$BIN/qf-tokend" --foreground $PLACES
  [[ $output == *"already running"*"hint: "*"qf-token stop"* ]]
  run -0 as_client "$BIN/qf-tokend" $PLACES
  [[ $output == *"already running"* ]]
  [ "$(ask_status | jq .pid)" = "$DAEMON" ]
}

@test "qf-token stop ends it, and all its files are gone when that returns" {
  # the next one finds nothing in its way
  for _ in {1..10}; do
    daemon_start
    run -0 token stop
    run -0 flock --nonblock "$RUNTIME/tokend.lock" true
    [ ! -e "$SOCKET" ]
    [ ! -e "$RUNTIME/ssh/subject" ]
  done
  run -0 token stop
}

@test "~/.qufabric/ssh leads to the runtime folder" {
  daemon_start
  [ "$(readlink "$(home_of "$CLIENT")/.qufabric/ssh")" = "$RUNTIME/ssh" ]
}

@test "an instance with a folder of its own leaves ~/.qufabric/ssh alone" {
  local folder
  folder=$(home_of "$CLIENT")/own
  as_client mkdir -m 700 "$folder"
  background_as "$CLIENT" "$QF/own.log" "$BIN/qf-tokend" --foreground $PLACES --runtime-dir "$folder"
  until_true 60 test -S "$folder/tokend.sock"
  [ ! -e "$(home_of "$CLIENT")/.qufabric/ssh" ]
}

@test "it ends when its socket is taken away" {
  daemon_start
  rm "$SOCKET"
  until_true 60 says "$QF/tokend.log" 'no longer ours'
}

# activated: systemd's part of qf-tokend.socket, in one process: it makes the socket, and becomes the daemon when somebody
# connects. Sets PID.
activated() {
  background_as "$CLIENT" "$QF/activated.log" systemd-socket-activate -l "$SOCKET" "$BIN/qf-tokend" --foreground $PLACES
  until_true 60 says "$QF/activated.log" Listening
  chmod 600 "$SOCKET"
}

@test "a socket that systemd hands in is used and left in place" {
  # made by the machine issuer
  [ -d "$RUNTIME" ]
  activated
  local inode
  inode=$(stat -c %i "$SOCKET")
  token login --issuer machine
  [ "$(ask_status | jq .pid)" = "$PID" ]
  [ "$(stat -c '%a %U' "$SOCKET")" = "600 $CLIENT" ]
  run -0 socat -t 100 - "UNIX-CONNECT:$SOCKET" <<<'{"version":1,"op":"show"}'
  [ "$(jq -r .error <<<"$output")" = refused ]
  run -0 token stop
  [ "$(stat -c %i "$SOCKET")" = "$inode" ]
  [ ! -e "$RUNTIME/ssh/subject" ]
}

@test "a daemon that loses its socket to systemd makes way, and who asks meanwhile waits" {
  daemon_start
  # as one that has much to do
  kill -STOP "$DAEMON"
  activated
  local inode
  inode=$(stat -c %i "$SOCKET")
  token login --issuer machine >"$QF/login" 2>&1 3>&- 4>&- &
  local login=$!
  until_true 60 says "$QF/activated.log" 'waiting for the end'
  kill -CONT "$DAEMON"
  wait $login
  says "$QF/tokend.log" 'no longer ours'
  [ "$(ask_status | jq .pid)" = "$PID" ]
  # the first one has left the socket of the second alone
  [ "$(stat -c %i "$SOCKET")" = "$inode" ]
}

@test "what is in the way of ~/.qufabric/ssh is named and left alone" {
  as_client mkdir -p "$(home_of "$CLIENT")/.qufabric/ssh"
  run -71 as_client "$BIN/qf-tokend" $PLACES
  [[ $output == *".qufabric/ssh is in the way"* ]]
  [ -d "$(home_of "$CLIENT")/.qufabric/ssh" ]
}
