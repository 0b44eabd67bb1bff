// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/identity.h"

#include <algorithm>

#include "libqf/base64.h"
#include "libqf/binding.h"
#include "libqf/crypto.h"
#include "libqf/discovery.h"
#include "libqf/jwt.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

Refusal unusable_token(const LoginRecord& record, const std::string& what) {
  std::string hint;
  if (record.access_token && !record.resource) {
    hint =
        "many providers give a JWT as access token only for a \"resource\", which the issuer's client does "
        "not name";
  } else if (!needs_person(record.flow) && record.flow != LoginFlow::kMachine) {
    hint =
        "look at what \"file\" or \"command\" of the issuer's client gives: qf-token login does not make it "
        "new";
  }
  return {"provider", describe_issuer(record) + ": the token that it gave: " + what, hint};
}

// An id_token is made for the client that asked; other tokens for who will read them.
std::vector<std::string> expected_audiences(const LoginRecord& record) {
  bool id_token = !record.access_token && needs_person(record.flow);
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

Result<Claims, Refusal> read_claims(const LoginRecord& record, std::string_view token, int64_t wall_time) {
  auto header = parse_jws_header(token);
  if (!header) return unusable_token(record, header.error().text());
  // nobody decodes the signature here, and somebody may print it
  if (!base64url_decode(token.substr(token.rfind('.') + 1))) {
    return unusable_token(record, "its signature is not base64url");
  }
  auto payload = unverified_payload(token);
  if (!payload) return unusable_token(record, payload.error().text());
  auto claims = parse_claims(*payload);
  if (!claims) return unusable_token(record, claims.error().text());
  if (auto refusal = check_claims(*claims, *header, rules_for(record), wall_time)) {
    return unusable_token(record, refusal->text());
  }
  // what it was made for is not enough: the peers must take it too
  bool theirs = record.audiences.empty() ||
                std::any_of(claims->audience.begin(), claims->audience.end(), [&](const auto& audience) {
                  return std::find(record.audiences.begin(), record.audiences.end(), audience) !=
                         record.audiences.end();
                });
  if (!theirs) {
    return unusable_token(record, "it is for " + qf::quoted(join(claims->audience, ", ")) +
                                      ", and the peers take those for " +
                                      qf::quoted(join(record.audiences, ", ")) + " (\"audiences\")");
  }
  return std::move(*claims);
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
  copy.key = key;
  copy.binding = binding;
  copy.salt = salt;
  copy.token = token.clone();
  copy.original_token = original_token.clone();
  copy.refresh_token = refresh_token.clone();
  copy.provider = provider;
  copy.record = record;
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
                                       const BindingRequest& binding, const UserKeys& keys,
                                       int64_t wall_time) {
  auto claims = read_claims(record, grant.token.reveal(), wall_time);
  if (!claims) return claims.error();
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
  identity.key = grant.proof_key;
  identity.binding = binding;
  switch (check_binding(*claims, binding.salt, keys.of(grant.proof_key).blob)) {
    case Binding::kForeign:
      return unusable_token(record, "it is bound to a key that is not ours");
    case Binding::kBound:
      identity.bound = true;
      if (!claims->nonce.empty()) identity.salt = binding.salt;
      break;
    case Binding::kNone:
      break;
  }
  if (!needs_person(record.flow) && identity.good_until() <= wall_time + kLeastTokenLife) {
    return unusable_token(record, "it is too old already: it was issued " +
                                      std::to_string(wall_time - identity.issued_at) +
                                      " s ago, and the peers take it for " +
                                      std::to_string(identity.good_until() - identity.issued_at) + " s");
  }
  identity.token = std::move(grant.token);
  identity.refresh_token = std::move(grant.refresh_token);
  identity.provider = std::move(grant.provider);
  identity.record = record;
  return identity;
}

Result<Identity, Refusal> accept_refreshed(const LoginRecord& record, TokenGrant grant,
                                           const Identity& before, const UserKeys& keys, int64_t wall_time) {
  auto fresh = accept_token(record, std::move(grant), before.binding, keys, wall_time);
  if (!fresh) return fresh;
  if (fresh->issuer != before.issuer) return unusable_token(record, "a refresh gave one of another issuer");
  if (fresh->subject != before.subject) {
    return unusable_token(record,
                          "a refresh gave one for another subject, \"" + printable(fresh->subject) + "\"");
  }
  // without rotation the old one stays good (RFC 6749 section 6)
  if (fresh->refresh_token.empty()) fresh->refresh_token = before.refresh_token.clone();
  if (!fresh->bound && !before.salt.empty()) {
    const Secret& original = before.original_token.empty() ? before.token : before.original_token;
    fresh->original_token = original.clone();
    fresh->salt = before.salt;
    fresh->bound = true;
  }
  return fresh;
}

}  // namespace qf
