// SPDX-License-Identifier: Apache-2.0
// How often each user may ask the machine issuer for a token: a bucket of so many, filled again one a second.
// Bounded: a user whose bucket is full again is forgotten. Never fails.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "libqf/fd.h"

namespace qf {

class IssueRate {
 public:
  static constexpr int kBurst = 60;
  static constexpr auto kRefill = std::chrono::seconds(1);  // one token's time
  static constexpr auto kQuiet = std::chrono::minutes(1);   // between two lines of the log about a user
  static constexpr size_t kMostUsers = 4096;

  struct TooOften {
    std::chrono::seconds again;  // until the next token is there, rounded up
    bool log;                    // it is time to say so in the log
    uint64_t refused;            // how many requests since that was last said, this one included
  };

  // Takes one of this user's tokens; when there is none, says so.
  [[nodiscard]] std::optional<TooOften> take(uid_t uid, Deadline now);
  [[nodiscard]] size_t users() const { return buckets_.size(); }

 private:
  // In place of a number of tokens that time changes, the time when there are kBurst of them (GCRA).
  struct Bucket {
    Deadline full_at;
    Deadline quiet_until = Deadline::min();
    uint64_t refused = 0;
  };
  void make_room(Deadline now);
  std::unordered_map<uid_t, Bucket> buckets_;
};

}  // namespace qf
