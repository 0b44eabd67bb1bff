// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/standing.h"

#include <algorithm>

#include "libqf/jwk.h"
#include "libqf/jwt.h"
#include "libqf/log.h"

namespace qf {

namespace {

Verdict withdrawn(std::string reason) {
  Verdict verdict;
  verdict.decision = refused_decision(std::move(reason));
  return verdict;
}

// Why a key that the token rests on does not count any more; empty: all do.
std::string key_fault(const IssuerRecord& issuer, const TokenEvidence& token) {
  std::string gone = "the key of issuer " + quoted(issuer.name) +
                     " that signed the login is no longer in the fabric document";
  if (!issuer.jwks) return token.inline_keys ? gone : "";
  auto keys = parse_key_set(*issuer.jwks);
  if (!keys) return gone;
  for (const auto& thumbprint : token.keys) {
    bool listed =
        std::any_of(keys->begin(), keys->end(), [&](const Jwk& key) { return key.thumbprint == thumbprint; });
    if (!listed) return gone;
  }
  return "";
}

// Why the issuer's token is worth nothing here any more; empty: it still is.
std::string token_fault(const IssuerRecord& issuer, const PeerPolicyRecord& self, const Identity& identity,
                        int64_t now) {
  const TokenEvidence& token = *identity.evidence;
  if (!takes_issuer(self, issuer.name))
    return "this peer no longer takes logins of issuer " + quoted(issuer.name);
  if (identity.server_login && !issuer.server_login)
    return "peers no longer log people in at issuer " + quoted(issuer.name);
  auto rules = identity.server_login ? server_login_rules(issuer, false) : token_rules(issuer, false);
  if (auto bad = check_claims(token.claims, token.header, rules, now)) return bad->text();
  if (!identity.server_login && !identity.key_bound && !issuer.accept_bearer)
    return "issuer " + quoted(issuer.name) + " no longer takes bearer tokens";
  return key_fault(issuer, token);
}

// The identity under this document, or why there is none.
Result<Identity, std::string> identity_now(const PolicyDb& policy, const PeerPolicyRecord& self,
                                           const Identity& before, int64_t now) {
  auto issuer = policy.issuer(before.issuer_name);
  if (!issuer) return "issuer " + quoted(before.issuer_name) + " is no longer in the fabric document";
  if (auto fault = token_fault(*issuer, self, before, now); !fault.empty()) return fault;
  auto fresh = identify(policy, *issuer, before.evidence->claims);
  if (!fresh) return fresh.error().text();
  if (fresh->subject != before.subject)
    return "the fabric document reads another user out of the login: " + quoted(fresh->name());
  Identity identity = before;
  identity.groups = std::move(fresh->groups);
  identity.unknown_groups = std::move(fresh->unknown_groups);
  identity.fabric_user = fresh->fabric_user;
  identity.email_local = std::move(fresh->email_local);
  return identity;
}

}  // namespace

Verdict judge_standing(const PolicyDb& policy, const Settings& settings, const Standing& standing,
                       int64_t now) {
  auto self = policy.peer(settings.self);
  if (!self) return withdrawn("the fabric document no longer has the peer \"" + settings.self + "\"");
  auto source = policy.peer_at(standing.source_address);
  if (!source) return withdrawn(source.error().text());
  if (source->name != standing.source_peer)
    return withdrawn("the address is now that of the peer \"" + source->name + "\"");
  Verdict verdict;
  if (standing.identity) {
    auto identity = identity_now(policy, *self, *standing.identity, now);
    if (!identity) return withdrawn(identity.error());
    verdict.identity = std::move(*identity);
  }
  switch (standing.stage) {
    case Standing::Stage::kConnected:
      verdict.decision = judge_network(policy, *source, *self);
      break;
    case Standing::Stage::kTunnel:
      verdict.decision = judge_tunnel(policy, *source, *self, *verdict.identity);
      break;
    case Standing::Stage::kLoggedIn: {
      LoginRequest request{verdict.identity, standing.os_user, standing.os_user_is_root, settings.root_login};
      verdict.decision = judge_login(policy, *source, *self, request);
      break;
    }
  }
  return verdict;
}

}  // namespace qf
