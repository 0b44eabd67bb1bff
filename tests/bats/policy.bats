#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who may do what: the two judgements, and what the refused one reads.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm
}
teardown_file() { fabric_end; }

# refused OS-USER WORDS: a login ends with these words as the banner, exit 255, and a line in the audit log.
refused() {
  run -255 --separate-stderr qssh -l "$1" server true
  [ -z "$output" ]
  [[ $stderr == *"$2"*"machine:$CLIENT"* ]] || { echo "$stderr" && false; }
  audit -s 'last(.[] | select(.event == "login"))' >"$BATS_TEST_TMPDIR/last"
  jq -e --arg user "$1" --arg words "$2" --arg identity "machine:$CLIENT" \
    '.allowed == false and .os_user == $user and .identity == $identity and (.refusal | startswith($words))' "$BATS_TEST_TMPDIR/last"
}

@test "refusal 1: User is not authorized to access this peer" {
  fabric_apply '.user_groups.others = ["machine:somebody"] |
    .policies[0] += {access: "limited", authorized_groups: {others: ["*"]}}'
  refused "$TARGET" "User is not authorized to access this peer"
}

@test "refusal 2: User is not authorized to login as OS user" {
  fabric_apply '.user_groups.others = ["machine:somebody"] |
    .policies[0] += {access: "limited", authorized_groups: {people: ["developer"], others: [$target]}}'
  refused "$TARGET" "User is not authorized to login as OS user"
}

@test "refusal 3: No authorization mapping for OS user" {
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: ["developer"]}}'
  refused "$TARGET" "No authorization mapping for OS user"
}

@test "after a refusal no other method is tried, and no password is asked for" {
  run -255 in_terminal "$QF/shown$BATS_TEST_NUMBER" -- ssh -v -F "$CONF" -l "$TARGET" server
  run -1 grep -i "password:" "$QF/shown$BATS_TEST_NUMBER"
}

@test "field note 2: a denied login exits 255 and says why" {
  run -255 on_peer true
  [[ $output == *"No authorization mapping for OS user"* ]]
  [[ $output != *"Permission denied, please try again"* ]]
}

@test "limited access: the OS users of one's group, and * for any" {
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: ["developer", $target]}}'
  run -0 on_peer id -un
  [ "$output" = "$TARGET" ]
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: ["*"]}}'
  run -0 on_peer id -un
  [ "$output" = "$TARGET" ]
}

@test "full access without groups: every user of the fabric" {
  fabric_apply 'del(.policies[0].authorized_groups)'
  run -0 on_peer id -un
}

@test "who is in no group of the document is no user of this fabric" {
  fabric_apply '.user_groups.people = ["machine:somebody"] | del(.policies[0].authorized_groups)'
  run -255 on_peer true
  [[ $output == *"User is not authorized to access this peer"* ]]
  fabric_apply '.user_groups.people = ["machine:somebody"] | .issuers[0].members = "all" | del(.policies[0].authorized_groups)'
  run -0 on_peer true
}

@test "an equal subject of another issuer is another person" {
  fabric_apply '.issuers += [.issuers[0] * {name: "twin", issuer: "urn:qufabric:twin"}] | .user_groups.people = ["twin:\($client)"]'
  warm
  run -255 on_peer true
  [[ $output == *"User is not authorized to access this peer"* ]]
}

@test "deny beats allow" {
  fabric_apply '.policies += [{name: "never", enabled: true, action: "deny", protocol: "qufabric-ssh", sources: ["client"],
    destinations: ["server"], access: "full"}]'
  run -255 on_peer true
}

@test "a policy that is not enabled allows nothing" {
  fabric_apply '.policies[0].enabled = false'
  run -255 on_peer true
}

@test "a source that is not allowed is closed before a byte, told so by qf-proxy, exit 255, in the audit log" {
  fabric_apply '.peers += [{name: "other", addresses: ["127.0.0.77"], ssh: false, version: "0.61.0", ssh_host_keys: []}] |
    .policies[0].sources = ["other"]'
  # not one byte
  run -0 bash -c "exec 3<>/dev/tcp/$ADDRESS/22022; timeout 60 cat <&3 || :"
  [ -z "$output" ]
  run -255 on_peer true
  [[ $output == *"refuse"* || $output == *"not allowed"* ]] || { echo "$output" && false; }
  [[ $output == *"hint:"* ]]
  audit_says '.event == "connection" and .allowed == false and .peer == "client"'
  # the one that is allowed gets in
  run -0 as_client timeout 60 ssh -F "$CONF" -o ProxyCommand="socat - TCP:$ADDRESS:22022,bind=127.0.0.77" -l "$TARGET" server true
}

@test "the derived rule: a tcp policy for port 22 opens 22022, as network-level access to any user" {
  tcp='.policies = [{name: "ops", enabled: true, action: "allow", protocol: "tcp", ports: ["20-30"], sources: ["client"], destinations: ["server"]}]'
  fabric_apply "$tcp"
  run -0 on_peer id -un
  [ "$output" = "$TARGET" ]
  audit_says '.event == "login" and .allowed and .policy == "ops"'
  # not for a version that has no SSH server, …
  fabric_apply "$tcp" '.peers[0].version = "0.59.9"'
  run -255 on_peer true
  # … not for other ports, …
  fabric_apply "$tcp" '.policies[0].ports = ["23-30"]'
  run -255 on_peer true
  # … and not when port 22 is denied
  fabric_apply "$tcp" '.policies += [.policies[0] + {name: "no-ssh", action: "deny", ports: ["22"]}]'
  run -255 on_peer true
  # a tcp policy that names 22022 itself
  fabric_apply "$tcp" '.policies[0].ports = ["22022"]'
  run -0 on_peer true
}

@test "--disable-ssh-auth: the network judgement alone decides, nobody logs in" {
  fabric_apply
  "$BIN/qf-token" --version >/dev/null
  as_client "$BIN/qf-token" logout --config-dir "$QF/config" --state-dir "$QF/state"
  server_restart --disable-ssh-auth
  run -1 "$BIN/qf-detect" $FOLDERS "$ADDRESS" 22022
  run -0 on_peer id -un
  [ "$output" = "$TARGET" ]
  # root by its flag still
  run -255 qssh -l root server true
  # and the source is judged as before
  fabric_apply '.policies[0].enabled = false'
  run -255 on_peer true
  fabric_apply
  # what is remembered is not yet what runs
  run -0 instance qf-up apply $FOLDERS --disable-ssh-auth=false
  [[ $output == *"takes its changed options when it starts again"* ]]
  run -0 instance qf-up status $FOLDERS
  [[ $output == *"user identity on"*"the qf-sshd that runs was started with: "*"--disable-ssh-auth"*"hint: run: systemctl restart"* ]]
  server_restart --disable-ssh-auth=false
  [[ $(instance qf-up status $FOLDERS) != *"was started with"* ]]
}

@test "field note 3: a peer that wants no JWT still gets the ProxyCommand, and no prompt" {
  fabric_apply
  server_restart --disable-ssh-auth
  run -0 as_client ssh -F "$CONF" -G server
  [[ $output == *"proxycommand "*"qf-proxy"* ]]
  run -0 in_terminal "$QF/shown$BATS_TEST_NUMBER" -- ssh -F "$CONF" -l "$TARGET" server true
  [ ! -s "$QF/shown$BATS_TEST_NUMBER" ]
  server_restart --disable-ssh-auth=false
}
