#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qufabric ssh, scp and sftp: the user's own OpenSSH with the user's configuration, the system's and then ours, on a
# machine whose ssh_config cannot be touched (the server's ssh_config file is in no place that ssh looks at).

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start --enable-ssh-sftp --enable-ssh-local-port-forwarding && warm
}
teardown_file() { fabric_end; }

setup() {
  HOME_OF_CLIENT=$(home_of "$CLIENT")
  rm -rf "$HOME_OF_CLIENT/.ssh"
  as_client mkdir -m 700 "$HOME_OF_CLIENT/.ssh"
  DOOR=("$BIN/qufabric" --state-dir "$QF/state")
}
# door WORD…: qufabric as CLIENT
door() { as_client timeout 60 "${DOOR[@]}" "$@"; }
# own FILE: the client's ~/.ssh/FILE from stdin
own() { as_client tee "$HOME_OF_CLIENT/.ssh/$1" >/dev/null; }
# with_system COMMAND…: as CLIENT, where /etc/ssh/ssh_config is $QF/system_config and /etc/ssh read-only
with_system() {
  as_words "$CLIENT"
  unshare -m sh -c 'mount -t tmpfs tmpfs /etc/ssh && cp "$0/system_config" /etc/ssh/ssh_config && mkdir /etc/ssh/extra.d &&
    printf "ServerAliveInterval 77\n" >/etc/ssh/extra.d/one.conf && chmod 755 /etc/ssh && chmod 644 /etc/ssh/ssh_config &&
    if [ -n "$LOOSE" ]; then chmod 666 /etc/ssh/ssh_config; fi && mount -o remount,ro /etc/ssh && exec "$@"' \
    "$QF" "${AS[@]}" "$@"
}
kept() { as_client sh -c "ls '$(runtime_of "$CLIENT")' | grep '^ssh_config\.'"; }

@test "a command with its streams and exit status, where plain ssh does not know the peer" {
  run -255 as_client timeout 60 ssh -o BatchMode=yes -l "$TARGET" server true
  run -7 --separate-stderr door ssh "$TARGET@server" 'cat; id -un; echo err >&2; exit 7' <<<in
  [ "$output" = $'in\n'"$TARGET" ]
  [ "$stderr" = err ]
  run -0 door ssh -l "$TARGET" -p 22022 server.test.example echo by its full name
  run -0 door ssh "$TARGET@$ADDRESS" echo by its address
  # the options of ssh behind the host are ssh's too
  run -0 door ssh server -l "$TARGET" id -un
  [ "$output" = "$TARGET" ]
}

@test "it becomes ssh: a signal ends that, and there is no process in between" {
  background_as "$CLIENT" "$QF/hold.log" "${DOOR[@]}" ssh -N -l "$TARGET" server
  until_true 60 bash -c "[ \"\$(cat /proc/$PID/comm)\" = ssh ]"
  [[ "$(tr '\0' ' ' <"/proc/$PID/cmdline")" == "ssh -F /"*" -N -l $TARGET server " ]]
  start=$(start_of "$PID")
  kill -TERM "$PID"
  until_true 60 gone "$PID" "$start"
}

@test "a terminal, -L, and the tunnel" {
  run -6 in_terminal "$QF/shown" 'expect=[$] ' 'send=test -t 0 && exit 6\r' -- "${DOOR[@]}" ssh "$TARGET@server"
  port=$(free_port)
  background_as "$CLIENT" "$QF/forward.log" "${DOOR[@]}" ssh -N -L "$port:$ADDRESS:22022" "$TARGET@server"
  until_true 60 listens "$port"
  run -0 timeout 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && head -c 8 <&3"
  [ "$output" = SSH-2.0- ]
  end_process "$PID"
  run -0 as_client QF_SSH=tunnel timeout 60 "${DOOR[@]}" ssh "$TARGET@server" echo tunnelled
  [ "$output" = tunnelled ]
}

@test "scp and sftp" {
  as_client sh -c 'echo content >~/file'
  run -0 door scp -q "$HOME_OF_CLIENT/file" "$TARGET@server:by-scp"
  run -0 door scp -q -O "$HOME_OF_CLIENT/file" "$TARGET@server:by-old-scp" || [[ $output == *"not found"* ]]
  run -0 door sftp -q -b - "$TARGET@server" <<<"put $HOME_OF_CLIENT/file by-sftp"
  [ "$(cat "$QF/home/$TARGET/by-scp" "$QF/home/$TARGET/by-sftp")" = $'content\ncontent' ]
  run -1 door scp -q "$TARGET@server:none" "$HOME_OF_CLIENT/"
}

