// SPDX-License-Identifier: Apache-2.0
// The order of the checks: what costs nothing and trusts nothing first (form, times and peer of the
// certificate), then the signature of the token, and its claims only after that.
#include "qf-sshd/authenticate.h"

#include <algorithm>
#include <map>
#include <memory>

#include "libqf/binding.h"
#include "libqf/certificate.h"
#include "libqf/json.h"
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
  std::shared_ptr<TokenEvidence> token;
  [[nodiscard]] const Claims& claims() const { return token->claims; }
};

// An issuer whose key verifies a token's signature.
struct Signer {
  const IssuerRecord* issuer;
  std::string key;  // its thumbprint
};

struct SignedBy {
  std::string payload;
  std::string key;
};

Result<SignedBy, TokenRefusal> verify_by(const AuthenticationContext& context, const IssuerRecord& issuer,
                                         std::string_view token) {
  const KeySet* keys = context.key_sets.find(issuer);
  if (keys == nullptr) return refusal(TokenFault::kNoKeySet, issuer.name);
  const Jwk* used = nullptr;
  auto payload = verify_jws(token, *keys, &used);
  if (!payload) return payload.error();
  return SignedBy{std::move(*payload), used->thumbprint};
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

// Why none of these issuers has signed the token: what weighs most of what was last said of each. A missing
// key set is a matter of every issuer that lacks one.
TokenRefusal worst_of(const std::vector<IssuerRecord>& issuers,
                      const std::map<std::string, TokenRefusal>& refusals) {
  const TokenRefusal* worst = nullptr;
  std::vector<std::string> without_keys;
  for (const auto& issuer : issuers) {
    auto found = refusals.find(issuer.name);
    if (found == refusals.end()) continue;
    if (found->second.fault == TokenFault::kNoKeySet) without_keys.push_back(issuer.name);
    if (worst == nullptr || weight(found->second.fault) > weight(worst->fault)) worst = &found->second;
  }
  if (worst == nullptr) return refusal(TokenFault::kNoKeySet, "no issuer is configured");
  if (worst->fault == TokenFault::kNoKeySet) return refusal(worst->fault, join(without_keys, ", "));
  return *worst;
}

struct Signed {
  std::vector<Signer> signers;
  std::string payload;
};

// The payload says who issued the token, but it must not be read before the signature holds. So every issuer
// is tried with its own keys. Several may verify it: tenants of one provider share keys.
Result<Signed, TokenRefusal> find_signers(const AuthenticationContext& context,
                                          const std::vector<IssuerRecord>& issuers, const JwsHeader& header,
                                          std::string_view token) {
  Signed out;
  std::map<std::string, TokenRefusal> refusals;  // by the issuer's name
  auto attempt = [&](const IssuerRecord& issuer) -> std::optional<TokenFault> {
    auto verified = verify_by(context, issuer, token);
    if (verified) {
      out.signers.push_back({&issuer, std::move(verified->key)});
      out.payload = std::move(verified->payload);
      return std::nullopt;
    }
    refusals.insert_or_assign(issuer.name, verified.error());
    return verified.error().fault;
  };
  std::vector<const IssuerRecord*> stale;
  for (const auto& issuer : issuers) {
    auto fault = attempt(issuer);
    if (fault && may_be_rotated(*fault, header)) stale.push_back(&issuer);
  }
  // A login whose key is known never waits for a fetch.
  if (out.signers.empty() && !stale.empty()) {
    context.key_sets.refresh(stale, [&](const IssuerRecord& issuer) { return !attempt(issuer); });
  }
  if (!out.signers.empty()) return out;
  return worst_of(issuers, refusals);
}

// How a token has come.
enum class Way {
  kClient,       // a peer has sent it
  kOriginal,     // the same, to prove the binding of a refreshed one: its expiry and age do not count
  kServerLogin,  // keyfetch got it for us
};

// A token of the servers' own client, in the hands of somebody else. Whose it is stands in azp (OpenID
// Connect Core section 2) or client_id (RFC 9068 section 2.2), with some providers in claims of their own.
bool is_server_logins(const Claims& claims, const IssuerRecord& issuer) {
  if (!issuer.server_login) return false;
  const std::string& client = issuer.server_login->client_id;
  if (std::find(claims.audience.begin(), claims.audience.end(), client) != claims.audience.end()) return true;
  for (const char* name : {"azp", "client_id", "cid", "appid"})
    if (json_string(claims.all.get(), name) == client) return true;
  return false;
}

std::optional<TokenRefusal> check_way(const Claims& claims, const JwsHeader& header,
                                      const IssuerRecord& issuer, Way way, int64_t now) {
  if (way == Way::kServerLogin) return check_claims(claims, header, server_login_rules(issuer, true), now);
  if (auto bad = check_claims(claims, header, token_rules(issuer, way == Way::kClient), now)) return bad;
  if (!is_server_logins(claims, issuer)) return std::nullopt;
  return refusal(TokenFault::kAudience, "it is of the client with which peers log people in themselves");
}

// Verifies a token against these issuers; the first, in their order, whose rules it meets is its issuer.
Result<Verified, TokenRefusal> verify_token(const AuthenticationContext& context,
                                            const std::vector<IssuerRecord>& issuers, std::string_view token,
                                            Way way) {
  auto header = parse_jws_header(token);
  if (!header) return header.error();
  auto verified = find_signers(context, issuers, *header, token);
  if (!verified) return verified.error();
  auto claims = parse_claims(verified->payload);
  if (!claims) return claims.error();
  std::optional<TokenRefusal> first;
  for (const auto& [issuer, key] : verified->signers) {
    auto bad = check_way(*claims, *header, *issuer, way, context.now);
    if (!bad) {
      TokenEvidence evidence{std::move(*header), std::move(*claims), {key}, issuer->jwks.has_value()};
      return Verified{*issuer, std::make_shared<TokenEvidence>(std::move(evidence))};
    }
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
  auto original = verify_token(context, {fresh.issuer}, credential.original_token, Way::kOriginal);
  if (!original) {
    return refusal(original.error().fault,
                   "the original token: " + original.error().text() + "; log in again");
  }
  if (original->claims().issuer != fresh.claims().issuer ||
      original->claims().subject != fresh.claims().subject) {
    return refusal(TokenFault::kBinding, "the original token is of another subject");
  }
  if (check_binding(original->claims(), credential.binding_salt, credential.user_key) != Binding::kBound) {
    return refusal(TokenFault::kBinding, "the original token is not bound to the certificate's signer");
  }
  fresh.token->keys.push_back(original->token->keys.front());
  return std::nullopt;
}

// Whether the token belongs to who signed the certificate; sets key_bound.
std::optional<TokenRefusal> check_holder(const AuthenticationContext& context, const Verified& verified,
                                         const Credential& credential, bool& key_bound) {
  key_bound = true;
  switch (check_binding(verified.claims(), credential.binding_salt, credential.user_key)) {
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

Result<Identity, TokenRefusal> identity_of(const AuthenticationContext& context, const Verified& verified) {
  auto identity = identify(context.policy, verified.issuer, verified.claims());
  if (identity) identity->evidence = verified.token;
  return identity;
}

}  // namespace

Result<std::vector<IssuerRecord>, TokenRefusal> accepted_issuers(const PolicyDb& policy,
                                                                 const PeerPolicyRecord& self) {
  auto names = self.issuers;
  if (names.empty()) {
    auto meta = policy.meta();
    if (!meta) return refusal(TokenFault::kNoKeySet, "policy.mdb: " + meta.error().text());
    names = meta->issuers;
  }
  std::vector<IssuerRecord> issuers;
  for (const auto& name : names) {
    auto issuer = policy.issuer(name);
    if (!issuer) return refusal(TokenFault::kNoKeySet, "policy.mdb: " + issuer.error().text());
    issuers.push_back(std::move(*issuer));
  }
  return issuers;
}

Result<Identity, TokenRefusal> authenticate_certificate(const AuthenticationContext& context,
                                                        std::string_view blob) {
  auto credential = parse_credential(blob);
  if (!credential) return refusal(TokenFault::kCertificate, credential.error().text());
  if (auto bad = check_certificate(context, *credential)) return *bad;
  auto issuers = accepted_issuers(context.policy, context.self);
  if (!issuers) return issuers.error();
  auto verified = verify_token(context, *issuers, credential->token, Way::kClient);
  if (!verified) return verified.error();
  bool key_bound = false;
  if (auto bad = check_holder(context, *verified, *credential, key_bound)) return *bad;
  auto identity = identity_of(context, *verified);
  if (!identity) return identity.error();
  identity->key_bound = key_bound;
  identity->certificate_serial = credential->serial;
  auto certificate_until = static_cast<int64_t>(credential->valid_before) + kCertificateSkew;
  identity->usable_until = std::min(identity->usable_until, certificate_until);
  return identity;
}

Result<Identity, TokenRefusal> authenticate_token(const AuthenticationContext& context,
                                                  std::string_view token) {
  auto issuers = accepted_issuers(context.policy, context.self);
  if (!issuers) return issuers.error();
  auto verified = verify_token(context, *issuers, token, Way::kClient);
  if (!verified) return verified.error();
  // whoever sees a key-bound token must not be able to use it, whatever the issuer entry says
  if (is_key_bound(verified->claims())) {
    return refusal(TokenFault::kBinding, "a key-bound token is no password");
  }
  if (auto bad = check_bearer(verified->issuer)) return *bad;
  return identity_of(context, *verified);
}

Result<Identity, TokenRefusal> authenticate_server_login(const AuthenticationContext& context,
                                                         const std::string& issuer, std::string_view token) {
  auto issuers = server_login_issuers(context.policy, context.self);
  std::erase_if(issuers, [&](const IssuerRecord& each) { return each.name != issuer; });
  if (issuers.empty())
    return refusal(TokenFault::kIssuer, "peers no longer log people in at issuer " + shown(issuer));
  auto verified = verify_token(context, issuers, token, Way::kServerLogin);
  if (!verified) return verified.error();
  // we ask for no binding: it would be to somebody's else key
  if (is_key_bound(verified->claims())) return refusal(TokenFault::kBinding, "to a key that is not ours");
  auto identity = identity_of(context, *verified);
  if (identity) identity->server_login = true;
  return identity;
}

std::vector<IssuerRecord> server_login_issuers(const PolicyDb& policy, const PeerPolicyRecord& self) {
  auto issuers = accepted_issuers(policy, self);
  if (!issuers) return {};
  std::erase_if(*issuers, [](const IssuerRecord& issuer) { return !issuer.server_login; });
  return std::move(*issuers);
}

}  // namespace qf
