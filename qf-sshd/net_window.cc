// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_window.h"

#include <algorithm>

namespace qf {

void LongPath::answered_after(Clock::duration time) {
  bool first = round_trip == Clock::duration::zero();
  if (time > Clock::duration::zero() && (first || time < round_trip)) round_trip = time;
}

ReceiveWindow::~ReceiveWindow() {
  if (path_.widest == this) path_.widest = nullptr;
}

uint32_t ReceiveWindow::grant(uint64_t bytes, Deadline now) {
  granted_at_ = bytes;
  bool can_grow = path_.round_trip >= kLong && size_ < kWidest;
  if (!can_grow || (path_.widest != nullptr && path_.widest != this)) return size_;
  if (seen_at_ == Deadline::min()) {
    seen_ = bytes;
    seen_at_ = now;
    return size_;
  }
  auto passed = now - seen_at_;
  if (passed < path_.round_trip) return size_;
  // what came in one round trip; twice that lets it double, and what the client itself cannot send grows
  // nothing
  using Seconds = std::chrono::duration<double>;
  double came = static_cast<double>(bytes - seen_) * (Seconds(path_.round_trip) / Seconds(passed));
  seen_ = bytes;
  seen_at_ = now;
  auto wanted = static_cast<uint64_t>(2 * came);
  if (wanted <= size_) return size_;
  path_.widest = this;
  size_ = static_cast<uint32_t>(std::min<uint64_t>(wanted, kWidest));
  return size_;
}

}  // namespace qf