@test "git, rsync and whatever else runs a command in place of ssh" {
  as "$TARGET" git init -q --bare "$QF/home/$TARGET/repo.git"
  run -0 as_client GIT_SSH_COMMAND="${DOOR[*]} ssh" timeout 60 git ls-remote "$TARGET@server:repo.git"
  as_client sh -c 'echo content >~/file'
  run -0 as_client timeout 60 rsync -e "${DOOR[*]} ssh" "$HOME_OF_CLIENT/file" "$TARGET@server:by-rsync"
  [ "$(cat "$QF/home/$TARGET/by-rsync")" = content ]
}

@test "the user's configuration counts first, then the system's: for a host that is no peer it is as with plain ssh" {
  printf 'Host db other.example\n  HostName server\n  User %s\nHost other.example\n  Port 2200\nHost *\n  ConnectTimeout 33\n' "$TARGET" | own config
  printf 'Host elsewhere.*\n  Port 2201\nHost *\n  ConnectTimeout 44\n  ServerAliveCountMax 9\n' >"$QF/system_config"
  for host in elsewhere.example nowhere.example; do
    with_system ssh -G "$host" >"$QF/plain"
    with_system "${DOOR[@]}" ssh -G "$host" >"$QF/door"
    diff "$QF/plain" "$QF/door"
  done
  grep -qx 'connecttimeout 33' "$QF/door" && grep -qx 'serveralivecountmax 9' "$QF/door"
  # an alias of the user's is found, and a port of the user's wins, with which it is no peer of ours
  run -0 door ssh db id -un
  [ "$output" = "$TARGET" ]
  run -0 with_system "${DOOR[@]}" ssh -G db
  [[ $output == *$'\n'"port 22022"$'\n'* && $output == *$'\n'"proxycommand $BIN/qf-proxy "* ]]
  run -0 with_system "${DOOR[@]}" ssh -G other.example
  [[ $output == *$'\n'"port 2200"$'\n'* ]]
}

@test "a Host that is open at the end of a file does not hold what comes after" {
  printf 'Host only.example\n  Port 2202' | own config
  printf 'Host another.example\n  Port 2203' >"$QF/system_config"
  run -0 with_system "${DOOR[@]}" ssh -G server
  [[ $output == *$'\n'"port 22022"$'\n'* ]]
  run -0 with_system "${DOOR[@]}" ssh -G another.example
  [[ $output == *$'\n'"port 2203"$'\n'* ]]
}

@test "relative Include lines of the system's file, and one that others may write to, as with plain ssh" {
  printf 'Include extra.d/*.conf\nHost *\n  ConnectTimeout 44\n' >"$QF/system_config"
  for LOOSE in '' 1; do
    export LOOSE
    run -0 with_system ssh -G nowhere.example
    [[ $output == *$'\n'"serveraliveinterval 77"$'\n'* ]]
    run -0 with_system "${DOOR[@]}" ssh -G nowhere.example
    [[ $output == *$'\n'"serveraliveinterval 77"$'\n'* && $output == *$'\n'"connecttimeout 44"$'\n'* ]]
  done
}

@test "Match final and CanonicalizeHostname of the user's" {
  printf 'CanonicalizeHostname always\nCanonicalDomains test.example\nCanonicalizeFallbackLocal yes\nMatch final host server*\n  User %s\n' "$TARGET" | own config
  run -0 door ssh server id -un
  [ "${lines[-1]}" = "$TARGET" ]
}

