#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run first
# Our units under a real systemd: process 1 of a Debian container with no network but its loopback. The checks are in
# in_container.sh, all in one boot; the root is made once for a build folder.

load helpers

setup_file() {
  [ "$(id -u)" = 0 ] || skip "wants root: it boots a container"
  QF=$(mktemp -d "${TMPDIR:-/tmp}/qf-t.XXXXXX")
  export QF
  mkfifo "$QF/tick"
  local root
  root=$(dirname "$BIN")/nspawn-root
  "$TOP/tests/bats/debian_root" boots "$root"
  mkdir "$QF/units" "$QF/units/user" "$QF/boot"
  for unit in "$TOP"/conf/{,user/}*.{service,socket}; do
    sed 's,@PREFIX@/s*bin,/opt/qf/sbin,' "$unit" >"$QF/units/${unit#"$TOP/conf/"}"
  done
  cat >"$QF/fabric.json" <<'JSON'
{ "format": 1, "serial": SERIAL, "domain": "test.example", "issuers": [], "user_groups": {}, "peer_groups": {},
  "peers": [
    { "name": "server", "addresses": [ADDRESSES], "ssh": true, "version": "0.61.0", "ssh_host_keys": ["HOSTKEY"] },
    { "name": "client", "addresses": ["127.0.0.1"], "ssh": false, "version": "0.61.0", "ssh_host_keys": [] }],
  "policies": [{ "name": "all", "enabled": true, "action": "allow", "protocol": "tcp", "ports": ["22022"],
    "sources": ["client"], "destinations": ["server"] }] }
JSON
  cp "$TOP/tests/bats/in_container.sh" "$TOP/tests/bats/in_container.bash" "$QF/"
  cat >"$QF/boot/qf-test.service" <<'UNIT'
[Unit]
Requires=basic.target
After=basic.target
[Service]
Type=oneshot
ExecStart=/qf/in_container.sh
ExecStopPost=/bin/systemctl exit --force
TimeoutStartSec=280
UNIT
  # udev has no device to look after here. The overlay leaves the root as it is.
  timeout -k 5 320 systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --volatile=overlay \
    -M "qf$$" -D "$root" --bind="$QF:/qf" --bind-ro="$BIN:/opt/qf/sbin" \
    --bind-ro="$QF/boot/qf-test.service:/etc/systemd/system/qf-test.service" --console=read-only \
    systemd.unit=qf-test.service systemd.mask=systemd-udevd.service systemd.mask=systemd-udev-trigger.service \
    </dev/null >"$QF/console" 2>&1 3>&- 4>&- || :
}
teardown_file() { rm -rf "${QF:?}"; }

# result NAME…: whether the checks in the container were good
result() {
  local name
  for name in "$@"; do
    grep -qx "ok $name" "$QF/results" && continue
    tail -n 30 "$QF/console" "$QF/log" "$QF/server.log" "$QF/results"
    grep -B 20 "^not ok $name" "$QF/results"
    return 1
  done
}

@test "all checks have run, and none failed" {
  result
  [ "$(tail -n 1 "$QF/results")" = finished ] || { tail -n 40 "$QF/console" "$QF/log" "$QF/results" && false; }
  run ! grep '^not ok' "$QF/results"
}

@test "systemctl start returns when the server listens" { result start ready-means-listening is-active; }

@test "systemctl reload applies the document, ends, and leaves live sessions" {
  result reload reload-ends reload-applies reload-leaves-session
}

@test "systemctl restart leaves live sessions, and the new server knows of them" {
  result restart restart-is-new restart-leaves-session restart-takes-session-up
}

@test "systemctl restart keeps the socket that listens, so no connection is refused" { result restart-keeps-socket restart-serves; }

@test "a server that hangs is killed and started again, and so is a qf-up; live sessions stay" {
  result hung-server-is-replaced hung-server-is-said hung-server-leaves-qf-up hung-server-leaves-session hung-server-serves \
    hung-qf-up-is-replaced hung-qf-up-leaves-session hung-qf-up-serves
}

@test "nothing of the unit is handed down to a session: it is as one of an unhardened service, and root by sudo is whole" {
  result session-is-free sudo-works sudo-is-root sudo-has-all
}

@test "systemctl stop leaves live sessions, and closes the port" { result stop stop-leaves-session stop-closes; }

@test "the service starts without /etc/qufabric/fabric.json, too, where something was applied" { result no-file-active no-file-serves; }

@test "socket activation: the first connection starts the server, and a restart loses none" {
  result socket-start socket-waits socket-activates socket-active socket-used socket-bridges-restart socket-takes-session-up
}

@test "a socket at another address is refused, and the unit is not tried again" {
  result foreign-address-refused foreign-address-fails foreign-address-code
}

@test "the machine issuer: who asks starts it, users are told apart, and it goes with its socket" {
  result issuer-socket issuer-waits issuer-mode issuer-activates issuer-active issuer-refuses-root issuer-restart \
    issuer-listens-again issuer-same-socket issuer-stop issuer-ends issuer-socket-removed
}

@test "the machine issuer: it logs to the journal, has what the unit leaves it, and is started again when it hangs" {
  result issuer-logs issuer-jailed issuer-hung-is-replaced issuer-serves-again
}

@test "the token daemon: the first who asks starts it by the user's socket, and it is started again when it hangs" {
  result tokend-socket tokend-waits tokend-answers tokend-active tokend-same-socket tokend-hung-is-replaced tokend-answers-again
}

@test "the figures of systemd-analyze security are those of the manual" {
  local version
  version=$(head -n 1 "$QF/systemd-version" | awk '{ print $2 }')
  [ "$version" = 252 ] || skip "systemd $version counts in its own way"
  mandoc -T ascii "$TOP/man/qf-up.8" | col -bx | grep -oE '^ +(user/)?q[a-z-]+[.]service +[0-9]+[.][0-9]$' | awk '{ print $1, $2 }' |
    sort >"$QF/promised"
  [ "$(wc -l <"$QF/promised")" = "$(ls "$TOP"/conf/{,user/}*.service | wc -l)" ]
  sort "$QF/figures" | diff "$QF/promised" -
}

@test "the machine issuer: a key that others may read is refused, and the unit is not tried again" {
  result issuer-key-fails issuer-key-code
}
