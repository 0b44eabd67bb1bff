#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Users with settings of their own in ~/.ssh/config, for all hosts, before ours: on the direct path and in the tunnel. Plain
# ssh, which reads our block at the end of their file (qufabric ssh-config).

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start --enable-ssh-local-port-forwarding && warm
  HOME_OF_CLIENT=$(home_of "$CLIENT")
  export HOME_OF_CLIENT
  as_client sh -c 'mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519'
}
teardown_file() { fabric_end; }

# own LINE…: the client's ~/.ssh/config
own() {
  {
    printf '%s\n' "$@"
    as_client "$BIN/qufabric" --state-dir "$QF/state" ssh-config
  } 2>/dev/null | as_client tee "$HOME_OF_CLIENT/.ssh/config" >/dev/null
}
plain_ssh() { as_client ${AGENT:+SSH_AUTH_SOCK="$AGENT"} ${PATH_TAKEN:+QF_SSH=$PATH_TAKEN} timeout 60 ssh "$@" </dev/null; }
# logs_in [METHOD]: the last login in the audit log was by it
logs_in() { [ "$(audit -s '[.[] | select(.event == "login")][-1] | [.allowed, .method]')" = "[true,\"$1\"]" ]; }
# on_both ARGUMENT…: a login on the direct path and one in the tunnel, and nothing but the command's output
on_both() {
  local path
  for path in certificate tunnel; do
    PATH_TAKEN=
    [ $path = certificate ] || PATH_TAKEN=tunnel
    run -0 --separate-stderr plain_ssh "$@" -l "$TARGET" server 'id -un'
    [ "$output" = "$TARGET" ]
    [ -z "$stderr" ] || { echo "$path: $stderr" && return 1; }
    logs_in $path
  done
}

@test "IdentitiesOnly, with an identity of the user's own and without one" {
  own 'Host *' '  IdentitiesOnly yes' '  IdentityFile ~/.ssh/id_ed25519'
  on_both
  own 'Host *' '  IdentitiesOnly yes'
  on_both
}

@test "IdentityAgent none, and one that is not there" {
  for agent in none /nowhere/agent SSH_AUTH_SOCK; do
    own 'Host *' "  IdentityAgent $agent"
    on_both
  done
}

@test "an agent with 20 keys, and AddKeysToAgent: ours does not get lost among them" {
  for i in $(seq 20); do as_client ssh-keygen -q -t ed25519 -N '' -f "$HOME_OF_CLIENT/.ssh/key$i"; done
  AGENT=$HOME_OF_CLIENT/agent
  background_as "$CLIENT" "$QF/agent.log" ssh-agent -D -a "$AGENT"
  until_true 60 test -S "$AGENT"
  as_client SSH_AUTH_SOCK="$AGENT" sh -c 'ssh-add -q ~/.ssh/key*[0-9]'
  own
  on_both
  [ "$(keys_of_agent)" = 20 ]
  # a choice of the user's that our block does not overrule: ssh puts our key there, and no certificate, without which it
  # opens nothing
  own 'Host *' '  AddKeysToAgent yes'
  on_both
  [ "$(keys_of_agent)" = 21 ]
  run -1 grep -c cert <(as_client SSH_AUTH_SOCK="$AGENT" ssh-add -L)
  # with that one, and when qf-tokend has another key than the agent
  on_both
  token stop
  warm
  on_both
}
keys_of_agent() { as_client SSH_AUTH_SOCK="$AGENT" ssh-add -l | wc -l; }

@test "ControlMaster auto and ControlPersist" {
  for PATH_TAKEN in '' tunnel; do
    own 'Host *' '  ControlMaster auto' "  ControlPath ~/.ssh/control$PATH_TAKEN-%C" '  ControlPersist 60'
    for i in 1 2 3; do
      # in a file: the master keeps what it inherits
      run -$i plain_ssh -l "$TARGET" server "exit $i" 3>&- 4>&-
    done
    run -0 plain_ssh -O check -l "$TARGET" server
    run -0 plain_ssh -O exit -l "$TARGET" server
  done
}

@test "a ProxyJump for all hosts: our proxy is left out, the cached token is not" {
  own 'Host hop' "  HostName $ADDRESS" "  User $TARGET" '  ProxyJump none' 'Host *' '  ProxyJump hop'
  run -0 plain_ssh -l "$TARGET" "$ADDRESS" 'id -un'
  [ "$output" = "$TARGET" ]
  logs_in certificate
}

# Else each ssh would start another one: ssh takes the jump for another place than the peer, since their ports differ.
@test "a ProxyJump for all hosts, the jump itself too: ssh sees the loop and ends" {
  own 'Host *' '  ProxyJump server'
  run -255 as_client timeout 60 prlimit --nproc=50 ssh -l "$TARGET" server true
  [[ $output == *"jumphost loop via server"* ]] || { echo "$output" && false; }
}

@test "CanonicalizeHostname" {
  own 'CanonicalizeHostname yes' 'CanonicalDomains test.example' 'CanonicalizeFallbackLocal yes'
  on_both
}

