#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --redirect-port-22: port 22 of a machine with two fabrics and an ordinary sshd, each side in a network namespace of its
# own. Peers get our server, everybody else the sshd, and what the admin has in nftables stays as it is.

load helpers

# The two fabrics "a" and "b": address of the server, of a peer of it.
A4=10.71.0.1 A6=fd00:71::1 A4_PEER=10.71.0.2 A6_PEER=fd00:71::2
B4=10.72.0.1 B6=fd00:72::1 B4_PEER=10.72.0.2 B6_PEER=fd00:72::2
# on the same wires, and no peers
A4_OTHER=10.71.0.9 A6_OTHER=fd00:71::9

# not in_server, which would be a shell between
server_background() { background "$1" nsenter -t "$(cat "$QF/server.pid")" -n -- "${@:2}"; }
in_server() { nsenter -t "$(cat "$QF/server.pid")" -n -- "$@"; }
in_peer() { nsenter -t "$(cat "$QF/peer.pid")" -n -- "$@"; }

# namespace NAME: a network of its own that stays until the end
namespace() {
  background "$QF/$1.log" unshare -n sh -c "ip link set lo up && exec cat <>'$QF/stay'"
  echo "$PID" >"$QF/$1.pid"
  until_true 60 pgrep -x cat -F "$QF/$1.pid"
}

setup() {
  fabric_begin
  [ -x /usr/sbin/sshd ] && [ -x /usr/sbin/nft ] || skip "wants sshd and nft"
  mkfifo "$QF/stay"
  namespace server
  namespace peer
  in_server nft list tables >/dev/null 2>&1 || skip "this kernel has no nf_tables"
  in_server sh -ec "
    for fabric in fa fb; do ip link add \$fabric type veth peer name \$fabric netns $(cat "$QF/peer.pid"); done
    # not the first address of its interface: a plain redirect would go there
    ip addr add 10.71.0.77/24 dev fa
    ip addr add $A4/24 dev fa; ip addr add $A6/64 dev fa nodad; ip addr add $B4/24 dev fb; ip addr add $B6/64 dev fb nodad
    ip link set fa up; ip link set fb up"
  in_peer sh -ec "
    for address in $A4_PEER/24 $A6_PEER/64 $A4_OTHER/24 $A6_OTHER/64; do ip addr add \$address dev fa nodad; done
    for address in $B4_PEER/24 $B6_PEER/64; do ip addr add \$address dev fb nodad; done
    ip link set fa up; ip link set fb up"
  # the ordinary sshd, on all addresses
  mkdir -p /run/sshd
  ssh-keygen -q -t ed25519 -N "" -f "$QF/sshd_key"
  printf '%s\n' "Port 22" "HostKey $QF/sshd_key" "PidFile none" "UsePAM no" >"$QF/sshd.conf"
  server_background "$QF/sshd.log" /usr/sbin/sshd -D -e -f "$QF/sshd.conf"
  until_true 60 in_server sh -c 'ss -Hltn "sport = :22" | grep -q .'
  # the admin's own rules
  in_server nft -f - <<'NFT'
table ip admin {
  set allowed { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 } }
  chain input { type filter hook input priority filter; policy accept; ip saddr @allowed counter accept; }
  chain forward22 { type nat hook prerouting priority dstnat; policy accept; ip daddr 192.0.2.7 tcp dport 22 dnat to 192.0.2.8; }
}
table inet qufabric-not-ours {
  chain c { }
}
NFT
  rules >"$QF/rules"
}
teardown() { fabric_end; }
rules() { in_server nft -s list ruleset; }

