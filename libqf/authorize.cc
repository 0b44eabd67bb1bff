// SPDX-License-Identifier: Apache-2.0
#include "libqf/authorize.h"

#include <algorithm>
#include <array>

#include "libqf/address.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr uint16_t kSshPort = 22;
constexpr size_t kMostShownName = 256;  // bytes of a name that a refusal repeats

Decision refuse(Refusal refusal, std::string detail, std::string policy = {}) {
  Decision decision;
  decision.refusal = refusal;
  decision.detail = std::move(detail);
  decision.policy = std::move(policy);
  return decision;
}

Decision allow(const PolicyRecord& policy) {
  Decision decision;
  decision.allowed = true;
  decision.policy = policy.name;
  decision.permit_open = policy.permit_open;
  decision.permit_listen = policy.permit_listen;
  decision.max_session = policy.max_session;
  return decision;
}

// ---- network ----------------------------------------------------------------------------------------------

bool covers(const PolicyRecord& policy, uint16_t port) {
  // qufabric-ssh is the protocol of the fabric's own port
  if (policy.protocol == PolicyProtocol::kSsh) return port == kFabricPort;
  return std::any_of(policy.ports.begin(), policy.ports.end(),
                     [port](const PortRange& range) { return range.covers(port); });
}

// A qufabric-ssh deny that names groups is aimed at people and judged when they are known; any other closes
// the port.
bool closes_port(const PolicyRecord& policy) {
  if (policy.allow || !covers(policy, kFabricPort)) return false;
  return policy.protocol == PolicyProtocol::kTcp || policy.authorized_groups.empty();
}

// "0.60.0", "0.61", "v1.2.3+build"; nothing for anything else. A pre-release ("0.60.0-rc1") is older than its
// release.
std::optional<std::array<uint64_t, 4>> parse_version(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  text = text.substr(0, text.find('+'));
  size_t dash = text.find('-');
  std::array<uint64_t, 4> version = {0, 0, 0, dash == std::string_view::npos ? 1U : 0U};
  auto numbers = split(text.substr(0, dash), '.');
  if (numbers.size() > 3) return std::nullopt;
  for (size_t i = 0; i < numbers.size(); ++i) {
    auto number = parse_number(numbers[i], 1'000'000);
    if (!number) return std::nullopt;
    version[i] = *number;
  }
  return version;
}

bool speaks_native_ssh(const PeerPolicyRecord& peer) {
  constexpr std::array<uint64_t, 4> kFirstNative = {0, 60, 0, 1};
  auto version = parse_version(peer.version);
  return version && *version >= kFirstNative;
}

// What the policies of a pair of peers say about port 22022.
struct PairRules {
  std::vector<PolicyRecord> denies;  // qufabric-ssh denies that name groups: judged with the identity
  std::vector<PolicyRecord> allows;  // the document's order
  std::optional<Decision> closed;    // why nobody may connect; absent: the port is open
};

// The derived rule: a tcp policy for 22 opens 22022 as well. Its conditions, one by one; that the
// destination's server is allowed is plain, since this runs in it.
void derive_from_port_22(const std::vector<PolicyRecord>& enabled, const PeerPolicyRecord& self,
                         PairRules& rules) {
  auto covers_22 = [](const PolicyRecord& policy) { return covers(policy, kSshPort); };
  if (std::none_of(enabled.begin(), enabled.end(), covers_22)) return;
  if (!self.ssh) {
    rules.closed = refuse(Refusal::kPeer, "port 22 is allowed, but this peer has no \"ssh\": true");
    return;
  }
  if (!speaks_native_ssh(self)) {
    rules.closed = refuse(Refusal::kPeer, "port 22 is allowed, but this peer's version is below 0.60.0");
    return;
  }
  for (const auto& policy : enabled) {
    if (!covers_22(policy)) continue;
    if (!policy.allow) {
      rules.allows.clear();
      rules.closed = refuse(Refusal::kPeer, "denied by policy", policy.name);
      return;
    }
    rules.allows.push_back(policy);
  }
}

