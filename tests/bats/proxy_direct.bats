#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-proxy on the direct path: host keys, and what it says when it cannot get there.

load helpers

setup() { fabric_begin; }
teardown() { fabric_end; }

PROXY() { as_client timeout 60 "$BIN/qf-proxy" --config-dir "$QF/config" --state-dir "$QF/state" "$@"; }
apply() { fabric_write "$@" && "$BIN/qf-up" apply $FOLDERS --self client >&2; }
listens() { ss -Hltn "src $1:22022" | grep -q .; }
# fake PROGRAM KIND: at ADDRESS
fake() {
  background "$QF/fake.log" "$PYTHON" "$TOP/tests/bats/servers/$1.py" "$2" "$ADDRESS" 22022 "$QF/seen"
  until_true 60 listens "$ADDRESS"
}
# through_proxy SSH-ARGUMENT…: without the generated file, as careless as a user can be.
through_proxy() {
  as_client timeout 60 ssh -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
    -o ProxyCommand="$BIN/qf-proxy --config-dir $QF/config --state-dir $QF/state '%h' '%p'" -p 22022 "$@"
}

# ends_with STATUS PID: waits for the end of a process of ours. (`run wait` would not wait: it is a subshell.)
ends_with() {
  local got=0
  wait "$2" || got=$?
  [ "$got" = "$1" ]
}

@test "a host key that is not pinned ends the connection before the client shows anything, whatever the client allows" {
  apply
  as_client sh -c 'mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519'
  fake impostor no-jwt
  for kex in curve25519-sha256@libssh.org ecdh-sha2-nistp256 diffie-hellman-group16-sha512; do
    run -255 through_proxy -o KexAlgorithms="$kex" server true
    [[ $output == *"shows a host key that is not in the fabric document: ecdsa-sha2-nistp256 AAAA"* ]]
    [[ $output == *"hint: "* ]]
  done
  run grep -cE 'none|publickey|password' "$QF/seen"
  [ "$output" = 0 ]
}

@test "the same impostor with its key pinned is let through: the test above can fail" {
  apply
  fake impostor no-jwt
  ssh-keyscan -p 22022 "$ADDRESS" 2>/dev/null | grep -v '^#' | cut -d' ' -f2- >"$QF/impostor.key"
  [ -s "$QF/impostor.key" ]
  fabric_write ".peers[0].ssh_host_keys = [\"$(cat "$QF/impostor.key")\"]"
  "$BIN/qf-up" apply $FOLDERS --self client >&2
  run through_proxy server true
  grep -q '^none' "$QF/seen"
}

@test "an sshd of the same machine goes through with its real clients' options" {
  ssh-keygen -q -t ed25519 -N '' -f "$QF/hk"
  ssh-keygen -q -t rsa -b 3072 -N '' -f "$QF/rsa"
  apply ".peers[0].ssh_host_keys = [\"$(cut -d' ' -f1,2 "$QF/hk.pub")\", \"$(cut -d' ' -f1,2 "$QF/rsa.pub")\"]"
  as_client sh -c 'mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519'
  cp "$(home_of "$CLIENT")/.ssh/id_ed25519.pub" "$QF/authorized"
  printf '%s\n' "ListenAddress $ADDRESS" 'Port 22022' "HostKey $QF/hk" "HostKey $QF/rsa" 'PidFile none' 'UsePAM no' \
    "AuthorizedKeysFile $QF/authorized" 'StrictModes no' 'Subsystem sftp internal-sftp' >"$QF/sshd.conf"
  mkdir -p /run/sshd
  [ -x /usr/sbin/sshd ] || skip "no sshd here"
  background "$QF/sshd.log" /usr/sbin/sshd -D -e -f "$QF/sshd.conf"
  until_true 60 listens "$ADDRESS"
  usermod -p '*' "$TARGET"
  for options in "-oKexAlgorithms=diffie-hellman-group-exchange-sha256" "-oKexAlgorithms=sntrup761x25519-sha512@openssh.com" \
    "-oHostKeyAlgorithms=rsa-sha2-512" "-oCompression=yes" "-oRekeyLimit=100K"; do
    run -0 through_proxy "$options" "$TARGET@server" 'head -c 1000000 /dev/zero | md5sum; exit 0'
    [[ $output == *"$(head -c 1000000 /dev/zero | md5sum)"* ]]
  done
  run -42 through_proxy "$TARGET@server" 'exit 42'
  # and with another key pinned nothing comes through, by the group exchange neither
  fabric_write ".peers[0].ssh_host_keys = [\"$(cut -d' ' -f1,2 "$(home_of "$CLIENT")/.ssh/id_ed25519.pub")\"]"
  "$BIN/qf-up" apply $FOLDERS --self client >&2
  for kex in curve25519-sha256 diffie-hellman-group-exchange-sha256; do
    run -255 through_proxy -o KexAlgorithms="$kex" "$TARGET@server" true
    [[ $output == *"shows a host key that is not in the fabric document: "* ]]
  done
}