# fabric NAME FILTER…: its folder and document; FABRIC is set to its folder arguments
fabric() {
  local name=$1 filter filters=.
  shift
  for filter in "$@"; do filters+=" | ($filter)"; done
  mkdir -p "$QF/$name/config"
  FABRIC="--config-dir $QF/$name/config --state-dir $QF/$name/state --runtime-dir $QF/$name/run"
  [ -e "$QF/$name/serial" ] || echo 0 >"$QF/$name/serial"
  echo $(($(<"$QF/$name/serial") + 1)) >"$QF/$name/serial"
  jq -n --arg key "$("$BIN/qf-up" host-key $FABRIC)" --argjson serial "$(<"$QF/$name/serial")" \
    --argjson own "$2" --argjson peer "$3" '{format: 1, serial: $serial, domain: "test.example", issuers: [],
    user_groups: {}, peer_groups: {}, peers: [
      {name: "server", addresses: $own, ssh: true, version: "0.61.0", ssh_host_keys: [$key]},
      {name: "client", addresses: $peer, ssh: false, version: "0.61.0", ssh_host_keys: []}],
    policies: [{name: "all", enabled: true, action: "allow", protocol: "tcp", ports: ["22022"],
      sources: ["client"], destinations: ["server"]}]}' >"$QF/$name/config/fabric.json"
}
fabric_a() { fabric a "" "[\"$A4\",\"$A6\"]" "${1:-[\"$A4_PEER\",\"$A6_PEER\"]}"; }
fabric_b() { fabric b "" "[\"$B4\",\"$B6\"]" "[\"$B4_PEER\",\"$B6_PEER\"]"; }

# serve NAME OPTION…: qf-up of that fabric
serve() {
  local name=$1
  shift
  server_background "$QF/$name.log" "$BIN/qf-up" up $FABRIC --self server --allow-server-ssh --disable-ssh-auth "$@"
  echo "$PID" >"$QF/$name.up"
}
put() { grep -q "ready\|listening on" "$QF/$1.log" && [ "$(tables "$1")" = 1 ]; }
table_of() {
  printf 'qufabric-'
  printf %s "$QF/$1/state" | sha256sum | cut -c1-16
}
tables() { in_server nft list tables | grep -cx "table inet $(table_of "$1")" || :; }

# answers SOURCE ADDRESS [PORT]: whose identification string comes from there
answers() {
  in_peer "$PYTHON" -c '
import socket, sys
source, address, port = sys.argv[1:]
try:
    s = socket.create_connection((address, int(port)), 10, source_address=(source, 0))
    text = s.makefile("rb").readline()
except OSError as error:
    text = str(error).encode()
print("ours" if b"QuFabric" in text else "sshd" if b"OpenSSH" in text else text)' "$1" "$2" "${3:-22}"
}
is() { [ "$("${@:2}")" = "$1" ]; }
ours_at() { until_true 60 is ours answers "$1" "$2"; }
sshd_at() { [ "$(answers "$1" "$2")" = sshd ]; }

@test "two fabrics, IPv4 and IPv6: peers get our server, all others and both without the redirect the sshd" {
  fabric_a && serve a --redirect-port-22 fa
  fabric_b && serve b --redirect-port-22 10.72.0.0/16,fd00:72::/64
  ours_at $A4_PEER $A4
  ours_at $A6_PEER $A6
  ours_at $B4_PEER $B4
  ours_at $B6_PEER $B6
  sshd_at $A4_OTHER $A4
  sshd_at $A6_OTHER $A6
  # another address of the machine is none of the fabric's
  sshd_at $A4_PEER 10.71.0.77
  # a peer of the one fabric is none of the other
  [ "$(answers $A4_PEER $B4)" != ours ]
  # an ordinary ssh with nothing of ours, to port 22
  as_words "$CLIENT"
  run -0 in_peer "${AS[@]}" timeout 60 ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR -b $A4_PEER "$TARGET@$A4" 'whoami; echo $SSH_CONNECTION'
  [[ $output == "$TARGET"*"$A4_PEER "*" $A4 22022" ]]
  # ours come on top, and that is all
  rules >"$QF/now"
  run -1 diff "$QF/rules" "$QF/now"
  [[ $output != *$'\n<'* && $output != "<"* ]]
  # one goes, the other stays
  in_server "$BIN/qf-up" down --config-dir "$QF/a/config" --state-dir "$QF/a/state" --runtime-dir "$QF/a/run"
  sshd_at $A4_PEER $A4
  sshd_at $A6_PEER $A6
  ours_at $B4_PEER $B4
  in_server "$BIN/qf-up" down $FABRIC
  sshd_at $B6_PEER $B6
  rules | cmp - "$QF/rules"
  [ ! -e "$QF/b/state/redirect" ]
}

