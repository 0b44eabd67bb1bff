#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the booted container of systemd.bats, as a oneshot unit: does what an admin does with systemctl, and
# writes a line "ok NAME" or "not ok NAME: …" for each check to /qf/results.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec >/qf/log 2>&1

# shellcheck source=/dev/null
. /qf/in_container.bash
on_server() { timeout 20 ssh -F /etc/ssh/ssh_config.d/99-qufabric.conf -o BatchMode=yes deploy@server "$@" </dev/null; }
server_log() { grep -qE "$1" /qf/server.log; }
fabric() { sed "s/SERIAL/$1/; s/ADDRESSES/$2/; s,HOSTKEY,$(qf-up host-key)," /qf/fabric.json >/etc/qufabric/fabric.json; }
session_lives() { echo "$1" >&8 && until_true 60 grep -q "$1" /qf/live; }
status() { qf-up status -d --json; }

PATH=/opt/qf/sbin:$PATH
mkdir -p /etc/qufabric /var/lib/qufabric /etc/ssh/ssh_config.d /run/systemd/system/qufabric.s{ervice,ocket}.d
useradd -m -s /bin/sh deploy
cp /qf/units/*.* /run/systemd/system/
cp /qf/units/user/* /etc/systemd/user/
printf '[Service]\nStandardError=append:/qf/server.log\n' >/run/systemd/system/qufabric.service.d/log.conf
systemctl daemon-reload
fabric 1 '"127.7.0.1"'
qf-up apply --self server --allow-server-ssh --disable-ssh-auth

# Type=notify: when the start returns, it listens
check start systemctl start qufabric.service
check ready-means-listening on_server true
check is-active is qufabric.service ActiveState active

# a session that stands
mkfifo /tmp/in
exec 8<>/tmp/in
timeout 120 ssh -F /etc/ssh/ssh_config.d/99-qufabric.conf -o BatchMode=yes deploy@server 'echo up; cat' <&8 >/qf/live &
until_true 60 grep -q up /qf/live

fabric 2 '"127.7.0.1", "127.7.0.2"'
check reload systemctl reload qufabric.service
check reload-ends until_true 60 is qufabric.service ActiveState active
check reload-applies until_true 60 server_log 'listening on 127.7.0.2 port 22022'
check reload-leaves-session session_lives reloaded

# 127.7.0.1 port 22022, listening
listening_inode() { awk '$2 == "0100077F:5606" && $4 == "0A" { print $10 }' /proc/net/tcp; }
inode=$(listening_inode)
pid=$(systemctl show -P MainPID qufabric.service)
check restart systemctl restart qufabric.service
check restart-is-new test "$pid" != "$(systemctl show -P MainPID qufabric.service)"
check restart-leaves-session session_lives restarted
check restart-keeps-socket test "$inode" = "$(listening_inode)"
check restart-serves on_server true
listed() { status | grep -q '"kind":"exec","command":"echo"'; }
check restart-takes-session-up until_true 60 listed

# what a unit could take away from a session: compared with this script, whose unit has nothing
free() {
  grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters|CapBnd|Umask):' /proc/self/status
  readlink /proc/self/ns/*
  cat /proc/self/limits
}
free_on_server() { on_server "$(declare -f free); free" >/tmp/theirs && free >/tmp/mine && diff /tmp/mine /tmp/theirs >>/qf/results; }
check session-is-free free_on_server
echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy
for kind in auth account password session; do echo "$kind required pam_permit.so" >"/etc/pam.d/common-$kind"; done
cp /etc/pam.d/common-session /etc/pam.d/common-session-noninteractive
sudo_works() { on_server "sudo -n true 2>&1" >>/qf/results; }
check sudo-works sudo_works
check sudo-is-root test "$(on_server sudo -n id -u)" = 0
check sudo-has-all test "$(on_server sudo -n grep CapEff: /proc/self/status)" = "$(grep CapEff: /proc/self/status)"

# signs of life, in a shorter time than ours
printf '[Service]\nWatchdogSec=12\n' | tee /run/systemd/system/qufabric.service.d/life.conf >/run/life.conf
systemctl daemon-reload
systemctl restart qufabric.service
main() { systemctl show -P MainPID "$1"; }
listener() { pgrep -x -P "$(main qufabric.service)" qf-sshd; }
new_listener() { [ -n "$(listener)" ] && [ "$(listener)" != "$server" ]; }
new_main() { [ "$(main "$1")" != "$2" ] && is "$1" ActiveState active; }
server=$(listener)
pid=$(main qufabric.service)
kill -STOP "$server"
check hung-server-is-replaced until_true 60 new_listener
check hung-server-is-said server_log 'qf-sshd has given no sign of life .*; killing it'
check hung-server-leaves-qf-up test "$pid" = "$(main qufabric.service)"
check hung-server-leaves-session session_lives hung
check hung-server-serves on_server true
kill -STOP "$pid"
check hung-qf-up-is-replaced until_true 60 new_main qufabric.service "$pid"
check hung-qf-up-leaves-session session_lives hung-too
check hung-qf-up-serves on_server true

check stop systemctl stop qufabric.service
check stop-leaves-session session_lives stopped
check stop-closes test -z "$(listening_inode)"
# as where the document comes from elsewhere: there is no file, and choices are remembered
mv /etc/qufabric/fabric.json /run/
systemctl start qufabric.service
check no-file-active is qufabric.service ActiveState active
check no-file-serves on_server true
systemctl stop qufabric.service
mv /run/fabric.json /etc/qufabric/

# socket activation: nothing runs until somebody comes
printf '[Socket]\nListenStream=127.7.0.1:22022\nListenStream=127.7.0.2:22022\n' >/run/systemd/system/qufabric.socket.d/a.conf
systemctl daemon-reload
: >/qf/server.log
check socket-start systemctl start qufabric.socket
check socket-waits is qufabric.service ActiveState inactive
check socket-activates on_server true
check socket-active is qufabric.service ActiveState active
both_handed_in() { [ "$(grep -c "by the socket that systemd has handed in" /qf/server.log)" = 2 ]; }
check socket-used both_handed_in
# while the server is restarted, clients wait and are served
systemctl restart --no-block qufabric.service
check socket-bridges-restart on_server true
check socket-takes-session-up until_true 60 listed
systemctl stop qufabric.socket qufabric.service

printf '[Socket]\nListenStream=127.9.9.9:22022\n' >>/run/systemd/system/qufabric.socket.d/a.conf
systemctl daemon-reload
systemctl start qufabric.socket
systemctl start qufabric.service
check foreign-address-refused until_true 60 server_log 'it listens on 127.9.9.9, which is no address of this peer'
check foreign-address-fails until_true 60 is qufabric.service ActiveState failed
check foreign-address-code is qufabric.service ExecMainStatus 78

# the machine issuer: systemd has its socket, and the first who asks starts it
issuer=/run/qufabric/machine-issuer.sock
asks() {
  # shellcheck disable=SC2016
  setpriv --reuid "$1" --regid "$1" --clear-groups perl -MIO::Socket::UNIX -e '
    my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
    print $s "{\"version\":1,\"op\":\"issue\",\"nonce\":\"qf1." . "A" x 43 . "\"}\n";
    $s->flush; print scalar <$s>' $issuer | grep "$2"
}
subject() { asks "$1" '"ok":true' | cut -d. -f2 | tr -- -_ +/ | base64 -d 2>/dev/null | grep -o '"sub":"[^"]*"'; }
is_subject() { [ "$(subject "$1")" = "\"sub\":\"$1\"" ]; }
check issuer-socket systemctl start qf-machine-issuer.socket
check issuer-waits is qf-machine-issuer.service ActiveState inactive
check issuer-mode test "$(stat -c '%a %U' $issuer)" = '666 root'
check issuer-activates is_subject deploy
check issuer-active is qf-machine-issuer.service ActiveState active
check issuer-refuses-root asks root 'no token to root'
inode=$(stat -c %i $issuer)
check issuer-restart systemctl restart qf-machine-issuer.service
check issuer-listens-again is_subject deploy
check issuer-same-socket test "$inode" = "$(stat -c %i $issuer)"
journal() { journalctl -u "$1" | grep "$2"; }
check issuer-logs until_true 60 journal qf-machine-issuer.service "machine issuer listening at $issuer"
pid=$(main qf-machine-issuer.service)
jailed() {
  grep -qx 'NoNewPrivs:	1' "/proc/$pid/status" && grep -qx 'CapBnd:	0000000000080000' "/proc/$pid/status" &&
    grep -q '^Max core file size  *0  *0' "/proc/$pid/limits" &&
    ! nsenter -t "$pid" -m touch /etc/touched && ! nsenter -t "$pid" -n ip link show up 2>/dev/null | grep -q UP
}
check issuer-jailed jailed
mkdir -p /run/systemd/system/qf-machine-issuer.service.d
cp /run/life.conf /run/systemd/system/qf-machine-issuer.service.d/
systemctl daemon-reload
systemctl restart qf-machine-issuer.service
pid=$(main qf-machine-issuer.service)
kill -STOP "$pid"
check issuer-hung-is-replaced until_true 60 new_main qf-machine-issuer.service "$pid"
check issuer-serves-again is_subject deploy
check issuer-stop systemctl stop qf-machine-issuer.socket
check issuer-ends is qf-machine-issuer.service ActiveState inactive
check issuer-socket-removed test ! -e $issuer
chmod 644 /var/lib/qufabric/machine-issuer.pem
systemctl start qf-machine-issuer.service
check issuer-key-fails until_true 60 is qf-machine-issuer.service ActiveState failed
check issuer-key-code is qf-machine-issuer.service ExecMainStatus 78

# a user's systemd, as user@.service starts it, without PAM and logind
uid=$(id -u deploy)
mkdir -p "/run/user/$uid" /etc/systemd/user/qf-tokend.service.d && chown deploy: "/run/user/$uid" && chmod 700 "/run/user/$uid"
cp /run/life.conf /etc/systemd/user/qf-tokend.service.d/
as_deploy() { setpriv --reuid deploy --regid deploy --init-groups env HOME=/home/deploy XDG_RUNTIME_DIR="/run/user/$uid" "$@"; }
user_systemctl() { as_deploy systemctl --user "$@"; }
user_is() { [ "$(user_systemctl show -P "$1" qf-tokend.service)" = "$2" ]; }
systemd-run --unit=deploy-manager --uid=deploy -p Delegate=yes -p Type=notify -E HOME=/home/deploy \
  -E XDG_RUNTIME_DIR="/run/user/$uid" /lib/systemd/systemd --user
tokend=/run/user/$uid/qufabric/tokend.sock
check tokend-socket user_systemctl start qf-tokend.socket
check tokend-waits user_is ActiveState inactive
inode=$(stat -c %i "$tokend")
tokend_answers() { ! as_deploy qf-token status 2>&1 | grep 'not running'; }
check tokend-answers tokend_answers
check tokend-active user_is ActiveState active
check tokend-same-socket test "$inode" = "$(stat -c %i "$tokend")"
pid=$(user_systemctl show -P MainPID qf-tokend.service)
kill -STOP "$pid"
new_tokend() { ! user_is MainPID "$pid" && user_is ActiveState active; }
check tokend-hung-is-replaced until_true 60 new_tokend
check tokend-answers-again tokend_answers

systemd-analyze --version >/qf/systemd-version
figure() { grep -oE 'level for [^ ]+: [0-9.]+' | cut -d ' ' -f 4; }
for unit in /qf/units/*.service; do
  echo "${unit##*/} $(systemd-analyze security --no-pager "${unit##*/}" | figure)" >>/qf/figures
done
echo "user/qf-tokend.service $(as_deploy systemd-analyze --user security --no-pager qf-tokend.service | figure)" >>/qf/figures
echo finished >>/qf/results
