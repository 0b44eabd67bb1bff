// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/issue_rate.h"

#include <algorithm>

namespace qf {

std::optional<IssueRate::TooOften> IssueRate::take(uid_t uid, Deadline now) {
  auto found = buckets_.find(uid);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kMostUsers) make_room(now);
    found = buckets_.emplace(uid, Bucket{now}).first;
  }
  Bucket& bucket = found->second;
  Deadline full_at = std::max(bucket.full_at, now) + kRefill;
  auto over = full_at - now - kBurst * kRefill;
  if (over <= Clock::duration::zero()) {
    bucket.full_at = full_at;
    return std::nullopt;
  }
  ++bucket.refused;
  TooOften answer = {std::chrono::ceil<std::chrono::seconds>(over), now >= bucket.quiet_until,
                     bucket.refused};
  if (answer.log) {
    bucket.quiet_until = now + kQuiet;
    bucket.refused = 0;
  }
  return answer;
}

// Whose bucket is full and whom the log may name again is as one who was never here. When all are in use, the
// one who has the most left goes: it gains the least by it.
void IssueRate::make_room(Deadline now) {
  std::erase_if(buckets_, [&](const auto& entry) {
    return entry.second.full_at <= now && entry.second.quiet_until <= now;
  });
  if (buckets_.size() < kMostUsers) return;
  auto fuller = [](const auto& a, const auto& b) { return a.second.full_at < b.second.full_at; };
  buckets_.erase(std::min_element(buckets_.begin(), buckets_.end(), fuller));
}

}  // namespace qf
