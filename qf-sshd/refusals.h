// SPDX-License-Identifier: Apache-2.0
// Keeps a source that connects again and again, and is refused each time, from filling the logs: its first
// refusals are written, the rest of an interval is counted and written as one line. Bounded, also with many
// sources.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "libqf/fd.h"
#include "qf-sshd/audit.h"

namespace qf {

inline constexpr auto kRefusalInterval = std::chrono::seconds(60);
inline constexpr size_t kMostRefusalSources = 1024;

struct RefusalSummary {
  AuditConnection connection;  // the last one of them
  Decision decision;
  uint64_t count = 0;  // those that were not written
  int64_t seconds = 0;
};

class Refusals {
 public:
  // At most `burst` of one source, policy and reason are written in an interval.
  explicit Refusals(unsigned burst) : burst_(burst) {}
  // True: write it. `network`: the source's, so that an IPv6 network counts as one source.
  [[nodiscard]] bool note(const std::string& network, const AuditConnection& connection,
                          const Decision& decision, Deadline now);
  // Intervals that are over by `now`, and had refusals that were not written; Deadline::max(): all.
  [[nodiscard]] std::vector<RefusalSummary> take_over(Deadline now);

 private:
  struct Entry {
    Deadline since;
    unsigned written = 0;
    uint64_t counted = 0;
    AuditConnection connection;
    Decision decision;
  };
  using Key = std::tuple<std::string, std::string, std::string>;  // network, policy, reason
  unsigned burst_;
  std::map<Key, Entry> entries_;
};

}  // namespace qf