@test "the user's own -F: in place of the user's and the system's file, and ours is still there" {
  printf 'Host *\n  ConnectTimeout 33\n' | own config
  printf 'Host *\n  ServerAliveCountMax 9\n' >"$QF/system_config"
  printf 'Host alias\n  HostName server\n  User %s\n' "$TARGET" | own 'an other'
  chmod 664 "$HOME_OF_CLIENT/.ssh/an other" # ssh does not mind with -F, but does with Include
  cd "$HOME_OF_CLIENT/.ssh"
  for words in "-F" "-vF" "-TF"; do
    run -0 --separate-stderr door ssh "$words" "an other" alias id -un
    [ "$output" = "$TARGET" ]
  done
  run -0 door ssh "-Fan other" alias id -un
  [ "$output" = "$TARGET" ]
  # the last one counts; ssh takes options behind the host
  run -0 door ssh -F /nowhere alias -F "an other" id -un
  [ "$output" = "$TARGET" ]
  run -0 door scp -q -F "an other" alias:/etc/hostname "$HOME_OF_CLIENT/hostname"
  run -0 with_system "${DOOR[@]}" ssh -F "$HOME_OF_CLIENT/.ssh/an other" -G nowhere.example
  [[ $output != *"connecttimeout 33"* && $output != *"serveralivecountmax 9"* ]]
  run -0 with_system "${DOOR[@]}" ssh -F none -G server
  [[ $output == *"port 22022"* && $output != *"connecttimeout 33"* && $output != *"serveralivecountmax 9"* ]]
  # what comes through a pipe, which ssh itself would have closed
  run -0 as_client bash -c "exec ${DOOR[*]} ssh -F <(printf 'Host alias\n HostName server\n') -l $TARGET alias id -un"
  [ "$output" = "$TARGET" ]
  # ssh's own words about a file that is not there
  run -255 door ssh -F /nowhere server true
  [[ $output == *"Can't open user config file /nowhere"* ]]
  # no file name: a command's
  run -0 door ssh "$TARGET@server" echo -F /nowhere
  [ "$output" = "-F /nowhere" ]
}

@test "-J to another host goes with the same configuration" {
  printf 'Host jump\n  HostName server\n  User %s\n' "$TARGET" | own config
  # the second ssh reads the alias, and takes our block
  run -0 door ssh -v -J jump -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o HostKeyAlias=server -l "$TARGET" -p 22022 "$ADDRESS" id -un
  [[ $output == *"$TARGET"* ]]
  [[ $output == *"Setting implicit ProxyCommand from ProxyJump: ssh "*" -F $(runtime_of "$CLIENT")/ssh_config."*"jump"* ]]
}

@test "the file: the user's alone, no secret, one for all of the same, another's stays" {
  printf 'Host *\n  ConnectTimeout 33\n' | own config
  door ssh -G server >/dev/null
  kept >"$QF/first"
  door ssh -G server >/dev/null
  kept | diff "$QF/first" -
  for name in $(kept); do
    [ "$(stat -c '%U %a' "$(runtime_of "$CLIENT")/$name")" = "$CLIENT 600" ]
  done
  # another text is another file, so that an ssh that is about to read one is not disturbed
  door ssh -F none -G server >/dev/null
  [ "$(kept | wc -l)" -ge "$(wc -l <"$QF/first")" ]
  # what nobody has used for a day goes with the next new one
  as_client touch -d '2 days ago' "$(runtime_of "$CLIENT")/ssh_config.0000000000000000"
  echo 'Host *' | own unseen
  chmod 664 "$HOME_OF_CLIENT/.ssh/unseen"
  door ssh -F "$HOME_OF_CLIENT/.ssh/unseen" -G server >/dev/null
  [[ "$(kept)" != *ssh_config.0000000000000000* ]]
}

# matches COMMAND…: how often ssh runs qf-detect; through the shell that it runs Match exec with
matches() {
  printf '#!/bin/sh\necho >>%s/matched\nexec /bin/sh "$@"\n' "$QF" >"$QF/shell"
  chmod 755 "$QF/shell"
  : >"$QF/matched"
  chmod 666 "$QF/matched"
  with_system env SHELL="$QF/shell" "$@" >"$QF/said"
  wc -l <"$QF/matched"
}

@test "where ssh reads our block already, the peer is not asked for twice" {
  echo >"$QF/system_config"
  [ "$(matches ssh -G server)" = 0 ]
  [ "$(matches "${DOOR[@]}" ssh -G server)" = 1 ]
  echo "Include $QF/state/99-qufabric.con*" >"$QF/system_config"
  [ "$(matches ssh -G server)" = 1 ]
  [ "$(matches "${DOOR[@]}" ssh -G server)" = 1 ]
  grep -qx 'port 22022' "$QF/said"
  [ "$(grep -c '^identityfile' "$QF/said")" = 1 ]
  # for some hosts only: those that are not among them need ours
  printf 'Host none.example\n  Include %s/state/99-qufabric.conf\n' "$QF" >"$QF/system_config"
  run -0 with_system "${DOOR[@]}" ssh -G server
  [[ $output == *$'\n'"port 22022"$'\n'* ]]
  # the user's own
  echo >"$QF/system_config"
  door ssh-config | own config
  [ "$(matches ssh -G server)" = 1 ]
  [ "$(matches "${DOOR[@]}" ssh -G server)" = 1 ]
}

