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

void SendWindow::look_at(size_t window) {
  bool first = widest_ == 0;
  widest_ = std::max(widest_, window);
  if (!first && window > expected_) {
    size_t grant = window - expected_;
    least_grant_ = least_grant_ == 0 ? grant : std::min(least_grant_, grant);
    full_since_ = Deadline::max();
  }
  expected_ = window;
}

size_t SendWindow::limit() const {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  double length = std::max(Milliseconds(path_.round_trip).count(), 1.0);
  auto of_path = static_cast<size_t>(length * static_cast<double>(kEachMillisecond));
  // A client grants more when it has taken so much: what is under way must not be less than that.
  return std::max(of_path, 2 * least_grant_) * doubled_;
}

size_t SendWindow::room(size_t window, bool shared, Deadline now) {
  look_at(window);
  size_t under_way = widest_ - window;
  // how much a client takes before it grants more nobody knows until it has done so once
  bool limited = shared && least_grant_ != 0;
  if (limited && under_way >= limit() && full_since_ != Deadline::max() && now - full_since_ >= kPatience) {
    full_since_ = Deadline::max();
    doubled_ *= 2;
  }
  if (!limited || under_way < limit()) {
    full_since_ = Deadline::max();
    return limited ? std::min(window, limit() - under_way) : window;
  }
  if (full_since_ == Deadline::max()) full_since_ = now;
  path_.look_again = std::min(path_.look_again, full_since_ + kPatience);
  return 0;
}

}  // namespace qf
