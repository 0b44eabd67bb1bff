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

// Who does not answer in time costs little: one attempt, and then each kPayback of the time that it took is
// one wait asleep. So it is too where other processes want the processor or a quota of it is used up (an
// attempt then takes milliseconds).
class BusyPoll {
 public:
  static constexpr std::chrono::microseconds kAwake{100};  // the longest attempt
  static constexpr std::chrono::microseconds kFast{200};  // a side whose last answer took longer is slept for
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
    bool fast = false;    // its last answer
    uint64_t to_pay = 0;  // waits asleep before it stays awake again
  };

  bool several_processors_;
  std::array<Habit, 2> habits_{};  // by Side
};

}  // namespace qf
