#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up diff says which logins a document gives and takes, and real logins then agree; qf-up explain --who says who may
# log in.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm
}
teardown_file() { fabric_end; }

# next FILTER…: the document in force changed by jq, with the next serial, as next.json
next() {
  local filter filters='.serial += 1'
  for filter in "$@"; do filters+=" | ($filter)"; done
  jq --arg client "$CLIENT" "$filters" "$QF/config/fabric.json" >"$QF/next.json"
}
differ() { "$BIN/qf-up" diff $FOLDERS "$QF/next.json" "$@"; }
who() { "$BIN/qf-up" explain $FOLDERS --who "$@"; }

# fabric FILTER…: a document without a server, on stdout
fabric() {
  local filter filters=.
  for filter in "$@"; do filters+=" | ($filter)"; done
  jq -n '{format: 1, serial: 7, domain: "fabric.example",
    issuers: [{name: "corp", issuer: "https://idp.example/", audiences: ["a"], jwks_uri: "https://idp.example/jwks",
      group_map: {contractors: "Contractors"}, email_domains: ["example.com"]}],
    user_groups: {DBAs: ["corp:ann"], Developers: ["corp:dan"], Contractors: ["corp:eve"]},
    peer_groups: {databases: ["db1", "db2"], laptops: ["laptop1", "laptop2"]},
    peers: [{name: "db1", addresses: ["100.64.0.1"], ssh: true, version: "0.61.0"},
      {name: "db2", addresses: ["100.64.0.2"], ssh: true, version: "0.61.0"},
      {name: "laptop1", addresses: ["100.64.1.1"]}, {name: "laptop2", addresses: ["100.64.1.2"]}],
    policies: [{name: "dba", action: "allow", protocol: "qufabric-ssh", sources: ["laptops"], destinations: ["databases"],
      access: "limited", authorized_groups: {DBAs: ["postgres"], Developers: ["developer", "{email.local}"]}}]} | '"$filters"
}

@test "what diff says is lost and gained, real logins lose and gain" {
  fabric_apply
  run -0 qssh -l "$TARGET" server true
  next '.policies[0] += {access: "limited", authorized_groups: {people: ["somebody-else"]}}'
  run -0 differ
  [ "${lines[0]}" = "- machine:$CLIENT (people)  *@server  from client  by policy all  but not as somebody-else" ]
  [ "${lines[1]}" = "- machine:$CLIENT (people)  root@server  from client  by policy all" ]
  [ "${lines[2]}" = "0 logins gained, 2 lost, 0 changed" ]
  # nothing was changed by asking
  run -0 qssh -l "$TARGET" server true
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: ["somebody-else"]}}'
  run -255 qssh -l "$TARGET" server true
  next '.policies[0].authorized_groups.people = ["'"$TARGET"'"]'
  run -0 differ
  [ "${lines[0]}" = "+ machine:$CLIENT (people)  $TARGET@server  from client  by policy all" ]
  [ "${lines[1]}" = "- machine:$CLIENT (people)  somebody-else@server  from client  by policy all" ]
  [ "${lines[2]}" = "1 login gained, 1 lost, 0 changed" ]
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: [$target]}}'
  run -0 qssh -l "$TARGET" server true
}

