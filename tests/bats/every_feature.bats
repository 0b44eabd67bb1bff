#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every feature of OpenSSH that people use, on the direct path and in the tunnel: nothing of it may be lost. A feature is a
# function here, the table at the end runs it on both paths and sees in the audit log that it was that path. What they
# are held to beyond that is in the files of their names, and on both paths already: ServerAliveInterval with a frozen
# server in proxy_tunnel.bats, users' own configurations in own_config.bats, 1 GiB with RekeyLimit in streams.bats.

load helpers

# The peers: "server", "second" (a server too), and "impostor", whose host key is not the pinned one. Behind them an sshd
# that is no peer, and an echo server.
setup_file() {
  fabric_begin
  local place
  for place in config state run; do mkdir -p "$QF/second/$place"; done
  SECOND="--config-dir $QF/second/config --state-dir $QF/second/state --runtime-dir $QF/second/run"
  chmod 777 "$QF/home"
  fabric_write ".peers += [
      {name: \"second\", addresses: [\"$(address_of 1)\"], ssh: true, version: \"0.61.0\", ssh_host_keys: [\"$("$BIN/qf-up" host-key $SECOND)\"]},
      {name: \"impostor\", addresses: [\"$(address_of 2)\"], ssh: true, version: \"0.61.0\", ssh_host_keys: [\"$(host_key)\"]}]" \
    '.peer_groups.servers += ["second"]'
  cp "$QF/config/fabric.json" "$QF/second/config/"
  server_start --enable-ssh-sftp --enable-ssh-local-port-forwarding --enable-ssh-remote-port-forwarding --enable-ssh-x11
  background "$QF/second.log" "$BIN/qf-up" --self second $SECOND --allow-server-ssh
  background "$QF/impostor.log" "$PYTHON" "$TOP/tests/bats/servers/impostor.py" jwt "$(address_of 2)" 22022 "$QF/impostor.seen"
  background "$QF/echo.log" "$PYTHON" "$TOP/tests/bats/servers/echo.py" "$QF/echo.port" 127.0.0.1 ::1
  as_client sh -c 'mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -C "key in the agent" -f ~/.ssh/key'
  sshd_beyond
  as_client git config --global user.name client
  as_client git config --global user.email client@test.example
  AGENT=$QF/home/$CLIENT/agent
  background_as "$CLIENT" "$QF/agent.log" ssh-agent -D -a "$AGENT"
  until_true 60 test -S "$AGENT"
  as_client SSH_AUTH_SOCK="$AGENT" ssh-add -q "$QF/home/$CLIENT/.ssh/key"
  display
  until_true 60 test -s "$QF/echo.port"
  until_true 60 server_answers "$(address_of 1)"
  until_true 60 server_answers "$(address_of 2)"
  ECHO=$(cat "$QF/echo.port")
  export AGENT DISPLAY_NUMBER ECHO BEYOND
  warm
}
teardown_file() { fabric_end; }

# An ordinary sshd for TARGET with CLIENT's key, on the port BEYOND of 127.0.0.1.
sshd_beyond() {
  BEYOND=$(free_port)
  ssh-keygen -q -t ed25519 -N '' -f "$QF/beyond.key"
  cp "$QF/home/$CLIENT/.ssh/key.pub" "$QF/beyond.authorized"
  printf '%s\n' 'ListenAddress 127.0.0.1' "Port $BEYOND" "HostKey $QF/beyond.key" 'PidFile none' 'UsePAM no' \
    "AuthorizedKeysFile $QF/beyond.authorized" 'StrictModes no' >"$QF/beyond.conf"
  usermod -p '*' "$TARGET"
  mkdir -p /run/sshd
  background "$QF/beyond.log" /usr/sbin/sshd -D -e -f "$QF/beyond.conf"
  until_true 60 listens "$BEYOND"
}

# ---- how a feature is run

# both FEATURE: on each path, and each is the path of its last login.
both() {
  local logins
  for way in certificate tunnel; do
    PATH_TAKEN=${way#certificate}
    echo "path: ${PATH_TAKEN:-direct}"
    logins=$(logins_by $way)
    "$1"
    [ "$(logins_by $way)" -gt "$logins" ]
  done
}
# logins_by METHOD [AUDIT-LOG]: how many were let in by it; not the outer ones of tunnels, which name no
# OS user
logins_by() { jq -s "[.[] | select(.event == \"login\" and .allowed and .os_user and .method == \"$1\")] | length" "${2:-$AUDIT}"; }

# of_client COMMAND…: with agent and display, on the path of this run.
of_client() { as_client SSH_AUTH_SOCK="$AGENT" DISPLAY=":$DISPLAY_NUMBER" ${PATH_TAKEN:+QF_SSH=$PATH_TAKEN} timeout 60 "$@"; }
peer() { of_client ssh -F "$CONF" -l "$TARGET" "$@"; }
# master OPTION…: a connection in the background, with the forwardings of the options in place; master_ends ends it.
master() { peer -S "$QF/home/control" -o ExitOnForwardFailure=yes -M -f -N "$@" server 3>&- 4>&-; }
on_master() { peer -S "$QF/home/control" "$@"; }
master_ends() { on_master -O exit server; }
# in_window STEP… -- SSH-ARGUMENT…: ssh in a terminal
in_window() {
  local steps=()
  while [ "$1" != -- ]; do steps+=("$1") && shift; done
  shift
  : >"$QF/shown"
  in_terminal "$QF/shown" "${steps[@]}" -- env ${PATH_TAKEN:+QF_SSH=$PATH_TAKEN} TERM=xterm-test ssh -F "$CONF" -l "$TARGET" "$@"
}
# say PORT TEXT: what the echo server answers to it
say() { printf '%s' "$2" | timeout 60 socat -t 50 - "TCP:127.0.0.1:$1"; }
ours() { echo "$QF/home/$CLIENT/$1"; }
theirs() { echo "$QF/home/$TARGET/$1"; }

# ---- the features: sessions

a_shell() {
  run -4 peer -T server <<<'cd / && pwd; exit 4'
  [ "$output" = / ]
}
a_command() {
  run -0 --separate-stderr peer server 'id -un; cat; echo beside >&2' <<<"into it"
  [ "$output" = "$TARGET"$'\n'"into it" ]
  [ "$stderr" = beside ]
}
exit_codes() {
  for code in 0 1 127 254; do run -$code peer server "exit $code"; done
}
signals() {
  run -255 peer -v server 'kill -TERM $$'
  [[ $output == *"exit-signal"* ]]
}
a_terminal() {
  run -3 in_window size=33x101 'expect=[$] ' 'send=tty; stty size; echo "TERM=$TERM"\r' 'expect=/dev/pts/[0-9]+\r\n33 101\r\nTERM=xterm-test' \
    "send=sh -c 'echo wai''ts; exec cat'\\r" 'expect=waits\r\n' 'send=\x03' 'expect=[$] ' \
    "send=trap 'stty size; exit 3' WINCH; echo set-\$((6*7)); while :; do read x; done\\r" 'expect=set-42' resize=50x132 'expect=50 132' -- server
}
an_agent() {
  run -0 peer -A server ssh-add -l
  [[ $output == *"key in the agent"* ]]
  run -0 peer -a server 'echo "agent=$SSH_AUTH_SOCK"'
  [ "$output" = agent= ]
}
trusted_x11() {
  run -0 peer -Y server 'xdpyinfo | grep -c dimensions'
  [ "${lines[-1]}" = 1 ]
}
untrusted_x11() {
  run -0 peer -X -o ForwardX11Trusted=no server 'xdpyinfo | grep -c dimensions'
  [ "${lines[-1]}" = 1 ]
}

# ---- forwardings and jumps

local_forwarding() {
  port=$(free_port)
  master -L "$port:localhost:$ECHO"
  run -0 say "$port" by-L
  master_ends
  [ "$output" = "uid $(id -u "$TARGET"): by-L" ]
}
remote_forwarding() {
  port=$(free_port)
  master -R "$port:localhost:$ECHO"
  owner=$(ss -Hltne "sport = :$port")
  run -0 say "$port" by-R
  master_ends
  [ "$output" = "uid $(id -u "$CLIENT"): by-R" ]
  [[ $owner == *"uid:$(id -u "$TARGET")"* ]]
  until_true 60 silent "$port"
}
socks_forwarding() {
  port=$(free_port)
  master -D "$port"
  run -0 bash -c "printf by-D | timeout 60 socat -t 50 - SOCKS4A:127.0.0.1:localhost:$ECHO,socksport=$port"
  master_ends
  [ "$output" = "uid $(id -u "$TARGET"): by-D" ]
}
stdio_forwarding() {
  printf by-W >"$QF/by-W"
  run -0 peer -W "localhost:$ECHO" server <"$QF/by-W"
  [ "$output" = "uid $(id -u "$TARGET"): by-W" ]
}
jump_to_an_sshd() {
  run -0 --separate-stderr peer -J "$TARGET@server" -p "$BEYOND" -i "$(ours .ssh/key)" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    127.0.0.1 'id -un; echo $SSH_CONNECTION'
  [[ $output == "$TARGET"$'\n'*" $BEYOND" ]]
}
# Our proxy is left out on the way from hop to peer: the cached token does it, by certificate. The hop knows the peer by
# each of its names, which no DNS has.
jump_to_a_peer() {
  before=$(logins_by certificate "$QF/second/state/audit.log")
  for name in "$(address_of 1)" second SECOND.test.example; do
    run -0 --separate-stderr peer -J "$TARGET@server" "$name" 'id -un; echo $SSH_CONNECTION'
    [[ $output == "$TARGET"$'\n'*" $(address_of 1) 22022" ]]
    [ -z "$stderr" ]
  done
  [ "$(logins_by certificate "$QF/second/state/audit.log")" = $((before + 3)) ]
}
# without a token ssh has no certificate for the peer, although the hop logs in meanwhile
cold_jump_to_a_peer() {
  PATH_TAKEN=
  token logout
  run -255 --separate-stderr peer -J "$TARGET@server" "$(address_of 1)" true
  [[ $stderr == *"hint: run qf-token login"* ]]
  warm
  run -0 peer -J "$TARGET@server" "$(address_of 1)" true
}

# ---- many on one

control_master() {
  master
  before=$(logins_by $way)
  for code in 1 2 3 4 5; do run -$code on_master server "exit $code"; done
  [ "$(logins_by $way)" = "$before" ]
  run -0 master_ends
}
control_persist() {
  before=$(logins_by $way)
  for code in 1 2; do
    run -$code peer -o ControlMaster=auto -o ControlPath="$QF/home/persist" -o ControlPersist=60 server "exit $code" 3>&- 4>&-
  done
  [ "$(logins_by $way)" = $((before + 1)) ]
  run -0 peer -o ControlPath="$QF/home/persist" -O check server
  run -0 peer -o ControlPath="$QF/home/persist" -O exit server
}
twenty_at_once() {
  of_client bash -c 'for i in $(seq 20); do ssh -F "$1" -l "$2" server "echo session $i; exit $i" >"$3/$i" & pids[i]=$!; done
    for i in $(seq 20); do wait ${pids[i]}; [ $? = $i ] || { echo "session $i ended with another status"; exit 1; }; done' \
    bash "$CONF" "$TARGET" "$(ours)" </dev/null
  for i in $(seq 20); do [ "$(cat "$(ours "$i")")" = "session $i" ]; done
}

# ---- files

sftp_copies() {
  head -c 100000 /dev/urandom >"$(ours sent)"
  run -0 of_client sftp -q -F "$CONF" -b - "$TARGET@server" <<<"put $(ours sent) arrived
get arrived $(ours back)"
  there_and_back
}
there_and_back() {
  cmp "$(ours sent)" "$(theirs arrived)"
  cmp "$(ours sent)" "$(ours back)"
  [ "$(stat -c %U "$(theirs arrived)")" = "$TARGET" ]
  rm -rf "$(ours sent)" "$(ours back)" "$(theirs arrived)"
}
# scp_copies [OPTION]
scp_copies() {
  head -c 100000 /dev/urandom >"$(ours sent)"
  run -0 of_client scp -q ${1:-} -F "$CONF" "$(ours sent)" "$TARGET@server:arrived"
  run -0 of_client scp -q ${1:-} -F "$CONF" "$TARGET@server:arrived" "$(ours back)"
  there_and_back
}
scp_copies_the_old_way() { scp_copies -O; }
rsync_copies() {
  head -c 100000 /dev/urandom >"$(ours sent)"
  run -0 of_client rsync -a -e "ssh -F $CONF" "$(ours sent)" "$TARGET@server:arrived"
  run -0 of_client rsync -a -e "ssh -F $CONF" "$TARGET@server:arrived" "$(ours back)"
  there_and_back
}
git_works() {
  as "$TARGET" git init -q --bare -b main "$(theirs "repo$PATH_TAKEN.git")"
  as_client git init -q -b main "$(ours "work$PATH_TAKEN")"
  as_client git -C "$(ours "work$PATH_TAKEN")" commit -q --allow-empty -m 'by git'
  run -0 of_client env GIT_SSH_COMMAND="ssh -F $CONF" git -C "$(ours "work$PATH_TAKEN")" push -q "$TARGET@server:repo$PATH_TAKEN.git" main
  run -0 of_client env GIT_SSH_COMMAND="ssh -F $CONF" git clone -q "$TARGET@server:repo$PATH_TAKEN.git" "$(ours "clone$PATH_TAKEN")"
  [ "$(as_client git -C "$(ours "clone$PATH_TAKEN")" log -1 --format=%s)" = 'by git' ]
}

# ---- what ssh says and checks

verbose_names_the_peer() {
  run -0 peer -v server true
  [[ $output == *"Executing proxy command: exec $BIN/qf-proxy "*" 'server' '22022'"* ]]
  [[ $output == *"remote software version QuFabric-SSH-Server-"* ]]
  [[ $output == *"Authenticating to server:22022 as '$TARGET'"* ]]
  [[ $output == *"Authenticated to server (via proxy) using"* ]]
}
known_host_key() {
  run -0 --separate-stderr peer server true
  [ -z "$output$stderr" ]
  [ ! -e "$(ours .ssh/known_hosts)" ]
}
new_keys() {
  head -c 10000000 /dev/urandom >"$QF/noise"
  peer -vv -o RekeyLimit=1M server 'tee sum-in | cat; cksum <sum-in >&2' <"$QF/noise" >"$QF/noise.back" 2>"$QF/noise.log"
  cmp "$QF/noise" "$QF/noise.back"
  grep -qxF "$(cksum <"$QF/noise")" "$QF/noise.log"
  [ "$(grep -c 'ssh_set_newkeys: mode 1' "$QF/noise.log")" -gt 8 ]
}

# ---- the table

@test "shell" { both a_shell; }
@test "command" { both a_command; }
@test "exit code" { both exit_codes; }
@test "signal" { both signals; }
@test "pty and window change" { both a_terminal; }
@test "-A" { both an_agent; }
@test "-Y" { both trusted_x11; }
@test "-X" { both untrusted_x11; }
@test "-L" { both local_forwarding; }
@test "-R" { both remote_forwarding; }
@test "-D" { both socks_forwarding; }
@test "-W" { both stdio_forwarding; }
@test "-J through a peer to an sshd" { both jump_to_an_sshd; }
@test "-J through a peer to a peer, with a token cached" { both jump_to_a_peer; }
@test "-J to a peer without a token: a banner says what to do" { cold_jump_to_a_peer; }
@test "ControlMaster" { both control_master; }
@test "ControlPersist" { both control_persist; }
@test "20 ssh at once" { both twenty_at_once; }
@test "sftp" { both sftp_copies; }
@test "scp" { both scp_copies; }
@test "scp -O" { both scp_copies_the_old_way; }
@test "rsync" { both rsync_copies; }
@test "git" { both git_works; }
@test "-v names the peer" { both verbose_names_the_peer; }
@test "known host key: silent" { both known_host_key; }
@test "RekeyLimit" { both new_keys; }

@test "host key changed: refused" {
  for PATH_TAKEN in '' tunnel; do
    run -255 peer impostor true
    [[ $output == *"impostor ("*") shows a host key that is not in the fabric document"* ]]
  done
  run grep -cE 'none|publickey|password' "$QF/impostor.seen"
  [ "$output" = 0 ]
}

@test "ConnectTimeout, with a server that is frozen" {
  peer server true
  listener=$(listener_pid)
  kill -STOP "$listener"
  for PATH_TAKEN in '' tunnel; do
    run peer -o ConnectTimeout=2 server true
    [[ $status = 255 && $output == *"Connection timed out during banner exchange"* ]] || wrong="$status $output"
  done
  kill -CONT "$listener"
  [ -z "${wrong:-}" ] || { echo "$wrong" && false; }
}
