#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-detect: what answers, whatever that does; and whether the block of ssh_config applies.
# run first

load helpers

setup() {
  fabric_begin
  DETECT="$BIN/qf-detect $FOLDERS"
  MATCH="$BIN/qf-detect --config-dir $QF/config --state-dir $QF/state --match"
}
teardown() { fabric_end; }

# hostile KIND [PORT]: a server of that kind at ADDRESS.
hostile() {
  background "$QF/hostile.log" "$PYTHON" "$TOP/tests/bats/servers/hostile.py" "$1" "$ADDRESS" "${2:-22022}" "$QF/seen"
  SERVER=$PID
  until_true 60 listens "${2:-22022}"
}
listens() { ss -Hltn "src $ADDRESS:$1" | grep -q .; }
hostile_end() { end_process "$SERVER"; rm -f "$QF/seen"; }
seen() { cat "$QF/seen" 2>/dev/null | wc -l; }
apply() { fabric_write "$@" && "$BIN/qf-up" apply $FOLDERS --self client >&2; }

@test "the exit code says what answers: 0 JWT, 1 none wanted, 2 another SSH server, 3 nothing" {
  for expected in 0:jwt 1:no-jwt 2:other; do
    hostile "${expected#*:}"
    run "-${expected%%:*}" $DETECT "$ADDRESS"
    [ -n "$output" ]
    run "-${expected%%:*}" $DETECT --quiet "$ADDRESS"
    [ -z "$output" ]
    run "-${expected%%:*}" --separate-stderr $DETECT --json "$ADDRESS"
    [ "$(jq -r .detection <<<"$output")" = "${expected#*:}" ]
    [ "$(jq -r .port <<<"$output")" = 22022 ]
    [ "$(jq -r .address <<<"$output")" = "$ADDRESS" ]
    hostile_end
  done
  run -3 $DETECT --json "$ADDRESS"
  [ "$(jq -r .detection <<<"$output")" = none ]
  [[ $(jq -r .reason <<<"$output") == *"Connection refused"* ]]
}

@test "port 22022 is asked first, then the named one" {
  hostile other 2022
  run -2 $DETECT --json "$ADDRESS" 2022
  [ "$(jq -r .port <<<"$output")" = 2022 ]
  [[ $(jq -r .other_reason <<<"$output") == *22022* ]]
  before=$(seen)
  hostile no-jwt
  run -1 $DETECT --json "$ADDRESS" 2022
  [ "$(jq -r .port <<<"$output")" = 22022 ]
  [ "$(seen)" = $((before + 1)) ]
}

@test "servers that misbehave are answered right, within the deadline" {
  for kind in silence garbage megabyte megabyte-ssh lines close half trickle http; do
    hostile "$kind"
    run -3 timeout 60 $DETECT --timeout 2 "$ADDRESS" 22022
    [[ $output != *$'\e'* ]]
    hostile_end
  done
}

@test "lines before the identification line are allowed" {
  hostile prelude
  run -0 $DETECT "$ADDRESS"
}

@test "a resolver that does not answer does not keep it" {
  run -3 timeout 60 $DETECT --timeout 1 host.that.does.not.exist.invalid
  [ -n "$output" ]
}

@test "wrong usage is 64 and says what to do" {
  for words in "" "a b c" "--match a" "--match a 22 33" "--host-keys" "--nonsense" "a 0" "a 65536" "a x" "--timeout 0 a" \
    "--timeout x a" "--json --quiet a" "--match --host-keys a b" "--match --json a 22" "--match --quiet a 22" \
    "--match --timeout 3 a 22" "--host-keys --json a" "--verbose a"; do
    # shellcheck disable=SC2086
    run -64 --separate-stderr "$BIN/qf-detect" $words
    [ -z "$output" ]
    [[ $stderr == *"hint: run qf-detect --help"* ]]
  done
  run -64 "$BIN/qf-detect" ''
}

@test "--help and --version" {
  run -0 "$BIN/qf-detect" --help
  [[ $output == usage:* ]]
  [ "$("$BIN/qf-detect" -h)" = "$output" ]
  run -0 "$BIN/qf-detect" --version
  [ "$output" = "qf-detect $(cat "$TOP/VERSION")" ]
}

