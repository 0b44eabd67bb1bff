// SPDX-License-Identifier: Apache-2.0
// The order of the checks: what costs nothing and trusts nothing first (form, times and peer of the
// certificate), then the signature of the token, and its claims only after that.
#include "qf-sshd/authenticate.h"

#include <algorithm>

#include "libqf/binding.h"
#include "libqf/certificate.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr int64_t kCertificateSkew = 60;  // seconds that the client's clock may differ from ours
constexpr size_t kMostShown = 100;        // bytes of a foreign text in a detail

TokenRefusal refusal(TokenFault fault, std::string detail) {
  return {fault, std::move(detail)};
}

std::string shown(std::string_view text) {
  return quoted(text, kMostShown);
}

// ---- the certificate --------------------------------------------------------------------------------------

std::optional<TokenRefusal> check_certificate_times(const Credential& credential, int64_t now) {
  auto bad = [](std::string detail) { return refusal(TokenFault::kCertificate, std::move(detail)); };
  uint64_t after = credential.valid_after, before = credential.valid_before;
  // Net sees every certificate in use; a short life bounds what a hostile net could do with one.
  constexpr auto kMostLife = static_cast<uint64_t>(kCertificateLifetime + kCertificateBackdate);
  if (before <= after || before - after > kMostLife) {
    return bad("valid for other than at most " + std::to_string(kMostLife) + " s");
  }
  auto clock = static_cast<uint64_t>(now);
  if (clock + kCertificateSkew < after) {
    return bad("not valid for another " + std::to_string(after - clock) + " s");
  }
  if (clock >= before && clock - before >= kCertificateSkew) {
    return bad("expired " + std::to_string(clock - before) + " s ago");
  }
  return std::nullopt;
}

std::optional<TokenRefusal> check_certificate(const AuthenticationContext& context,
                                              const Credential& credential) {
  auto bad = [](std::string detail) { return refusal(TokenFault::kCertificate, std::move(detail)); };
  if (auto late = check_certificate_times(credential, context.now)) return late;
  // Ours have none. One made for another server must not count here.
  if (!credential.principals.empty()) return bad("it names principals");
  if (credential.peer != context.self.name) return bad("it is for the peer " + shown(credential.peer));
  const auto& keys = credential.peer_fingerprints;
  if (std::find(keys.begin(), keys.end(), context.own_fingerprint) == keys.end()) {
    return bad("it is for another host key than this peer's " + context.own_fingerprint);
  }
  return std::nullopt;
}

// ---- the token --------------------------------------------------------------------------------------------

struct Verified {
  IssuerRecord issuer;
  JwsHeader header;
  Claims claims;
};

TokenRules rules_of(const IssuerRecord& issuer, bool check_expiry) {
  TokenRules rules;
  rules.issuer = issuer.issuer;
  rules.audiences = issuer.audiences;
  rules.max_token_age = issuer.max_token_age;
  rules.clock_skew = issuer.clock_skew;
  rules.access_token = issuer.access_token;
  rules.check_expiry = check_expiry;
  return rules;
}

// The issuers whose tokens this peer takes, in the document's order.
Result<std::vector<IssuerRecord>, TokenRefusal> accepted_issuers(const AuthenticationContext& context) {
  auto names = context.self.issuers;
  if (names.empty()) {
    auto meta = context.policy.meta();
    if (!meta) return refusal(TokenFault::kNoKeySet, "policy.mdb: " + meta.error().text());
    names = meta->issuers;
  }
  std::vector<IssuerRecord> issuers;
  for (const auto& name : names) {
    auto issuer = context.policy.issuer(name);
    if (!issuer) return refusal(TokenFault::kNoKeySet, "policy.mdb: " + issuer.error().text());
    issuers.push_back(std::move(*issuer));
  }
  return issuers;
}

Result<std::string, TokenRefusal> verify_by(const AuthenticationContext& context, const IssuerRecord& issuer,
                                            std::string_view token) {
  const KeySet* keys = context.key_sets.find(issuer);
  if (keys == nullptr) return refusal(TokenFault::kNoKeySet, issuer.name);
  return verify_jws(token, *keys);
}

