// SPDX-License-Identifier: Apache-2.0
// poll(2) that stays awake for the answer to a short message, where answers come fast. A process that sleeps
// is woken late, for its processor sleeps too; that takes about as long as a server takes for a request of
// sftp, and a relay sleeps twice for each. Linux does the same for sockets (SO_BUSY_POLL, socket(7)) and for
// guests that halt (Documentation/virt/kvm/halt-polling.rst).
#pragma once

#include <poll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

namespace qf {

// A side that answered three times in a row within kFast is waited for awake, and answers that come late make
// it lose that. Where other processes want the processor, or a quota of it is used up, an attempt takes
// milliseconds; then each kPayback of them is one wait asleep.
class BusyPoll {
 public:
  static constexpr std::chrono::microseconds kAwake{100};  // the longest attempt
  static constexpr std::chrono::microseconds kFast{200};   // asleep, an answer takes about twice as long
  static constexpr std::chrono::microseconds kPayback{10};
  enum class Side { kClient, kPeer };

  // With one processor it always sleeps: those who are to answer need it.
  BusyPoll();

  // As poll(2), with errors in errno and a time-out in ms. `answer`: the side that a short message was passed
  // on to just now; nullopt: none was, or a lot of data, which keeps the processors awake by itself.
  int wait(std::span<pollfd> polled, int timeout, std::optional<Side> answer);
  // Whether it would stay awake for an answer of that side.
  [[nodiscard]] bool stays_awake(Side answer) const;

 private:
  struct Habit {
    unsigned trust = 0;   // of answers that come fast
    uint64_t to_pay = 0;  // waits asleep before it stays awake again
  };

  bool several_processors_;
  std::array<Habit, 2> habits_{};  // by Side
};

}  // namespace qf