@test "who may log in is who can" {
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: [$target]}}'
  run -0 who "$TARGET@server"
  [ "${lines[0]}" = "WHO$(printf '%*s' $((${#CLIENT} + 15)) '') FROM    POLICY" ]
  [ "${lines[1]}" = "machine:$CLIENT (people)  client  all" ]
  [ ${#lines[@]} = 2 ]
  run -0 qssh -l "$TARGET" server true
  run -1 who "nobody@server"
  [ "$output" = "nobody may log in as nobody at server" ]
  run -255 qssh -l nobody server true
  run -0 who "$TARGET@server" --from 127.0.0.1
  run -1 who "$TARGET@server" --from server
  [ "$output" = "nobody may log in as $TARGET at server from server" ]
  # root needs its flag on this machine, which the server has not
  fabric_apply
  run -1 who root@server
  run -0 "$BIN/qf-up" explain --state-dir "$QF/none" --file "$QF/config/fabric.json" --who root@server
  [[ $output == *"note: root besides needs --enable-ssh-root on server"* ]]
}

@test "who may log in, as JSON" {
  fabric >"$QF/next.json"
  run -0 who developer@db1 --file "$QF/next.json" --json
  [ "$(jq -c '[.allowed, .login, .to, (.who[0] | .who.names, .login, .from, .before, .after.policy, .email)]' <<<"$output")" = \
    '[true,"developer","db1",["dan"],"developer",["laptop1","laptop2"],null,"dba","any"]' ]
  run -0 who dan@db1 --file "$QF/next.json"
  [[ ${lines[1]} == "corp:dan (Developers)  laptops  dba     whose verified email is dan@..." ]]
  run -1 who x@laptop1 --file "$QF/next.json" --json
  [ "$(jq -c '[.allowed, .who]' <<<"$output")" = '[false,[]]' ]
  run -1 who qufabric-tunnel@db1 --file "$QF/next.json"
  [[ $output == *'note: the OS user "qufabric-tunnel" is reserved'* ]]
  # the last @ splits
  fabric '.policies[0].authorized_groups = {DBAs: ["postgres"]}' >"$QF/next.json"
  run -1 who a@b@db1 --file "$QF/next.json"
  [ "$output" = "nobody may log in as a@b at db1" ]
}

@test "one line for equal people and peers, and a login that stays is told with what is new about it" {
  fabric >"$QF/old.json"
  fabric '.serial = 8 | .policies[0].max_session = 3600 | .user_groups.DBAs += ["corp:bob"]' >"$QF/next.json"
  run -0 differ --from-file "$QF/old.json"
  diff - <(echo "$output") <<'END'
~ corp:ann (DBAs)  postgres@databases  from laptops  max_session 3600 s, was none
+ corp:bob (DBAs)  postgres@databases  from laptops  by policy dba
~ corp:dan (Developers)  *@databases  from laptops  max_session 3600 s, was none  but not as developer, whose verified email is OSUSER@...
~ corp:dan (Developers)  developer@databases  from laptops  max_session 3600 s, was none
~ corp:dan (Developers)  root@databases  from laptops  max_session 3600 s, was none  whose verified email is root@...
4 logins gained, 0 lost, 16 changed
END
  # a deny of a group that only a token has
  fabric '.serial = 8 | .policies += [.policies[0] + {name: "no guests", action: "deny", access: "full",
    authorized_groups: {Contractors: []}}] | .policies[0].authorized_groups = {DBAs: ["postgres"]}' >"$QF/next.json"
  run -0 differ --from-file "$QF/old.json"
  [ "${lines[0]}" = "~ corp:ann (DBAs)  postgres@databases  from laptops  refused with a token of contractors, was no group" ]
  # many names are a few and a number
  fabric '.serial = 8 | .user_groups.DBAs += [range(120) | "corp:user\(.)"]' >"$QF/next.json"
  run -0 differ --from-file "$QF/old.json"
  [ "${lines[0]}" = "+ corp:user0, corp:user1, corp:user10 and 117 more (DBAs)  postgres@databases  from laptops  by policy dba" ]
  run -0 differ --from-file "$QF/old.json" --json
  [ "$(jq '.changes[0].who.names | length' <<<"$output")" = 120 ]
  [ "$(jq -c '[.gained, .lost, .changed, .serial, .notes, (.changes[0] | .logins, .to, .before, .after.policy)]' <<<"$output")" = \
    '[480,0,0,{"before":7,"after":8},[],480,["db1","db2"],null,"dba"]' ]
}

@test "nothing is lost or gained: the same document, and one that only reads differently" {
  fabric_apply
  cp "$QF/config/fabric.json" "$QF/next.json"
  run -0 differ --exit-code
  [ "$output" = "no login is gained or lost" ]
  run -0 differ --json
  [ "$(jq -c '[.gained, .lost, .changed, .changes]' <<<"$output")" = '[0,0,0,[]]' ]
  next '.policies += [.policies[0] + {name: "off", enabled: false}]'
  run -0 differ --exit-code
  [ "$output" = "no login is gained or lost" ]
  next '.policies[0].enabled = false'
  run -1 differ --exit-code
  [ "${lines[-1]}" = "0 logins gained, 2 lost, 0 changed" ]
  run -0 differ
}

@test "what apply would refuse, and what is not compared, is noted" {
  fabric_apply
  next '.serial -= 2 | .issuers[0].max_token_age = 60 | .peers[1].addresses = ["127.0.0.1", "127.9.9.9"]'
  run -0 differ
  [[ ${lines[0]} == "note: serial "*" is older than "*": qf-up apply refuses it without --force" ]]
  [ "${lines[1]}" = "note: other tokens are good of the issuer machine: that is not compared" ]
  [ "${lines[2]}" = "note: other addresses are those of client: that is not compared" ]
  [ "${lines[3]}" = "no login is gained or lost" ]
  next '.serial -= 1 | ."x-note" = 1'
  run -0 differ --json
  [[ $(jq -r '.notes[0]' <<<"$output") == *"is that of the other document: qf-up apply refuses it without --force" ]]
  next '.serial -= 1 | ."x-note" = 1'
  run -78 "$BIN/qf-up" apply $FOLDERS "$QF/next.json"
}