// Other keys might verify this token: the set is missing, lacks the kid, or the token names none.
bool may_be_rotated(TokenFault fault, const JwsHeader& header) {
  if (fault == TokenFault::kBadSignature) return header.kid.empty();
  return fault == TokenFault::kUnknownKey || fault == TokenFault::kNoKeySet;
}

// How much a refusal by one of several issuers says about the token: a wrong signature by a known key more
// than a missing key set, and that more than a key that another issuer does not know: the token may be of the
// issuer whose keys are missing.
int weight(TokenFault fault) {
  if (fault == TokenFault::kUnknownKey) return 0;
  if (fault == TokenFault::kNoKeySet) return 1;
  return 2;
}

struct Signed {
  std::vector<const IssuerRecord*> issuers;  // whose keys verify the signature
  std::string payload;
};

// The payload says who issued the token, but it must not be read before the signature holds. So every issuer
// is tried with its own keys. Several may verify it: tenants of one provider share keys.
Result<Signed, TokenRefusal> find_signers(const AuthenticationContext& context,
                                          const std::vector<IssuerRecord>& issuers, const JwsHeader& header,
                                          std::string_view token) {
  Signed out;
  std::optional<TokenRefusal> worst;
  auto attempt = [&](const IssuerRecord& issuer) -> std::optional<TokenFault> {
    auto payload = verify_by(context, issuer, token);
    if (payload) {
      out.issuers.push_back(&issuer);
      out.payload = std::move(*payload);
      return std::nullopt;
    }
    if (!worst || weight(payload.error().fault) > weight(worst->fault)) worst = payload.error();
    return payload.error().fault;
  };
  std::vector<const IssuerRecord*> stale;
  for (const auto& issuer : issuers) {
    auto fault = attempt(issuer);
    if (fault && may_be_rotated(*fault, header)) stale.push_back(&issuer);
  }
  // A login whose key is known never waits for a fetch.
  if (out.issuers.empty() && !stale.empty()) {
    context.key_sets.refresh(stale, [&](const IssuerRecord& issuer) { return !attempt(issuer); });
  }
  if (!out.issuers.empty()) return out;
  return worst ? *worst : refusal(TokenFault::kNoKeySet, "no issuer is configured");
}

// Verifies a token against these issuers; the first, in their order, whose rules it meets is its issuer.
Result<Verified, TokenRefusal> verify_token(const AuthenticationContext& context,
                                            const std::vector<IssuerRecord>& issuers, std::string_view token,
                                            bool check_expiry) {
  auto header = parse_jws_header(token);
  if (!header) return header.error();
  auto verified = find_signers(context, issuers, *header, token);
  if (!verified) return verified.error();
  auto claims = parse_claims(verified->payload);
  if (!claims) return claims.error();
  std::optional<TokenRefusal> first;
  for (const auto* issuer : verified->issuers) {
    auto bad = check_claims(*claims, *header, rules_of(*issuer, check_expiry), context.now);
    if (!bad) return Verified{*issuer, std::move(*header), std::move(*claims)};
    // what an issuer says about its own token is worth more than that it is another's
    if (!first || first->fault == TokenFault::kIssuer) first = std::move(bad);
  }
  return *first;
}

// ---- binding ----------------------------------------------------------------------------------------------

std::optional<TokenRefusal> check_bearer(const IssuerRecord& issuer) {
  if (issuer.accept_bearer) return std::nullopt;
  return refusal(TokenFault::kBearer,
                 "issuer " + shown(issuer.name) +
                     ": log in by a flow that binds the token to a key, or have the admin set it");
}

// A refreshed token has lost its nonce: the original one proves the binding. Its expiry and age do not count,
// all else does.
std::optional<TokenRefusal> check_original(const AuthenticationContext& context, const Verified& fresh,
                                           const Credential& credential) {
  auto original = verify_token(context, {fresh.issuer}, credential.original_token, false);
  if (!original) {
    return refusal(original.error().fault,
                   "the original token: " + original.error().text() + "; log in again");
  }
  if (original->claims.issuer != fresh.claims.issuer || original->claims.subject != fresh.claims.subject) {
    return refusal(TokenFault::kBinding, "the original token is of another subject");
  }
  if (check_binding(original->claims, credential.binding_salt, credential.user_key) != Binding::kBound) {
    return refusal(TokenFault::kBinding, "the original token is not bound to the certificate's signer");
  }
  return std::nullopt;
}

