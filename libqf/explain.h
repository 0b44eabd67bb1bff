// SPDX-License-Identifier: Apache-2.0
// Why a login is decided as it is: what libqf/authorize.h decides, with what every policy of the document
// says about it. For qf-up; the server asks for the decision alone.
#pragma once

#include <string>
#include <vector>

#include "libqf/authorize.h"

namespace qf {

struct ExplainedPolicy {
  std::string name;
  PolicyVerdict verdict = PolicyVerdict::kOtherPort;
  std::string reason;  // "allows", "says nothing: it is disabled"
};

struct Explanation {
  Decision decision;
  std::vector<ExplainedPolicy> policies;  // all of the document, in its order
};

// Reads every policy, so the time is linear in the document.
[[nodiscard]] Result<Explanation> explain_login(const PolicyDb& db, const PeerPolicyRecord& source,
                                                const PeerPolicyRecord& self, const LoginRequest& request);

// "other-port": for JSON.
[[nodiscard]] std::string_view verdict_word(PolicyVerdict verdict);

}  // namespace qf
