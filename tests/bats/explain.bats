#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up explain says what real logins then meet; tests in a document keep a wrong one out.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm
}
teardown_file() { fabric_end; }

# explain ARGUMENT…: of CLIENT's login as TARGET, or as the arguments say.
explain() {
  local login=$1
  shift
  "$BIN/qf-up" explain $FOLDERS --user "machine:$CLIENT" --from client --to server --login "$login" --groups '' "$@"
}
# agree LOGIN: ssh and explain end alike, and a refused user reads what explain says.
agree() {
  run explain "$1" --json
  local said=$status answer=$output
  run --separate-stderr qssh -l "$1" server true
  if [ "$said" = 0 ]; then [ "$status" = 0 ]; else [ "$status" = 255 ]; fi
  [[ $stderr == *"$(jq -r .refusal <<<"$answer")"* ]] || { echo "$answer" "$stderr" && false; }
  audit -s 'last(.[] | select(.event == "login")) | [.allowed, .policy // ""]' >"$BATS_TEST_TMPDIR/audit"
  [ "$(jq -c '[.allowed, .policy]' <<<"$answer")" = "$(<"$BATS_TEST_TMPDIR/audit")" ]
}

@test "explain agrees with a login that is allowed" {
  fabric_apply
  agree "$TARGET"
  run -0 explain "$TARGET"
  [ "${lines[0]}" = "allowed: machine:$CLIENT as $TARGET from client to server" ]
  [ "${lines[1]}" = 'policy: "all"' ]
  [[ $output == *'"all" allows it'* ]]
}

@test "explain agrees with the three refusals" {
  fabric_apply '.user_groups.others = ["machine:somebody"] |
    .policies[0] += {access: "limited", authorized_groups: {others: ["*"]}}'
  agree "$TARGET"
  run -1 explain "$TARGET"
  [[ ${lines[0]} == "denied: User is not authorized to access this peer"* ]]
  [[ $output == *"\"all\" authorizes none of the user's groups"* ]]
  fabric_apply '.user_groups.others = ["machine:somebody"] |
    .policies[0] += {access: "limited", authorized_groups: {people: ["developer"], others: [$target]}}'
  agree "$TARGET"
  run -1 explain "$TARGET"
  [[ ${lines[0]} == "denied: User is not authorized to login as OS user"* ]]
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: ["developer"]}}'
  agree "$TARGET"
  run -1 explain "$TARGET"
  [[ ${lines[0]} == "denied: No authorization mapping for OS user"* ]]
}

@test "root on this machine needs its flag, by whatever name; elsewhere that is a note" {
  fabric_apply
  agree root
  run -1 explain root
  [[ $output == *"--enable-ssh-root"* ]]
  run -0 "$BIN/qf-up" explain --config-dir "$QF/none" --state-dir "$QF/none" --user "machine:$CLIENT" --from client \
    --to server --login root --file "$QF/config/fabric.json"
  [[ $output == *"note: root besides needs --enable-ssh-root on server"* ]]
}

@test "a document that is not applied yet, and a source by its address" {
  fabric_apply
  jq '.policies[0].enabled = false' "$QF/config/fabric.json" >"$QF/next.json"
  run -1 explain "$TARGET" --file "$QF/next.json"
  [[ $output == *'"all" is disabled'* ]]
  run -0 "$BIN/qf-up" explain $FOLDERS --user "$CLIENT" --issuer machine --from ::ffff:127.0.0.1 --to server --login "$TARGET"
}

@test "peers are named as ssh names them, and by their addresses" {
  fabric_apply
  local domain
  domain=$(jq -r .domain "$QF/config/fabric.json")
  for to in "server.$domain" "$ADDRESS"; do
    for file in "" "--file $QF/config/fabric.json"; do
      run -0 "$BIN/qf-up" explain $FOLDERS --user "machine:$CLIENT" --from "client.$domain" --to "$to" --login "$TARGET" $file
      [ "${lines[0]}" = "allowed: machine:$CLIENT as $TARGET from client to server" ]
    done
  done
}

