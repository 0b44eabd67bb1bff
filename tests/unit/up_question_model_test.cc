// SPDX-License-Identifier: Apache-2.0
// The evaluator against a naive model: the sentences of fabric.json(5), each for all policies anew, without
// indexes, verdicts or an order. Thousands of small random fabrics, the same ones in every run.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "libqf/authorize.h"
#include "qf-up/compile.h"
#include "qf-up/document.h"
#include "tests/unit/up_random_fabric.h"

namespace qf {
namespace {

using test::Dice;
using test::Names;
using test::random_document;

struct Asked {
  std::optional<Identity> identity;
  std::string os_user;
  bool is_root = false, root_enabled = false;
};

Asked random_request(Dice& dice) {
  Asked asked;
  asked.os_user = dice.of(Names{"x", "y", "root", "toor"});
  asked.is_root = asked.os_user == "root" || asked.os_user == "toor";
  asked.root_enabled = dice.one_in(2);
  if (dice.one_in(6)) return asked;
  asked.identity.emplace();
  asked.identity->groups = dice.of(std::vector<Names>{{}, {"Dev"}, {"Ops"}, {"Dev", "Ops"}});
  asked.identity->unknown_groups = dice.of(std::vector<Names>{{}, {}, {"Dev"}, {"*"}});
  asked.identity->fabric_user = !dice.one_in(5);
  asked.identity->email_local = dice.one_in(2) ? "x" : "";
  return asked;
}

// ---- the model --------------------------------------------------------------------------------------------

bool names(const Document& document, const std::vector<PolicyEnd>& ends, const std::string& peer) {
  for (const auto& end : ends) {
    if (!end.is_group && end.name == peer) return true;
    if (!end.is_group) continue;
    const auto& members = document.peer_groups.at(end.name);
    if (std::count(members.begin(), members.end(), peer) != 0) return true;
  }
  return false;
}

bool is_about_port(const PolicyRecord& policy, int port) {
  if (policy.protocol == PolicyProtocol::kSsh) return port == 22022;
  return policy.ports[0].first <= port && port <= policy.ports[0].last;
}

bool user_matches(const Names& users, const Asked& asked) {
  std::set<std::string> all(users.begin(), users.end());
  bool local = asked.identity && asked.identity->email_local == asked.os_user;
  return all.contains("*") || all.contains(asked.os_user) || (local && all.contains("{email.local}"));
}

bool model_denies(const PolicyRecord& policy, const Asked& asked) {
  for (const auto& [group, users] : policy.authorized_groups) {
    bool member = !asked.identity;
    if (asked.identity) {
      std::set<std::string> possible(asked.identity->groups.begin(), asked.identity->groups.end());
      possible.insert(asked.identity->unknown_groups.begin(), asked.identity->unknown_groups.end());
      member = possible.contains(group) || possible.contains("*");
    }
    bool root = asked.is_root && (users == Names{"root"} || users == Names{"*"});
    if (member && (policy.full_access || users.empty() || root || user_matches(users, asked))) return true;
  }
  return false;
}

bool model_allows(const PolicyRecord& policy, const Asked& asked) {
  if (!asked.identity || policy.protocol == PolicyProtocol::kTcp) return true;
  if (policy.full_access && policy.authorized_groups.empty()) return true;
  for (const auto& group : asked.identity->groups) {
    auto found = policy.authorized_groups.find(group);
    if (found == policy.authorized_groups.end()) continue;
    if (policy.full_access || user_matches(found->second, asked)) return true;
  }
  return false;
}

bool model(const Document& document, const PeerRecord& to, const Asked& asked) {
  std::vector<PolicyRecord> rules, for_22;
  for (const auto& policy : document.policies) {
    bool pair = names(document, policy.sources, "a") && names(document, policy.destinations, to.name);
    if (!pair || !policy.record.enabled) continue;
    if (is_about_port(policy.record, 22022)) rules.push_back(policy.record);
    if (is_about_port(policy.record, 22)) for_22.push_back(policy.record);
  }
  if (rules.empty() && to.ssh && to.version != "0.59.0") rules = for_22;
  bool allowed = false;
  for (const auto& policy : rules) {
    if (policy.allow) {
      allowed = allowed || model_allows(policy, asked);
    } else if (policy.authorized_groups.empty() || model_denies(policy, asked)) {
      return false;
    }
  }
  bool user = !asked.identity || asked.identity->fabric_user;
  return allowed && user && (!asked.is_root || asked.root_enabled);
}

TEST(QuestionModel, TheEvaluatorDecidesAsTheSentencesSay) {
  constexpr uint32_t kFabrics = 3000, kRequests = 8;
  size_t allowed = 0;
  for (uint32_t seed = 1; seed <= kFabrics; ++seed) {
    Dice dice(seed);
    Document document = random_document(dice);
    auto records = compile_policy(document);
    auto db = PolicyDb::over(records);
    for (uint32_t i = 0; i < kRequests; ++i) {
      const auto& to = document.peers[i % 2].record;
      Asked asked = random_request(dice);
      LoginRequest request{asked.identity, asked.os_user, asked.is_root, asked.root_enabled};
      auto decision = judge_login(db, *db.peer("a"), *db.peer(to.name), request);
      ASSERT_EQ(decision.allowed, model(document, to, asked))
          << "seed " << seed << ", request " << i << ": " << decision.policy << " " << decision.detail;
      allowed += decision.allowed ? 1 : 0;
    }
  }
  // both answers are common, or the model would have been asked for nothing
  EXPECT_GT(allowed, kFabrics * kRequests / 20);
  EXPECT_LT(allowed, kFabrics * kRequests * 19 / 20);
}

}  // namespace
}  // namespace qf
