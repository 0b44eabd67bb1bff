#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What an admin reads who starts qf-sshd wrongly: what is wrong, by its name, and what to do.

load helpers

setup_file() {
  fabric_begin && fabric_write && "$BIN/qf-up" apply $FOLDERS --self server >&2
}
teardown_file() { fabric_end; }

sshd() { "$BIN/qf-sshd" $FOLDERS "$@"; }

@test "a limit that makes no sense is named" {
  for option in login-grace-time max-connections per-source-max-connections per-source-max-startups device-login-grace-time max-sessions \
    max-channels max-auth-tries; do
    for value in 0 -1 1000001 many; do
      run -64 sshd "--$option=$value"
      [[ $output == *"--$option must be a number from 1 to "*", not \"$value\""*"hint:"* ]] || { echo "$output" && false; }
    done
  done
  run -64 sshd --client-alive-count-max=-1
  [[ $output == *"--client-alive-count-max must be a number from 0 to "* ]]
  run -64 sshd --max-sessions -1
  [[ $output == *"--max-sessions"* ]]
}

@test "a word that is no option is named" {
  for program in qf-sshd qf-tokend; do
    run -64 "$BIN/$program" extra
    [[ $output == "$program: unexpected word \"extra\""*"hint: run $program --help"* ]] || { echo "$output" && false; }
  done
}

@test "a host key that others may read: one instruction" {
  key=$QF/state/ssh_host_ed25519_key
  chmod 644 "$key"
  run -78 sshd
  chmod 600 "$key"
  [ "$output" = "qf-sshd: the host key $key can be read by others"$'\n'"hint: run: chmod 600 $key" ]
}

@test "a host key of another user, who can read it" {
  key=$QF/state/ssh_host_ed25519_key
  chown "$CLIENT" "$key"
  run -78 sshd
  chown root "$key"
  [[ $output == "qf-sshd: the host key $key belongs to uid $(id -u "$CLIENT")"$'\n'"hint: move it away and run qf-up host-key"* ]]
}

@test "a host key that cannot be read: the cause is the permission" {
  chmod 711 "$QF/state"
  chmod 755 "$QF/config"
  run -78 as "$CLIENT" "$BIN/qf-sshd" $FOLDERS --self server
  [[ $output == *"Permission denied"*"hint: run qf-sshd as root"* ]] || { echo "$output" && false; }
  [[ $output != *passphrase* ]]
}

@test "a host key that is missing, or none" {
  key=$QF/state/ssh_host_ed25519_key
  mv "$key" "$QF/kept"
  run -78 sshd
  [[ $output == *"No such file"*"hint: run qf-up host-key"* ]]
  (umask 077 && echo nonsense >"$key")
  run -78 sshd
  mv "$QF/kept" "$key"
  [[ $output == *"is not a private key without passphrase"*"hint: move it away and run qf-up host-key"* ]]
}

@test "a host key that the document does not list: the hint says where the right line is" {
  key=$QF/state/ssh_host_ed25519_key
  mv "$key" "$QF/kept" && mv "$key.pub" "$QF/kept.pub"
  "$BIN/qf-up" host-key $FOLDERS >"$QF/other"
  run -78 sshd
  mv "$QF/kept" "$key" && mv "$QF/kept.pub" "$key.pub"
  [[ $output == *"does not list this server's host key"*"hint: list there what qf-up host-key prints, and run qf-up apply"* ]]
}

@test "an address in use: the hint is about the other server" {
  server_start
  run -71 sshd
  [[ $output == *"Address already in use"*"hint: another qf-sshd runs here already"* ]] || { echo "$output" && false; }
  server_stop
}
