#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run first
# OpenSSH's clients of Debian 11, 12 and 13, and the one that was backported to 13: the same configuration, the same
# behaviour. They differ in what they know, and in when they load identity and certificate files: since 10 before the
# ProxyCommand runs, until 9 after it. Made once for a build folder, see debian_root; the machine's own where it is that
# release.

load helpers

VERSIONS="8.4/bullseye 9.2/bookworm 10.0/trixie 10.3/trixie-backports"

# The provider is the only issuer that the server takes: a login needs a person. "impostor" shows a key that is not pinned.
setup_file() {
  fabric_begin
  export ROOTS
  ROOTS=$(dirname "$BIN")/openssh
  mkdir -p "$ROOTS"
  local each making=()
  for each in $VERSIONS; do
    [ -n "$(own_of_machine "${each#*/}")" ] && continue
    "$TOP/tests/bats/debian_root" openssh "$ROOTS/${each#*/}" "${each#*/}" 3>&- 4>&- &
    making+=($!)
  done
  provider_start && fabric_write '.issuers |= reverse' "$(provider_alone)" \
    ".peers += [{name: \"impostor\", addresses: [\"$(address_of 1)\"], ssh: true, version: \"0.61.0\", ssh_host_keys: [\"$(host_key)\"]}]"
  server_start --enable-ssh-sftp
  background "$QF/impostor.log" "$PYTHON" "$TOP/tests/bats/servers/impostor.py" jwt "$(address_of 1)" 22022 "$QF/impostor.seen"
  until_true 60 server_answers "$(address_of 1)"
  AGENT=$QF/home/$CLIENT/agent
  export AGENT
  as_client sh -c 'mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -C "key in the agent" -f ~/.ssh/key'
  background_as "$CLIENT" "$QF/agent.log" ssh-agent -D -a "$AGENT"
  until_true 60 test -S "$AGENT"
  as_client SSH_AUTH_SOCK="$AGENT" ssh-add -q "$QF/home/$CLIENT/.ssh/key"
  for each in "${making[@]}"; do wait "$each"; done
  # where ssh is 10.1 or later, an admin may turn its warning about key exchanges off
  by_ssh_of "$ROOTS/trixie-backports/programs" "$BIN/qf-up" apply --config-dir "$QF/config" --state-dir "$QF/quiet" \
    --runtime-dir "$QF/quiet-run" --self client --no-pq-warning --ssh-jwt-cache-ttl 3600 >&2
}
teardown_file() { fabric_end; }
setup() { has_token || person_login; }

# own_of_machine SUITE: the folder of the machine's own programs, when it is that release
own_of_machine() { (. /etc/os-release && [ "${VERSION_CODENAME:-}" = "$1" ] && echo /usr/bin) || :; }
# by_ssh_of FOLDER COMMAND…: where /usr/bin/ssh is the one of that folder
by_ssh_of() { unshare --mount sh -c 'mount --bind "$0/ssh" /usr/bin/ssh && exec "$@"' "$@"; }
has_token() { token status --json | jq -e 'any(.issuers[]?; .name == "corp" and .state == "cached")' >/dev/null; }
# logins_by METHOD: how many were let in by it; not the outer ones of tunnels, which name no OS user
logins_by() { audit -s "[.[] | select(.event == \"login\" and .allowed and .os_user and .method == \"$1\")] | length"; }

# version WORD: of VERSIONS; sets VERSION, PROGRAMS, and CONF to the configuration that goes with it
version() {
  local suite=${1#*/}
  VERSION=${1%%/*}
  PROGRAMS=$(own_of_machine "$suite")
  PROGRAMS=${PROGRAMS:-$ROOTS/$suite/programs}
  CONF=$QF/state/99-qufabric.conf
  case $VERSION in 10.[1-9]*) CONF=$QF/quiet/99-qufabric.conf ;; esac
  echo "OpenSSH $VERSION"
  [[ $(of_version ssh -V 2>&1) == "OpenSSH_$VERSION"* ]]
}
# each FEATURE: with each version, on the direct path and in the tunnel unless it says otherwise
each() {
  local word
  for word in $VERSIONS; do
    version "$word"
    PATH_TAKEN=
    "$1"
  done
}
# of_version COMMAND…: as CLIENT, with its ssh
of_version() { as_client PATH="$PROGRAMS:/usr/bin:/bin" SSH_AUTH_SOCK="$AGENT" ${PATH_TAKEN:+QF_SSH=$PATH_TAKEN} timeout 60 "$@"; }
peer() { of_version ssh -F "$CONF" -l "$TARGET" "$@" </dev/null; }
# log_in_at SSH-ARGUMENT…: in a terminal, with a person
log_in_at() {
  : >"$QF/shown"
  in_terminal "$QF/shown" -- env PATH="$PROGRAMS:/usr/bin:/bin" ssh -F "$CONF" -l "$TARGET" "$@" 3>&- 4>&- &
  local terminal=$!
  approve "$QF/shown" >"$QF/approved" || { cat "$QF/approved"; return 99; }
  wait $terminal
}

# ---- what is the same in each

# with_a_token [SSH-OPTION…]
with_a_token() {
  local way logins
  for way in certificate tunnel; do
    PATH_TAKEN=${way#certificate}
    logins=$(logins_by $way)
    run -0 --separate-stderr peer "$@" server 'id -un'
    [ "$output" = "$TARGET" ]
    # nothing about the host's key, nor about anything else
    [ -z "$stderr" ] || { echo "$way: $stderr" && false; }
    [ "$(logins_by $way)" = $((logins + 1)) ]
  done
}
without_a_token() {
  token logout
  run -255 as_client PATH="$PROGRAMS:/usr/bin:/bin" setsid -w timeout 60 ssh -F "$CONF" -l "$TARGET" server true </dev/null
  [[ $output == *"there is no terminal to ask at"*"hint: run: qf-token login"* ]]
  tunnels=$(logins_by tunnel) certificates=$(logins_by certificate)
  run -0 log_in_at server 'echo in as $(id -un)'
  grep -q "in as $TARGET" "$QF/shown"
  [ "$(logins_by tunnel)" = $((tunnels + 1)) ]
  # and the next one asks nobody
  run -0 --separate-stderr peer server true
  [ -z "$stderr" ]
  [ "$(logins_by certificate)" = $((certificates + 1)) ]
}
# what own_config.bats has more of
own_settings() {
  local option
  for option in IdentitiesOnly=yes IdentityAgent=none AddKeysToAgent=yes; do
    with_a_token -o "$option" -o "IdentityFile=~/.ssh/key"
  done
  PATH_TAKEN=
  run -255 peer -o PubkeyAuthentication=no server true
  [[ $output == *"QF_SSH=tunnel"* ]]
  PATH_TAKEN=tunnel
  run -0 peer -o PubkeyAuthentication=no server true
}
a_master_without_a_token() {
  local control=(-o ControlMaster=auto -o ControlPath="$QF/home/$CLIENT/control" -o ControlPersist=60)
  token logout
  # ssh has taken the proxy's stderr away
  run -0 log_in_at "${control[@]}" server 'echo in as $(id -un)'
  grep -q "in as $TARGET" "$QF/shown"
  logins=$(logins_by tunnel)
  run -3 peer "${control[@]}" server 'exit 3'
  run -0 peer "${control[@]}" -O exit server
  [ "$(logins_by tunnel)" = "$logins" ]
}
an_agent() {
  for PATH_TAKEN in '' tunnel; do
    run -0 peer -A server ssh-add -l
    [[ $output == *"key in the agent"* ]]
  done
}
refusals() {
  for PATH_TAKEN in '' tunnel; do
    run -255 of_version ssh -F "$CONF" -l root server true </dev/null
    [[ $output == *"User is not authorized to login as OS user"* ]]
    run -255 of_version ssh -F "$CONF" -l no-such-user server true </dev/null
    [[ $output == *"does not exist"* ]]
  done
}
a_changed_host_key() {
  for PATH_TAKEN in '' tunnel; do
    for checking in yes no; do
      run -255 peer -o StrictHostKeyChecking=$checking impostor true
      [[ $output == *"impostor ("*") shows a host key that is not in the fabric document"* ]]
    done
  done
  run -1 grep -E 'none|publickey|password' "$QF/impostor.seen"
}
copies() {
  head -c 300000 /dev/urandom >"$QF/home/$CLIENT/sent"
  local options=-q
  for PATH_TAKEN in '' tunnel; do
    for options in -q -qO; do
      # the old protocol is the only one of the old one
      [ $VERSION$options != 8.4-qO ] || continue
      rm -f "$QF/home/$TARGET/arrived" "$QF/home/$CLIENT/back"
      run -0 of_version scp $options -S "$PROGRAMS/ssh" -F "$CONF" "$QF/home/$CLIENT/sent" "$TARGET@server:arrived"
      run -0 of_version scp $options -S "$PROGRAMS/ssh" -F "$CONF" "$TARGET@server:arrived" "$QF/home/$CLIENT/back"
      cmp "$QF/home/$CLIENT/sent" "$QF/home/$TARGET/arrived"
      cmp "$QF/home/$CLIENT/sent" "$QF/home/$CLIENT/back"
    done
    rm "$QF/home/$CLIENT/back"
    run -0 of_version sftp -q -S "$PROGRAMS/ssh" -F "$CONF" -b - "$TARGET@server" <<<"get arrived $QF/home/$CLIENT/back"
    cmp "$QF/home/$CLIENT/sent" "$QF/home/$CLIENT/back"
  done
}
print_only() {
  : >"$QF/shown"
  run -0 in_terminal "$QF/shown" stdout="$QF/home/$CLIENT/printed" -- env PATH="$PROGRAMS:/usr/bin:/bin" ssh -G -F "$CONF" server
  [ ! -s "$QF/shown" ]
  grep -q '^port 22022' "$QF/home/$CLIENT/printed"
  # for another host it is ssh's own defaults
  run -0 diff <(of_version ssh -G -F /dev/null other.example 2>&1) <(of_version ssh -G -F "$CONF" other.example 2>&1)
}

@test "with a token at hand: direct, and in the tunnel, without a word" { each with_a_token; }
@test "without a token: no terminal, no login; at a terminal the tunnel, then direct" { each without_a_token; }
@test "ControlPersist without a token: the prompt is at the terminal" { each a_master_without_a_token; }
@test "settings of the user's own" { each own_settings; }
@test "-A" { each an_agent; }
@test "refusals are shown" { each refusals; }
@test "host key changed: refused, whatever the user allows" { each a_changed_host_key; }
@test "scp and sftp" { each copies; }
@test "ssh -G is silent, without a token at a terminal" {
  token logout
  each print_only
  ! has_token
}

@test "10.3 and --no-pq-warning: the warning is there without it, and older ones read the same choice" {
  version 10.3/trixie-backports
  grep -q WarnWeakCrypto "$CONF"
  CONF=$QF/state/99-qufabric.conf
  run -0 --separate-stderr peer server true
  [[ $stderr == *"post-quantum"* ]]
  for word in 8.4/bullseye 10.0/trixie; do
    version $word
    by_ssh_of "$PROGRAMS" "$BIN/qf-up" apply --config-dir "$QF/config" --state-dir "$QF/chosen" --runtime-dir "$QF/chosen-run" \
      --self client --no-pq-warning --ssh-jwt-cache-ttl 3600 >&2
    CONF=$QF/chosen/99-qufabric.conf
    run -1 grep WarnWeakCrypto "$CONF"
    run -0 --separate-stderr peer server true
    [ -z "$stderr" ]
  done
}

# many COUNT: a document of so many peers, the configuration written where this version is the machine's, and a login
many() {
  mkdir -p "$QF/many"
  jq --argjson count "$1" --arg key "$(host_key)" '.peers += [range($count - 2) | {name: "host-\(.)", addresses: ["100.\(64 + . / 65536 | floor).\(. / 256 | floor % 256).\(. % 256)"],
    ssh: true, version: "0.61.0", ssh_host_keys: [$key]}]' "$QF/config/fabric.json" >"$QF/many/fabric.json"
  by_ssh_of "$PROGRAMS" "$BIN/qf-up" apply --config-dir "$QF/many" --state-dir "$QF/many-state" --runtime-dir "$QF/many-run" \
    --self client --ssh-jwt-cache-ttl 3600 --no-pq-warning --force >&2
  CONF=$QF/many-state/99-qufabric.conf
  logins=$(logins_by certificate)
  run -0 --separate-stderr peer server 'id -un'
  [ "$output$stderr" = "$TARGET" ]
  [ "$(logins_by certificate)" = $((logins + 1)) ]
}
listed() {
  many 5000
  grep -q host-4997.test.example "$CONF"
}
in_patterns() {
  many 5001
  run -1 grep host-4998.test.example "$CONF"
  # 8.4 stops at the word
  [ "$(grep -c '^ *KnownHostsCommand' "$CONF")" = 0 ] || [ $VERSION != 8.4 ]
}
@test "5,000 peers" { each listed; }
@test "5,001 peers" { each in_patterns; }

# ---- what happens between Match exec and the ProxyCommand

# An ssh of each version is held twice: after our Match exec, when it has loaded nothing, and at the ProxyCommand, when
# those since 10 have loaded their files. Then something happens, and all go on.

# hold_all: sets HELD to the names and PIDS to the terminals.
hold_all() {
  local word place
  HELD=() PIDS=()
  for word in $VERSIONS; do
    version "$word"
    for place in match proxy; do hold "$VERSION-$place" $place; done
  done
  for held in "${HELD[@]}"; do until_true 60 test -e "$QF/home/$CLIENT/$held.stands"; done
}
# hold NAME PLACE
hold() {
  local file=$QF/home/$CLIENT/$1
  rm -f "$file".*
  mkfifo -m 666 "$file.go"
  local stand="touch $file.stands; cat $file.go"
  if [ "$2" = match ]; then
    printf '%s\n' "Include $CONF" "Match host server exec \"$stand\"" >"$file.conf"
  else
    # in place of ours, whose words it has
    printf '%s\n' 'Host server' "  ProxyCommand sh -c \"$stand; exec $(sed -n 's/^ *ProxyCommand //p' "$CONF" | head -n 1)\"" 'Match all' "Include $CONF" >"$file.conf"
  fi
  in_terminal "$QF/$1.shown" -- env PATH="$PROGRAMS:/usr/bin:/bin" ssh -F "$file.conf" -l "$TARGET" server 'echo in as $(id -un)' \
    >"$QF/$1.log" 2>&1 3>&- 4>&- </dev/null &
  HELD+=("$1")
  PIDS+=($!)
}
release_all() {
  local held
  for held in "${HELD[@]}"; do timeout 60 sh -c "echo >'$QF/home/$CLIENT/$held.go'"; done
}
# all_in METHOD: every one gets its session, by that method
all_in() {
  local i logins=$LOGINS
  for i in "${!HELD[@]}"; do
    echo "${HELD[i]}"
    wait "${PIDS[i]}" || { cat "$QF/${HELD[i]}.shown" "$QF/${HELD[i]}.log" && false; }
    grep -q "in as $TARGET" "$QF/${HELD[i]}.shown"
  done
  [ "$(logins_by "$1")" = $((logins + ${#HELD[@]})) ]
}
nobody_was_asked() {
  for held in "${HELD[@]}"; do run -1 grep 'to log in' "$QF/$held.shown"; done
}

@test "between Match exec and the ProxyCommand nothing happens: direct" {
  LOGINS=$(logins_by certificate)
  hold_all
  release_all
  all_in certificate
}

@test "between them a login ends: the tunnel, and nobody is asked again" {
  token logout
  hold_all
  person_login
  LOGINS=$(logins_by tunnel)
  release_all
  all_in tunnel
  nobody_was_asked
}

@test "between them a login ends, and another ssh has the certificate written: the tunnel" {
  token logout
  hold_all
  person_login
  version 9.2/bookworm
  run -0 peer server true
  LOGINS=$(logins_by tunnel)
  release_all
  all_in tunnel
  nobody_was_asked
}

@test "between them the user logs out: one login for all, in the tunnel" {
  LOGINS=$(logins_by tunnel)
  hold_all
  token logout
  release_all
  until_true 60 user_code "$QF/8.4-match.shown"
  approve "$QF/8.4-match.shown"
  all_in tunnel
}

@test "between them another qf-tokend takes over, with other keys: the tunnel" {
  LOGINS=$(logins_by tunnel)
  hold_all
  token stop
  person_login
  release_all
  all_in tunnel
  nobody_was_asked
}

@test "between them the certificate runs out: the tunnel, with a token that was refreshed" {
  token logout
  # good for direct logins until ten seconds before its end
  knob '{"id_ttl": 18}' >"$QF/knobs"
  person_login
  LOGINS=$(logins_by tunnel)
  hold_all
  knob '{"id_ttl": 300}' >"$QF/knobs"
  until_true 60 nearly_out "$(home_of "$CLIENT")/.qufabric/ssh/server-cert.pub"
  release_all
  all_in tunnel
  nobody_was_asked
}
# nearly_out FILE: the certificate is not good for ten seconds more
nearly_out() {
  local until
  [ -e "$1" ] || return 0
  until=$(LC_ALL=C ssh-keygen -Lf "$1" | sed -n 's/^ *Valid: .* to //p')
  [ $(($(date -d "$until" +%s) - $(date +%s))) -le 10 ]
}
