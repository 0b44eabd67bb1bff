#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What comes from elsewhere and gets into the audit log, the log, syslog's copy and what qf-up shows of them: no control
# character, no line of its own, nothing that is no UTF-8, whatever a client or an identity provider says.

load helpers

setup_file() {
  fabric_begin
  mkdir "$QF/mint"
  "$PYTHON" "$TOP/tests/bats/mint.py" keys "$QF/mint"
  fabric_write
  jq --slurpfile keys "$QF/mint/jwks.json" '.issuers += [{name: "mint", issuer: "https://mint.invalid/",
    audiences: ["qufabric"], jwks: $keys[0], max_token_age: 600, clock_skew: 60, members: "all", groups_claim: "groups",
    group_map: {"*": "*"}, client: {client_id: "qufabric", flow: "device"}}] |
    .policies[0] += {authorized_groups: {people: [], odd: []}} | .user_groups.odd = ["mint:a"]' "$QF/config/fabric.json" >"$QF/config/fabric.new"
  mv "$QF/config/fabric.new" "$QF/config/fabric.json"
  server_start --enable-ssh-local-port-forwarding --enable-ssh-remote-port-forwarding && warm
  FINGERPRINT=$(ssh-keygen -lf "$QF/state/ssh_host_ed25519_key.pub" | cut -d' ' -f2)
  export FINGERPRINT
}
teardown_file() { fabric_end; }

# control, C1 and bidi characters, what colours a terminal, a line and an object of its own
ODD=$'\e[2J\e]0;x\a\r\n{"n":1}\n\x7f\u0085\u009b\u2028\u202e\u2066","allowed":true,"x":"\t\\'
# harmless FILE: printable UTF-8 in lines
harmless() {
  "$PYTHON" - "$1" <<'PY'
import sys, unicodedata
text = open(sys.argv[1], "rb").read().decode()
bad = [(i, c) for i, c in enumerate(text) if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]
for at, c in bad[:3]:
    print(f"{sys.argv[1]}: {c!a} in {text[max(0, at - 80):at + 40]!a}")
sys.exit(bool(bad))
PY
}
one_object_a_line() {
  [ "$(jq -c 'objects' "$AUDIT" | wc -l)" = "$(wc -l <"$AUDIT")" ]
  [ "$(wc -L <"$AUDIT")" -lt 65536 ]
}

# odd_identity SUBJECT: a credential for it, with other claims that are odd.
odd_identity() {
  "$PYTHON" "$TOP/tests/bats/mint.py" credential "$QF/mint" key "$(jq -n --arg sub "$1" --arg odd "$ODD" --arg f "$FINGERPRINT" \
    '{peer: "server", fingerprints: [$f], claims: {sub: $sub, jti: $odd, name: $odd, email: "\($odd)@example.com",
      email_verified: true, groups: ["odd", $odd, "x" * 2000]}}')"
}
# odd_client WORDS: see odd_words.py
odd_client() { timeout 60 "$PYTHON" "$TOP/tests/bats/odd_words.py" "$ADDRESS" "$TARGET" "$QF/mint/key" "$1"; }

@test "a subject with control characters is nobody's; what its token and its client say does no harm" {
  odd_identity "$ODD"
  run odd_client "$ODD" </dev/null
  [[ $output != *"still here"* ]]
  run -0 audit_says '.event == "login" and (.allowed | not) and (.reason | test("control characters"))'
  harmless "$AUDIT"
  harmless "$QF/qf-up.log"
  one_object_a_line
}

@test "a login with an odd name, and a client that says odd things wherever it can" {
  local nasty='"},{"n":1,"allowed":true}\u001b[2J\n %s $(id) `id`'
  for subject in "$nasty" "$(printf '"%.0s' {1..800})"; do
    odd_identity "$subject"
    run odd_client "$ODD" </dev/null
    [[ $output == *"still here"* ]] || { echo "$output" | tail -n 8; tail -n 3 "$AUDIT" | cut -c1-800; false; }
  done
  run -0 audit_says '.event == "login" and .allowed and (.identity | startswith("mint:\"},{"))'
  run -0 audit_says '.event == "login" and .allowed and (.identity | startswith("mint:\"\"\""))'
  run -0 audit_says '.event == "forward" and .allowed == false'
  harmless "$AUDIT"
  harmless "$QF/qf-up.log"
  one_object_a_line
  "$BIN/qf-up" audit show $FOLDERS >"$QF/shown" 2>&1
  harmless "$QF/shown"
  [ "$(wc -l <"$QF/shown")" -le $(($(wc -l <"$AUDIT") + 1)) ]
  run -0 "$BIN/qf-up" audit verify $FOLDERS
}