@test "ssh-config: at the end of ~/.ssh/config plain ssh finds the peers, aliases too" {
  printf 'Host db\n  HostName server\n  User %s\nHost unrelated\n  Port 2204\n' "$TARGET" | own config
  run -0 --separate-stderr door ssh-config
  [ -z "$stderr" ]
  door ssh-config | as_client tee -a "$HOME_OF_CLIENT/.ssh/config" >/dev/null
  for host in db server unrelated; do
    run -0 as_client ssh -G "$host"
    [[ $host = unrelated || $output == *$'\n'"port 22022"$'\n'* ]]
  done
  [[ $output == *$'\n'"port 2204"$'\n'* ]]
  run -0 as_client timeout 60 ssh db id -un
  [ "$output" = "$TARGET" ]
  # it is said when it is there
  run -0 --separate-stderr door ssh-config
  [[ $stderr == *"plain ssh needs no such lines here: $HOME_OF_CLIENT/.ssh/config includes the file"* ]]
  # down takes the file away: ssh passes over it
  mv "$QF/state/ssh_config" "$QF/state/away"
  run -0 as_client ssh -G server
  [[ $output == *$'\n'"port 22"$'\n'* ]]
  mv "$QF/state/away" "$QF/state/ssh_config"
}

@test "a folder with spaces and wildcards in its name is quoted so that ssh reads it" {
  mkdir -p "$QF/a [b] c*"
  ln -s "$QF/state/ssh_config" "$QF/a [b] c*/ssh_config"
  as_client "$BIN/qufabric" --state-dir="$QF/a [b] c*" ssh-config | own config
  run -0 as_client ssh -G server
  [[ $output == *$'\n'"port 22022"$'\n'* ]]
}

@test "what goes wrong has a sentence and a hint" {
  run -255 door ssh
  [[ $output == *"usage: ssh "* ]]
  run -1 door scp
  [[ $output == *"usage: scp "* ]]
  run -78 as_client "$BIN/qufabric" --state-dir "$QF/none" ssh server
  [[ $output == *"no fabric document is in force here: there is no $QF/none/ssh_config"*"hint: run: sudo qf-up apply"* ]]
  run -78 as_client "$BIN/qufabric" --state-dir "$QF/none" ssh-config
  run -71 as_client env PATH=/nowhere "${DOOR[@]}" ssh server
  [[ $output == *'no program "ssh" in PATH'*"hint: install the client of OpenSSH"* ]]
  run -64 door ssh-config more
  run -64 as_client "$BIN/qufabric" --state-dir
  run -64 as_client "$BIN/qufabric" --state-dir= ssh server
  chmod 700 "$QF/state"
  run -71 door ssh server
  chmod 755 "$QF/state"
  [[ $output == *"cannot read $QF/state/ssh_config: Permission denied"*"hint: "* ]]
}

@test "the folders go on to our own programs, and detect and proxy are commands unless -- says otherwise" {
  run -0 as_client "$BIN/qufabric" --config-dir "$QF/config" --state-dir "$QF/state" ssh detect server
  run -0 as_client "$BIN/qufabric" doctor --help
  [[ $output == "usage: qf-up doctor "* ]]
  run -64 as_client "$BIN/qufabric" --state-dir "$QF/state" ssh proxy
  run -0 --separate-stderr as_client "$BIN/qufabric" --state-dir "$QF/state" ssh -G -- detect
  [[ $output == *"hostname detect"* ]]
  run -0 as_client "$BIN/qufabric" --state-dir "$QF/state" ssh -G user@detect
  [[ $output == *"hostname detect"* ]]
}

@test "a peer called detect is reached with -- or with a user" {
  server_stop
  fabric_write '.peers[0].name = "detect" | .peer_groups.servers = ["detect"]'
  server_start_by "$BIN/qf-up" --self detect $FOLDERS --allow-server-ssh
  run -0 door ssh -l "$TARGET" -- detect id -un
  run -0 door ssh -- "$TARGET@detect" id -un
  run -0 door ssh "$TARGET@detect" id -un
}
