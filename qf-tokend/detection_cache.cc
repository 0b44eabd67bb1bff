// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/detection_cache.h"

#include <algorithm>

namespace qf {

namespace {

// Makes room for one more: what has run out goes; when nothing has, what would first.
template <class Map, class Until, class Time>
void make_room(Map& map, size_t most, Until until, Time now) {
  if (map.size() < most) return;
  std::erase_if(map, [&](const auto& entry) { return until(entry.second) <= now; });
  if (map.size() < most) return;
  map.erase(std::min_element(map.begin(), map.end(), [&](const auto& a, const auto& b) {
    return until(a.second) < until(b.second);
  }));
}

}  // namespace

void DetectionCache::put(const std::string& peer, const std::string& detection, Deadline now) {
  make_room(
      entries_, kMost, [](const Entry& entry) { return entry.until; }, now);
  bool ours = detection == "jwt" || detection == "no-jwt";
  entries_.insert_or_assign(peer, Entry{detection, now + (ours ? kPositiveTime : kNegativeTime)});
}

std::optional<std::string> DetectionCache::find(const std::string& peer, Deadline now) const {
  auto it = entries_.find(peer);
  if (it == entries_.end() || it->second.until <= now) return std::nullopt;
  return it->second.detection;
}

void SshNotes::put(int64_t pid, const std::string& start, const std::string& peer, int64_t valid_before,
                   int64_t wall) {
  make_room(
      notes_, kMost, [](int64_t until) { return until; }, wall);
  notes_.insert_or_assign(Key{pid, start, peer}, valid_before);
}

bool SshNotes::find(int64_t pid, const std::string& start, const std::string& peer, int64_t wall) const {
  auto it = notes_.find(Key{pid, start, peer});
  return it != notes_.end() && it->second > wall + kLeastLife;
}

}  // namespace qf
