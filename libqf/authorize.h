// SPDX-License-Identifier: Apache-2.0
// Who may do what: the two judgements of the fabric document's policies. Deny beats allow; nothing that
// matches is deny. Pure functions over policy.mdb, so that a decision can be explained and tested without a
// server. Every policy that is looked at gets a verdict, and the decision is made from the verdicts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libqf/identity.h"
#include "libqf/policy_db.h"

namespace qf {

// The documented words of a refusal (product documentation, troubleshooting).
enum class RefusalKind {
  kNone,
  kPeer,       // "User is not authorized to access this peer"
  kOsUser,     // "User is not authorized to login as OS user"
  kNoMapping,  // "No authorization mapping for OS user"
  kLast = kNoMapping,
};

struct Decision {
  bool allowed = false;
  std::string policy;  // name of the policy that decided, empty: none matched
  RefusalKind refusal = RefusalKind::kNone;
  std::string detail;                                   // for the audit log: why
  std::vector<std::string> permit_open, permit_listen;  // empty: no restriction by policy
  uint32_t max_session = 0;                             // seconds, 0: no limit
};

// A refusal before the policies are asked: of the whole peer.
[[nodiscard]] Decision refused_decision(std::string detail);

// What one policy says about a login.
enum class PolicyVerdict {
  kAllows,
  kCloses,  // denies the port to the source, whoever it is
  kDenies,  // a deny that names groups, one of them the user's
  // until the login is judged
  kOpens,        // allows the port to the source
  kNamesGroups,  // a deny that waits for the identity
  // nothing, because
  kDisabled,
  kOtherSource,
  kOtherDestination,
  kOtherPort,
  kNotDerived,  // it is about port 22, and another one about 22022 itself
  kNoSsh,       // the derived rule wants "ssh": true
  kOldVersion,  // the derived rule wants 0.60.0
  kNotAUser,    // of this fabric
  kNoGroup,     // none of the user's
  kOsUser,      // not listed for the user's groups
  kLast = kOsUser,
};

struct JudgedPolicy {
  PolicyRecord policy;
  PolicyVerdict verdict = PolicyVerdict::kOtherPort;
};

// May this source peer reach this peer's port 22022 at all? (Design: "Network", with the derived rule.)
[[nodiscard]] Decision judge_network(const PolicyDb& policy, const PeerPolicyRecord& source,
                                     const PeerPolicyRecord& self);

// Whether the peer's version is one that the derived rule is for (0.60.0).
[[nodiscard]] bool speaks_native_ssh(const PeerPolicyRecord& peer);

struct LoginRequest {
  std::optional<Identity> identity;  // none: --disable-ssh-auth, the network judgement alone decides
  std::string os_user;
  bool os_user_is_root = false;  // uid 0, by whatever name
  bool root_enabled = false;     // --enable-ssh-root
};

// May this identity be this OS user here? Includes the network judgement: both must allow.
[[nodiscard]] Decision judge_login(const PolicyDb& policy, const PeerPolicyRecord& source,
                                   const PeerPolicyRecord& self, const LoginRequest& request);

// The same among these policies, which name the pair and are in the document's order; sets their verdicts.
[[nodiscard]] Decision judge_policies(std::vector<JudgedPolicy>& all, const PeerPolicyRecord& self,
                                      const LoginRequest& request);

// May this identity use this peer as a tunnel's end (no OS user named yet)? True when some OS user might be
// allowed.
[[nodiscard]] Decision judge_tunnel(const PolicyDb& policy, const PeerPolicyRecord& source,
                                    const PeerPolicyRecord& self, const Identity& identity);

// What the user reads: the documented words with identity and OS user filled in.
[[nodiscard]] std::string refusal_text(const Decision& decision, const std::optional<Identity>& identity,
                                       const std::string& os_user);

}  // namespace qf
