// SPDX-License-Identifier: Apache-2.0
#include "libqf/identity.h"

#include <algorithm>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostClaimShown = 100;  // bytes of a foreign name in a detail

TokenRefusal claim_refusal(TokenFault fault, std::string detail) {
  return {fault, std::move(detail)};
}

std::string shown_claim(std::string_view text) {
  return quoted(text, kMostClaimShown);
}

std::optional<TokenRefusal> check_required_claims(const IssuerRecord& issuer, const Claims& claims) {
  for (const auto& [name, text] : issuer.required_claims) {
    auto wanted = parse_json(text);
    const cJSON* value = json_member(claims.all.get(), name.c_str());
    if (!wanted || value == nullptr || ::cJSON_Compare(wanted->get(), value, 1) == 0) {
      return claim_refusal(
          TokenFault::kClaims,
          "claim " + shown_claim(name) + (value == nullptr ? " is missing" : " has another value"));
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
  if (!value || value->empty())
    return claim_refusal(TokenFault::kSubject, "no " + shown_claim(issuer.user_id_claim));
  if (auto fault = token_subject_fault(*value); !fault.empty())
    return claim_refusal(TokenFault::kSubject, shown_claim(issuer.user_id_claim) + " " + std::string(fault));
  // at many providers users may write any address into their own account
  if (issuer.user_id_claim == "email" && !email_is_verified(claims)) {
    return claim_refusal(TokenFault::kSubject, "the email is not verified");
  }
  return std::move(*value);
}

// A user with many groups gets a token that only says where they can be asked for: by a distributed claim
// (OpenID Connect Core section 5.6.2) or "hasgroups" (Entra).
std::optional<TokenRefusal> check_groups_elsewhere(const IssuerRecord& issuer, const Claims& claims) {
  auto elsewhere = [](const std::string& how) { return claim_refusal(TokenFault::kGroups, how); };
  const cJSON* names = json_member(claims.all.get(), "_claim_names");
  if (names != nullptr && (::cJSON_IsObject(names) == 0 || json_member(names, issuer.groups_claim.c_str()))) {
    return elsewhere("_claim_names refers to claim " + shown_claim(issuer.groups_claim));
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
  if (!names)
    return claim_refusal(TokenFault::kClaims, "claim " + shown_claim(claim) + " is not a list of strings");
  for (const auto& name : *names) {
    auto entry = issuer.group_map.find(name);
    if (entry == issuer.group_map.end()) entry = issuer.group_map.find("*");
    if (entry == issuer.group_map.end()) continue;
    groups.push_back(entry->second == "*" ? name : entry->second);
  }
  return groups;
}

// The local part of an email that the provider has verified and whose domain is one of the issuer's.
void read_email(const IssuerRecord& issuer, const Claims& claims, Identity& identity) {
  auto email = json_string(claims.all.get(), "email");
  size_t at = email ? email->rfind('@') : std::string::npos;
  if (at == std::string::npos) {
    identity.no_email = "the token has no email";
    return;
  }
  if (!email_is_verified(claims)) {
    identity.no_email = "the email of the token is not verified (claim \"email_verified\")";
    return;
  }
  std::string domain = lower(std::string_view(*email).substr(at + 1));
  bool ours = std::any_of(issuer.email_domains.begin(), issuer.email_domains.end(),
                          [&](const std::string& known) { return lower(known) == domain; });
  if (ours) {
    identity.email_local = email->substr(0, at);
  } else {
    identity.no_email = "the domain of the token's email is none of the issuer's \"email_domains\"";
  }
}

}  // namespace

bool takes_issuer(const PeerPolicyRecord& peer, const std::string& name) {
  return peer.issuers.empty() ||
         std::find(peer.issuers.begin(), peer.issuers.end(), name) != peer.issuers.end();
}

TokenRules token_rules(const IssuerRecord& issuer, bool check_expiry) {
  TokenRules rules;
  rules.issuer = issuer.issuer;
  rules.audiences = issuer.audiences;
  rules.max_token_age = issuer.max_token_age;
  rules.clock_skew = issuer.clock_skew;
  rules.access_token = issuer.access_token;
  rules.check_expiry = check_expiry;
  return rules;
}

TokenRules server_login_rules(const IssuerRecord& issuer, bool check_expiry) {
  TokenRules rules = token_rules(issuer, check_expiry);
  rules.audiences = {issuer.server_login->client_id};
  rules.access_token = false;  // it is the id_token
  return rules;
}

Result<Identity, TokenRefusal> identify(const PolicyDb& policy, const IssuerRecord& issuer,
                                        const Claims& claims) {
  if (auto bad = check_required_claims(issuer, claims)) return *bad;
  Identity identity;
  identity.issuer_name = issuer.name;
  auto subject = read_user_id(issuer, claims);
  if (!subject) return subject.error();
  identity.subject = std::move(*subject);
  auto groups = read_groups(issuer, claims);
  if (!groups) return groups.error();
  if (!says_groups(issuer, claims)) identity.unknown_groups = reachable_groups(issuer);
  auto listed = policy.groups_of_user(issuer.name, identity.subject);
  if (!listed) return claim_refusal(TokenFault::kClaims, "policy.mdb: " + listed.error().text());
  // a token may bring names that the document does not know; they make nobody a user of the fabric
  identity.fabric_user = issuer.members_all || !listed->empty() ||
                         std::any_of(groups->begin(), groups->end(),
                                     [&](const std::string& group) { return policy.is_user_group(group); });
  groups->insert(groups->end(), listed->begin(), listed->end());
  std::sort(groups->begin(), groups->end());
  groups->erase(std::unique(groups->begin(), groups->end()), groups->end());
  identity.groups = std::move(*groups);
  read_email(issuer, claims, identity);
  identity.token_id = claims.token_id;
  identity.token_expires = claims.expires;
  identity.usable_until = usable_until(claims, token_rules(issuer, true));
  return identity;
}

}  // namespace qf
