// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/busy_poll.h"

#include <sched.h>

#include <algorithm>

#include "libqf/fd.h"

namespace qf {

namespace {

// Where three of four answers are fast, as those of a client that makes a file for each fourth, all are
// waited for awake.
constexpr unsigned kTrusted = 3, kMostTrust = 6, kLateCosts = 3;
constexpr std::chrono::milliseconds kMostPaid(40);  // more is no busy machine, but a process that was stopped

bool may_use_several_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // refused where there are more processors than the set can name
  return ::sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
}

int ask(std::span<pollfd> polled, int timeout) {
  return ::poll(polled.data(), polled.size(), timeout);
}

int ask_awake(std::span<pollfd> polled, Deadline deadline) {
  for (;;) {
    int ready = ask(polled, 0);
    if (ready != 0 || Clock::now() >= deadline) return ready;
    // who has something to do on this processor goes first: it may be the one who answers
    ::sched_yield();
  }
}

}  // namespace

BusyPoll::BusyPoll() : several_processors_(may_use_several_processors()) {}

bool BusyPoll::stays_awake(Side answer) const {
  const Habit& habit = habits_[static_cast<size_t>(answer)];
  return several_processors_ && habit.trust >= kTrusted && habit.to_pay == 0;
}

int BusyPoll::wait(std::span<pollfd> polled, int timeout, std::optional<Side> answer) {
  if (!answer) return ask(polled, timeout);
  Habit& habit = habits_[static_cast<size_t>(*answer)];
  auto start = Clock::now();
  auto took = [&] { return Clock::now() - start; };
  bool awake = stays_awake(*answer);
  int ready = awake ? ask_awake(polled, start + kAwake) : ask(polled, timeout);
  bool fast = awake ? ready != 0 : took() <= kFast;
  if (awake) {
    auto late = std::clamp<Clock::duration>(took() - kAwake, Clock::duration::zero(), kMostPaid);
    habit.to_pay = static_cast<uint64_t>(late / kPayback);
    if (ready == 0) ready = ask(polled, timeout);
  } else if (habit.to_pay > 0) {
    --habit.to_pay;
  }
  habit.trust =
      fast ? std::min(habit.trust + 1, kMostTrust) : habit.trust - std::min(habit.trust, kLateCosts);
  return ready;
}

}  // namespace qf
