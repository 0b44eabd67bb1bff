#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Credentials that must not count, each minted in one point wrong and offered by a real ssh. Every one ends with a
# clear message on the user's terminal, exit 255, and a line in the audit log.
# Besides: libqf_certificate_test and libqf_jwt_test have every truncation; provider.bats has the provider's own
# failures, policy.bats the source's, users.bats the OS user's.

load helpers

setup_file() {
  fabric_begin
  mkdir "$QF/mint"
  "$PYTHON" "$TOP/tests/bats/mint.py" keys "$QF/mint"
  export MINTED='.issuers += [{name: "mint", issuer: "https://mint.invalid/", audiences: ["qufabric"], jwks: $keys[0],
    max_token_age: 600, clock_skew: 60, client: {client_id: "qufabric", flow: "device"}}] |
    .user_groups.people += ["mint:ann"]'
  write_document && server_start
  FINGERPRINT=$(ssh-keygen -lf "$QF/state/ssh_host_ed25519_key.pub" | cut -d' ' -f2)
  export FINGERPRINT
}
teardown_file() { fabric_end; }

# write_document [JQ-FILTER]: with the issuer of the minted tokens, whose keys are in the document.
write_document() {
  fabric_write
  jq --slurpfile keys "$QF/mint/jwks.json" "$MINTED | ${1:-.}" "$QF/config/fabric.json" >"$QF/config/fabric.new"
  mv "$QF/config/fabric.new" "$QF/config/fabric.json"
}

# offer CHANGES: ssh with a certificate minted with these changes.
offer() {
  local all
  all=$(jq -n --argjson changes "$1" --arg fingerprint "$FINGERPRINT" '{peer: "server", fingerprints: [$fingerprint]} + $changes')
  "$PYTHON" "$TOP/tests/bats/mint.py" credential "$QF/mint" key "$all" || return 99
  timeout 60 ssh -F none -p 22022 -o IdentitiesOnly=yes -i "$QF/mint/key" -o CertificateFile="$QF/mint/key-cert.pub" \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=INFO -o BatchMode=yes \
    -l "$TARGET" "$ADDRESS" 'echo logged-in' </dev/null
}

# offer_blindly CHANGES: the same from a client that checks no certificate itself, as ssh does.
offer_blindly() {
  offer "$1" >/dev/null 2>&1 || :
  timeout 60 "$PYTHON" "$TOP/tests/bats/foreign_login.py" certificate "$ADDRESS" "$TARGET" 'echo logged-in' "$QF/mint/key"
}

# refused CHANGES WORDS [DETAIL]: says these words, exits 255, and notes the refusal with the detail.
refused() {
  lines_before=$(wc -l <"$AUDIT")
  run -255 offer "$1"
  [[ $output == *"Authentication failed"*"$2"* ]] || { echo "$output" && false; }
  [[ $output != *logged-in* ]]
  tail -n "+$((lines_before + 1))" "$AUDIT" | jq -es --arg words "${3:-$2}" \
    'any(.[]; .event == "login" and .allowed == false and ((.refusal + " " + (.reason // "")) | contains($words)))' >/dev/null ||
    { tail -n "+$((lines_before + 1))" "$AUDIT" && false; }
}

@test "the good one gets in: what follows differs from it in one point" {
  run -0 offer '{}'
  [[ $output == *logged-in* ]]
  audit_says '.event == "login" and .allowed and .identity == "mint:ann" and .key_bound'
}

@test "expired token" {
  refused '{"claims": {"iat": -400, "exp": -100}}' "the token has expired"
}

@test "wrong issuer" {
  refused '{"claims": {"iss": "urn:somebody:else"}}' "the token is from another issuer"
}

@test "wrong audience" {
  refused '{"claims": {"aud": "another-client"}}' "the token is for another audience"
  [[ $output == *'hint: '*'"client_id" and "audiences"'* ]]
}

@test "unknown key" {
  refused '{"key": "other"}' "key is not in the issuer's key set"
}

@test "bad signature" {
  refused '{"corrupt": true}' "the token's signature is wrong"
}

@test "signed by another key under a known name" {
  refused '{"key": "other", "header": {"kid": "ed"}}' "the token's signature is wrong"
}

@test "alg none" {
  refused '{"alg": "none", "header": {"kid": "ed"}}' "the token"
}

@test "HMAC with the public key" {
  refused '{"alg": "HS256", "key": "rsa"}' "the token's algorithm is not accepted"
  refused '{"alg": "HS256", "key": "ed"}' "the token's algorithm is not accepted"
}

