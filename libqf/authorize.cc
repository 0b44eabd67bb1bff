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

Decision refuse(RefusalKind refusal, std::string detail, std::string policy = {}) {
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

// The policies of a pair of peers, in the document's order, each with what it says so far.
using Judged = std::vector<JudgedPolicy>;

bool any_says(const Judged& all, PolicyVerdict verdict) {
  return std::any_of(all.begin(), all.end(),
                     [verdict](const JudgedPolicy& judged) { return judged.verdict == verdict; });
}

const PolicyRecord* first_that(const Judged& all, PolicyVerdict verdict) {
  for (const auto& judged : all) {
    if (judged.verdict == verdict) return &judged.policy;
  }
  return nullptr;
}

// What a policy that names the pair says about port 22022, before the derived rule: kNotDerived for one that
// is about 22 alone.
PolicyVerdict about_port(const PolicyRecord& policy) {
  if (!policy.enabled) return PolicyVerdict::kDisabled;
  if (closes_port(policy)) return PolicyVerdict::kCloses;
  if (covers(policy, kFabricPort)) return policy.allow ? PolicyVerdict::kOpens : PolicyVerdict::kNamesGroups;
  return covers(policy, kSshPort) ? PolicyVerdict::kNotDerived : PolicyVerdict::kOtherPort;
}

// The derived rule: a tcp policy for 22 counts for 22022 as well. Its conditions, one by one; that the
// destination's server is allowed is plain, since this runs in it.
void derive_from_port_22(Judged& all, const PeerPolicyRecord& self) {
  bool covered = any_says(all, PolicyVerdict::kOpens) || any_says(all, PolicyVerdict::kCloses) ||
                 any_says(all, PolicyVerdict::kNamesGroups);
  if (covered) return;
  for (auto& [policy, verdict] : all) {
    if (verdict != PolicyVerdict::kNotDerived) continue;
    if (!self.ssh) {
      verdict = PolicyVerdict::kNoSsh;
    } else if (!speaks_native_ssh(self)) {
      verdict = PolicyVerdict::kOldVersion;
    } else {
      verdict = policy.allow ? PolicyVerdict::kOpens : PolicyVerdict::kCloses;
    }
  }
}

void judge_port(Judged& all, const PeerPolicyRecord& self) {
  for (auto& judged : all) judged.verdict = about_port(judged.policy);
  derive_from_port_22(all, self);
}

// Why nobody may connect; absent: the port is open.
std::optional<Decision> closed(const Judged& all) {
  if (const auto* deny = first_that(all, PolicyVerdict::kCloses))
    return refuse(RefusalKind::kPeer, "denied by policy", deny->name);
  if (any_says(all, PolicyVerdict::kOpens)) return std::nullopt;
  if (any_says(all, PolicyVerdict::kNoSsh))
    return refuse(RefusalKind::kPeer, "port 22 is allowed, but this peer has no \"ssh\": true");
  if (any_says(all, PolicyVerdict::kOldVersion))
    return refuse(RefusalKind::kPeer, "port 22 is allowed, but this peer's version is below 0.60.0");
  return refuse(RefusalKind::kPeer, "no policy lets this source reach this peer");
}

Result<Judged> pair_policies(const PolicyDb& db, const PeerPolicyRecord& source,
                             const PeerPolicyRecord& self) {
  auto policies = db.policies_between(source, self);
  if (!policies) return policies.error();
  Judged all;
  all.reserve(policies->size());
  for (auto& policy : *policies) all.push_back({std::move(policy), PolicyVerdict::kOtherPort});
  return all;
}

Decision unreadable(const Error& error) {
  return refuse(RefusalKind::kPeer, "the policies cannot be read (" + error.text() + ")");
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
    if (listed == kAnyOsUser) return true;
    if (listed == kEmailLocal) return !identity.email_local.empty() && identity.email_local == os_user;
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
      if (listed == kAnyOsUser || listed == kEmailLocal || listed == os_user) return true;
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

// Only a deny of every OS user decides before one is named.
bool denies_every_os_user(const PolicyRecord& deny, const Identity& identity) {
  return std::any_of(deny.authorized_groups.begin(), deny.authorized_groups.end(), [&](const auto& entry) {
    bool every = deny.full_access || entry.second.empty() ||
                 std::find(entry.second.begin(), entry.second.end(), kAnyOsUser) != entry.second.end();
    return every && may_be_in_group(identity, entry.first);
  });
}

// Why a deny that names groups was not sure to be about somebody else.
std::string deny_detail(const PolicyRecord& deny, const std::optional<Identity>& identity) {
  bool member = !identity || std::any_of(deny.authorized_groups.begin(), deny.authorized_groups.end(),
                                         [&](const auto& entry) { return in_group(*identity, entry.first); });
  return member ? "denied by policy"
                : "denied by policy: the token does not hold the user's groups, one of which is denied";
}

// What a policy that opens the port says about the login.
PolicyVerdict about_grant(const PolicyRecord& policy, const LoginRequest& request) {
  if (!request.identity) return PolicyVerdict::kAllows;
  if (!request.identity->fabric_user) return PolicyVerdict::kNotAUser;
  if (grants(policy, *request.identity, request.os_user)) return PolicyVerdict::kAllows;
  return is_about(policy, *request.identity) ? PolicyVerdict::kOsUser : PolicyVerdict::kNoGroup;
}

// What a deny that names groups says about it.
PolicyVerdict about_deny(const PolicyRecord& policy, const LoginRequest& request) {
  if (denies(policy, request.identity, request)) return PolicyVerdict::kDenies;
  bool member = !request.identity || std::any_of(policy.authorized_groups.begin(),
                                                 policy.authorized_groups.end(), [&](const auto& entry) {
                                                   return may_be_in_group(*request.identity, entry.first);
                                                 });
  return member ? PolicyVerdict::kOsUser : PolicyVerdict::kNoGroup;
}

void judge_request(Judged& all, const LoginRequest& request) {
  for (auto& [policy, verdict] : all) {
    if (verdict == PolicyVerdict::kOpens) verdict = about_grant(policy, request);
    if (verdict == PolicyVerdict::kNamesGroups) verdict = about_deny(policy, request);
  }
}

// Nothing allows and nothing denies.
Decision no_grant(const Judged& all, const LoginRequest& request) {
  bool authorized = false, mapped = false;
  for (const auto& [policy, verdict] : all) {
    bool opened = verdict == PolicyVerdict::kOsUser || verdict == PolicyVerdict::kNoGroup;
    if (!policy.allow || !opened) continue;
    authorized = authorized || verdict == PolicyVerdict::kOsUser;
    mapped = mapped || maps(policy, request.os_user);
  }
  if (!authorized) return refuse(RefusalKind::kPeer, "none of the user's groups is authorized on this peer");
  if (!mapped) return refuse(RefusalKind::kNoMapping, "no policy maps this OS user");
  return refuse(RefusalKind::kOsUser, "the OS user is not mapped for any of the user's groups");
}

std::string shown(const std::string& name) {
  return quoted(name, kMostShownName);
}

}  // namespace

bool speaks_native_ssh(const PeerPolicyRecord& peer) {
  constexpr std::array<uint64_t, 4> kFirstNative = {0, 60, 0, 1};
  auto version = parse_version(peer.version);
  return version && *version >= kFirstNative;
}

Decision refused_decision(std::string detail) {
  return refuse(RefusalKind::kPeer, std::move(detail));
}

Decision judge_network(const PolicyDb& policy, const PeerPolicyRecord& source, const PeerPolicyRecord& self) {
  auto all = pair_policies(policy, source, self);
  if (!all) return unreadable(all.error());
  judge_port(*all, self);
  auto refused = closed(*all);
  return refused ? *refused : allow(*first_that(*all, PolicyVerdict::kOpens));
}

Decision judge_policies(std::vector<JudgedPolicy>& all, const PeerPolicyRecord& self,
                        const LoginRequest& request) {
  judge_port(all, self);
  auto refused = closed(all);
  judge_request(all, request);
  if (refused) return *refused;
  if (request.identity && !request.identity->fabric_user) {
    return refuse(RefusalKind::kPeer, "not a user of this fabric");
  }
  if (const auto* deny = first_that(all, PolicyVerdict::kDenies))
    return refuse(RefusalKind::kOsUser, deny_detail(*deny, request.identity), deny->name);
  // the first one in the document's order
  const auto* grant = first_that(all, PolicyVerdict::kAllows);
  if (grant == nullptr) return no_grant(all, request);
  // uid 0 by whatever name, and after the policies, so that only who is authorized learns of the flag
  if (request.os_user_is_root && !request.root_enabled) {
    return refuse(RefusalKind::kOsUser, "root login is not enabled on this peer (--enable-ssh-root)",
                  grant->name);
  }
  return allow(*grant);
}

Decision judge_login(const PolicyDb& policy, const PeerPolicyRecord& source, const PeerPolicyRecord& self,
                     const LoginRequest& request) {
  auto all = pair_policies(policy, source, self);
  return all ? judge_policies(*all, self, request) : unreadable(all.error());
}

Decision judge_tunnel(const PolicyDb& policy, const PeerPolicyRecord& source, const PeerPolicyRecord& self,
                      const Identity& identity) {
  auto all = pair_policies(policy, source, self);
  if (!all) return unreadable(all.error());
  judge_port(*all, self);
  if (auto refused = closed(*all)) return *refused;
  if (!identity.fabric_user) return refuse(RefusalKind::kPeer, "not a user of this fabric");
  for (const auto& [deny, verdict] : *all) {
    if (verdict == PolicyVerdict::kNamesGroups && denies_every_os_user(deny, identity))
      return refuse(RefusalKind::kPeer, deny_detail(deny, identity), deny.name);
  }
  for (const auto& [grant, verdict] : *all) {
    if (verdict == PolicyVerdict::kOpens && is_about(grant, identity)) return allow(grant);
  }
  return refuse(RefusalKind::kPeer, "none of the user's groups is authorized on this peer");
}

std::string refusal_text(const Decision& decision, const std::optional<Identity>& identity,
                         const std::string& os_user) {
  std::string who = identity ? shown(identity->name()) : "";
  std::string reason = decision.detail.empty() ? "" : " (" + printable(decision.detail) + ")";
  switch (decision.refusal) {
    case RefusalKind::kPeer:
      return "User is not authorized to access this peer" + (identity ? ": " + who : "") + reason;
    case RefusalKind::kOsUser:
      return "User is not authorized to login as OS user: " + (identity ? who + " as " : "") +
             shown(os_user) + reason;
    case RefusalKind::kNoMapping:
      return "No authorization mapping for OS user: " + (identity ? who + " as " : "") + shown(os_user) +
             reason;
    case RefusalKind::kNone:
      return "";
  }
  std::abort();
}

}  // namespace qf