Result<PairRules> rules_between(const PolicyDb& db, const PeerPolicyRecord& source,
                                const PeerPolicyRecord& self) {
  auto policies = db.policies_between(source, self);
  if (!policies) return policies.error();
  std::erase_if(*policies, [](const PolicyRecord& policy) { return !policy.enabled; });
  PairRules rules;
  bool covered = false;  // some rule is about 22022 itself, so none is derived
  for (const auto& policy : *policies) {
    if (closes_port(policy)) {
      rules.closed = refuse(Refusal::kPeer, "denied by policy", policy.name);
      return rules;
    }
    if (!covers(policy, kFabricPort)) continue;
    covered = true;
    (policy.allow ? rules.allows : rules.denies).push_back(policy);
  }
  if (!covered) derive_from_port_22(*policies, self, rules);
  if (rules.allows.empty() && !rules.closed) {
    rules.closed = refuse(Refusal::kPeer, "no policy lets this source reach this peer");
  }
  return rules;
}

Decision unreadable(const Error& error) {
  return refuse(Refusal::kPeer, "the policies cannot be read (" + error.text() + ")");
}

// ---- login ------------------------------------------------------------------------------------------------

bool in_group(const Identity& identity, const std::string& group) {
  return std::find(identity.groups.begin(), identity.groups.end(), group) != identity.groups.end();
}

// What the token does not say, an allow may not assume and a deny must: a provider leaves the claim out for a
// client that does not ask for it.
bool may_be_in_group(const Identity& identity, const std::string& group) {
  return in_group(identity, group) ||
         std::any_of(identity.unknown_groups.begin(), identity.unknown_groups.end(),
                     [&](const std::string& unknown) { return unknown == "*" || unknown == group; });
}

// Whether the identity is one of those that an allow is about: under tcp and under "full" without groups
// every user of the fabric.
bool is_about(const PolicyRecord& policy, const Identity& identity) {
  if (policy.protocol == PolicyProtocol::kTcp) return true;
  if (policy.authorized_groups.empty()) return policy.full_access;
  return std::any_of(policy.authorized_groups.begin(), policy.authorized_groups.end(),
                     [&](const auto& entry) { return in_group(identity, entry.first); });
}

bool lists(const std::vector<std::string>& os_users, const std::string& os_user, const Identity& identity) {
  return std::any_of(os_users.begin(), os_users.end(), [&](const std::string& listed) {
    if (listed == "*") return true;
    if (listed == "{email.local}") return !identity.email_local.empty() && identity.email_local == os_user;
    return listed == os_user;
  });
}

bool grants(const PolicyRecord& policy, const Identity& identity, const std::string& os_user) {
  // network-level access: any local user
  if (policy.protocol == PolicyProtocol::kTcp) return true;
  if (policy.full_access) return is_about(policy, identity);
  return std::any_of(policy.authorized_groups.begin(), policy.authorized_groups.end(),
                     [&](const auto& entry) {
                       return in_group(identity, entry.first) && lists(entry.second, os_user, identity);
                     });
}

// Whether a policy knows the OS user for anybody. {email.local} could be any name.
bool maps(const PolicyRecord& policy, const std::string& os_user) {
  if (policy.protocol == PolicyProtocol::kTcp || policy.full_access) return true;
  for (const auto& [group, os_users] : policy.authorized_groups) {
    for (const auto& listed : os_users) {
      if (listed == "*" || listed == "{email.local}" || listed == os_user) return true;
    }
  }
  return false;
}

// A deny that names groups. An empty list, like "full", stands for every OS user; "root" for uid 0 by any
// name.
bool denies(const PolicyRecord& policy, const std::optional<Identity>& identity,
            const LoginRequest& request) {
  static const Identity kNobody;
  for (const auto& [group, os_users] : policy.authorized_groups) {
    // where nobody is known, anybody may be in the group
    if (identity && !may_be_in_group(*identity, group)) continue;
    if (policy.full_access || os_users.empty()) return true;
    if (lists(os_users, request.os_user, identity ? *identity : kNobody)) return true;
    if (request.os_user_is_root && lists(os_users, "root", kNobody)) return true;
  }
  return false;
}

// Why a deny that names groups was not sure to be about somebody else.
std::string deny_detail(const PolicyRecord& deny, const std::optional<Identity>& identity) {
  bool member = !identity || std::any_of(deny.authorized_groups.begin(), deny.authorized_groups.end(),
                                         [&](const auto& entry) { return in_group(*identity, entry.first); });
  return member ? "denied by policy"
                : "denied by policy: the token does not hold the user's groups, one of which is denied";
}

const PolicyRecord* first_deny(const PairRules& rules, const LoginRequest& request) {
  auto found = std::find_if(rules.denies.begin(), rules.denies.end(), [&](const PolicyRecord& policy) {
    return denies(policy, request.identity, request);
  });
  return found == rules.denies.end() ? nullptr : &*found;
}

