#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The generated ssh_config file, read by the real ssh and by libssh. Field notes 4, 9 and 10: nothing for hosts
# that are no peers, 500 peers with short lines, zero peers, and the folders of the instance that wrote it.

bats_require_minimum_version 1.5.0

# answer ADDRESS: a server on port 22022 that sends a QuFabric identification line to all who connect
answer() {
  python3 - "$1" "$BATS_TEST_TMPDIR/answers" 3>&- >/dev/null <<'PY' &
import socket, sys
server = socket.create_server((sys.argv[1], 22022), backlog=20)
open(sys.argv[2], "w").close()
while True:
    connection = server.accept()[0]
    connection.sendall(b"SSH-2.0-QuFabric-SSH-Server-0.61.0 QuFabric-JWT-Required\r\n")
    connection.close()
PY
  server=$!
  local end=$((SECONDS + 60))
  until [ -e "$BATS_TEST_TMPDIR/answers" ]; do
    [ $SECONDS -lt $end ] && sleep 0.02 && continue
    echo "the test's server does not start"
    return 1
  done
}

# document COUNT [FIRST_ADDRESS]: peers host-0 … with ssh, the first at FIRST_ADDRESS
document() {
  jq -n --argjson count "$1" --arg first "${2:-}" --arg key "$key" '
    {format: 1, serial: 1, domain: "fabric.example",
     peers: [range($count) | {name: "host-\(.)",
       addresses: [(if . == 0 and $first != "" then $first else "100.\(64 + . / 65536 | floor).\(. / 256 | floor % 256).\(. % 256)" end),
                   "fd00::\(. / 10000 | floor):\(. % 10000)"],
       ssh: true, version: "0.61.0", ssh_host_keys: [$key]}]}'
}

apply() {
  document "$@" >fabric.json
  "$bin/qf-up" apply fabric.json
}

setup() {
  bin=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin
  bin=$(cd "$bin" && pwd)
  cd "$BATS_TEST_TMPDIR"
  mkdir config
  export QF_CONFIG_DIR=$PWD/config QF_STATE_DIR=$PWD/state
  unset QF_RUNTIME_DIR QF_SSH
  config=$PWD/state/99-qufabric.conf
  key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBCtqjOqdOdpMEw9Y0QVbRNiy+ruxfnzPtVm/iFuDKnh"
  server=
}