@test "a token from the future" {
  refused '{"claims": {"iat": 200, "exp": 500}}' "the token is not valid yet"
}

@test "a token of later (nbf)" {
  refused '{"claims": {"nbf": 200}}' "the token is not valid yet"
}

@test "a token too old" {
  refused '{"claims": {"iat": -900}}' "the token is too old"
}

@test "field note 12: iat backdated by 5 minutes, and clocks 60 s off in either direction, are fine" {
  run -0 offer '{"claims": {"iat": -300, "exp": 300}}'
  run -0 offer '{"claims": {"iat": 55, "nbf": 55, "exp": 400}}'
  run -0 offer '{"claims": {"iat": -300, "nbf": -300, "exp": -50}}'
  # the certificate's own times have the same tolerance
  run -0 offer '{"after": 30, "before": 300}'
}

@test "a bearer token where none is accepted" {
  refused '{"bound": false}' "the token is not bound to a key"
  [[ $output == *accept_bearer* ]]
}

@test "a token that is bound to another key is no bearer token, also where those are accepted" {
  refused '{"binding": false}' "the token is bound to another key"
  refused '{"claims": {"nonce": "qf1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}' "the token is bound to another key"
}

@test "subject of another issuer" {
  # "ann" is listed for mint; the same name vouched for by another issuer of the document is nobody
  run -255 offer "{\"claims\": {\"sub\": \"machine:$CLIENT\"}}"
  [[ $output == *"User is not authorized to access this peer"* ]]
  run -255 offer "{\"claims\": {\"sub\": \"$CLIENT\"}}"
  [[ $output == *"User is not authorized to access this peer"* ]]
  audit_says ".event == \"login\" and .allowed == false and .identity == \"mint:$CLIENT\""
}

@test "no subject, or one that is no text" {
  refused '{"claims": {"sub": ""}}' "the token names no subject"
  refused '{"claims": {"sub": 5}}' "the token names no subject"
}

@test "certificate for another peer" {
  refused '{"peer": "db2"}' "the certificate is not accepted" "it is for the peer"
}

@test "certificate for a peer of the same name with another host key" {
  refused '{"fingerprints": ["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"]}' "the certificate is not accepted" "another host key"
}

@test "certificate signed by another key" {
  # ssh itself offers no such certificate
  run -255 offer_blindly '{"forged": true}'
  [[ $output == *"Authentication failed: the certificate is not accepted"* ]] || { echo "$output"; tail -n 3 "$AUDIT"; false; }
  audit_says '.event == "login" and .allowed == false and ((.refusal + (.reason // "")) | test("signature"))'
  run -0 offer_blindly '{}'
  [ "$output" = logged-in ]
}

@test "expired certificate" {
  refused '{"after": -400, "before": -100}' "the certificate is not accepted" "expired"
}

@test "certificate that is valid for too long" {
  refused '{"before": 86400}' "the certificate is not accepted"
}

@test "certificate with a principal" {
  refused "{\"principals\": [\"$TARGET\"]}" "the certificate is not accepted" "it names principals"
}

@test "certificate with an unknown critical option" {
  refused '{"critical": {"force-command": "id"}}' "the certificate is not accepted" "unknown critical option"
}

@test "a JWT of 16 KiB fits, one more byte does not" {
  run -0 offer '{"length": 16384}'
  refused '{"length": 16385}' "longer than 16 KiB"
}

@test "a plain key is told what is wanted" {
  ssh-keygen -q -t ed25519 -N '' -f "$QF/mint/plain"
  for batch in no yes; do
    run -255 timeout 60 ssh -F none -p 22022 -o IdentitiesOnly=yes -i "$QF/mint/plain" -o StrictHostKeyChecking=no \
      -o UserKnownHostsFile=/dev/null -o BatchMode=$batch -l "$TARGET" "$ADDRESS" true </dev/null
    [[ $output == *"offered no login token"*"hint:"*"QF_SSH=tunnel"* ]] || { echo "BatchMode=$batch: $output" && false; }
  done
}

@test "who has no method at all, and asks again for none, is told what is wanted; at the first time nobody is" {
  run -255 timeout 60 "$PYTHON" "$TOP/tests/bats/foreign_login.py" none "$ADDRESS" "$TARGET" true
  [[ $output == "first: None"*"offered no login token"*"hint: run qf-token login"* ]]
}

@test "field note 16: a failed login names its reason, not only the methods that were tried" {
  run -255 offer '{"claims": {"iat": -400, "exp": -100}}'
  [[ $output == *"the token has expired"* ]]
}

# ---- the JWT as a password, from a client with none of our programs

