#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run first
# The jail, tried from inside: a server whose net is taken over on request (tests/hostile/attack.cc) by a client, before
# and after the login. Everything that it tries fails, and costs its own connection at most.

load helpers

setup_file() {
  fabric_begin
  fabric_write
  # the same programs, but another qf-sshd, whose standard error is a pipe: net can write no file
  mkdir "$QF/bin"
  ln -s "$BIN"/* "$QF/bin/"
  rm "$QF/bin/qf-sshd" "$QF/bin/qf-up"
  cp "$BIN/qf-up" "$QF/bin/"
  mkfifo "$QF/said"
  printf '#!/bin/sh\nexec "%s/../tests/qf-sshd-hostile" "$@" --max-startups 500 --per-source-max-startups 500 2>"%s"\n' "$BIN" "$QF/said" >"$QF/bin/qf-sshd"
  chmod 755 "$QF/bin/qf-sshd"
  background "$QF/attacks.log" sh -c "exec cat <>'$QF/said'"
  local programs=$BIN
  BIN=$QF/bin
  server_start --enable-ssh-remote-port-forwarding --enable-ssh-local-port-forwarding
  BIN=$programs
  warm
  write_strike
  # a connection of somebody else, that nothing may disturb
  mkfifo -m 666 "$QF/hold"
  background_as "$CLIENT" "$QF/standing.log" sh -c "exec ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold'"
  until_true 60 grep -q up "$QF/standing.log"
  listener_pid >"$QF/listener"
}
teardown_file() { fabric_end; }
setup() { : >"$AUDIT" && : >"$QF/attacks.log"; }
teardown() {
  # after each of them: the other connection goes on, the listener is the same, and a new login works
  echo "still-$BATS_TEST_NUMBER" >"$QF/hold"
  until_true 60 grep -q "still-$BATS_TEST_NUMBER" "$QF/standing.log"
  [ "$(listener_pid)" = "$(cat "$QF/listener")" ]
  [ "$(on_peer id -un)" = "$TARGET" ]
}

# strike WHEN ATTACK: one connection. start: with an identification string and no more; before: with a user name;
# after: with a command of TARGET; outer: with a command of the outer connection of a tunnel. With no program of ours
# on the client's side, for speed.
write_strike() {
  local keys
  keys=$(home_of "$CLIENT")/.qufabric/ssh
  cat >"$QF/strike" <<EOF
#!/bin/bash
ssh=(timeout 60 ssh -F /dev/null -p 22022 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes
  -o KexAlgorithms=curve25519-sha256 -o LogLevel=ERROR)
with_key=(-o IdentitiesOnly=yes -i "$keys/subject" -o CertificateFile="$keys/server-cert.pub")
case \$1 in
  start)
    exec 3<>/dev/tcp/$ADDRESS/22022 || exit
    printf 'SSH-2.0-attack-%s\r\n' "\$2" >&3
    timeout 30 cat <&3 >/dev/null ;;
  before) "\${ssh[@]}" -l "attack-\$2" $ADDRESS ;;
  after) "\${ssh[@]}" "\${with_key[@]}" -l $TARGET $ADDRESS "attack-\$2" ;;
  outer) "\${ssh[@]}" "\${with_key[@]}" -l qufabric-tunnel $ADDRESS "attack-\$2" ;;
esac >>"$QF/clients.log" 2>&1 </dev/null
exit 0
EOF
  chmod 755 "$QF/strike"
}
strike() { "$QF/strike" "$@"; }
# strikes: the same for lines "WHEN ATTACK …" of standard input, several at a time.
strikes() { cut -d ' ' -f 1,2 | xargs -P 6 -L 1 "$QF/strike"; }

said() { sed -n "s/^attack $1 //p" "$QF/attacks.log"; }
# listed ATTACK: what the hostile net can do, by its own word.
listed() {
  strike before "$1"
  until_true 60 grep -q '^attack list' "$QF/attacks.log"
  said list: | sort -u
}
# outcomes WHEN: the lines "NAME: OUTCOME" of that phase, sorted.
outcomes() { said "$1" | sort; }
violations() { jq -r 'select(.event == "violation") | .reason' "$AUDIT"; }
count_violations() { [ "$(violations | wc -l)" -ge "$1" ]; }

# what is answered with an error, and with which
HARMLESS='accept-connection: EINVAL
accept-monitor: EINVAL
accept-nothing: EBADF
access: EACCES
memory: ENOMEM
mremap: EACCES
newfstatat: EACCES
open-proc: EACCES
open-to-write: EACCES
open: EACCES
openat: EACCES
prctl-dumpable: EACCES
prctl-name: EACCES
prctl-pdeathsig: EACCES
raise-limit: EPERM
readlink: EACCES
setsockopt-ip-12: EACCES
setsockopt-tcp: EACCES
setsockopt: EACCES
socket-inet: EACCES
socket-netlink: EACCES
socket-packet: EACCES
socket-unix: EACCES
stat: EACCES'

@test "before and after the login: no file, no socket, no limit raised, no accept; net goes on" {
  strike before errno
  strike after errno
  until_true 60 grep -q 'after.*accept-nothing' "$QF/attacks.log"
  diff <(sort <<<"$HARMLESS") <(outcomes before | sort -u)
  diff <(sort <<<"$HARMLESS") <(outcomes after)
  [ -z "$(violations)" ]
}


@test "before and after the login: every other call ends net, and its connection alone" {
  listed die-list >"$QF/calls"
  [ "$(wc -l <"$QF/calls")" -gt 100 ]
  strikes <"$QF/calls"
  sed -E 's/^([a-z]+) die-(.*)/attack \1 \2: tried/' "$QF/calls" >"$QF/expected"
  until_true 60 count_violations "$(wc -l <"$QF/calls")"
  # none of them came back from its call
  diff <(sort "$QF/expected") <(grep -E '^attack (before|after) ' "$QF/attacks.log" | sort)
  # all by SIGSYS, but for the gate that this machine may not have at all
  [ "$(violations | wc -l)" = "$(wc -l <"$QF/calls")" ]
  [ "$(violations | grep -cvxF 'net was ended by signal SYS@openssh.com' || :)" -le 2 ]
  [ -z "$(violations | grep -v '^net was ended by signal' || :)" ]
}

@test "no message is taken in a state in which it is not legal, and none that is malformed" {
  listed forge-list >"$QF/forgeries"
  [ "$(wc -l <"$QF/forgeries")" -gt 200 ]
  strikes <"$QF/forgeries"
  until_true 60 count_violations "$(wc -l <"$QF/forgeries")"
  # the monitor hung up on each of them
  diff <(cut -d ' ' -f 2 "$QF/forgeries" | sed -E 's/^forge-(.*)/attack \1: ended/' | sort) \
    <(grep -E '^attack .*: (ended|STANDS|NOT SENT|STATE|UNKNOWN)' "$QF/attacks.log" | sort)
  # and said why
  diff <(cut -d ' ' -f 3- "$QF/forgeries" | sort) <(violations | sort)
}
