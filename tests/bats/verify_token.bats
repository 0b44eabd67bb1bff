#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-sshd --verify-token: the server's judgement of a token, for who sets up an issuer. With published examples, and
# with tokens of a real provider.

load helpers

setup_file() {
  fabric_begin && provider_start
  jq '{keys: [.keys[] | del(.d, .p, .q, .dp, .dq, .qi)]}' "$QF/idp/jwks.json" >"$QF/public.json"
  chmod 644 "$QF/public.json"
  export OIDC="--issuer https://server.example.com --audience s6BhdRkqt3 --jwks $QF/oidc.json"
  printf '{"keys":[%s]}' "$(example kKeyOidc)" >"$QF/oidc.json"
}
teardown_file() { fabric_end; }
setup() { knob '{"reset":true}' >/dev/null; }

# example NAME: one of those that the unit tests have
example() {
  sed -n "/ $1 =\$/,/;\$/p" "$TOP/tests/unit/libqf_vectors.h" | sed -n 's/^ *R"(\(.*\))";\{0,1\}$/\1/p' | tr -d '\n'
}
# judge TOKEN OPTION…: as the user CLIENT, who is not root
judge() {
  local token=$1
  shift
  printf '%s\n' "$token" | as_client "$BIN/qf-sshd" --verify-token "$@"
}
issue() { "$IDP/issue" "$QF/idp" "$(jq -nc --arg iss "$ISSUER_URL" "{iss: \$iss, sub: \"ann\", aud: \"qf\"} + $1")" "${2:-"{}"}"; }
OURS=(--audience qf)
ours() { judge "$1" --issuer "$ISSUER_URL" "${OURS[@]}" "${@:2}"; }
# refused STATUS TEXT: of the last run: nothing on standard output, that text, and no part of the token
refused() {
  [ "$status" = "$1" ] && [ -z "$output" ] && [[ $stderr == *"$2"* ]] || { echo "$status $output $stderr" && false; }
  [[ $stderr != *eyJ* ]]
}

@test "the example of OpenID Connect Core: its claims, one line of JSON, in its time only" {
  token=$(example kTokenOidc)
  run -0 --separate-stderr judge "$token" $OIDC --now 1311281000
  [ "${#lines[@]}" = 1 ]
  [ -z "$stderr" ]
  [ "$(jq -r '"\(.sub) \(.name) \(.exp)"' <<<"$output")" = "248289761001 Jane Doe 1311281970" ]
  run --separate-stderr judge "$token" $OIDC
  refused 1 "the token has expired"
  # a key set need not be a file
  run -0 bash -c '"$BIN/qf-sshd" --verify-token --issuer https://server.example.com --audience s6BhdRkqt3 --now 1311281000 \
    --jwks <(cat "$QF/oidc.json") <<<"$1"' bash "$token"
  # each edge, to the second; iat is 1311280970, exp 1311281970
  run --separate-stderr judge "$token" $OIDC --now 1311280909
  refused 1 "the token is not valid yet (iat is 61 s ahead)"
  run -0 judge "$token" $OIDC --now 1311280910
  run -0 judge "$token" $OIDC --now 1311281630
  run --separate-stderr judge "$token" $OIDC --now 1311281631
  refused 1 "the token is too old"
  [[ $stderr == *"hint: "*"--max-token-age"* ]]
  run -0 judge "$token" $OIDC --now 1311282029 --max-token-age 86400
  run --separate-stderr judge "$token" $OIDC --now 1311282030 --max-token-age 86400
  refused 1 "the token has expired (60 s ago)"
  run --separate-stderr judge "$token" $OIDC --now 1311281970 --max-token-age 86400 --clock-skew 0
  refused 1 "the token has expired (0 s ago)"
  run -0 judge "$token" $OIDC --now 1311281969 --max-token-age 86400 --clock-skew 0
}

@test "the examples of RFC 7515 and 7520: what is said is about the signature, then about the claims" {
  for name in Rs256 Es256; do
    printf '{"keys":[%s]}' "$(example kKey$name)" >"$QF/rfc.json"
    run --separate-stderr judge "$(example kToken$name)" --issuer joe --audience x --jwks "$QF/rfc.json" --now 1300819300
    refused 1 "the token names no subject"
    run --separate-stderr judge "$(example kToken$name | tr 3 4)" --issuer joe --audience x --jwks "$QF/rfc.json"
    [ "$status" = 1 ]
  done
  for name in Es512 CookbookRs256 CookbookPs384 CookbookEs512 EdDsa; do
    printf '{"keys":[%s]}' "$(example kKey$name)" >"$QF/rfc.json"
    run --separate-stderr judge "$(example kToken$name)" --issuer joe --audience x --jwks "$QF/rfc.json"
    refused 1 "the token is malformed (payload: "
  done
  run --separate-stderr judge "$(example kTokenCookbookHs256)" --issuer joe --audience x --jwks "$QF/rfc.json"
  refused 1 'the token'"'"'s algorithm is not accepted ("HS256")'
  run --separate-stderr judge "$(example kTokenNone)" --issuer joe --audience x --jwks "$QF/rfc.json"
  refused 1 'the token'"'"'s algorithm is not accepted ("none")'
}

@test "tokens of a provider: by its keys in a file, at an address, and where discovery finds them" {
  for alg in ES256 RS256 EdDSA; do
    token=$(issue '{email: "ann@example.com"}' "{\"alg\":\"$alg\"}")
    for keys in "--jwks $QF/public.json" "--jwks-uri $ISSUER_URL/jwks" ""; do
      run -0 --separate-stderr ours "$token" $keys
      [ "$(jq -r '.sub + " " + .email' <<<"$output")" = "ann ann@example.com" ]
      [ -z "$stderr" ]
    done
  done
  # root has keyfetch become its own user
  run -0 "$BIN/qf-sshd" --verify-token --issuer "$ISSUER_URL" --audience other --audience qf <<<"$token"
  [ "$(jq -r .sub <<<"$output")" = ann ]
  [ "$(knob | jq '.hits["/.well-known/openid-configuration"]')" = 4 ]
  [ "$(knob | jq '.hits["/jwks"]')" = 7 ]
}

@test "what a person has logged in for is what the command judges" {
  fabric_write '.issuers |= reverse'
  "$BIN/qf-up" apply $FOLDERS --self client --ssh-jwt-cache-ttl 600 >"$QF/qf-up.log"
  person_login
  run -0 token show --issuer corp
  run -0 judge "$output" --issuer "$ISSUER_URL" --audience qf-tokend
  [ "$(jq -r .sub <<<"$output")" = alice ]
}

@test "each reason, with what to do" {
  run --separate-stderr ours "$(issue '{iss: "https://other.example/"}')"
  refused 1 'the token is from another issuer (iss is "https://other.example/")'
  run --separate-stderr judge "$(issue '{iss: ($iss + "/")}')" --issuer "$ISSUER_URL" --audience qf
  refused 1 "the token is from another issuer"
  run --separate-stderr ours "$(issue '{aud: ["x", "y"]}')"
  refused 1 'the token is for another audience (aud is "x, y")'
  [[ $stderr == *"hint: "*"--audience"* ]]
  run --separate-stderr ours "$(issue '{}' '{"typ":"at+jwt"}')"
  refused 1 'the token is of another type (typ is "at+jwt", JWT is wanted)'
  [[ $stderr == *"hint: "*"--access-token"* ]]
  run -0 ours "$(issue '{}' '{"typ":"at+jwt"}')" --access-token
  run --separate-stderr ours "$(issue '{}')" --access-token
  refused 1 "the token is of another type"
  run --separate-stderr ours "$(issue '{}' '{"kid":"nobody"}')"
  refused 1 "the token's key is not in the issuer's key set (kid \"nobody\")"
  [[ $stderr == *'hint: the key set that --issuer publishes has "k1-es256" (ES256), "k1-rs256" (RS256), "k1-eddsa" (EdDSA)'* ]]
  # a signature of other keys: which set was asked, and how to ask the one of now
  token=$(issue '{}')
  signature=${token##*.}
  case $signature in A*) other=B${signature:1} ;; *) other=A${signature:1} ;; esac
  run --separate-stderr ours "${token%.*}.$other"
  refused 1 "the token's signature is wrong"
  [[ $stderr == *'hint: the key set that --issuer publishes has '* ]]
  run --separate-stderr ours "${token%.*}.$other" --jwks "$QF/public.json"
  refused 1 "the token's signature is wrong"
  [[ $stderr == *"hint: the key set in $QF/public.json has "*"; for the keys of now give --jwks-uri URL"* ]]
  run --separate-stderr ours "$(issue '{}' '{"kid":"k1-rs256"}')"
  refused 1 'the token'"'"'s algorithm is not accepted (key "k1-rs256" is not for ES256)'
  run --separate-stderr ours "$(issue '{sub: ""}')"
  refused 1 "the token names no subject"
  run --separate-stderr ours "$(issue '{sub: "a\u001b[2Jb"}')"
  refused 1 "the token names no subject (sub has control characters)"
  # what a terminal would act on is escaped, and still the same claim
  run -0 ours "$(issue '{name: "a\u009b2J\u007f\u2028ü"}')"
  [[ $output == *'"a\u009b2J\u007f\u2028ü"'* ]]
  [ "$(jq -r '.name == "a\u009b2J\u007f\u2028ü"' <<<"$output")" = true ]
}

@test "what is no token: empty, too long, two of them, junk; and a line end of either kind" {
  token=$(issue '{}')
  for command in ": " "echo" "printf '\r\n'"; do
    run --separate-stderr as_client sh -c "$command | '$BIN/qf-sshd' --verify-token --issuer x --audience y --jwks '$QF/public.json'"
    refused 1 "there is no token on standard input"
  done
  run -0 as_client sh -c "printf '%s\r\n' '$token' | '$BIN/qf-sshd' --verify-token --issuer '$ISSUER_URL' --audience qf"
  run -0 as_client sh -c "printf %s '$token' | '$BIN/qf-sshd' --verify-token --issuer '$ISSUER_URL' --audience qf"
  run --separate-stderr ours "$token"$'\n' --jwks "$QF/public.json"
  refused 1 "the token is malformed"
  run --separate-stderr ours "$token $token"
  refused 1 "the token is malformed"
  run --separate-stderr ours " $token"
  refused 1 "the token is malformed"
  run --separate-stderr ours "$(head -c 16385 /dev/zero | tr '\0' .)"
  refused 1 "the token is longer than 16 KiB"
  run --separate-stderr ours "$(head -c 16384 /dev/zero | tr '\0' .)"
  refused 1 "the token is malformed"
  run --separate-stderr as_client sh -c "'$BIN/qf-sshd' --verify-token --issuer x --audience y </dev/zero"
  refused 1 "the token is longer than 16 KiB"
  # nobody was asked for keys
  [ "$(knob | jq '.hits["/jwks"]')" = 2 ]
}

@test "without keys nothing is judged: exit 71, and where to look" {
  token=$(issue '{}')
  run --separate-stderr ours "$token" --jwks "$QF/missing"
  refused 71 "cannot use the key set: "
  [[ $stderr == *"$QF/missing"*"No such file"* ]]
  echo '{}' >"$QF/none.json"
  run --separate-stderr ours "$token" --jwks "$QF/none.json"
  refused 71 'the key set has no list "keys"'
  echo '{"keys":[{"kty":"oct","kid":"s","k":"AAAA"}]}' >"$QF/none.json"
  run --separate-stderr ours "$token" --jwks "$QF/none.json"
  refused 71 'the key set has no key that we can use; key 0 (kid "s"): an unknown type of key'
  echo '{"keys":[]}' >"$QF/none.json"
  run --separate-stderr ours "$token" --jwks "$QF/none.json"
  refused 71 "the key set is empty"
  jq -c '.keys = [{kty: "oct", kid: "s\u001b[2J", k: "AAAA"}] + .keys' "$QF/public.json" >"$QF/odd.json"
  run -0 --separate-stderr ours "$token" --jwks "$QF/odd.json" --verbose
  [[ $stderr == *'key 0 (kid "s?[2J"): an unknown type of key'* ]]
  run --separate-stderr ours "$token" --jwks-uri "$ISSUER_URL/nowhere"
  refused 71 "cannot fetch the key set: "
  [[ $stderr == *"HTTP status 404"* ]]
  run --separate-stderr ours "$token" --jwks-uri http://192.0.2.1/jwks
  refused 71 "cannot fetch the key set: "
  run --separate-stderr judge "$token" --issuer urn:example:x --audience qf
  refused 71 "cannot fetch the key set: "
  [[ $stderr == *"hint: "*"--jwks FILE"* ]]
  knob '{"discovery":{"issuer":"https://evil.example"}}' >/dev/null
  run --separate-stderr ours "$token"
  refused 71 'its configuration is for the issuer "https://evil.example"'
}

@test "a provider with a CA of its own: --ca-file, by a relative path too" {
  mkdir -p "$QF/tls/idp"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$QF/tls/key.pem" -out "$QF/tls/ca.pem" \
    -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 2>/dev/null
  chmod -R a+rX "$QF/tls"
  url=$(TLS_CERT=$QF/tls/ca.pem TLS_KEY=$QF/tls/key.pem "$IDP/start" "$QF/tls/idp")
  note_process "$(<"$QF/tls/idp/pid")"
  token=$("$IDP/issue" "$QF/tls/idp" "{\"iss\":\"$url\",\"sub\":\"ann\",\"aud\":\"qf\"}")
  run --separate-stderr judge "$token" --issuer "$url" --audience qf
  refused 71 "cannot fetch the key set: "
  run -0 judge "$token" --issuer "$url" --audience qf --ca-file "$QF/tls/ca.pem"
  cd "$QF/tls"
  run -0 judge "$token" --issuer "$url" --audience qf --ca-file ca.pem
}

@test "wrong usage: exit 64, the option is named" {
  token=$(issue '{}')
  wrong() { # TEXT OPTION…
    run -64 --separate-stderr judge "$token" "${@:2}"
    [[ $stderr == *"$1"*"hint: run qf-sshd --help"* ]] || { echo "$stderr" && false; }
  }
  wrong "--verify-token needs --issuer URL" --audience x
  wrong "--verify-token needs --issuer URL" --issuer "" --audience x
  wrong "--verify-token needs --audience NAME" --issuer x
  wrong "--audience is empty" --issuer x --audience ""
  wrong "--jwks is empty" --issuer x --audience y --jwks ""
  wrong "--jwks-uri is empty" --issuer x --audience y --jwks-uri ""
  wrong "--jwks and --jwks-uri do not go together" --issuer x --audience y --jwks a --jwks-uri b
  wrong "--ca-file is of no use with --jwks" --issuer x --audience y --jwks a --ca-file b
  wrong "--self does not go with --verify-token" --issuer x --audience y --self server
  wrong "--enable-ssh-sftp does not go with --verify-token" --issuer x --audience y --enable-ssh-sftp
  wrong "--max-sessions does not go with --verify-token" --issuer x --audience y --max-sessions 5
  for value in -1 x 1.5 253402300800; do wrong "--now must be a number from 0 to 253402300799" --issuer x --audience y "--now=$value"; done
  wrong "--max-token-age must be a number from 1 to 31622400" --issuer x --audience y --max-token-age 0
  wrong "--clock-skew must be a number from 0 to 3600" --issuer x --audience y --clock-skew 3601
  wrong "is too long" --issuer "https://$(head -c 9000 /dev/zero | tr '\0' a)" --audience y
  run -64 "$BIN/qf-sshd" --issuer x
  [[ $output == *"--issuer needs --verify-token"* ]]
  run -64 "$BIN/qf-sshd" --access-token
  [[ $output == *"--access-token needs --verify-token"* ]]
}

@test "nothing is left behind, and no document is needed" {
  issue '{}' >"$QF/token"
  # by root, who alone may look into it
  run -0 env QF_CONFIG_DIR=/nonexistent QF_STATE_DIR=/nonexistent strace -f -qq -u "$CLIENT" \
    -e trace=execve,openat,mkdir,rename,bind,listen -o "$QF/trace" \
    "$BIN/qf-sshd" --verify-token --issuer "$ISSUER_URL" --audience qf <"$QF/token"
  grep -v /dev/null "$QF/trace" >"$QF/calls"
  grep -q 'execve(.*qf-keyfetch' "$QF/calls"
  run -1 grep -E 'O_WRONLY|O_RDWR|O_CREAT|mkdir|rename|listen\(' "$QF/calls"
  run -1 pgrep -u "$CLIENT" qf-keyfetch
}