@test "what of the question counts for nothing is a note" {
  fabric_apply '.issuers[0] += {group_map: {"cn=dba,dc=x": "people"}, email_domains: ["example.com"]} |
    .policies[0] += {access: "limited", authorized_groups: {people: ["{email.local}"]}}'
  asked() { "$BIN/qf-up" explain $FOLDERS --user machine:somebody --from client --to server --login ann "$@"; }
  run -1 asked --group "cn=dba,dc=x"
  [[ $output == *'"all" does not list the OS user for the user'"'"'s groups; {email.local} is nobody: the token has no email'* ]]
  run -1 asked --group "cn=dba,dc=x" --claim email=ann@example.com
  [[ $output == *'{email.local} is nobody: the email of the token is not verified'* ]]
  run -1 asked --group "cn=dba,dc=x" --claim email=ann@example.org --claim email_verified=true
  [[ $output == *"{email.local} is nobody: the domain of the token's email is none of the issuer's"* ]]
  run -1 asked --group "cn=dba,dc=x" --claim email=bob@example.com --claim email_verified=true
  [[ $output == *'{email.local} is "bob"'* ]]
  run -0 asked --group "cn=dba,dc=x" --claim email=ann@example.com --claim email_verified=true
  [[ $output == *'note: this machine has no OS user "ann"'* ]]
  run -1 asked --groups " cn=dba , other," --claim sub=x
  [[ $output == *'note: group "cn=dba" of the token counts for nothing: it is not in the group_map of issuer "machine"'* ]]
  [[ $output == *'note: group "other" of the token'* && $output != *'group "" of'* ]]
  [[ $output == *'note: claim "sub" counts for nothing'* ]]
}

@test "policies about the pair come first, JSON has them in the order of the document" {
  fabric_apply '.policies = [.policies[0] + {name: "elsewhere", sources: ["server"]}] + .policies'
  run -0 explain "$TARGET"
  [[ ${lines[-2]} == '  "all" allows it' && ${lines[-1]} == '  "elsewhere" does not name the source' ]]
  run -0 explain "$TARGET" --json
  [ "$(jq -c '[.policies[] | [.name, .verdict]]' <<<"$output")" = '[["elsewhere","other-source"],["all","allows"]]' ]
}

@test "who cannot be meant is said with the near spelling, and wrong usage" {
  run -78 "$BIN/qf-up" explain $FOLDERS --user "machine:$CLIENT" --from client --to Servr --login a
  [[ $output == *'no peer "Servr" (there is "server")'* ]]
  fabric_apply '.peer_groups.servers = ["server"] | .policies[0].destinations = ["servers"]'
  run -78 "$BIN/qf-up" explain $FOLDERS --user "machine:$CLIENT" --from client --to servers --login a
  [[ $output == *'"servers" is a peer group'*"name one of its peers"* ]]
  run -78 "$BIN/qf-up" explain $FOLDERS --user a --issuer machin --from client --to server --login a
  [[ $output == *'no issuer "machin" (there is machine)'* ]]
  run -78 "$BIN/qf-up" explain --state-dir "$QF/none" --user a --from client --to server --login a
  [[ $output == *"hint: "* ]]
  for words in "" "--user a --from b --to c" "--user a --from b --to c --login d --claim e" \
    "--user a --from b --to c --login d e" "--user a --from b --to c --login d --claim e=1 --claim e=2"; do
    run -64 "$BIN/qf-up" explain $words
    [[ $output == *"hint: run qf-up explain --help"* ]] || { echo "$words: $output" && false; }
  done
}

