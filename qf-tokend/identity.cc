// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/identity.h"

#include <algorithm>

#include "libqf/binding.h"
#include "libqf/crypto.h"
#include "libqf/jwt.h"
#include "libqf/text.h"
#include "qf-tokend/discovery.h"

namespace qf {

namespace {

Refusal unusable_token(const LoginRecord& record, const std::string& what) {
  return {"provider", describe_issuer(record) + ": the token that it gave: " + what, ""};
}

// An id_token is made for the client that asked; other tokens for who will read them.
std::vector<std::string> expected_audiences(const LoginRecord& record) {
  bool id_token = !record.access_token && record.flow != LoginFlow::kMachine;
  if (id_token && !record.client_id.empty()) return {record.client_id};
  return record.audiences;
}

TokenRules rules_for(const LoginRecord& record) {
  TokenRules rules;
  rules.issuer = record.issuer;
  rules.audiences = expected_audiences(record);
  rules.max_token_age = -1;  // the peers' to judge; an iat that is backdated is no fault here
  rules.clock_skew = std::max<int64_t>(record.clock_skew, 60);
  rules.access_token = record.access_token;
  return rules;
}

}  // namespace

Identity Identity::clone() const {
  Identity copy;
  copy.issuer_name = issuer_name;
  copy.issuer = issuer;
  copy.subject = subject;
  copy.issued_at = issued_at;
  copy.expires = expires;
  copy.max_token_age = max_token_age;
  copy.bound = bound;
  copy.salt = salt;
  copy.token = token.clone();
  copy.original_token = original_token.clone();
  return copy;
}

int64_t Identity::good_until() const {
  if (max_token_age == 0) return expires;
  return std::min(expires, issued_at + static_cast<int64_t>(max_token_age));
}

BindingRequest make_binding(std::string_view user_key_blob) {
  std::string salt = random_bytes(kBindingSaltBytes);
  return {salt, binding_nonce(salt, user_key_blob)};
}

Result<Identity, Refusal> accept_token(const LoginRecord& record, TokenGrant grant,
                                       const BindingRequest& binding, std::string_view user_key_blob,
                                       int64_t wall_time) {
  auto header = parse_jws_header(grant.token.reveal());
  if (!header) return unusable_token(record, header.error().text());
  auto payload = unverified_payload(grant.token.reveal());
  if (!payload) return unusable_token(record, payload.error().text());
  auto claims = parse_claims(*payload);
  if (!claims) return unusable_token(record, claims.error().text());
  if (auto refusal = check_claims(*claims, *header, rules_for(record), wall_time)) {
    return unusable_token(record, refusal->text());
  }
  // ours and only ours; some providers drop the nonce in a device login, which makes a bearer token
  if (!claims->nonce.empty() && claims->nonce != binding.nonce) {
    return unusable_token(record, "its nonce is not the one that we sent");
  }
  Identity identity;
  identity.issuer_name = record.name;
  identity.issuer = claims->issuer;
  identity.subject = claims->subject;
  identity.issued_at = claims->issued_at;
  identity.expires = claims->expires;
  identity.max_token_age = record.max_token_age;
  switch (check_binding(*claims, binding.salt, user_key_blob)) {
    case Binding::kForeign:
      return unusable_token(record, "it is bound to a key that is not ours");
    case Binding::kBound:
      identity.bound = true;
      identity.salt = binding.salt;
      break;
    case Binding::kNone:
      break;
  }
  identity.token = std::move(grant.token);
  return identity;
}

}  // namespace qf
