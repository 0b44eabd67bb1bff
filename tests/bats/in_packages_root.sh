#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# in_packages_root.sh chroot|booted: what an admin does with our packages, inside the root of packages.bats; in a chroot
# without systemd, or as a unit of the booted container.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive
[ "$1" = chroot ] || exec >/qf/log 2>&1
# shellcheck source=/dev/null
. /qf/in_container.bash

# all files but those that anything running writes, and what dpkg keeps of packages
files() {
  find / \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /qf -o -path /var/log -o -path /var/cache \
    -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /home -o -path /root \) -prune -o -print | sort
}
# also that of a program that has been replaced or removed
runs() { find /proc/[0-9]*/exe -maxdepth 0 -printf '%l\n' 2>/dev/null | grep -qE "^/usr/s?bin/$1( \(deleted\))?$"; }
runs_not() { ! runs "$1"; }
plain_ssh() { timeout 20 ssh -o BatchMode=yes "$@"; }
on_server() { plain_ssh deploy@server "$@" </dev/null; }
fails() { ! "$@"; }
installed() { dpkg -i /qf/"$1"/*.deb; }
document() {
  cat >/etc/qufabric/fabric.json <<JSON
{ "format": 1, "serial": 1, "domain": "test.example", "issuers": [], "user_groups": {}, "peer_groups": {},
  "peers": [
    { "name": "server", "addresses": ["127.7.0.1"], "ssh": true, "version": "0.61.0", "ssh_host_keys": ["$(qf-up host-key)"] },
    { "name": "client", "addresses": ["127.0.0.1"], "ssh": false, "version": "0.61.0", "ssh_host_keys": [] }],
  "policies": [{ "name": "all", "enabled": true, "action": "allow", "protocol": "tcp", "ports": ["22022"],
    "sources": ["client"], "destinations": ["server"] }] }
JSON
}
choices="--self server --allow-server-ssh --disable-ssh-auth --enable-ssh-local-port-forwarding"

useradd -m -s /bin/sh deploy
# what every system has that once made a user
useradd --system throw-away && userdel throw-away
files >/tmp/before
left() { files | diff /tmp/before - | grep '^[<>]'; }
nothing_left() { [ -z "$(left)" ] || { left >>/qf/results && return 1; }; }

if [ "$1" = chroot ]; then
  check chroot-install installed 1
  check chroot-users getent passwd qufabric qufabric-fetch
  check chroot-folders test -d /etc/qufabric
  check chroot-nothing-runs runs_not 'qf-[a-z]*'
  document
  # shellcheck disable=SC2086  # a list of options
  qf-up $choices &
  check chroot-server until_true 60 on_server true
  check chroot-login test "$(on_server id -un)" = deploy
  # an upgrade while it runs
  server=$(pgrep -o -x qf-sshd)
  # shellcheck disable=SC2317  # until_true calls it
  new_server() { [ "$(pgrep -o -x qf-sshd)" != "$server" ] && [ "$(readlink "/proc/$(pgrep -o -x qf-sshd)/exe")" = /usr/sbin/qf-sshd ]; }
  check chroot-upgrade installed 2
  check chroot-new-server until_true 60 new_server
  check chroot-serves-again until_true 60 on_server true
  check chroot-remove dpkg -r qufabric-ssh qufabric-ssh-client qufabric-ssh-server
  check chroot-server-ends until_true 30 runs_not 'qf-[a-z]*'
  check chroot-keeps test -s /etc/qufabric/fabric.json -a -s /var/lib/qufabric/ssh_host_ed25519_key
  check chroot-purge dpkg -P qufabric-ssh-client qufabric-ssh-server
  check chroot-nothing-left nothing_left
  # a second time, and purged at once
  check chroot-again installed 2
  check chroot-purge-again dpkg -P qufabric-ssh qufabric-ssh-client qufabric-ssh-server
  check chroot-nothing-left-again nothing_left
  echo ok chroot-finished >>/qf/results
  exit
fi

check install installed 1
check enabled systemctl is-enabled qufabric.service
check idle is qufabric.service ActiveState inactive
check nothing-failed is qufabric.service Result success
check users getent passwd qufabric qufabric-fetch
document
# shellcheck disable=SC2086
qf-up apply $choices
check start systemctl start qufabric.service
check login test "$(on_server id -un)" = deploy

# a session that stands, and a connection that can carry more
mkfifo /tmp/in
exec 8<>/tmp/in
plain_ssh_long() { timeout 280 ssh -o BatchMode=yes "$@"; }
plain_ssh_long -M -S /tmp/control deploy@server 'echo up; cat' <&8 >/qf/live &
until_true 60 grep -q up /qf/live
session_lives() { echo "$1" >&8 && until_true 60 grep -q "$1" /qf/live; }
# a forwarded connection, which qf-helper makes
forwards() { plain_ssh "$@" -W 127.7.0.1:22022 deploy@server </tmp/in | head -n 1 | grep -q QuFabric-SSH-Server; }
check helpers forwards

listener() { pgrep -o -x qf-sshd; }
before=$(listener)
check upgrade installed 2
check new-version test "$(dpkg-query -W -f '${Version}' qufabric-ssh-server)" = 2
new_server() { [ "$(listener)" != "$before" ] && [ "$(readlink "/proc/$(pgrep -P "$(systemctl show -P MainPID qufabric.service)" -x qf-sshd)/exe")" = /usr/sbin/qf-sshd ]; }
check new-server until_true 60 new_server
check login-after-upgrade on_server true
check session-lives session_lives upgraded
listed() { qf-up status -d --json | grep -q '"kind":"exec","command":"echo"'; }
check session-taken-up until_true 60 listed
check multiplexed-session test "$(on_server -S /tmp/control id -un)" = deploy
check multiplexed-forwarding forwards -S /tmp/control
check still-enabled systemctl is-enabled qufabric.service

check remove-server dpkg -r qufabric-ssh qufabric-ssh-server
check server-stops is qufabric.service ActiveState inactive
check server-refuses fails on_server true
check client-stays test -s /etc/ssh/ssh_config.d/99-qufabric.conf
check start-without-server fails systemctl start qufabric.service
check no-server-code is qufabric.service ExecMainStatus 78
check server-again dpkg -i /qf/2/qufabric-ssh-server_*.deb
check server-runs-again until_true 60 on_server true
check session-lives-on session_lives removed
exec 8>&-
timeout 20 ssh -S /tmp/control -O exit server

check issuer systemctl enable --now qf-machine-issuer.socket
runuser -u deploy -- qf-tokend
check tokend-runs until_true 20 runs qf-tokend
check remove dpkg -r qufabric-ssh-server qufabric-ssh-client
check stops is qufabric.service ActiveState inactive
check ends until_true 60 runs_not 'qf-(up|sshd)'
check tokend-ends until_true 20 runs_not qf-tokend
check no-ssh-config test ! -e /etc/ssh/ssh_config.d/99-qufabric.conf -a ! -L /etc/ssh/ssh_config.d/99-qufabric.conf
check keeps-document test -s /etc/qufabric/fabric.json
check keeps-state test -s /var/lib/qufabric/ssh_host_ed25519_key
left_of_tokend() { find /home/deploy/.qufabric /run/user -type s 2>/dev/null | grep -q .; }
check tokend-leaves-no-socket fails left_of_tokend
check issuer-stops is qf-machine-issuer.socket ActiveState inactive
check reinstall dpkg -i /qf/2/*.deb
check reinstalled-runs until_true 60 on_server true
dpkg -r qufabric-ssh
check purge dpkg -P qufabric-ssh-server qufabric-ssh-client
check nothing-left nothing_left
check nothing-in-run test ! -e /run/qufabric
check users-stay getent passwd qufabric qufabric-fetch
echo ok finished >>/qf/results
