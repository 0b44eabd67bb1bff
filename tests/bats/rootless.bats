#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A whole fabric under an ordinary user's account: server, issuer, client, in a scratch folder.

load helpers

setup_file() {
  fabric_begin && rootless && fabric_write && server_start --enable-ssh-sftp && warm
}
teardown_file() { fabric_end; }

@test "sessions run under the server's own account" {
  run -0 qssh -l "$CLIENT" server 'id -un; pwd'
  [ "$output" = "$CLIENT"$'\n'"$QF/home/$CLIENT" ]
  run -5 qssh -l "$CLIENT" server 'exit 5'
}

@test "field note 19: a request for another OS user is refused, not run under the server's account" {
  for user in "$TARGET" root; do
    run -255 qssh -l "$user" server id
    [[ $output != *uid=* ]]
    [[ $output == *"$user"* ]]
    audit_says ".event == \"login\" and .allowed == false and .os_user == \"$user\""
  done
  run -255 qssh -l "$TARGET" server 'id -un'
  [[ $output == *"not root"* || $output == *"own account"* || $output == *"$CLIENT"* ]] || { echo "$output" && false; }
}

@test "field note 19: also for an identity that may be anybody, also in the tunnel" {
  run -255 as_client QF_SSH=tunnel timeout 60 ssh -F "$CONF" -l "$TARGET" server id
  [[ $output != *uid=* ]]
  run -0 as_client QF_SSH=tunnel timeout 60 ssh -F "$CONF" -l "$CLIENT" server id -un
  [ "$output" = "$CLIENT" ]
}

@test "a terminal, sftp and scp work" {
  run -4 in_terminal "$QF/shown" size=31x97 'expect=[$] ' 'send=stty size; exit 4\r' -- ssh -F "$CONF" -l "$CLIENT" server
  grep -q '31 97' "$QF/shown"
  as_client sh -c "echo content > '$QF/home/$CLIENT/file'"
  run -0 as_client scp -q -F "$CONF" "$QF/home/$CLIENT/file" "$CLIENT@server:copy"
  [ "$(cat "$QF/home/$CLIENT/copy")" = content ]
}

@test "net is under seccomp and no_new_privs all the same" {
  mkfifo -m 666 "$QF/hold"
  background_as "$CLIENT" "$QF/session.log" sh -c "exec ssh -F '$CONF' -l '$CLIENT' server 'echo up; cat' <>'$QF/hold'"
  until_true 60 grep -q up "$QF/session.log"
  found=0
  for pid in $(descendants "$(qf_up)"); do
    [ "$(stat -c %U "/proc/$pid")" != nobody ]
    if [ "$(awk '$1 == "Seccomp:" { print $2 }' "/proc/$pid/status")" = 2 ] &&
      ls -l "/proc/$pid/fd" | grep -q socket; then
      [ "$(awk '$1 == "NoNewPrivs:" { print $2 }' "/proc/$pid/status")" = 1 ]
      found=$((found + 1))
    fi
  done
  [ $found -ge 1 ]
  end_process "$PID"
}

@test "nothing of it runs as root, and nothing is left outside the scratch folder" {
  for pid in $(descendants "$(qf_up)"); do [ "$(awk '$1 == "Uid:" { print $2 }' "/proc/$pid/status")" = "$(id -u "$CLIENT")" ]; done
  # the runtime folder was named, so the user's own link is left alone
  [ ! -e "$QF/home/$CLIENT/.qufabric" ]
  grep -q "IdentityFile $QF/run/ssh/subject" "$CONF"
}

@test "field note 10: the configuration names the folders of the instance that wrote it" {
  grep -q -- "--state-dir $QF/state" "$CONF"
  grep -q -- "--runtime-dir $QF/run" "$CONF"
  grep -q "GlobalKnownHostsFile $QF/state/known_hosts" "$CONF"
}

@test "qufabric ssh reaches it by the folders of this instance alone" {
  run -0 as "$CLIENT" "$BIN/qufabric" --state-dir "$QF/state" --runtime-dir "$QF/run" ssh "$CLIENT@server" id -un
  [ "$output" = "$CLIENT" ]
  ls "$QF"/run/ssh_config.*
  run -0 as "$CLIENT" QF_STATE_DIR="$QF/state" QF_RUNTIME_DIR="$QF/run" "$BIN/qufabric" ssh "$CLIENT@server" id -un
  [ "$output" = "$CLIENT" ]
  [ "$(ls "$QF"/run/ssh_config.* | wc -l)" = 1 ]
}

@test "qf-up down stops it and takes the ssh_config file away" {
  run -0 instance qf-up down $FOLDERS
  until_true 60 test ! -d "/proc/$(qf_up)"
  [ ! -e "$CONF" ]
  run -3 "$BIN/qf-detect" --timeout 1 "$ADDRESS" 22022
}