// Whether the token belongs to who signed the certificate; sets key_bound.
std::optional<TokenRefusal> check_holder(const AuthenticationContext& context, const Verified& verified,
                                         const Credential& credential, bool& key_bound) {
  key_bound = true;
  switch (check_binding(verified.claims, credential.binding_salt, credential.user_key)) {
    case Binding::kBound:
      return std::nullopt;
    case Binding::kForeign:
      return refusal(TokenFault::kBinding, "not to the key that signed the certificate");
    case Binding::kNone:
      break;
  }
  if (!credential.original_token.empty()) return check_original(context, verified, credential);
  key_bound = false;
  return check_bearer(verified.issuer);
}

// ---- the identity -----------------------------------------------------------------------------------------

std::optional<TokenRefusal> check_required_claims(const IssuerRecord& issuer, const Claims& claims) {
  for (const auto& [name, text] : issuer.required_claims) {
    auto wanted = parse_json(text);
    const cJSON* value = json_member(claims.all.get(), name.c_str());
    if (!wanted || value == nullptr || ::cJSON_Compare(wanted->get(), value, 1) == 0) {
      return refusal(TokenFault::kClaims, "claim " + shown(name) + " is not as required");
    }
  }
  return std::nullopt;
}

bool email_is_verified(const Claims& claims) {
  return json_bool(claims.all.get(), "email_verified").value_or(false);
}

Result<std::string, TokenRefusal> read_user_id(const IssuerRecord& issuer, const Claims& claims) {
  if (issuer.user_id_claim == "sub") return claims.subject;
  auto value = json_string(claims.all.get(), issuer.user_id_claim.c_str());
  if (!value || value->empty()) return refusal(TokenFault::kSubject, "no " + shown(issuer.user_id_claim));
  if (auto fault = token_subject_fault(*value); !fault.empty())
    return refusal(TokenFault::kSubject, shown(issuer.user_id_claim) + " " + std::string(fault));
  // at many providers users may write any address into their own account
  if (issuer.user_id_claim == "email" && !email_is_verified(claims)) {
    return refusal(TokenFault::kSubject, "the email is not verified");
  }
  return std::move(*value);
}

// A user with many groups gets a token that only says where they can be asked for: by a distributed claim
// (OpenID Connect Core section 5.6.2) or "hasgroups" (Entra).
std::optional<TokenRefusal> check_groups_elsewhere(const IssuerRecord& issuer, const Claims& claims) {
  auto elsewhere = [](const std::string& how) { return refusal(TokenFault::kGroups, how); };
  const cJSON* names = json_member(claims.all.get(), "_claim_names");
  if (names != nullptr && (::cJSON_IsObject(names) == 0 || json_member(names, issuer.groups_claim.c_str()))) {
    return elsewhere("_claim_names refers to claim " + shown(issuer.groups_claim));
  }
  const cJSON* has = json_member(claims.all.get(), "hasgroups");
  if (has != nullptr && ::cJSON_IsFalse(has) == 0) return elsewhere("hasgroups is set");
  return std::nullopt;
}

// The user groups that the issuer's groups could stand for; "*": any.
std::vector<std::string> reachable_groups(const IssuerRecord& issuer) {
  std::vector<std::string> groups;
  for (const auto& [name, group] : issuer.group_map) groups.push_back(group == "*" ? name : group);
  return groups;
}

bool says_groups(const IssuerRecord& issuer, const Claims& claims) {
  const cJSON* value = json_member(claims.all.get(), issuer.groups_claim.c_str());
  return value != nullptr && ::cJSON_IsNull(value) == 0;
}

// The user groups that the token's groups stand for.
Result<std::vector<std::string>, TokenRefusal> read_groups(const IssuerRecord& issuer, const Claims& claims) {
  std::vector<std::string> groups;
  const char* claim = issuer.groups_claim.c_str();
  if (issuer.group_map.empty()) return groups;
  if (auto bad = check_groups_elsewhere(issuer, claims)) return *bad;
  if (!says_groups(issuer, claims)) return groups;
  auto names = json_strings(claims.all.get(), claim);
  // some providers send a single group as a string
  if (auto one = json_string(claims.all.get(), claim)) names = std::vector<std::string>{*one};
  // groups may be denied, so a list that cannot be read is not an empty one
  if (!names) return refusal(TokenFault::kClaims, "claim " + shown(claim) + " is not a list of strings");
  for (const auto& name : *names) {
    auto entry = issuer.group_map.find(name);
    if (entry == issuer.group_map.end()) entry = issuer.group_map.find("*");
    if (entry == issuer.group_map.end()) continue;
    groups.push_back(entry->second == "*" ? name : entry->second);
  }
  return groups;
}

