// SPDX-License-Identifier: Apache-2.0
// How much a client may have on the way to us in a channel: the window that it is granted (RFC 4254
// section 5.2).
#pragma once

#include <cstdint>

#include "libqf/fd.h"
#include "qf-sshd/ssh_handles.h"

namespace qf {

// The way between a client and us, as far as it was seen; one a connection.
struct LongPath {
  // The least time that an answer of the client's took, on which it had not to think; 0: not known.
  Clock::duration round_trip = Clock::duration::zero();
  const void* widest = nullptr;  // the one window that has grown

  // One more such time. A person may have answered: the least counts.
  void answered_after(Clock::duration time);
};

// What the channels of a connection share; borrowed.
struct NetLoop {
  ssh_session session;
  ssh_event event;
  LongPath& path;
};

// Of one channel. On a short path it is as wide as sshd's. On a long one, where that many bytes a round trip
// are all that can come, it doubles while all of it is used. Only one window of a connection does: what is
// granted may come, and has to be held, when nobody reads it any more.
class ReceiveWindow {
 public:
  // From one grant to the next at least sshd's 2 MiB are under way. No wider where the path is short:
  // OpenSSH's client fills a window's worth of its own memory before it sends, and half of its speed went
  // into moving those bytes at 4 MiB.
  static constexpr uint32_t kWide = 9 << 18;
  static constexpr uint32_t kWidest = 8 << 20;
  static constexpr uint64_t kGrantEvery = 1 << 19;              // bytes received
  static constexpr auto kLong = std::chrono::milliseconds(20);  // round trip
  static constexpr uint32_t kLibrarysOwn = 1 << 20;             // what libssh may grant beside us

  explicit ReceiveWindow(LongPath& path) : path_(path) {}
  ~ReceiveWindow();
  ReceiveWindow(const ReceiveWindow&) = delete;
  ReceiveWindow& operator=(const ReceiveWindow&) = delete;

  // bytes: received so far, and passed on. True: it is time to grant as much as size() again.
  [[nodiscard]] bool due(uint64_t bytes) const { return bytes - granted_at_ >= kGrantEvery; }
  // Bytes to grant.
  [[nodiscard]] uint32_t grant(uint64_t bytes, Deadline now);
  // The most that may lie here: a window, and half of the library's own before it grants the next one.
  [[nodiscard]] uint32_t most_held() const { return size_ + kLibrarysOwn; }

 private:
  LongPath& path_;
  uint32_t size_ = kWide;
  uint64_t granted_at_ = 0;  // bytes received then
  uint64_t seen_ = 0;        // bytes received at seen_at_
  Deadline seen_at_ = Deadline::min();
};

}  // namespace qf
