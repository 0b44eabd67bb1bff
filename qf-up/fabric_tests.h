// SPDX-License-Identifier: Apache-2.0
// Running the "tests" of a fabric document against its own policies, with the evaluator of qf-sshd. root
// counts as with --enable-ssh-root, which is a choice of each machine.
#pragma once

#include <string>
#include <vector>

#include "qf-up/document.h"

namespace qf {

struct TestResult {
  const TestEntry* test = nullptr;  // borrowed from the document
  size_t index = 0;
  std::string fault;   // empty: it holds
  std::string before;  // why the policies were not asked; empty: they were

  // `$.tests[3] (test "dba may")`
  [[nodiscard]] std::string place() const;
  [[nodiscard]] std::string text() const { return place() + ": " + fault; }
};

// Costs nothing when there are none, else besides the time of a login each the memory of all users' records.
[[nodiscard]] std::vector<TestResult> run_tests(const Document& document);
[[nodiscard]] std::vector<TestResult> failed_tests(const Document& document);

// The records of policy.mdb that these questions are about: of peers only the ones that they may mean.
[[nodiscard]] PolicyDb::Records records_for(const Document& document,
                                            const std::vector<const LoginQuestion*>& questions,
                                            bool near_names);

}  // namespace qf
