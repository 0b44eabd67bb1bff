// SPDX-License-Identifier: Apache-2.0
// What qf-detect found out lately, by peer, and which ssh processes had a certificate written. Both are
// bounded and forget by themselves.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "libqf/fd.h"

namespace qf {

class DetectionCache {
 public:
  static constexpr auto kPositiveTime = std::chrono::seconds(60);
  static constexpr auto kNegativeTime = std::chrono::seconds(5);  // other, closed, none
  static constexpr size_t kMost = 4096;

  void put(const std::string& peer, const std::string& detection, Deadline now);
  [[nodiscard]] std::optional<std::string> find(const std::string& peer, Deadline now) const;

 private:
  struct Entry {
    std::string detection;
    Deadline until;
  };
  std::map<std::string, Entry> entries_;
};

// "This ssh, by pid and start time, has loaded a certificate for this peer": what qf-proxy asks to choose the
// direct path.
class SshNotes {
 public:
  static constexpr size_t kMost = 4096;
  static constexpr int64_t kLeastLife = 10;  // seconds that the certificate must still be good

  void put(int64_t pid, const std::string& start, const std::string& peer, int64_t valid_before,
           int64_t wall);
  [[nodiscard]] bool find(int64_t pid, const std::string& start, const std::string& peer, int64_t wall) const;
  void clear() { notes_.clear(); }

 private:
  using Key = std::tuple<int64_t, std::string, std::string>;  // pid, start, peer
  std::map<Key, int64_t> notes_;                              // until when, seconds since the epoch
};

}  // namespace qf
