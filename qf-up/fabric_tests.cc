// SPDX-License-Identifier: Apache-2.0
#include "qf-up/fabric_tests.h"

#include <algorithm>
#include <unordered_set>

#include "libqf/address.h"
#include "libqf/text.h"
#include "qf-up/compile.h"

namespace qf {

namespace {

// Why the decision is not the expected one; empty: it is.
std::string decision_fault(const TestEntry& test, const Decision& decision) {
  std::string by = decision.policy.empty() ? "" : " by policy " + quoted(decision.policy);
  if (test.allow && !decision.allowed) {
    std::string detail = decision.detail.empty() ? "" : ": " + decision.detail;
    return "expected allow, but denied" + by + detail;
  }
  if (!test.allow && decision.allowed) return "expected deny, but allowed" + by;
  if (test.policy.empty() || test.policy == decision.policy) return "";
  return "expected policy " + quoted(test.policy) + " to decide, but " +
         (decision.policy.empty() ? "none did: " + decision.detail : quoted(decision.policy) + " did");
}

TestResult run_test(const PolicyDb& db, const TestEntry& test, size_t index) {
  TestResult result{&test, index, "", ""};
  auto login = make_login(db, test.question, ServerSide{});
  if (!login) {
    result.fault = login.error().text();
    return result;
  }
  result.fault = decision_fault(test, decide(db, *login));
  if (login->refused) result.before = login->refused->detail;
  if (result.fault.empty()) return result;
  for (const auto& note : login->notes) result.fault += "; " + note;
  return result;
}

}  // namespace

std::string TestResult::place() const {
  return "$.tests[" + std::to_string(index) + "]" +
         (test->name.empty() ? "" : " (test " + quoted(test->name) + ")");
}

PolicyDb::Records records_for(const Document& document, const std::vector<const LoginQuestion*>& questions,
                              bool near_names) {
  // a million peers would take gigabytes
  std::unordered_set<std::string> peers, addresses;
  for (const auto* question : questions) {
    for (const auto& name : {question->to, question->from}) {
      peers.insert({name, without_domain(name, document.domain)});
      if (auto address = canonical_address(name)) addresses.insert(*address);
    }
  }
  std::unordered_set<std::string> unknown;
  if (near_names) {
    unknown = peers;
    for (const auto& peer : document.peers) unknown.erase(peer.record.name);
  }
  auto wanted = [&](const std::string& name) {
    return peers.contains(name) || std::any_of(unknown.begin(), unknown.end(),
                                               [&](const auto& other) { return near_spelling(name, other); });
  };
  PolicyDb::Records records;
  auto all = policy_records(document)([&](std::string_view key, std::string_view value) -> Status {
    constexpr std::string_view kAddress = "addr:", kPeer = "peer:";
    if (key.starts_with(kAddress)) {
      if (!addresses.contains(std::string(key.substr(kAddress.size())))) return Done{};
      peers.emplace(value);  // addresses come before peers
    } else if (key.starts_with(kPeer) && !wanted(std::string(key.substr(kPeer.size())))) {
      return Done{};
    }
    records.emplace(key, value);
    return Done{};
  });
  if (!all) std::abort();  // only a sink fails
  return records;
}

std::vector<TestResult> run_tests(const Document& document) {
  std::vector<TestResult> results;
  if (document.tests.empty()) return results;
  std::vector<const LoginQuestion*> questions;
  for (const auto& test : document.tests) questions.push_back(&test.question);
  auto records = records_for(document, questions, false);
  auto db = PolicyDb::over(records);
  for (size_t i = 0; i < document.tests.size(); ++i) {
    results.push_back(run_test(db, document.tests[i], i));
  }
  return results;
}

std::vector<TestResult> failed_tests(const Document& document) {
  auto results = run_tests(document);
  std::erase_if(results, [](const TestResult& result) { return result.fault.empty(); });
  return results;
}

}  // namespace qf
