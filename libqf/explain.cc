// SPDX-License-Identifier: Apache-2.0
#include "libqf/explain.h"

#include <algorithm>
#include <cstdlib>

#include "libqf/log.h"

namespace qf {

namespace {

// What a policy says, in words for a person. "kOsUser" and "kNoGroup" stand for a deny as well.
std::string verdict_text(PolicyVerdict verdict, bool allow) {
  switch (verdict) {
    case PolicyVerdict::kAllows:
      return "allows it";
    case PolicyVerdict::kCloses:
      return "denies port 22022 to this source, whoever it is";
    case PolicyVerdict::kDenies:
      return "denies it";
    case PolicyVerdict::kOpens:
    case PolicyVerdict::kNamesGroups:
      break;  // a login that was judged leaves none of these
    case PolicyVerdict::kDisabled:
      return "is disabled";
    case PolicyVerdict::kOtherSource:
      return "does not name the source";
    case PolicyVerdict::kOtherDestination:
      return "does not name the destination";
    case PolicyVerdict::kOtherPort:
      return "is about other ports";
    case PolicyVerdict::kNotDerived:
      return "is about port 22, and another policy is about 22022 itself";
    case PolicyVerdict::kNoSsh:
      return "is about port 22, which counts for 22022 only with \"ssh\": true on the destination";
    case PolicyVerdict::kOldVersion:
      return "is about port 22, which counts for 22022 only from \"version\": \"0.60.0\" of the destination "
             "on";
    case PolicyVerdict::kNotAUser:
      return "is for users of this fabric";
    case PolicyVerdict::kNoGroup:
      return allow ? "authorizes none of the user's groups" : "denies none of the user's groups";
    case PolicyVerdict::kOsUser:
      return allow ? "does not list the OS user for the user's groups"
                   : "does not deny this OS user to the user's groups";
  }
  std::abort();
}

bool named(const std::vector<uint32_t>& ids, uint32_t id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

bool is_denied(const std::vector<JudgedPolicy>& pair) {
  return std::any_of(pair.begin(), pair.end(), [](const JudgedPolicy& judged) {
    return judged.verdict == PolicyVerdict::kCloses || judged.verdict == PolicyVerdict::kDenies;
  });
}

bool lists_email(const PolicyRecord& policy) {
  return std::any_of(policy.authorized_groups.begin(), policy.authorized_groups.end(), [](const auto& entry) {
    return std::find(entry.second.begin(), entry.second.end(), kEmailLocal) != entry.second.end();
  });
}

// What {email.local} stands for, where that might have been expected to be the OS user.
std::string email_text(const JudgedPolicy& judged, const LoginRequest& request) {
  bool asked = judged.verdict == PolicyVerdict::kOsUser && request.identity && lists_email(judged.policy);
  if (!asked) return "";
  const Identity& identity = *request.identity;
  return identity.email_local.empty() ? "; {email.local} is nobody: " + identity.no_email
                                      : "; {email.local} is " + quoted(identity.email_local);
}

// Of several that allow, one decides at most.
std::string reason_of(const JudgedPolicy& judged, const std::string& decides, bool denied) {
  if (judged.verdict != PolicyVerdict::kAllows || judged.policy.name == decides)
    return verdict_text(judged.verdict, judged.policy.allow);
  return denied ? "would allow it, but a deny beats it" : "allows it too; the first in the document decides";
}

}  // namespace

std::string_view verdict_word(PolicyVerdict verdict) {
  switch (verdict) {
    case PolicyVerdict::kAllows:
      return "allows";
    case PolicyVerdict::kCloses:
      return "closes-port";
    case PolicyVerdict::kDenies:
      return "denies";
    case PolicyVerdict::kOpens:
      return "opens-port";
    case PolicyVerdict::kNamesGroups:
      return "names-groups";
    case PolicyVerdict::kDisabled:
      return "disabled";
    case PolicyVerdict::kOtherSource:
      return "other-source";
    case PolicyVerdict::kOtherDestination:
      return "other-destination";
    case PolicyVerdict::kOtherPort:
      return "other-port";
    case PolicyVerdict::kNotDerived:
      return "not-derived";
    case PolicyVerdict::kNoSsh:
      return "no-ssh";
    case PolicyVerdict::kOldVersion:
      return "old-version";
    case PolicyVerdict::kNotAUser:
      return "not-a-user";
    case PolicyVerdict::kNoGroup:
      return "no-group";
    case PolicyVerdict::kOsUser:
      return "os-user";
  }
  std::abort();
}

Result<Explanation> explain_login(const PolicyDb& db, const PeerPolicyRecord& source,
                                  const PeerPolicyRecord& self, const LoginRequest& request) {
  auto from = db.policies_from(source);
  if (!from) return from.error();
  auto to = db.policies_to(self);
  if (!to) return to.error();
  std::vector<JudgedPolicy> pair, all;
  for (uint32_t id = 0;; ++id) {
    auto policy = db.policy(id);
    if (!policy && policy.error().kind == ErrorKind::kNotFound) break;
    if (!policy) return policy.error();
    JudgedPolicy judged{std::move(*policy)};
    if (!named(*from, id)) {
      judged.verdict = PolicyVerdict::kOtherSource;
    } else if (!named(*to, id)) {
      judged.verdict = PolicyVerdict::kOtherDestination;
    } else {
      pair.push_back(judged);
    }
    all.push_back(std::move(judged));
  }
  Explanation explanation;
  explanation.decision = judge_policies(pair, self, request);
  bool denied = is_denied(pair);
  auto next = pair.begin();
  for (auto& judged : all) {
    // names are unique in a document
    if (next != pair.end() && next->policy.name == judged.policy.name) judged.verdict = (next++)->verdict;
    explanation.policies.push_back(
        {judged.policy.name, judged.verdict,
         reason_of(judged, explanation.decision.policy, denied) + email_text(judged, request)});
  }
  return explanation;
}

}  // namespace qf
