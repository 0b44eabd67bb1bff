#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the tab key offers in bash, zsh and fish, from each file that make install puts into place.

bats_require_minimum_version 1.5.0
load helpers

setup_file() {
  # where until_true ticks
  QF=$BATS_FILE_TMPDIR
  export QF
  mkfifo "$QF/tick"
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

# ---- zsh and fish, which ask the same file -------------------------------------------------------------------------

# fish_offers LINE: what a real fish offers at its end
fish_offers() {
  fish --no-config -c 'set -g fish_complete_path $ROOT/usr/share/fish/vendor_completions.d $fish_complete_path
    complete -C $argv[1]' "$1" | cut -f1
}

# A real zsh in a terminal; the tab key is pressed there.
zsh_start() {
  export ZDOTDIR=$BATS_FILE_TMPDIR/zsh
  [ -d "$ZDOTDIR" ] || mkdir "$ZDOTDIR"
  printf '%s\n' 'fpath=($ROOT/usr/share/zsh/vendor-completions $fpath)' 'autoload -U compinit' \
    "compinit -u -d $ZDOTDIR/dump" "PS1='ready> '" LISTMAX=0 >"$ZDOTDIR/.zshrc"
  terminal() { env -u TMUX tmux -f /dev/null -S "$BATS_TEST_TMPDIR/tmux" "$@"; }
  terminal new-session -d -x 160 -y 200 'zsh -i' 3>&- 4>&-
  shows '^ready> *$'
}
screen() { terminal capture-pane -p; }
# shows PATTERN: waits for a line that matches
shown() { screen | grep -qE -e "$1"; }
shows() { until_true 60 shown "$1" || { screen && return 1; }; }
# whether the screen is empty; if not, the keys for it are pressed
emptied() {
  [ "$(screen | grep .)" = 'ready>' ] || { terminal send-keys C-c && terminal send-keys C-l && return 1; }
}
# press_tab LINE: types it and a tab into an empty screen. What is typed while zsh still works at the completion before
# may be lost with the ^C, so both keys are pressed until they have done their work.
press_tab() {
  terminal send-keys C-c
  terminal send-keys C-l
  until_true 60 emptied
  terminal send-keys -l "$1"
  terminal send-keys Tab
}
# the options on the screen, descriptions left out
options_shown() { [ "$(screen_options)" = "$expected" ]; }
screen_options() { screen | grep -v '^ready>' | sed 's/ -- .*//' | grep -oE -- '^--[a-z0-9-]+| --[a-z0-9-]+' | tr -d ' ' | sort; }

teardown() { [ ! -e "$BATS_TEST_TMPDIR/tmux" ] || terminal kill-server; }

# what --help of a command names
options_of() { "$@" --help | grep -oE -- '(^|[^a-z0-9-])--[a-z][a-z0-9-]*' | grep -oE -- '--[a-z0-9-]+' | sort -u; }
COMMANDS="qufabric
qf-up
qf-up explain
qf-up audit
qf-token
qf-token login
qf-tokend
qf-detect
qf-proxy
qf-sshd"

@test "bash and fish: the options of each command are those of its --help" {
  while read -r command; do
    expected=$(options_of $command)
    [ "$(wc -l <<<"$expected")" -gt 2 ]
    diff <(echo "$expected") <(offers $command -- | sort)
    diff <(echo "$expected") <(fish_offers "$command --" | sort)
  done <<<"$COMMANDS"
}

@test "zsh: the options of each command are those of its --help" {
  zsh_start
  while read -r command; do
    expected=$(options_of $command)
    press_tab "$command --"
    until_true 60 options_shown || { diff <(echo "$expected") <(screen_options); screen; false; }
  done <<<"$COMMANDS"
  # with what --help says of them
  shows '^--login-grace-time +-- time to log in'
}

@test "zsh: words, peers, values and files" {
  zsh_start
  press_tab 'qf-up stat'
  shows '^ready> qf-up status *$'
  press_tab 'qf-token logi'
  shows '^ready> qf-token login *$'
  press_tab 'qf-detect db1.'
  shows '^ready> qf-detect db1[.]fabric[.]example *$'
  press_tab 'qf-up apply --self ann'
  shows '^ready> qf-up apply --self ann-laptop *$'
  press_tab 'qf-up apply --self=ann'
  shows '^ready> qf-up apply --self=ann-laptop *$'
  press_tab 'qf-up explain --who root@ann'
  shows '^ready> qf-up explain --who root@ann-laptop *$'
  press_tab 'qufabric ssh deploy@ann'
  shows '^ready> qufabric ssh deploy@ann-laptop *$'
  press_tab "qf-up check $QF_CONFIG_DIR/fab"
  shows 'fabric.json *$'
  press_tab "qf-up --config-dir ${QF_CONFIG_DIR%g}"
  shows "^ready> qf-up --config-dir $QF_CONFIG_DIR/"
}

@test "fish: words, peers, values and files" {
  [ "$(fish_offers 'qf-up stat')" = status ]
  [ "$(fish_offers 'qf-token ')" = "$(printf '%s\n' login show status logout stop)" ]
  [ "$(fish_offers 'qf-up apply --self ann')" = ann-laptop ]
  [ "$(fish_offers 'qf-up apply --self=ann')" = --self=ann-laptop ]
  [ "$(fish_offers 'qf-up explain --who root@ann')" = root@ann-laptop ]
  [ "$(fish_offers 'qufabric ssh deploy@ann')" = deploy@ann-laptop ]
  [ "$(fish_offers 'qf-up apply --enable-ssh-sftp=f')" = --enable-ssh-sftp=false ]
  [ "$(fish_offers "qf-up check $QF_CONFIG_DIR/fab")" = "$QF_CONFIG_DIR/fabric.json" ]
  [ "$(fish_offers "qf-up publish $QF_CONFIG_DIR/fab")" = "$QF_CONFIG_DIR/fabric.json" ]
  [ "$(fish_offers "qf-up --config-dir ${QF_CONFIG_DIR%g}")" = "$QF_CONFIG_DIR/" ]
  [ -z "$(fish_offers 'qf-up apply --max-sessions ')" ]
  # the description comes from --help
  for words in "up:apply the fabric document and run in the foreground" "status:say what runs and what is in force; -d: who is connected" \
    "explain:say whether a user may log in, and why" "enroll:print this machine's entry for the fabric document, or put it there"; do
    fish --no-config -c 'set -g fish_complete_path $ROOT/usr/share/fish/vendor_completions.d; complete -C "qf-up "' |
      grep -qxF "${words%%:*}$(printf '\t')${words#*:}"
  done
  fish --no-config -c 'set -g fish_complete_path $ROOT/usr/share/fish/vendor_completions.d; complete -C "qf-up --forc"' |
    grep -q "apply also an older serial"
}

@test "completion connects to nothing, and starts no daemon" {
  export QF_RUNTIME_DIR=$BATS_TEST_TMPDIR/run QF_CONFIG_DIR=$BATS_TEST_TMPDIR
  mkdir -m 700 "$QF_RUNTIME_DIR"
  for line in "qf-token login --issuer " "qf-detect " "qufabric ssh " "qf-up status " "qf-token " "qf-sshd --" "qf-up explain --to "; do
    IFS=' ' read -ra typed <<<"$line"
    [[ $line != *' ' ]] || typed+=("")
    strace -f -o "$BATS_TEST_TMPDIR/calls" -e trace=execve,connect,bind \
      bash "$ROOT/usr/share/bash-completion/completions/qufabric" --offer "${typed[@]}" </dev/null
    grep -q 'execve(' "$BATS_TEST_TMPDIR/calls"
    run -1 grep -E 'AF_INET|bind\(|execve\("[^"]*(qf-tokend|/ssh)"' "$BATS_TEST_TMPDIR/calls"
  done
}

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

@test "status offers its options, and peers after --peers alone" {
  run -0 offers qf-up status --
  has --detail --json --peers --watch
  run -0 offers qf-up status d
  [ -z "$output" ]
  run -0 offers qf-up status --peers d
  has db1 db2
  run -0 offers qufabric status --peers db1 d
  has db2
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