@test "field note 5: port 22 is not redirected: 22022 is used directly; when that is down, what was tried and what to do" {
  fabric_write && server_start && warm
  run -0 qssh -p 22 -l "$TARGET" server 'echo "$SSH_CONNECTION"'
  [[ $output == *" $ADDRESS 22022" ]]
  server_stop
  run -1 PROXY server 22 </dev/null
  [[ $output == *"peer server cannot be reached: cannot connect to $ADDRESS port 22022: Connection refused"* ]]
  [[ $output == *"hint: "*"qf-up --allow-server-ssh"* ]]
  run -255 through_proxy server true
  [[ $output == *"Connection refused"* ]]
}

@test "a source that is not allowed is told so" {
  fabric_write '.policies = []'
  server_start_refused
  run -255 through_proxy server true
  [[ $output == *"server ($ADDRESS port 22022) closed the connection without a word: this source is not allowed"* ]]
  [[ $output == *"hint: "* ]]
  # the generated block leads there too
  run -255 qssh server true
  [[ $output == *"this source is not allowed"* ]]
}
server_start_refused() {
  background "$QF/qf-up.log" "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh
  until_true 60 listens "$ADDRESS"
}

@test "what is no SSH server is named" {
  apply
  fake hostile megabyte
  run -1 PROXY server 22 </dev/null
  [[ $output == *"server ($ADDRESS port 22022) is no SSH server"* ]]
}

@test "a peer that is not known yet forges no line for the person" {
  apply
  for kind in forged-key goodbye; do
    fake hostile "$kind"
    run ! through_proxy server true </dev/null
    [[ $output != *$'\n'"hint: run something else"* ]]
    end_process "$PID"
  done
  fake hostile forged-key
  run -255 through_proxy server true </dev/null
  [[ $output == *"not in the fabric document: x?hint: run something else? "* ]]
}

@test "a peer that never leaves off sending what means nothing is left when the handshake's time is over" {
  apply
  fake hostile endless
  run -255 as_client timeout 180 ssh -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
    -o ProxyCommand="$BIN/qf-proxy --config-dir $QF/config --state-dir $QF/state '%h' '%p'" -p 22022 server true </dev/null
  [[ $output == *"does not go on with the SSH handshake"* ]]
}

@test "who closes standard error does not have our words go to the peer" {
  apply
  fake hostile forged-key
  run ! as_client timeout 60 sh -c "sleep 3 | '$BIN/qf-proxy' --config-dir '$QF/config' --state-dir '$QF/state' server 22 2>&-"
  until_true 60 grep -q . "$QF/seen"
  run ! grep -a 'qf-proxy' "$QF/seen"
}

@test "hosts that are no peers, and peers without a server" {
  apply '.peers += [{name: "bare", addresses: ["127.0.0.9"], ssh: true, version: "0.61.0", ssh_host_keys: []}]'
  run -1 PROXY elsewhere 22 </dev/null
  [[ $output == *'"elsewhere" is not a peer of this fabric'* ]]
  [[ $output == *"hint: "* ]]
  run -1 PROXY client 22 </dev/null
  [[ $output == *'"ssh": false'* ]]
  run -1 PROXY bare 22 </dev/null
  [[ $output == *"no host key"* ]]
  rm "$QF/state/peers.mdb"
  run -78 PROXY server 22 </dev/null
  [[ $output == *"qf-up apply"* ]]
}

@test "arguments beyond HOST and PORT are refused, as a user name with spaces in it would make them" {
  apply
  for words in "" "server" "server 22 root" "server 2222" "server 22x" "--nonsense server 22" "-l root server 22"; do
    # shellcheck disable=SC2086
    run -64 --separate-stderr PROXY $words
    [ -z "$output" ]
    [[ $stderr == *"hint: "* ]]
  done
}

@test "a peer that wants no JWT gets no prompt and starts no daemon" {
  fabric_write
  server_start --disable-ssh-auth
  run -0 in_terminal "$QF/shown" -- ssh -F "$CONF" -l "$TARGET" server echo plain
  grep -q plain "$QF/shown"
  run grep -c 'to log in' "$QF/shown"
  [ "$output" = 0 ]
  [ ! -S "$(runtime_of "$CLIENT")/tokend.sock" ]
}

@test "field note 2: a server that is killed in mid-command makes ssh exit 255" {
  fabric_write
  server_start
  warm
  on_peer 'echo started; sleep 60' </dev/null >"$QF/out" 2>"$QF/err" 3>&- 4>&- &
  ssh_pid=$!
  until_true 60 grep -q started "$QF/out"
  for pid in $(descendants "$(listener_pid)"); do
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q qf-sshd && kill -KILL "$pid"
  done
  ends_with 255 "$ssh_pid"
}

@test "after a peer that refuses connections the next ssh asks it again, whatever qf-tokend remembers" {
  fabric_write
  server_start
  warm
  run -0 on_peer true
  MATCH="$BIN/qf-detect --config-dir $QF/config --state-dir $QF/state --match --verbose server 22"
  run -0 as_client $MATCH
  [[ $output == *"remembered by qf-tokend"* ]]
  server_stop
  # it does not know yet
  run -0 as_client $MATCH
  run -255 on_peer true
  [[ $output == *"qf-proxy: peer server cannot be reached"* ]]
  run -1 as_client $MATCH
  # and what is up again is found at once when the short memory of a failure is over
  server_start
  until_true 60 as_client $MATCH
  run -0 on_peer true
}
