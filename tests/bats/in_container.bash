# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the checks in a container share (in_container.sh, in_packages_root.sh); each leaves a line "ok NAME" or
# "not ok NAME: …" in /qf/results.

check() {
  local name=$1
  shift
  if "$@"; then echo "ok $name" >>/qf/results; else echo "not ok $name: $*" >>/qf/results; fi
}
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do [ $SECONDS -lt $end ] && sleep 0.05 || return 1; done
}
# is UNIT PROPERTY VALUE
is() { [ "$(systemctl show -P "$2" "$1")" = "$3" ]; }