// The local part of an email that the provider has verified and whose domain is one of the issuer's.
std::string read_email_local(const IssuerRecord& issuer, const Claims& claims) {
  auto email = json_string(claims.all.get(), "email");
  if (!email || !email_is_verified(claims)) return "";
  size_t at = email->rfind('@');
  if (at == std::string::npos) return "";
  std::string domain = lower(std::string_view(*email).substr(at + 1));
  bool ours = std::any_of(issuer.email_domains.begin(), issuer.email_domains.end(),
                          [&](const std::string& known) { return lower(known) == domain; });
  return ours ? email->substr(0, at) : "";
}

Result<Identity, TokenRefusal> make_identity(const AuthenticationContext& context, const Verified& verified) {
  const auto& [issuer, header, claims] = verified;
  if (auto bad = check_required_claims(issuer, claims)) return *bad;
  Identity identity;
  identity.issuer_name = issuer.name;
  auto subject = read_user_id(issuer, claims);
  if (!subject) return subject.error();
  identity.subject = std::move(*subject);
  auto groups = read_groups(issuer, claims);
  if (!groups) return groups.error();
  if (!says_groups(issuer, claims)) identity.unknown_groups = reachable_groups(issuer);
  auto listed = context.policy.groups_of_user(issuer.name, identity.subject);
  if (!listed) return refusal(TokenFault::kClaims, "policy.mdb: " + listed.error().text());
  // a token may bring names that the document does not know; they make nobody a user of the fabric
  identity.fabric_user = issuer.members_all || !listed->empty() ||
                         std::any_of(groups->begin(), groups->end(), [&](const std::string& group) {
                           return context.policy.is_user_group(group);
                         });
  groups->insert(groups->end(), listed->begin(), listed->end());
  std::sort(groups->begin(), groups->end());
  groups->erase(std::unique(groups->begin(), groups->end()), groups->end());
  identity.groups = std::move(*groups);
  identity.email_local = read_email_local(issuer, claims);
  identity.token_id = claims.token_id;
  identity.token_expires = claims.expires;
  identity.usable_until = usable_until(claims, rules_of(issuer, true));
  return identity;
}

}  // namespace

Result<Identity, TokenRefusal> authenticate_certificate(const AuthenticationContext& context,
                                                        std::string_view blob) {
  auto credential = parse_credential(blob);
  if (!credential) return refusal(TokenFault::kCertificate, credential.error().text());
  if (auto bad = check_certificate(context, *credential)) return *bad;
  auto issuers = accepted_issuers(context);
  if (!issuers) return issuers.error();
  auto verified = verify_token(context, *issuers, credential->token, true);
  if (!verified) return verified.error();
  bool key_bound = false;
  if (auto bad = check_holder(context, *verified, *credential, key_bound)) return *bad;
  auto identity = make_identity(context, *verified);
  if (!identity) return identity.error();
  identity->key_bound = key_bound;
  identity->certificate_serial = credential->serial;
  auto certificate_until = static_cast<int64_t>(credential->valid_before) + kCertificateSkew;
  identity->usable_until = std::min(identity->usable_until, certificate_until);
  return identity;
}

Result<Identity, TokenRefusal> authenticate_token(const AuthenticationContext& context,
                                                  std::string_view token) {
  auto issuers = accepted_issuers(context);
  if (!issuers) return issuers.error();
  auto verified = verify_token(context, *issuers, token, true);
  if (!verified) return verified.error();
  // whoever sees a key-bound token must not be able to use it, whatever the issuer entry says
  if (is_key_bound(verified->claims)) {
    return refusal(TokenFault::kBinding, "a key-bound token is no password");
  }
  if (auto bad = check_bearer(verified->issuer)) return *bad;
  return make_identity(context, *verified);
}

}  // namespace qf