@test "a document with a fault, or whose test fails, is no change" {
  fabric_apply
  next '.policies[0].destinations = ["sever"]'
  run -78 --separate-stderr differ --exit-code
  [ -z "$output" ]
  [[ $stderr == *'$.policies[0].destinations[0] (policy "'*'"): no peer or peer group "sever" (there is "server")'* ]]
  next '.tests = [{name: "nobody may", user: "machine:\($client)", from: "client", to: "server", login: "a", expect: "deny", groups: []}]'
  run -78 --separate-stderr differ
  [ -z "$output" ]
  [[ $stderr == *'$.tests[0] (test "nobody may"): expected deny, but allowed by policy "all"'* ]]
  # it may be compared with, though
  cp "$QF/next.json" "$QF/old.json"
  next '.serial += 1'
  run -0 differ --from-file "$QF/old.json"
  run -78 "$BIN/qf-up" diff $FOLDERS "$QF/none.json"
  run -78 differ --from-file "$QF/none.json"
}

@test "without a document in force, and with one that cannot be read" {
  fabric >"$QF/next.json"
  run -78 "$BIN/qf-up" diff --state-dir "$QF/none" "$QF/next.json"
  [[ $output == *"hint: put a document into force with qf-up apply, or name one with --from-file"* ]]
  fabric_apply
  chmod 644 "$QF/next.json"
  run -71 as_client "$BIN/qf-up" diff --state-dir "$QF/state" "$QF/next.json"
  [[ $output == *"Permission denied"*"hint: run it as root (sudo), or with folders of your own"* ]]
  mkdir -p "$QF/torn"
  head -c 100 "$QF/state/policy.mdb" >"$QF/torn/policy.mdb"
  run -71 "$BIN/qf-up" diff --state-dir "$QF/torn" "$QF/next.json"
  [[ $output == *"cannot open $QF/torn/policy.mdb"*"hint: put a document into force with qf-up apply"* ]]
}

@test "an answer that cannot be written is an error" {
  fabric >"$QF/old.json"
  fabric '.policies = []' >"$QF/next.json"
  run -71 bash -c '"$BIN/qf-up" diff --from-file "$QF/old.json" "$QF/next.json" >&-'
  [ "$output" = "qf-up: cannot write the difference: Bad file descriptor" ]
  run -71 bash -c '"$BIN/qf-up" diff --from-file "$QF/old.json" --json "$QF/next.json" >/dev/full'
  [ "$output" = "qf-up: cannot write the difference: No space left on device" ]
  run -71 bash -c '"$BIN/qf-up" explain --state-dir "$QF/none" --who postgres@db1 --file "$QF/old.json" >&-'
  [ "$output" = "qf-up: cannot write the answer: Bad file descriptor" ]
}

@test "who cannot be meant is said, and wrong usage" {
  run -78 who a@servr
  [[ $output == *'no peer "servr" (there is "server")'* ]]
  run -78 who a@server --from 100.64.9.9
  [[ $output == *"no peer of the fabric document has the address 100.64.9.9"* ]]
  fabric >"$QF/next.json"
  run -78 who a@DB1 --file "$QF/next.json"
  [[ $output == *'no peer "DB1" (there is "db1")'* ]]
  run -78 "$BIN/qf-up" explain --state-dir "$QF/none" --who a@b
  [[ $output == *"hint: put a document into force with qf-up apply, or name one with --file"* ]]
  for words in "--who a" "--who @b" "--who a@" "--who=a@b --to c" "--who a@b --user c" "--who a@b --from=" "--who a@b c"; do
    run -64 "$BIN/qf-up" explain $words
    [[ $output == *"hint: run qf-up explain --help"* ]] || { echo "$words: $output" && false; }
  done
  run -64 "$BIN/qf-up" explain --who $'a\x01@b'
  for words in "" "a b" "--from-file= a" "a --force"; do
    run -64 "$BIN/qf-up" diff $words
    [[ $output == *"hint: run qf-up diff --help"* ]] || { echo "$words: $output" && false; }
  done
}
