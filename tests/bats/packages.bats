#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run first
# make deb: what is in the packages, and their life on a Debian of their own: installed, upgraded with a live session,
# removed and purged. The root is made once for a build folder; the checks in it are in in_packages_root.sh, first
# without systemd (a chroot), then all in one boot.

load helpers

setup_file() {
  [ "$(id -u)" = 0 ] || skip "wants root: it boots a container"
  QF=$(mktemp -d "${TMPDIR:-/tmp}/qf-t.XXXXXX")
  export QF
  mkfifo "$QF/tick"
  BUILT=$(dirname "$BIN")
  export BUILT
  make -C "$TOP" BUILD="$BUILT" DEB="$QF/deb" DEB_VERSION=1 DEB_BUILD_OPTIONS=noautodbgsym deb >"$QF/make.log" 2>&1 || {
    cat "$QF/make.log" >&2
    return 1
  }
  mkdir "$QF/1" "$QF/2"
  mv "$QF"/deb/*_1_*.deb "$QF/1/"
  next_version "$QF"/1/*.deb
  "$TOP/tests/bats/debian_root" installs "$BUILT/packages-root"
  cp "$TOP/tests/bats/in_packages_root.sh" "$TOP/tests/bats/in_container.bash" "$QF/"
  mkdir "$QF/boot"
  # without systemd, in a layer that is thrown away
  mkdir "$QF/upper" "$QF/work" "$QF/merged"
  unshare --mount --pid --net --fork --uts sh -c '
    ip link set lo up &&
    mount -t tmpfs none "$1/upper" && mkdir "$1/upper/up" "$1/upper/work" &&
    mount -t overlay none -o "lowerdir=$2,upperdir=$1/upper/up,workdir=$1/upper/work" "$1/merged" &&
    mkdir "$1/merged/qf" && mount --bind "$1" "$1/merged/qf" && mount -t proc none "$1/merged/proc" &&
    mount --bind /dev "$1/merged/dev" && exec chroot "$1/merged" /qf/in_packages_root.sh chroot' sh "$QF" "$BUILT/packages-root" \
    </dev/null >"$QF/chroot.log" 2>&1 3>&- 4>&- || :
  cat >"$QF/boot/qf-test.service" <<'UNIT'
[Unit]
Requires=basic.target systemd-user-sessions.service
After=basic.target systemd-user-sessions.service
[Service]
Type=oneshot
ExecStart=/qf/in_packages_root.sh booted
ExecStopPost=/bin/systemctl exit --force
TimeoutStartSec=300
UNIT
  timeout -k 5 340 systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --volatile=overlay \
    -M "qf$$" -D "$BUILT/packages-root" --bind="$QF:/qf" \
    --bind-ro="$QF/boot/qf-test.service:/etc/systemd/system/qf-test.service" --console=read-only \
    systemd.unit=qf-test.service systemd.mask=systemd-udevd.service systemd.mask=systemd-udev-trigger.service \
    </dev/null >"$QF/console" 2>&1 3>&- 4>&- || :
}
teardown_file() { [ -z "${QF:-}" ] || rm -rf "${QF:?}"; }

# next_version DEB…: the same as version 2
next_version() {
  local deb
  for deb in "$@"; do
    dpkg-deb --raw-extract "$deb" "$QF/unpacked"
    sed -i 's/^Version: 1$/Version: 2/; s/= 1)/= 2)/g' "$QF/unpacked/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$QF/unpacked" "$QF/2" >/dev/null
    rm -rf "$QF/unpacked"
  done
}

result() {
  local name
  for name in "$@"; do
    grep -qx "ok $name" "$QF/results" && continue
    tail -n 40 "$QF/console" "$QF/chroot.log" "$QF/log" "$QF/results"
    return 1
  done
}

# content PACKAGE
content() { dpkg-deb -c "$QF/1/$1"_1_*.deb; }

@test "lintian has nothing to say" {
  # it leaves files of its own
  run -0 env TMPDIR="$QF" lintian --fail-on error,warning "$QF"/1/*.deb
  run ! grep -E "^[EW]: " <<<"$output"
}

@test "what make install puts into place is in exactly one package" {
  make -C "$TOP" BUILD="$BUILT" DESTDIR="$QF/root" PREFIX=/usr SYSTEM_UNIT_FOLDER=/lib/systemd/system install >/dev/null
  (cd "$QF/root" && find . ! -type d ! -name LICENSE | sort) >"$QF/installed"
  for package in client server; do content "qufabric-ssh-$package"; done |
    awk '$1 !~ /^d/ && $6 !~ "/doc/qufabric-ssh-" { sub(/[.]gz$/, "", $6); print $6 }' | sort >"$QF/packed"
  diff "$QF/installed" "$QF/packed"
}

@test "the same programs give the same packages" {
  (umask 077 && TZ=Pacific/Apia make -C "$TOP" BUILD="$BUILT" DEB="$QF/again" DEB_VERSION=1 DEB_BUILD_OPTIONS=noautodbgsym deb >/dev/null)
  for package in "$QF"/1/*.deb; do cmp "$package" "$QF/again/${package##*/}"; done
}

@test "what compiling needs is what the packages build-depend on" {
  needed=$(sed -n '/^build="/,/"$/p' "$TOP/conf/install-deps" | tr -d '"' | sed 's/^build=//' | tr -s ' ' '\n' | grep -vxE 'g[+][+]|make|' | sort)
  named=$(sed -n '/^Build-Depends:/,/^[A-Z]/p' "$TOP/conf/debian/control" | sed 's/^Build-Depends://; /^[A-Z]/d' | tr ',' '\n' |
    awk '{ print $1 }' | grep -vE '^(debhelper-compat|dh-sequence-.*|)$' | sort)
  [ "$needed" = "$named" ] || { diff <(echo "$needed") <(echo "$named") && false; }
}

@test "without systemd: installs, the server runs, and purge leaves nothing" {
  result chroot-install chroot-users chroot-folders chroot-nothing-runs chroot-server chroot-login chroot-upgrade \
    chroot-new-server chroot-serves-again chroot-remove \
    chroot-server-ends chroot-keeps chroot-purge chroot-nothing-left chroot-finished
}

@test "installed: the service is enabled, and idle without a fabric document" { result install enabled idle users; }

@test "with a document the service runs, and plain ssh logs in" { result start login helpers; }

@test "an upgrade leaves the live session, and the new server answers" {
  result upgrade new-version new-server session-lives session-taken-up login-after-upgrade multiplexed-session still-enabled
}

@test "the server is removed by itself: it stops, the client stays" {
  result remove-server server-stops client-stays start-without-server no-server-code server-again server-runs-again
}

@test "removed: nothing runs, ssh is as it was; configuration and state stay" {
  result remove stops no-ssh-config tokend-ends tokend-leaves-no-socket issuer-stops keeps-document keeps-state
}

@test "installed again: the server runs as before" { result reinstall reinstalled-runs; }

@test "purged: nothing is left but the system users" { result purge nothing-left users-stay finished; }

@test "nothing else failed" { run ! grep '^not ok' "$QF/results"; }