@test "a test that fails keeps its document out, and the command it names says why" {
  fabric_apply
  local serial
  serial=$("$BIN/qf-up" status $FOLDERS --json | jq .serial)
  jq --arg client "$CLIENT" '.serial += 1 | .tests = [
    {name: "people may", user: "machine:\($client)", from: "client", to: "server", login: "a", expect: "allow"},
    {name: "nobody may", user: "machine:\($client)", from: "client", to: "server", login: "a", expect: "deny", groups: []}]' \
    "$QF/config/fabric.json" >"$QF/bad.json"
  run -1 "$BIN/qf-up" check "$QF/bad.json"
  [[ $output == *'$.tests[1] (test "nobody may"): expected deny, but allowed by policy "all"'* ]]
  local hint
  hint=$(sed -n 's/^hint: run: qf-up/"$BIN\/qf-up"/p' <<<"$output")
  run -0 eval "$hint"
  run -78 "$BIN/qf-up" apply $FOLDERS "$QF/bad.json"
  [ "$("$BIN/qf-up" status $FOLDERS --json | jq .serial)" = "$serial" ]
  run -1 "$BIN/qf-up" test "$QF/bad.json"
  [ "${lines[0]}" = 1..2 ]
  [ "${lines[1]}" = "ok 1 - people may" ]
  [ "${lines[2]}" = "not ok 2 - nobody may" ]
  jq '.tests[1].expect = "allow"' "$QF/bad.json" >"$QF/good.json"
  run -0 "$BIN/qf-up" test "$QF/good.json"
  run -0 "$BIN/qf-up" check "$QF/good.json"
  cp "$QF/good.json" "$QF/config/fabric.json"
  run -0 "$BIN/qf-up" apply $FOLDERS
  # the serial that the next document must pass
  jq .serial "$QF/config/fabric.json" >"$QF/serial"
  jq '.tests = [.tests[0] + {name: "# SKIP this"}, (.tests[0] + {name: "one", login: "b", claims: {sub: "x"}, policy: "all", expect: "deny"})]' \
    "$QF/good.json" >"$QF/odd.json"
  run -1 "$BIN/qf-up" test "$QF/odd.json"
  [ "${lines[1]}" = 'ok 1 - \# SKIP this' ]
  [[ ${lines[3]} == *'; claim "sub" counts for nothing'* ]]
  # a deny that holds whatever the policies say
  jq '.issuers[0].required_claims = {mfa: true} | .tests = [.tests[0] + {expect: "deny"}]' "$QF/good.json" >"$QF/odd.json"
  run -0 "$BIN/qf-up" test "$QF/odd.json"
  [[ ${lines[2]} == '# the policies were not asked: '*'claim "mfa" is missing'* ]]
  # the same question by hand: the claim is said once, and how to give it
  run -1 "$BIN/qf-up" explain --file "$QF/odd.json" --user "machine:$CLIENT" --from client --to server --login "$TARGET"
  [[ ${lines[0]} == *"(the token's claims are not as required (claim \"mfa\" is missing))" ]]
  [[ $output == *"note: "*"--claim NAME=VALUE"* ]]
  run -1 "$BIN/qf-up" explain --file "$QF/odd.json" --user "machine:$CLIENT" --from client --to server --login "$TARGET" --claim mfa=false
  [[ ${lines[0]} == *'claim "mfa" has another value'* ]]
  # somebody whom the document does not know
  run -1 "$BIN/qf-up" explain --file "$QF/good.json" --user machine:strangr --from client --to server --login "$TARGET"
  [[ $output == *'note: "machine:strangr" is in no user group of the document, by name or by the token'* ]]
  run -0 "$BIN/qf-up" explain --file "$QF/good.json" --user "machine:$CLIENT" --from client --to server --login "$TARGET"
  [[ $output != *"is in no user group"* ]]
  jq '.issuers += [.issuers[0] + {name: "corp", issuer: "urn:corp"}]' "$QF/good.json" >"$QF/two.json"
  run -78 "$BIN/qf-up" explain --file "$QF/two.json" --user crop:x --from client --to server --login "$TARGET"
  [[ $output == *'no issuer "crop" (there is "corp")'* ]]
  jq '.tests[0].groups = ["people"]' "$QF/good.json" >"$QF/odd.json"
  run -78 "$BIN/qf-up" test "$QF/odd.json"
  [[ $output == *'$.tests[0].groups (test "people may"): "people" is not in the group_map of issuer "machine"'* ]]
  run -64 "$BIN/qf-up" test a b
  run -78 "$BIN/qf-up" test "$QF/none.json"
}
