// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/tally.h"

#include <algorithm>
#include <chrono>

namespace qf {

namespace {

constexpr auto kTallyInterval = std::chrono::milliseconds(500);
constexpr uint64_t kMostBytesPerSecond = 16'000'000'000;  // more than 100 Gbit/s
constexpr uint64_t kMostSeconds = 1'000'000'000;          // so that the product fits

}  // namespace

void TallySheet::look(const ConnectionStatus& status, Deadline now) {
  auto age = std::chrono::duration_cast<std::chrono::seconds>(now - began_).count();
  uint64_t most =
      kMostBytesPerSecond * std::min(kMostSeconds, static_cast<uint64_t>(std::max<int64_t>(0, age)) + 1);
  auto [bytes_in, bytes_out] = status.traffic();
  auto take = [&](uint64_t seen, uint64_t& counted, Count count) {
    seen = std::min(seen, most);
    if (seen <= counted) return;
    add(count, seen - counted);
    counted = seen;
  };
  take(bytes_in, in_, Count::kBytesIn);
  take(bytes_out, out_, Count::kBytesOut);
  auto live = status.live();
  if (live == live_) return;
  live_ = live;
  news_ = true;
}

std::optional<Tally> TallySheet::due(Deadline now, bool at_once) const {
  if (!news_ || (now < next_ && !at_once)) return std::nullopt;
  Tally tally;
  tally.live = live_;
  for (size_t i = static_cast<size_t>(kFirstOfMonitors); i < kCounts; ++i) {
    auto count = static_cast<Count>(i);
    if (counts_[count] > 0) tally.counts.push_back({static_cast<uint32_t>(i), counts_[count]});
  }
  return tally;
}

void TallySheet::sent(Deadline now) {
  counts_ = Counts();
  news_ = false;
  next_ = now + kTallyInterval;
}

}  // namespace qf
