// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/refusals.h"

namespace qf {

bool Refusals::note(const std::string& network, const AuditConnection& connection, const Decision& decision,
                    Deadline now) {
  // the reason names the address when no peer has it: one source would have as many as it has addresses
  Key key = {network, decision.policy, connection.peer.empty() ? "" : decision.detail};
  // more sources than anybody can have a reason for: together they count as one
  if (entries_.size() >= kMostRefusalSources && !entries_.contains(key)) key = {"", "", ""};
  auto [found, added] = entries_.try_emplace(key);
  Entry& entry = found->second;
  if (added) entry.since = now;
  entry.connection = connection;
  entry.decision = decision;
  if (entry.written < burst_) {
    ++entry.written;
    return true;
  }
  ++entry.counted;
  return false;
}

std::vector<RefusalSummary> Refusals::take_over(Deadline now) {
  std::vector<RefusalSummary> over;
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    bool all = now == Deadline::max();
    if (!all && now - entry.since < kRefusalInterval) {
      ++it;
      continue;
    }
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>((all ? Clock::now() : now) - entry.since);
    if (entry.counted > 0)
      over.push_back(
          {std::move(entry.connection), std::move(entry.decision), entry.counted, seconds.count()});
    it = entries_.erase(it);
  }
  return over;
}

}  // namespace qf