@test "--match applies to a peer of ours, in whatever case and by every name, and prints nothing" {
  apply
  hostile jwt
  for name in server SERVER server.test.example "$ADDRESS"; do
    for port in 22 22022; do
      run -0 as_client $MATCH "$name" "$port"
      [ -z "$output" ]
    done
  done
}

@test "field note 4: --match says no to everything else, without a word and without a connection" {
  apply '.peers += [{name: "bare", addresses: ["127.0.0.9"], ssh: true, version: "0.61.0", ssh_host_keys: []}]'
  hostile jwt
  for words in "other 22" "server 2222" "client 22" "bare 22" "server.test.example.org 22" "127.0.0.8 22"; do
    # shellcheck disable=SC2086
    run -1 as_client $MATCH $words
    [ -z "$output" ]
  done
  run -1 as_client QF_SSH=off $MATCH server 22
  [ -z "$output" ]
  [ "$(seen)" = 0 ]
  # and it can be asked why
  run -1 --separate-stderr as_client $MATCH --verbose other 22
  [ -z "$output" ]
  [[ $stderr == *"not a peer"* ]]
}

@test "--match without a database says no without a word" {
  run -1 as_client $MATCH server 22
  [ -z "$output" ]
  echo garbage >"$QF/state/peers.mdb"
  run -1 as_client $MATCH server 22
  [ -z "$output" ]
}

@test "--match leaves alone what the user's exclude file lists" {
  apply
  hostile jwt
  as_client sh -c 'mkdir -p ~/.qufabric && printf "# keys there\n*.test.example\n" > ~/.qufabric/exclude'
  run -1 as_client $MATCH Server.test.example 22
  run -0 as_client $MATCH server 22
}

@test "field note 3: a peer that runs an ordinary sshd, or is down, is never hijacked and never hangs" {
  apply
  hostile other 22
  run -1 as_client $MATCH server 22
  [ "$(seen)" = 0 ] # and port 22 was not dialed
  hostile other 22022
  run -1 as_client $MATCH server 22
  end_process "$SERVER"
  rm -f "$QF/seen"
  hostile silence 22022
  run -1 as_client timeout 60 $MATCH server 22
  # the one connection was to 22022
  [ "$(seen)" = 1 ]
  "$BIN/qf-up" apply $FOLDERS --self client >&2
  [ -s "$CONF" ] || skip "no ssh_config was written"
  run -0 as_client ssh -G -F "$CONF" server
  [[ $output != *proxycommand* ]]
}

@test "--match applies to a peer that closes without a byte: qf-proxy will say that this source is refused" {
  apply
  hostile close
  run -0 as_client $MATCH server 22
  run -0 --separate-stderr as_client $MATCH --verbose server 22
  [[ $stderr == *closes* ]]
}

@test "--host-keys prints known_hosts lines, and nothing for others" {
  apply
  run -0 as_client "$BIN/qf-detect" --state-dir "$QF/state" --host-keys '[server]:22022'
  [ "$output" = "[server]:22022 $(host_key)" ]
  run -0 as_client "$BIN/qf-detect" --state-dir "$QF/state" --host-keys server
  [ "$output" = "server $(host_key)" ]
  for name in other '[server]:2222' client; do
    run -0 as_client "$BIN/qf-detect" --state-dir "$QF/state" --host-keys "$name"
    [ -z "$output" ]
  done
  run -0 as_client "$BIN/qf-detect" --state-dir "$QF/nowhere" --host-keys server
  [ -z "$output" ]
}

@test "--host-keys is a KnownHostsCommand that ssh takes" {
  fabric_write
  server_start
  warm
  run -0 qssh -o GlobalKnownHostsFile=/dev/null \
    -o KnownHostsCommand="$BIN/qf-detect --state-dir $QF/state --host-keys %H" -l "$TARGET" server echo known
  [ "$output" = known ]
}

@test "it loads nothing heavy, for it runs on every ssh" {
  for program in qf-detect qf-proxy; do
    run -0 ldd "$BIN/$program"
    [[ $output != *libcrypto* ]]
    [[ $output != *libssh* ]]
    [[ $output != *libcurl* ]]
    [[ $output != *libstdc++* ]]
  done
}
