// SPDX-License-Identifier: Apache-2.0
// A few ssh_config patterns that cover many host names. They may match more than the names: qf-detect --match
// looks at the exact one afterwards.
#pragma once

#include <array>
#include <set>
#include <string>
#include <vector>

namespace qf {

// Learns the hosts one by one and keeps of them only what may become a pattern.
class HostPatterns {
 public:
  explicit HostPatterns(const std::string& domain);
  // A lower-case name or a canonical address.
  void add(const std::string& host);
  // Each of the lists needs a Match host of its own, since a negated pattern ("!*.*") narrows everything in
  // its list.
  [[nodiscard]] std::vector<std::vector<std::string>> lists() const;

 private:
  void add_v4(const std::string& address);
  std::string domain_;
  bool short_names_ = false;
  std::set<std::string> names_, v6_;
  std::array<std::set<std::string>, 3> v4_;  // by 3, 2 and 1 parts of the address
};

}  // namespace qf
