#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the tab key offers, from each file that make install puts into place.

bats_require_minimum_version 1.5.0
TOP=$(cd "$(dirname "$BATS_TEST_FILENAME")/../.." && pwd)

setup_file() {
  BUILT=$(cd "$TOP" && cd "${BUILD:-build}" && pwd)
  ROOT=$BATS_FILE_TMPDIR/root
  make -C "$TOP" BUILD="$BUILT" DESTDIR="$ROOT" PREFIX=/usr install >"$BATS_FILE_TMPDIR/install.log"
  PATH=$ROOT/usr/bin:$ROOT/usr/sbin:$PATH
  QF_CONFIG_DIR=$BATS_FILE_TMPDIR/config
  QF_STATE_DIR=$BATS_FILE_TMPDIR/state
  mkdir "$QF_CONFIG_DIR" "$QF_STATE_DIR"
  cp "$TOP/conf/fabric.example.json" "$QF_CONFIG_DIR/fabric.json"
  export ROOT PATH QF_CONFIG_DIR QF_STATE_DIR
  qf-up apply --ssh-config-file "$QF_STATE_DIR/99-qufabric.conf"
}

# offers WORD…: what is offered for the last word (may be empty), one a line. In a bash of its own, as a new shell does.
offers() {
  bash -c '
    source "$ROOT/usr/share/bash-completion/completions/$1" || exit
    function_name=$(complete -p "$1" | sed "s/.*-F \([^ ]*\) .*/\1/")
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "$function_name" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}
# has WORD…: whether each is a line of the output
has() { for word in "$@"; do grep -qxF -e "$word" <<<"$output" || { echo "no $word in: $output" && return 1; }; done; }

@test "every program has its file, and its options are offered" {
  for program in qufabric qf-up qf-token qf-tokend qf-detect qf-proxy qf-sshd; do
    run -0 offers "$program" --he
    [ "$output" = --help ]
  done
}

@test "options after a command word" {
  run -0 offers qf-up apply --
  has --self --force --disable-ssh-agent-forwarding --enable-ssh-x11 --enable-ssh-local-port-forwarding \
    --enable-ssh-remote-port-forwarding
  run -0 offers qf-up check --config
  [ "$output" = --config-dir ]
  run -0 offers qf-sshd --
  has --gateway-ports --max-channels --client-alive-interval --client-alive-count-max
  run -0 offers qufabric up --enable-ssh-x
  [ "$output" = --enable-ssh-x11 ]
  run -0 offers qufabric ssh detect --js
  [ "$output" = --json ]
}

@test "joining and another host key" {
  run -0 offers qf-up ""
  has enroll rotate-host-key
  run -0 offers qf-up rotate-host-key --f
  [ "$output" = --finish ]
  run -0 offers qf-up enroll --
  has --interface --self --client
}

@test "doctor offers its option, and any number of peers" {
  run -0 offers qf-up d
  has down doctor diff
  run -0 offers qf-up doctor --
  has --json
  run -0 offers qf-up doctor d
  has db1
  run -0 offers qf-up doctor db1 d
  has db1
}

@test "interfaces, where one is wanted" {
  for option in --interface --redirect-port-22; do
    run -0 offers qf-up apply $option l
    has lo
  done
  run -0 offers qf-sshd --interface l
  has lo
}

@test "a command with options of its own offers those" {
  run -0 offers qf-up explain --
  has --user --groups --group --claim --from --to --login --file --json
  [[ $output != *--self* && $output != *--max-sessions* ]]
  run -0 offers qf-up explain --from db
  has db1 db2
  jq '.peers[0].name = "other1"' "$QF_CONFIG_DIR/fabric.json" >"$BATS_TEST_TMPDIR/other.json"
  run -0 offers qf-up explain --file "$BATS_TEST_TMPDIR/other.json" --to o
  [ "$output" = other1 ]
  run -0 offers qf-up apply --refusals-logged ""
  [ -z "$output" ]
}

@test "a command offers its own options, and none of another" {
  run -0 offers qf-up check --
  has --config-dir --help
  [[ $output != *--self* && $output != *--json* ]]
  run -0 offers qf-token login --
  has --issuer --renew
  [[ $output != *--claims* ]]
  run -0 offers qf-sshd --verify-token --
  has --issuer --audience --jwks --jwks-uri --ca-file --now --max-token-age --clock-skew --access-token
}

@test "command words" {
  run -0 offers qf-up st
  [ "$output" = status ]
  run -0 offers qf-token ""
  has login show status logout stop
  run -0 offers qf-up d
  has down diff
  run -0 offers qf-up explain --who ro
  has root
  run -0 offers qf-up explain --who root @ ""
  has db1
  run -0 offers qf-up diff --from-f
  [ "$output" = --from-file ]
  run -0 offers qufabric s
  has status ssh scp sftp ssh-config
}

@test "hosts" {
  peer=$(jq -r 'first(.peers[] | select(.ssh) | .name)' "$QF_CONFIG_DIR/fabric.json")
  run -0 offers qf-detect "${peer:0:2}"
  has "$peer"
  run -0 offers qf-detect --json "${peer:0:2}"
  has "$peer"
  run -0 offers qf-detect --timeout 2 "${peer:0:2}"
  has "$peer"
  run -0 offers qufabric ssh detect "${peer:0:2}"
  has "$peer"
  run -0 offers qufabric ssh ""
  has detect proxy "$peer"
  for client in scp sftp; do
    run -0 offers qufabric $client "${peer:0:2}"
    has "$peer"
    run -0 offers qufabric $client --he
    [ -z "$output" ]
  done
  run -0 offers qufabric --state-dir /x ssh "${peer:0:2}"
  [[ $output != *qf-* ]]
  run -0 offers qf-proxy "${peer:0:2}"
  has "$peer"
}

@test "values of options" {
  peer=$(jq -r '.peers[0].name' "$QF_CONFIG_DIR/fabric.json")
  run -0 offers qf-up apply --self "${peer:0:1}"
  has "$peer"
  issuer=$(jq -r '.issuers[0].name' "$QF_CONFIG_DIR/fabric.json")
  run -0 offers qf-token login --issuer ""
  has "$issuer"
  run -0 offers qf-sshd --verify-token --issuer ""
  has "$(jq -r '.issuers[0].issuer' "$QF_CONFIG_DIR/fabric.json")"
  run -0 offers qf-sshd --verify-token --now ""
  [ -z "$output" ]
  run -0 offers qf-sshd --gateway-ports c
  [ "$output" = clientspecified ]
  cd "$QF_CONFIG_DIR"
  run -0 offers qf-up check fab
  [ "$output" = fabric.json ]
}