// The first policy, in the document's order, that grants the login.
const PolicyRecord* first_grant(const PairRules& rules, const LoginRequest& request) {
  auto found = std::find_if(rules.allows.begin(), rules.allows.end(), [&](const PolicyRecord& policy) {
    return !request.identity || grants(policy, *request.identity, request.os_user);
  });
  return found == rules.allows.end() ? nullptr : &*found;
}

bool authorized_on_any(const PairRules& rules, const Identity& identity) {
  return std::any_of(rules.allows.begin(), rules.allows.end(),
                     [&](const PolicyRecord& policy) { return is_about(policy, identity); });
}

Decision no_grant(const PairRules& rules, const LoginRequest& request) {
  if (!authorized_on_any(rules, *request.identity)) {
    return refuse(Refusal::kPeer, "none of the user's groups is authorized on this peer");
  }
  bool mapped = std::any_of(rules.allows.begin(), rules.allows.end(),
                            [&](const PolicyRecord& policy) { return maps(policy, request.os_user); });
  if (!mapped) return refuse(Refusal::kNoMapping, "no policy maps this OS user");
  return refuse(Refusal::kOsUser, "the OS user is not mapped for any of the user's groups");
}

std::string shown(const std::string& name) {
  return quoted(name, kMostShownName);
}

}  // namespace

Decision judge_network(const PolicyDb& policy, const PeerPolicyRecord& source, const PeerPolicyRecord& self) {
  auto rules = rules_between(policy, source, self);
  if (!rules) return unreadable(rules.error());
  return rules->closed ? *rules->closed : allow(rules->allows.front());
}

Decision judge_login(const PolicyDb& policy, const PeerPolicyRecord& source, const PeerPolicyRecord& self,
                     const LoginRequest& request) {
  auto rules = rules_between(policy, source, self);
  if (!rules) return unreadable(rules.error());
  if (rules->closed) return *rules->closed;
  if (request.identity && !request.identity->fabric_user) {
    return refuse(Refusal::kPeer, "not a user of this fabric");
  }
  if (const auto* deny = first_deny(*rules, request)) {
    return refuse(Refusal::kOsUser, deny_detail(*deny, request.identity), deny->name);
  }
  const auto* grant = first_grant(*rules, request);
  if (grant == nullptr) return no_grant(*rules, request);
  // uid 0 by whatever name, and after the policies, so that only who is authorized learns of the flag
  if (request.os_user_is_root && !request.root_enabled) {
    return refuse(Refusal::kOsUser, "root login is not enabled on this peer (--enable-ssh-root)",
                  grant->name);
  }
  return allow(*grant);
}

Decision judge_tunnel(const PolicyDb& policy, const PeerPolicyRecord& source, const PeerPolicyRecord& self,
                      const Identity& identity) {
  auto rules = rules_between(policy, source, self);
  if (!rules) return unreadable(rules.error());
  if (rules->closed) return *rules->closed;
  if (!identity.fabric_user) return refuse(Refusal::kPeer, "not a user of this fabric");
  for (const auto& deny : rules->denies) {
    // only a deny of every OS user decides before one is named
    bool all =
        std::any_of(deny.authorized_groups.begin(), deny.authorized_groups.end(), [&](const auto& entry) {
          bool every = deny.full_access || entry.second.empty() ||
                       std::find(entry.second.begin(), entry.second.end(), "*") != entry.second.end();
          return every && may_be_in_group(identity, entry.first);
        });
    if (all) return refuse(Refusal::kPeer, deny_detail(deny, identity), deny.name);
  }
  for (const auto& grant : rules->allows) {
    if (is_about(grant, identity)) return allow(grant);
  }
  return refuse(Refusal::kPeer, "none of the user's groups is authorized on this peer");
}

std::string refusal_text(const Decision& decision, const std::optional<Identity>& identity,
                         const std::string& os_user) {
  std::string who = identity ? shown(identity->name()) : "";
  std::string reason = decision.detail.empty() ? "" : " (" + printable(decision.detail) + ")";
  switch (decision.refusal) {
    case Refusal::kPeer:
      return "User is not authorized to access this peer" + (identity ? ": " + who : "") + reason;
    case Refusal::kOsUser:
      return "User is not authorized to login as OS user: " + (identity ? who + " as " : "") +
             shown(os_user) + reason;
    case Refusal::kNoMapping:
      return "No authorization mapping for OS user: " + (identity ? who + " as " : "") + shown(os_user) +
             reason;
    case Refusal::kNone:
      return "";
  }
  std::abort();
}

}  // namespace qf