@test "switched on, changed, remembered over a stop, and switched off while the server runs" {
  fabric_a && serve a
  until_true 60 is ours answers $A4_PEER $A4 22022
  sshd_at $A4_PEER $A4
  run -0 in_server "$BIN/qf-up" status $FABRIC
  [[ $output == *"redirect of port 22:  off"* ]]
  in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22 fa
  ours_at $A4_PEER $A4
  run -0 in_server "$BIN/qf-up" status $FABRIC
  [[ $output == *"redirect of port 22:  from fa, in place"* ]]
  in_server "$BIN/qf-up" metrics $FABRIC | grep -qxF 'qufabric_redirect_in_place 1'
  # a network without the IPv4 address
  in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22 fd00:71::/64
  sshd_at $A4_PEER $A4
  ours_at $A6_PEER $A6
  # another interface than the one that it comes by
  in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22=fb
  sshd_at $A6_PEER $A6
  in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22=fa
  end_process "$(cat "$QF/a.up")"
  [ "$(tables a)" = 1 ]
  serve a
  ours_at $A4_PEER $A4
  in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22=
  sshd_at $A4_PEER $A4
  is ours answers $A4_PEER $A4 22022
  rules | cmp - "$QF/rules"
  # and without a server there is none
  in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22 fa
  [ "$(tables a)" = 1 ]
  in_server "$BIN/qf-up" apply $FABRIC --allow-server-ssh=false
  rules | cmp - "$QF/rules"
}

@test "a new document changes who is a peer, in one step" {
  fabric_a && serve a --redirect-port-22 fa
  ours_at $A4_PEER $A4
  fabric_a "[\"$A4_OTHER\"]"
  in_server "$BIN/qf-up" apply $FABRIC
  sshd_at $A4_PEER $A4
  ours_at $A4_OTHER $A4
  # by SIGHUP as well
  fabric_a
  kill -HUP "$(cat "$QF/a.up")"
  ours_at $A6_PEER $A6
  sshd_at $A4_OTHER $A4
  # which does not bring back what it was started with
  in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22=
  fabric_a "[\"$A4_OTHER\"]"
  kill -HUP "$(cat "$QF/a.up")"
  until_true 60 grep -q "serial 4 is in force" "$QF/a.log"
  sshd_at $A4_OTHER $A4
  rules | cmp - "$QF/rules"
}

@test "status sees a table that was changed or taken away, and apply mends it" {
  fabric_a && serve a --redirect-port-22 fa
  ours_at $A4_PEER $A4
  local table
  table=$(table_of a)
  in_place() { in_server "$BIN/qf-up" status --json $FABRIC | jq -r '."redirect-in-place"'; }
  # what the doctor finds wrong; that this machine's ssh knows nothing of this fabric is no matter here
  wrongs() { in_server "$BIN/qf-up" doctor --json $FABRIC | jq -r '.checks[] | select(.verdict == "wrong" and .check != "include") | .check'; }
  redirect_check() { in_server "$BIN/qf-up" doctor --json $FABRIC | jq -r '.checks[] | select(.check == "redirect") | .verdict, .text, .hint'; }
  [ "$(in_place)" = true ]
  # of root's qf-tokend, which would be in this folder too
  chmod 700 "$QF/a/run"
  [ "$(wrongs)" = "" ]
  [[ $(redirect_check) == ok* ]]
  for change in "add element inet $table peers4 { $A4_OTHER }" "delete element inet $table peers6 { $A6_PEER }" \
    "flush chain inet $table port22" "insert rule inet $table port22 accept" "add chain inet $table more" \
    "add set inet $table more { type ipv4_addr; }" "add table inet $table { flags dormant; }" "delete table inet $table"; do
    in_server nft "$change"
    [ "$(in_place)" = false ]
    run -0 in_server "$BIN/qf-up" status $FABRIC
    [[ $output == *"redirect of port 22:  from fa, not in place: "* ]]
    in_server "$BIN/qf-up" metrics $FABRIC | grep -qxF 'qufabric_alarm{kind="redirect"} 1'
    [ "$(wrongs)" = redirect ]
    [[ $(redirect_check) == "wrong"*"not in place: "*"run: sudo qf-up apply" ]]
    in_server "$BIN/qf-up" apply $FABRIC
    [ "$(in_place)" = true ]
    [ "$(wrongs)" = "" ]
  done
  # it is root's to see
  as_words "$CLIENT"
  run -1 in_server "${AS[@]}" "$BIN/qf-up" status --json $FABRIC
  [[ $output == *'"redirect-in-place":null'* ]]
}