teardown() {
  [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
}

@test "field note 10: ssh takes the block of a peer, with the folders of this instance" {
  answer 127.81.1.1
  apply 3 127.81.1.1
  for host in host-0 HOST-0.fabric.example 127.81.1.1 fd00::; do
    run --separate-stderr ssh -G -F "$config" "$host"
    echo "$host: $stderr $(grep -E '^(port|proxycommand|.*known.*|.*file|strict.*|addkeys.*) ' <<<"$output")"
    [ "$status" -eq 0 ]
    [[ $output == *$'\n'"port 22022"* ]]
    [[ $output == *$'\n'"proxycommand $bin/qf-proxy --config-dir $PWD/config --state-dir $PWD/state "* ]]
    [[ $output == *$'\n'"globalknownhostsfile $PWD/state/known_hosts"* ]]
    [[ $output == *$'\n'"userknownhostsfile /dev/null"* ]]
    [[ $output == *$'\n'"stricthostkeychecking true"* ]]
    [[ $output == *$'\n'"identityfile ~/.qufabric/ssh/subject"* ]]
    [[ $output == *$'\n'"certificatefile ~/.qufabric/ssh/%h-cert.pub"* ]]
    [[ $output == *$'\n'"addkeystoagent false"* ]]
  done
}

@test "field note 4: a host that is no peer gets ssh's own defaults, and no program runs" {
  apply 3
  mkdir shell
  printf '#!/bin/sh\ntouch %s/ran\n' "$PWD" >shell/sh && chmod +x shell/sh
  ssh -G -F /dev/null other.example >plain
  SHELL=$PWD/shell/sh ssh -G -F "$config" other.example >with
  diff plain with
  [ ! -e ran ]
  # the check can fail: for a peer the program is run
  SHELL=$PWD/shell/sh ssh -G -F "$config" host-1 >/dev/null
  [ -e ran ]
}

@test "field note 9: 500 peers, no line above 900 bytes, the last peer is found" {
  apply 500
  [ "$(awk '{ print length($0) }' "$config" | sort -n | tail -1)" -le 900 ]
  run grep -c 'host-499.fabric.example' "$config"
  [ "$output" -eq 1 ]
}

@test "field note 9: zero peers give a file of comments only" {
  apply 3
  jq '.peers = [] | .serial = 2' fabric.json >none.json
  "$bin/qf-up" apply none.json
  run grep -v '^#' "$config"
  [ -z "$output" ]
  ssh -G -F "$config" host-0 >/dev/null
}

@test "above 5,000 peers ssh is given patterns and asks for host keys" {
  answer 127.81.1.2
  apply 5001 127.81.1.2
  [ "$(wc -c <"$config")" -lt 5000 ]
  for host in host-0 host-0.fabric.example 127.81.1.2; do
    run --separate-stderr ssh -G -F "$config" "$host"
    echo "$host: $stderr $(grep -E '^(port|proxycommand|.*known.*|.*file|strict.*|addkeys.*) ' <<<"$output")"
    [[ $output == *$'\n'"port 22022"* ]]
    [[ $output == *$'\n'"knownhostscommand $bin/qf-detect --config-dir $PWD/config --state-dir $PWD/state --host-keys %H"* ]]
  done
  run "$bin/qf-detect" --state-dir "$PWD/state" --host-keys '[host-0]:22022'
  [ "$output" = "[host-0]:22022 $key" ]
}

# By HostName, since ssh itself refuses such a word on its command line by now.
@test "a name that ends the quotes is no command, also where patterns would take every name" {
  answer 127.81.1.2
  apply 5001 127.81.1.2
  for host in "x'\$(touch made)'" "x'\$(touch made)'.fabric.example"; do
    run ssh -G -F "$config" -o "HostName=\"$host\"" host-0
    echo "$host: $status $output"
    [ ! -e made ]
    [[ $output != *qf-proxy* ]]
  done
}

# The options of ssh_config(5) of OpenSSH 8.0: the ".It Cm" lines of ssh_config.5 at the tag V_8_0_P1 of openssh-portable.
OPTIONS_OF_8_0="AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CASignatureAlgorithms CanonicalDomains
  CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs CertificateFile
  ChallengeResponseAuthentication CheckHostIP Ciphers ClearAllForwardings Compression ConnectTimeout ConnectionAttempts ControlMaster
  ControlPath ControlPersist DynamicForward EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash ForwardAgent ForwardX11
  ForwardX11Timeout ForwardX11Trusted GSSAPIAuthentication GSSAPIDelegateCredentials GatewayPorts GlobalKnownHostsFile HashKnownHosts
  Host HostKeyAlgorithms HostKeyAlias HostName HostbasedAuthentication HostbasedKeyTypes IPQoS IdentitiesOnly IdentityAgent
  IdentityFile IgnoreUnknown Include KbdInteractiveAuthentication KbdInteractiveDevices KexAlgorithms LocalCommand LocalForward
  LogLevel MACs Match NoHostAuthenticationForLocalhost NumberOfPasswordPrompts PKCS11Provider PasswordAuthentication
  PermitLocalCommand Port PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedKeyTypes
  PubkeyAuthentication RekeyLimit RemoteCommand RemoteForward RequestTTY RevokedHostKeys SendEnv ServerAliveCountMax
  ServerAliveInterval SetEnv StreamLocalBindMask StreamLocalBindUnlink StrictHostKeyChecking SyslogFacility TCPKeepAlive Tunnel
  TunnelDevice UpdateHostKeys User UserKnownHostsFile VerifyHostKeyDNS VisualHostKey XAuthLocation"

@test "up to 5,000 peers no option is younger than OpenSSH 8.0" {
  apply 5000
  tr -s ' \n' '\n' <<<"$OPTIONS_OF_8_0" | sort >options
  awk '!/^#/ { print $1 }' "$config" | sort -u >used
  [ "$(wc -l <used)" -ge 9 ]
  run comm -13 options used
  [ -z "$output" ]
  # %h and %p are as old as the options that have them here
  [ "$(grep -v '^#' "$config" | grep -oE '%.' | sort -u | tr -d '\n')" = '%h%p' ]
  # so are the words of Match
  [ "$(sed -nE 's/^Match host "[^"]*" exec "[^"]*"$/host exec/p; s/^Match all$/all/p' "$config" | sort -u | wc -l)" = 2 ]
  [ "$(grep -c '^Match' "$config")" = "$(grep -cE '^Match (host "[^"]*" exec "[^"]*"|all)$' "$config")" ]
}

@test "known_hosts has each name with and without the port" {
  apply 2
  for name in '[host-1]:22022' '[host-1.fabric.example]:22022' '[100.64.0.1]:22022' '[fd00::1]:22022' host-1; do
    ssh-keygen -F "$name" -f state/known_hosts | grep -qF "$key"
  done
  run ! ssh-keygen -F '[host-2]:22022' -f state/known_hosts
}

@test "--no-pq-warning writes nothing that this ssh does not know" {
  document 1 >fabric.json
  "$bin/qf-up" apply --no-pq-warning fabric.json
  ssh -G -F "$config" host-0 >/dev/null
}

@test "a folder that cannot stand in ssh_config is refused, and nothing is changed" {
  document 1 >fabric.json
  mkdir 'a b'
  run "$bin/qf-up" --state-dir "$PWD/a b" apply fabric.json
  echo "$output"
  [ "$status" -eq 78 ]
  [[ $output == *"has a character that cannot stand in ssh_config"* ]]
  [ ! -e 'a b/peers.mdb' ]
}

@test "field note 9: libssh parses the file of 500 peers and takes the block" {
  answer 127.81.1.3
  apply 500 127.81.1.3
  cat >parse.py <<'PY'
import ctypes, ctypes.util, sys
lib = ctypes.CDLL(ctypes.util.find_library("ssh") or "libssh.so.4")
lib.ssh_new.restype = ctypes.c_void_p
session = ctypes.c_void_p(lib.ssh_new())
SSH_OPTIONS_HOST, SSH_OPTIONS_PROXYCOMMAND = 0, 19
assert lib.ssh_options_set(session, SSH_OPTIONS_HOST, sys.argv[2].encode()) == 0
print("parsed", lib.ssh_options_parse_config(session, sys.argv[1].encode()))
value, port = ctypes.c_char_p(), ctypes.c_uint()
if lib.ssh_options_get(session, SSH_OPTIONS_PROXYCOMMAND, ctypes.byref(value)) == 0:
    print("proxy", value.value.decode())
lib.ssh_options_get_port(session, ctypes.byref(port))
print("port", port.value)
PY
  run python3 parse.py "$config" host-0
  echo "$output"
  [[ $output == *"parsed 0"* ]]
  [[ $output == *"proxy $bin/qf-proxy"* ]]
  [[ $output == *"port 22022"* ]]
  run python3 parse.py "$config" other.example
  echo "$output"
  [[ $output == *"parsed 0"* ]]
  [[ $output != *"proxy "* ]]
}