password_login() {
  "$PYTHON" "$TOP/tests/bats/mint.py" token "$QF/mint" "$1" |
    timeout 60 "$PYTHON" "$TOP/tests/bats/foreign_login.py" password "$ADDRESS" "$TARGET" id
}

@test "a JWT as password: only where the issuer's bearer tokens are accepted" {
  run -255 password_login '{}'
  [[ $output == *"the token is not bound to a key"* ]]
  write_document '(.issuers[] | select(.name == "mint")).accept_bearer = true' && "$BIN/qf-up" apply $FOLDERS
  run -0 password_login '{}'
  [[ $output == *"($TARGET)"* ]]
  audit_says '.event == "login" and .allowed and .method == "password" and .key_bound == false'
}

@test "a JWT of 16 KiB as password fits, one more byte does not" {
  run -0 password_login '{"length": 16384}'
  run -255 password_login '{"length": 16385}'
}

@test "a wrong JWT as password is refused for its reason; a bound one is no password" {
  run -255 password_login '{"claims": {"exp": -100, "iat": -400}}'
  [[ $output == *"the token has expired"* ]]
  run -255 password_login '{"claims": {"nonce": "qf1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}'
  run -255 password_login '{"corrupt": true}'
}

@test "OpenSSH's own password prompt takes a short JWT" {
  "$PYTHON" "$TOP/tests/bats/mint.py" token "$QF/mint" '{}' >"$QF/mint/token"
  printf '#!/bin/sh\ncat %s\n' "$QF/mint/token" >"$QF/mint/askpass"
  chmod 755 "$QF/mint/askpass"
  run -0 env SSH_ASKPASS="$QF/mint/askpass" SSH_ASKPASS_REQUIRE=force timeout 60 ssh -F none -p 22022 \
    -o PreferredAuthentications=password -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
    -l "$TARGET" "$ADDRESS" id -un
  [ "$output" = "$TARGET" ]
}

@test "without any option OpenSSH says what is wanted, and goes on to the password" {
  run -0 env SSH_ASKPASS="$QF/mint/askpass" SSH_ASKPASS_REQUIRE=force timeout 60 ssh -F none -p 22022 -o IdentityFile=none \
    -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -l "$TARGET" "$ADDRESS" id -un
  [[ $output == *"offered no login token"*"or give a token as the password"*"$TARGET" ]] || { echo "$output" && false; }
}

# A document that denies contractors, whom the token's groups name.
write_groups() {
  write_document '(.issuers[] | select(.name == "mint")).group_map = {"ctr": "contractors"} | .user_groups.contractors = [] |
    .policies += [{name: "no-contractors", action: "deny", protocol: "qufabric-ssh", sources: ["client"],
      destinations: ["servers"], access: "full", authorized_groups: {contractors: []}}]' && "$BIN/qf-up" apply $FOLDERS
}

@test "a deny of a group of the token is not evaded by a token without groups" {
  write_groups
  run -0 offer '{"claims": {"groups": ["staff"]}}'
  run -0 offer '{"claims": {"groups": []}}'
  for claims in '{"groups": ["ctr"]}' '{}' '{"groups": null}'; do
    run -255 offer "{\"claims\": $claims}"
    [[ $output == *"User is not authorized to login as OS user"* ]] || { echo "$claims: $output" && false; }
    audit_says '.event == "login" and .policy == "no-contractors"'
  done
  run -255 offer '{}'
  [[ $output == *"the token does not hold the user's groups"* ]]
}

@test "a token that says that its groups are elsewhere is refused" {
  write_groups
  refused '{"claims": {"hasgroups": true}}' "the token does not hold the user's groups" "hasgroups"
  refused '{"claims": {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x.invalid/"}}}}' \
    "the token does not hold the user's groups" "_claim_names"
  write_document '(.issuers[] | select(.name == "mint")).accept_bearer = true' && "$BIN/qf-up" apply $FOLDERS
  run -0 offer '{"claims": {"hasgroups": true}}'
}

@test "no token and no certificate is in any log" {
  token=$("$PYTHON" "$TOP/tests/bats/mint.py" token "$QF/mint" '{}')
  run -0 bash -c "printf %s '$token' | '$PYTHON' '$TOP/tests/bats/foreign_login.py' password '$ADDRESS' '$TARGET' true"
  run -1 grep -F "$(cut -d. -f2 <<<"$token")" "$AUDIT" "$QF/qf-up.log"
  run -1 grep -E 'eyJ[A-Za-z0-9_-]{20}' "$AUDIT" "$QF/qf-up.log"
}
