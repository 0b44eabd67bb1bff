#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# man_world.sh SCRIPT.root|SCRIPT.user: runs an example of a manual page on a machine as the page has in mind: the usual
# folders, the peer db1 with our server, users with a home. Everything of it ends with it: it is process 1 of a namespace of
# processes, and has mounts and a network of its own.
#   BIN TOP   CLIENT (the user at the keyboard), TARGET (whose account deploy and postgres are)   SYSTEM (copy of /etc, /run)
set -eu
script=$1
# what the programs said, when it fails
# shellcheck disable=SC2154  # code is set in it
trap 'code=$?; [ $code = 0 ] || { echo "status $code of:" && cat "$script" && tail -n 20 ./*.log; } >&2' EXIT
mount --bind "$SYSTEM/etc" /etc
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=755 none /var/lib
mount -t tmpfs -o mode=1777 none /media
mkdir -p /run/user /etc/ssh/ssh_config.d /etc/qufabric /var/lib/qufabric /media/usb "$SYSTEM/world"
rm -rf "$SYSTEM/world" /etc/qufabric/* /etc/ssh/ssh_config.d/* /tmp/report.txt
for file in passwd shadow; do
  for account in deploy postgres; do sed -n "s/^$TARGET:/$account:/p" "$SYSTEM/$file"; done | cat "$SYSTEM/$file" - >"/etc/$file"
done
echo 'Include /etc/ssh/ssh_config.d/*.conf' >/etc/ssh/ssh_config
ip link set lo up
ip link add wg0 type veth peer name far
for address in 100.119.230.104 100.64.0.1; do ip address add "$address/32" dev wg0; done
ip link set far up
ip link set wg0 up
export PATH=$BIN:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

# as_user COMMAND…
as_user() {
  local home
  home=$(getent passwd "$CLIENT" | cut -d: -f6)
  setpriv --reuid "$CLIENT" --regid "$(id -g "$CLIENT")" --init-groups -- env -i TICK="$TICK" BASH_ENV="$SYSTEM/world/functions" \
    HOME="$home" USER="$CLIENT" LOGNAME="$CLIENT" SHELL=/bin/bash \
    PATH="$PATH" LC_ALL=C.UTF-8 socket="$home/.qufabric/run/$(uname -n)/tokend.sock" "$@"
}
# until_true COMMAND…: polls for it, 30 s at most
until_true() {
  local end=$((SECONDS + 30))
  until "$@"; do
    if [ $SECONDS -ge $end ]; then
      echo "not in time: $*" >&2
      return 1
    fi
    read -r -t 0.03 _ <>"$TICK" || :
  done
}
# shellcheck disable=SC2317  # the example calls it
# serve REGEX COMMAND…: until it says that it serves; then it is ended as by Ctrl-C, and must end well
serve() {
  local says=$1 pid
  shift
  # in the foreground of a terminal it would have SIGINT's default
  "$@" >serve.log 2>&1 &
  pid=$!
  until_true grep -qE "$says" serve.log || { cat serve.log >&2 && return 1; }
  kill -TERM "$pid"
  wait "$pid"
}

mkdir "$SYSTEM/world"
chown "$CLIENT:" "$SYSTEM/world"
cd "$SYSTEM/world"
export TICK=/run/tick
mkfifo -m 666 "$TICK"
declare -f serve until_true >functions
qf-tokend --machine-issuer --foreground --issuer https://idp.example/ --audience qufabric-cli >issuer.log 2>&1 &
until_true test -S /run/qufabric/machine-issuer.sock
key=$(qf-up host-key)
jq --arg key "$key" --arg client "$CLIENT" --argjson keys "$(qf-up machine-jwks)" '
  .issuers[0] = {name: "corp", issuer: "https://idp.example/", audiences: ["qufabric-cli"], jwks: $keys, max_token_age: 3600,
    group_map: {eng: "Developers"}, email_domains: ["example.com"], client: {client_id: "qufabric-cli", flow: "machine"}}
  | (.peers[] | select(.name == "db1")) += {addresses: ["100.119.230.104"], ssh_host_keys: [$key]}
  | .user_groups.Everybody = ["corp:\($client)"]
  | .policies += [{name: "examples", enabled: true, action: "allow", protocol: "qufabric-ssh", sources: ["db1"],
      destinations: ["db1"], access: "full", authorized_groups: {Everybody: []}}]' "$TOP/conf/fabric.example.json" >/etc/qufabric/fabric.json
# what a person has at hand
cp /etc/qufabric/fabric.json fabric.json
jq '.serial += 1' fabric.json >new.json
echo words >report.txt
chmod 644 ./*

case $(<"$script") in
*'qf-up enroll'*)
  # a fabric without this machine in it
  jq '.serial = 0 | {format, serial, domain, issuers: [], user_groups: {}, peer_groups: {}, peers: [], policies: []}' fabric.json >none.json
  mv none.json fabric.json
  rm /etc/qufabric/fabric.json
  ;;
*'qf-sshd --self db1'*) qf-up apply --self db1 ;;
*'qf-sshd --self here'*)
  # shellcheck disable=SC2016  # the user's shell expands it
  as_user bash -c 'mkdir -p ~/fabric && cd ~/fabric && export QF_STATE_DIR=$PWD/state && key=$(qf-up host-key) &&
    jq --arg key "$key" ".peers += [{name: \"here\", addresses: [\"127.0.0.1\"], ssh: true, version: \"0.61.0\", ssh_host_keys: [\$key]}]" "$0" >here.json &&
    qf-up apply --self here here.json' "$PWD/fabric.json"
  ;;
*)
  # where the machine issuer of an instance of one's own would be
  as_user sh -c 'mkdir -m 700 r && ln -s /run/qufabric/machine-issuer.sock r/'
  qf-up up --self db1 --allow-server-ssh --ssh-jwt-cache-ttl 3600 --enable-ssh-sftp --enable-ssh-local-port-forwarding >qf-up.log 2>&1 &
  until_true grep -q 'listening on' qf-up.log
  as_user qf-token login
  as_user ssh -o BatchMode=yes deploy@db1 true
  as_user mkdir -p -m 700 "$(getent passwd "$CLIENT" | cut -d: -f6)/.ssh"
  qf-up audit verify | grep -oE '[0-9a-f]{64}' | tail -n 1 >/media/usb/last-week
  ;;
esac

code=0
case $script in
*.user) as_user timeout 60 bash -euo pipefail "$script" </dev/null || code=$? ;;
*) BASH_ENV=$SYSTEM/world/functions timeout 60 bash -euo pipefail "$script" </dev/null || code=$? ;;
esac
exit $code