@test "PubkeyAuthentication no: a banner says what to do, and that does it" {
  own 'Host *' '  PubkeyAuthentication no'
  PATH_TAKEN=
  run -255 plain_ssh -l "$TARGET" server true
  echo "$output"
  [[ $output == *"QF_SSH=tunnel"* ]]
  PATH_TAKEN=tunnel
  run -0 plain_ssh -l "$TARGET" server 'id -un'
  [ "$output" = "$TARGET" ]
}

@test "PubkeyAuthentication no and BatchMode yes, or no method that is left: qf-proxy says what to do" {
  for methods in 'BatchMode yes' 'PreferredAuthentications password' 'PreferredAuthentications hostbased'; do
    own 'Host *' '  PubkeyAuthentication no' "  $methods"
    for name in "$TARGET" "$(head -c 250 /dev/zero | tr '\0' x)"; do
      PATH_TAKEN=
      run -255 plain_ssh -l "$name" server true
      echo "$methods: $output"
      [[ $output == *"Permission denied"* ]]
      [ "$(grep -c "qf-proxy: your ssh left server ($ADDRESS port 22022) without having offered its certificate" <<<"$output")" = 1 ]
      [[ $output == *"hint: if your configuration forbids public keys (PubkeyAuthentication no), run QF_SSH=tunnel ssh ..."* ]]
    done
    PATH_TAKEN=tunnel
    run -0 --separate-stderr plain_ssh -l "$TARGET" server 'id -un'
    [ "$output" = "$TARGET" ]
    [ -z "$stderr" ]
  done
}

@test "who offers the certificate, or is told by the peer, hears nothing of it" {
  own 'Host *' '  BatchMode yes'
  on_both
  PATH_TAKEN=
  run -255 plain_ssh -l root server true
  [[ $output == *"User is not authorized"* ]]
  [[ $output != *"qf-proxy: "* ]]
  # not even a host key that the client does not take
  own 'Host *' '  BatchMode yes' '  GlobalKnownHostsFile /dev/null'
  run -255 plain_ssh -l "$TARGET" server true
  [[ $output == *"Host key verification failed"* ]]
  [[ $output != *"without having offered"* ]]
}

@test "user names that are shell text or options reach the peer as they are, or nobody" {
  own
  for PATH_TAKEN in '' tunnel; do
    for name in 'root 10.6.6.6 22' "\$(touch $HOME_OF_CLIENT/touched)" "\`touch $HOME_OF_CLIENT/touched\`" "x; touch $HOME_OF_CLIENT/touched" \
      "x' touch $HOME_OF_CLIENT/touched '" "-oProxyCommand=touch $HOME_OF_CLIENT/touched" '%h' '%%' $'a\nb' '../../root' '*'; do
      run -255 plain_ssh -l "$name" server true
      [ ! -e "$HOME_OF_CLIENT/touched" ]
    done
  done
  run audit -s '[.[] | select(.event == "login" and .allowed) | .os_user // empty] | unique'
  echo "$output"
  [ "$output" = "[\"$TARGET\"]" ]
  audit_says '.event == "login" and .os_user == "root 10.6.6.6 22" and .allowed == false'
  [ "$(jq -s '[.[] | select(.event == "connection") | .source] | unique' -c "$AUDIT")" = '["127.0.0.1"]' ]
}

@test "ssh -G prompts nobody, cold, at a terminal" {
  own
  token logout
  token stop || :
  SHOWN=$QF/shown
  run -0 in_terminal "$SHOWN" -- ssh -G server
  grep -q 'port 22022' "$SHOWN"
  run -1 grep -cE 'to log in|enter the code' "$SHOWN"
  # nor is anybody logged in by it
  run token status --json
  [ "$(jq '[.issuers[]? | select(.state == "cached")] | length' <<<"${output:-"{}"}")" = 0 ]
  warm
}

@test "StrictHostKeyChecking no and a peer with another key: nothing is given away, on both paths" {
  own 'Host *' '  StrictHostKeyChecking no' '  UserKnownHostsFile /dev/null' '  PasswordAuthentication yes'
  on_both_quietly
  server_stop
  background "$QF/fake.log" "$PYTHON" "$TOP/tests/bats/servers/impostor.py" jwt "$ADDRESS" 22022 "$QF/seen"
  until_true 60 impostor_listens
  for PATH_TAKEN in '' tunnel; do
    run -255 plain_ssh -l "$TARGET" server true
    [[ $output == *"shows a host key that is not in the fabric document"* ]]
  done
  run grep -cE 'none|publickey|password' "$QF/seen"
  [ "$output" = 0 ]
}
# ssh says that it adds the host to /dev/null
on_both_quietly() {
  for PATH_TAKEN in '' tunnel; do
    run -0 --separate-stderr plain_ssh -l "$TARGET" server 'id -un'
    [ "$output" = "$TARGET" ]
  done
}
impostor_listens() { ss -Hltn "src $ADDRESS:22022" | grep -q .; }
