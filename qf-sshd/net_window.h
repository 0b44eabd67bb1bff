// SPDX-License-Identifier: Apache-2.0
// How much may be on the way in a channel: to us, the window that the client is granted, and to the client,
// what we send of the window that it grants (RFC 4254 section 5.2).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "libqf/fd.h"
#include "qf-sshd/ssh_handles.h"

namespace qf {

// The way between a client and us, as far as it was seen; one a connection.
struct LongPath {
  // The least time that an answer of the client's took, on which it had not to think; 0: not known.
  Clock::duration round_trip = Clock::duration::zero();
  const void* widest = nullptr;  // the one window that has grown
  // When a channel is to be looked at though nothing has come; set anew in each turn.
  Deadline look_again = Deadline::max();

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

// Of one channel. Beside other channels a copy has no more under way than the client takes in a moment, where
// its window would let it have 2 MiB: what somebody types, and its echo, would wait behind all of them.
class SendWindow {
 public:
  // At most 2 Gbit/s beside other channels, however long the path: so much for each millisecond of round
  // trip, and for a shorter one.
  static constexpr size_t kEachMillisecond = 256 * 1024;
  // A client that takes its time before it grants more is not understood: it gets twice as much.
  static constexpr auto kPatience = std::chrono::milliseconds(100);

  explicit SendWindow(LongPath& path) : path_(path) {}

  // Bytes that may be sent now. window: what the client grants; shared: other channels are open.
  [[nodiscard]] size_t room(size_t window, bool shared, Deadline now);
  void sent(size_t bytes) { expected_ -= std::min(bytes, expected_); }

 private:
  void look_at(size_t window);
  [[nodiscard]] size_t limit() const;  // of what is under way

  LongPath& path_;
  size_t widest_ = 0;                      // that the client has granted
  size_t expected_ = 0;                    // what is left of the window when it grants nothing
  size_t least_grant_ = 0;                 // 0: none seen
  size_t doubled_ = 1;                     // by which the limit is multiplied
  Deadline full_since_ = Deadline::max();  // all that may be is under way
};

}  // namespace qf