# broken_nft SCRIPT COMMAND…: where nft is this script; the real one is $NFT
broken_nft() {
  printf '#!/bin/sh\n%s\n' "$1" >"$QF/nft"
  chmod 755 "$QF/nft"
  cp /usr/sbin/nft "$QF/nft.real"
  shift
  in_server unshare --mount sh -c 'NFT=$2/nft.real; export NFT; mount --bind "$1" /usr/sbin/nft && shift 2 && exec "$@"' \
    sh "$QF/nft" "$QF" "$@"
}

@test "without nft: the sentence and the hint, and nothing is changed; a remembered one keeps nobody from starting" {
  fabric_a
  in_server "$BIN/qf-up" apply $FABRIC --self server --allow-server-ssh --disable-ssh-auth
  without_nft() { in_server unshare --mount sh -c 'mount --bind /dev/null /usr/sbin/nft && exec "$@"' sh "$@"; }
  run -71 without_nft "$BIN/qf-up" apply $FABRIC --redirect-port-22 fa
  [ "$output" = "qf-up: nft is not installed, and --redirect-port-22 needs it; nothing was changed
hint: install the package nftables; to do without it: qf-up apply --redirect-port-22=" ]
  [ "$(jq -r .redirect_port_22 "$QF/a/state/choices.json")" = null ]
  in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22 fa
  server_background "$QF/a.log" unshare --mount sh -c 'mount --bind /dev/null /usr/sbin/nft && exec "$@"' sh \
    "$BIN/qf-up" up $FABRIC
  until_true 60 is ours answers $A4_PEER $A4 22022
  grep -q "the redirect of port 22 stays as it was" "$QF/a.log"
  grep -q "nft is not installed" "$QF/a.log"
  sshd_at $A4_PEER $A4
}

@test "an interface that is not there: the redirect waits for it, and doctor says so" {
  fabric_a && serve a --redirect-port-22 wg77
  until_true 60 is ours answers $A4_PEER $A4 22022
  run in_server "$BIN/qf-up" doctor $FABRIC
  echo "$output"
  [[ $output == *"wrong"*"redirect"*"there is no interface wg77 now"*"hint: is it up? see: ip link"* ]]
  in_server ip link add wg77 type veth peer name wg78
  run in_server "$BIN/qf-up" doctor $FABRIC
  echo "$output"
  in_server ip link del wg77
  [[ $output == *"ok"*"port 22 leads to 22022 for peers"* ]]
}

@test "down without nft: the rest goes, and what stays is said" {
  fabric_a && serve a --redirect-port-22 fa
  ours_at $A4_PEER $A4
  run -71 in_server unshare --mount sh -c 'mount --bind /dev/null /usr/sbin/nft && exec "$@"' sh "$BIN/qf-up" down $FABRIC
  [[ $output == *"nft is not installed, and --redirect-port-22 needs it"* ]]
  [ ! -e "$QF/a/state/99-qufabric.conf" ]
  [ "$(tables a)" = 1 ]
  run -0 in_server "$BIN/qf-up" down $FABRIC
  sshd_at $A4_PEER $A4
  rules | cmp - "$QF/rules"
}

@test "a failure half-way leaves the table of before, and the document counts all the same" {
  fabric_a && serve a --redirect-port-22 fa
  ours_at $A4_PEER $A4
  rules >"$QF/before"
  fabric_a "[\"$A4_OTHER\"]"
  # it refuses the new one
  run -71 broken_nft 'case "$*" in *"-j -f -"*) echo "Error: no room" >&2; exit 1 ;; esac; exec $NFT "$@"' \
    "$BIN/qf-up" apply $FABRIC
  [[ $output == *"the redirect of port 22 stays as it was"*"nft exited with status 1: Error: no room"* ]]
  rules | cmp - "$QF/before"
  [ "$(in_server "$BIN/qf-up" status --json $FABRIC | jq .serial)" = 2 ]
  # it loads something else than what it was given
  run -78 broken_nft '$NFT "$@" || exit; case "$*" in "-j -f -") $NFT add rule inet '"$(table_of a)"' port22 accept ;; esac' \
    "$BIN/qf-up" apply $FABRIC
  [[ $output == *"is not as it was made: "* ]]
  rules | cmp - "$QF/before"
  in_server "$BIN/qf-up" apply $FABRIC
  ours_at $A4_OTHER $A4
}

@test "a server that gives up gives port 22 back" {
  fabric_a
  mkdir "$QF/bin" && cp "$BIN/qf-up" "$QF/bin/"
  printf '#!/bin/sh\nexit 78\n' >"$QF/bin/qf-sshd" && chmod 755 "$QF/bin/qf-sshd"
  run -78 in_server "$QF/bin/qf-up" up $FABRIC --self server --allow-server-ssh --redirect-port-22 fa
  [[ $output == *"the redirect of port 22 is gone, since no SSH server runs here"* ]]
  sshd_at $A4_PEER $A4
  rules | cmp - "$QF/rules"
}

@test "what it does not take: no server, no root, no network" {
  fabric_a
  run -78 in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22 fa --self server
  [[ $output == *"--redirect-port-22 needs --allow-server-ssh"* ]]
  for wrong in false 10.0.0.0/33 a/b "a b" 10.0.0.0/8,a fd00::/129 'wg*'; do
    run -64 in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22 "$wrong" --self server --allow-server-ssh
    [[ $output == *"--redirect-port-22 must be an interface (wg0) or networks"*"hint: to switch it off: --redirect-port-22="* ]]
  done
  chown -R "$CLIENT" "$QF/a"
  as_words "$CLIENT"
  run -78 in_server "${AS[@]}" "$BIN/qf-up" apply $FABRIC --redirect-port-22 fa --self server --allow-server-ssh
  [[ $output == *"the redirect of port 22 is root's to make and to see; nothing was changed"* ]]
  [ ! -e "$QF/a/state/policy.mdb" ]
}

@test "killed at each point of switching on and off: a whole table or none, and the next apply makes it good" {
  strace -qq -o /dev/null true 2>/dev/null || skip "no process can be traced here"
  fabric_a && serve a
  until_true 60 is ours answers $A4_PEER $A4 22022
  grep . "$QF/rules" >"$QF/admins"
  local n killed=0 choice
  for choice in fa ""; do
    for ((n = 1; ; n++)); do
      run in_server strace -qq -o /dev/null -e trace=clone,clone3,fork,vfork,rename,unlink,symlink,memfd_create \
        -e inject=clone,clone3,fork,vfork,rename,unlink,symlink,memfd_create:signal=KILL:when=$n \
        "$BIN/qf-up" apply $FABRIC --redirect-port-22=$choice
      [ "$status" != 0 ] || break
      killed=$((killed + 1))
      rules | grep . >"$QF/now"
      run -1 grep -vxF -f "$QF/now" "$QF/admins"
      if [ "$(tables a)" = 1 ]; then
        in_server nft list table inet "$(table_of a)" | grep -q "dnat ip6 to \[$A6\]:22022"
        [ -e "$QF/a/state/redirect" ]
      fi
      # what remains is put right by the next one, in both ways
      in_server "$BIN/qf-up" apply $FABRIC
      wanted=0
      [ "$(jq -r '.redirect_port_22 // ""' "$QF/a/state/choices.json")" != fa ] || wanted=1
      [ "$(tables a)" = $wanted ]
      in_server "$BIN/qf-up" apply $FABRIC --redirect-port-22="$([ -n "$choice" ] || echo fa)"
    done
  done
  echo "killed $killed times"
  [ "$killed" -ge 10 ]
  rules | cmp - "$QF/rules"
}
