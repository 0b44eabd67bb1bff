#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Providers over https: whom we trust, and what is said of certificates that are wrong. The whole of a login's life over TLS.

load tokend_helpers

setup() { tokend_begin 3600 && daemon_start; }
teardown() { fabric_end; }

# make_authority: of these tests, QF/ca.pem
make_authority() {
  openssl req -x509 -newkey ed25519 -nodes -days 2 -keyout "$QF/ca.key" -out "$QF/ca.pem" -subj '/CN=test authority'
}
# secure_provider NAME SUBJECT-ALTERNATIVE-NAME [OPENSSL-OPTION…]: one with a certificate of the authority; in the document.
secure_provider() {
  local name=$1 host=$2
  shift 2
  [ "$#" -gt 0 ] || set -- -days 2
  openssl req -newkey ed25519 -nodes -keyout "$QF/$name.key" -out "$QF/$name.csr" -subj "/CN=$name"
  openssl x509 -req -in "$QF/$name.csr" -CA "$QF/ca.pem" -CAkey "$QF/ca.key" -CAcreateserial -out "$QF/$name.pem" \
    -extfile <(echo "subjectAltName=$host") "$@"
  ISSUER_URL=$(TLS_CERT=$QF/$name.pem TLS_KEY=$QF/$name.key "$IDP/start" "$QF/$name")
  note_process "$(cat "$QF/$name/pid")"
  fabric_write '.issuers |= reverse' ".issuers[0].ca_file = \"$QF/ca.pem\""
  apply 3600
}

@test "https: trusted by the system's authorities or by the issuer's ca_file, else named" {
  tls_certificate
  ISSUER_URL=$(TLS_CERT=$QF/tls.pem TLS_KEY=$QF/tls.key "$IDP/start" "$QF/tls-idp")
  note_process "$(cat "$QF/tls-idp/pid")"
  fabric_write '.issuers |= reverse'
  apply 3600
  run -0 ask "$LOGIN"
  [ "$(jq -r .error <<<"$output")" = provider ]
  [[ $output == *"cannot reach ${ISSUER_URL#https://}"*certificate* ]]
  [[ $(jq -r .hint <<<"$output") == *"no authority that is trusted on this machine"*'"ca_file"'* ]]
  fabric_write '.issuers |= reverse' ".issuers[0].ca_file = \"$QF/none.pem\""
  apply 3600
  run -0 ask "$LOGIN"
  [[ $(jq -r .hint <<<"$output") == *'"ca_file" of the issuer names '"$QF/none.pem"* ]]
  fabric_write '.issuers |= reverse' ".issuers[0].ca_file = \"$QF/tls.pem\""
  apply 3600
  export CA_FILE=$QF/tls.pem
  run -0 log_in
  [ "$(jq .ok <<<"$output")" = true ]
}

@test "a certificate that has expired, or is for another host, is named" {
  make_authority
  # -not_after is newer than Debian 12: a certificate of no days has expired when it is made
  secure_provider expired IP:127.0.0.1 -days 0
  until_true 60 expired "$QF/expired.pem"
  run -0 ask "$LOGIN"
  [[ $(jq -r .message <<<"$output") == *"cannot reach ${ISSUER_URL#https://}"*"certificate has expired"* ]]
  [[ $(jq -r .hint <<<"$output") == *"not valid at this time"*"clock"* ]]
  secure_provider elsewhere DNS:elsewhere.example
  run -0 ask "$LOGIN"
  [[ $(jq -r .message <<<"$output") == *"cannot reach ${ISSUER_URL#https://}"* ]]
  [[ $(jq -r .hint <<<"$output") == "its certificate is for another host than ${ISSUER_URL#https://}" ]]
}
expired() { ! openssl x509 -checkend 0 -noout -in "$1"; }

@test "login, refresh and logout, all over TLS" {
  make_authority
  secure_provider good IP:127.0.0.1
  export CA_FILE=$QF/ca.pem
  secure_knob() { curl -sS --cacert "$QF/ca.pem" ${1:+-d "$1"} "$ISSUER_URL/_test"; }
  secure_knob '{"id_ttl":12}' >/dev/null
  run -0 log_in
  [ "$(jq .bound <<<"$output")" = true ]
  until_true 60 ran_out
  run -0 ask "${CREDENTIAL/true/false}"
  [ "$(jq .ok <<<"$output")" = true ]
  [ "$(secure_knob | jq '.hits["/token refresh_token"]')" = 1 ]
  run -0 ask '{"version":1,"op":"logout"}'
  [ "$(jq .revoked <<<"$output")" = true ]
}
ran_out() { [ "$(ask_status | jq -r '.issuers[0].state')" = refreshable ]; }
