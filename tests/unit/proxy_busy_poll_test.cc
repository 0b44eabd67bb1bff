// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/busy_poll.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "libqf/fd.h"
#include "tests/unit/proxy_tools.h"

namespace qf {
namespace {

using test::processor_time;

constexpr auto kClient = BusyPoll::Side::kClient;
constexpr auto kPeer = BusyPoll::Side::kPeer;

struct Pipe {
  FdPair ends = std::move(*make_pipe());
  pollfd reader{ends.first.get(), POLLIN, 0};
  std::span<pollfd> polled{&reader, 1};

  void put() { EXPECT_EQ(::write(ends.second.get(), "x", 1), 1); }
  void take() {
    char byte = 0;
    EXPECT_EQ(::read(ends.first.get(), &byte, 1), 1);
  }
};

// Of the thread that lives as long as this.
class Processors {
 public:
  Processors() { ::sched_getaffinity(0, sizeof all_, &all_); }
  ~Processors() { ::sched_setaffinity(0, sizeof all_, &all_); }
  [[nodiscard]] int count() const { return CPU_COUNT(&all_); }
  void only_one() {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i) {
      if (CPU_ISSET(i, &all_)) CPU_SET(i, &one);
    }
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  }

 private:
  cpu_set_t all_{};
};

// How many answers that are there already, as fast as can be, it takes until the next one is waited for
// awake. On a busy machine the test may be held up between two of them.
int answers_until_awake(BusyPoll& poll, Pipe& pipe, BusyPoll::Side side) {
  pipe.put();
  int answers = 0;
  while (!poll.stays_awake(side) && answers < 100'000) {
    EXPECT_EQ(poll.wait(pipe.polled, -1, side), 1);
    ++answers;
  }
  pipe.take();
  return answers;
}

TEST(BusyPoll, SleepsUntilThreeAnswersWereFast) {
  if (Processors().count() < 2) GTEST_SKIP() << "one processor";
  BusyPoll poll;
  Pipe pipe;
  EXPECT_GE(answers_until_awake(poll, pipe, kPeer), 3);
  EXPECT_TRUE(poll.stays_awake(kPeer));
  EXPECT_FALSE(poll.stays_awake(kClient)) << "each side has habits of its own";
}

TEST(BusyPoll, IsPollAwakeAndAsleep) {
  BusyPoll poll;
  Pipe pipe;
  for (int i = 0; i < 100; ++i) {
    auto side = i % 2 == 0 ? std::optional(kPeer) : i % 3 == 0 ? std::optional(kClient) : std::nullopt;
    pipe.reader.revents = 0;
    EXPECT_EQ(poll.wait(pipe.polled, 0, side), 0);
    EXPECT_EQ(pipe.reader.revents, 0);
    pipe.put();
    EXPECT_EQ(poll.wait(pipe.polled, -1, side), 1);
    EXPECT_EQ(pipe.reader.revents, POLLIN);
    pipe.take();
  }
  pipe.ends.second.reset();
  EXPECT_EQ(poll.wait(pipe.polled, -1, kPeer), 1);
  EXPECT_EQ(pipe.reader.revents, POLLHUP);
}

TEST(BusyPoll, AnAnswerThatTakesLongIsSleptFor) {
  BusyPoll poll;
  Pipe pipe;
  answers_until_awake(poll, pipe, kPeer);
  auto before = processor_time(CLOCK_THREAD_CPUTIME_ID);
  EXPECT_EQ(poll.wait(pipe.polled, 300, kPeer), 0);
  EXPECT_LT(processor_time(CLOCK_THREAD_CPUTIME_ID) - before, std::chrono::milliseconds(100)) << "of 300";
}

TEST(BusyPoll, WhoAnswersLateTwiceIsNotWaitedForAwakeAnyMore) {
  if (Processors().count() < 2) GTEST_SKIP() << "one processor";
  BusyPoll poll;
  Pipe pipe;
  answers_until_awake(poll, pipe, kPeer);
  pipe.put();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(poll.wait(pipe.polled, -1, kPeer), 1);
  pipe.take();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(poll.wait(pipe.polled, 1, kPeer), 0);
  EXPECT_FALSE(poll.stays_awake(kPeer));
  EXPECT_GE(answers_until_awake(poll, pipe, kPeer), 3) << "but again when it is fast";
}

// Of two who want one processor each waits for milliseconds; that is not the answering side's fault.
TEST(BusyPoll, AnAttemptThatTakesLongIsPaidWithWaitsAsleep) {
  if (Processors().count() < 2) GTEST_SKIP() << "one processor";
  std::thread([] {
    BusyPoll poll;
    Processors processors;
    processors.only_one();
    std::atomic<bool> over = false;
    std::thread busy([&] {
      while (!over) {
      }
    });
    Pipe pipe;
    int most = 0;
    for (int i = 0; i < 1000 && most < 20; ++i) {
      most = std::max(most, answers_until_awake(poll, pipe, kPeer));
      EXPECT_EQ(poll.wait(pipe.polled, 1, kPeer), 0);
    }
    over = true;
    busy.join();
    EXPECT_GE(most, 20);
  }).join();
}

TEST(BusyPoll, MuchDataChangesNoHabit) {
  if (Processors().count() < 2) GTEST_SKIP() << "one processor";
  BusyPoll poll;
  Pipe pipe;
  answers_until_awake(poll, pipe, kClient);
  EXPECT_EQ(poll.wait(pipe.polled, 1, std::nullopt), 0);
  EXPECT_TRUE(poll.stays_awake(kClient));
}

TEST(BusyPoll, WithOneProcessorItAlwaysSleeps) {
  std::thread([] {
    Processors processors;
    processors.only_one();
    BusyPoll poll;
    Pipe pipe;
    pipe.put();
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(poll.wait(pipe.polled, -1, kPeer), 1);
      EXPECT_FALSE(poll.stays_awake(kPeer));
    }
  }).join();
}

TEST(BusyPoll, AnErrorIsPolls) {
  BusyPoll poll;
  std::span<pollfd> nowhere(reinterpret_cast<pollfd*>(8), 1);
  errno = 0;
  EXPECT_EQ(poll.wait(nowhere, 0, kPeer), -1);
  EXPECT_EQ(errno, EFAULT);
}

}  // namespace
}  // namespace qf
