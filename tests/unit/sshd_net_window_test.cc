// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_window.h"

#include <gtest/gtest.h>

namespace qf::test {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kStep = ReceiveWindow::kGrantEvery;

class Window : public ::testing::Test {
 protected:
  // As much as fits comes in each round trip; the window after so many of them.
  uint32_t used_fully(ReceiveWindow& window, int round_trips) {
    uint32_t size = ReceiveWindow::kWide;
    for (int i = 0; i < round_trips; ++i) {
      uint64_t end = bytes_ + size;
      uint64_t steps = size / kStep;
      for (uint64_t step = 1; bytes_ < end; ++step) {
        bytes_ += kStep;
        size = window.grant(bytes_, now_ + path_.round_trip * step / steps);
      }
      now_ += path_.round_trip;
    }
    return size;
  }
  LongPath path_{milliseconds(200)};
  uint64_t bytes_ = 0;
  Deadline now_ = Clock::now();
};

TEST_F(Window, GrowsOnALongPathWhileAllOfItIsUsed) {
  ReceiveWindow window(path_);
  uint32_t once = used_fully(window, 2);
  EXPECT_GT(once, ReceiveWindow::kWide);
  EXPECT_LE(once, 2 * ReceiveWindow::kWide + 2 * kStep) << "twice what came, at most";
  EXPECT_EQ(used_fully(window, 10), ReceiveWindow::kWidest);
  EXPECT_EQ(window.most_held(), ReceiveWindow::kWidest + ReceiveWindow::kLibrarysOwn);
}

TEST_F(Window, StaysOnAShortPathHoweverFastItIs) {
  for (auto time : {milliseconds(0), milliseconds(1), milliseconds(19)}) {
    path_.round_trip = time;
    ReceiveWindow window(path_);
    EXPECT_EQ(used_fully(window, 20), ReceiveWindow::kWide);
    EXPECT_EQ(window.most_held(), ReceiveWindow::kWide + ReceiveWindow::kLibrarysOwn);
  }
}

TEST_F(Window, StaysWhereTheClientSendsLess) {
  ReceiveWindow window(path_);
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(window.grant(bytes_ += kStep, now_ += milliseconds(150)), ReceiveWindow::kWide);
}

TEST_F(Window, APauseCountsAsNothingSent) {
  ReceiveWindow window(path_);
  EXPECT_EQ(window.grant(bytes_ += kStep, now_), ReceiveWindow::kWide);
  EXPECT_EQ(window.grant(bytes_ += 100 * kStep, now_ += std::chrono::minutes(10)), ReceiveWindow::kWide);
}

TEST_F(Window, OneOfAConnectionGrowsUntilItIsGone) {
  auto first = std::make_unique<ReceiveWindow>(path_);
  EXPECT_EQ(used_fully(*first, 10), ReceiveWindow::kWidest);
  ReceiveWindow second(path_);
  EXPECT_EQ(used_fully(second, 10), ReceiveWindow::kWide);
  first.reset();
  EXPECT_EQ(used_fully(second, 10), ReceiveWindow::kWidest);
}

TEST_F(Window, IsDueAfterSoManyBytes) {
  ReceiveWindow window(path_);
  EXPECT_FALSE(window.due(kStep - 1));
  EXPECT_TRUE(window.due(kStep));
  EXPECT_EQ(window.grant(kStep + 5, now_), ReceiveWindow::kWide);
  EXPECT_FALSE(window.due(kStep + 5));
  EXPECT_FALSE(window.due(2 * kStep + 4));
  EXPECT_TRUE(window.due(2 * kStep + 5));
}

class Sending : public ::testing::Test {
 protected:
  static constexpr size_t kWindow = 2 << 20;
  static constexpr size_t kStep = 96 * 1024;  // OpenSSH's client grants more when it has taken three packets
  static constexpr size_t kMost = SendWindow::kEachMillisecond;

  size_t room(bool shared = true) { return sending_.room(window_, shared, now_); }
  void send(size_t bytes) {
    sending_.sent(bytes);
    window_ -= bytes;
  }
  void grant(size_t bytes) { window_ += bytes; }
  // The client has granted `step` once.
  void show_step(size_t step) {
    EXPECT_EQ(room(), window_);
    send(step);
    grant(step);
    static_cast<void>(room());
  }

  LongPath path_{std::chrono::microseconds(100)};
  SendWindow sending_{path_};
  size_t window_ = kWindow;
  Deadline now_ = Clock::now();
};

TEST_F(Sending, AloneAllOfTheWindowMayBeUnderWay) {
  show_step(kStep);
  EXPECT_EQ(room(false), kWindow);
  send(kWindow - 5);
  EXPECT_EQ(room(false), 5U);
  EXPECT_EQ(path_.look_again, Deadline::max());
}

TEST_F(Sending, BesideOthersLittleIsUnderWay) {
  show_step(kStep);
  EXPECT_EQ(room(), kMost);
  send(kMost - 1);
  EXPECT_EQ(room(), 1U);
  send(1);
  EXPECT_EQ(room(), 0U);
  grant(kStep);
  EXPECT_EQ(room(), kStep) << "as much as the client has taken";
  EXPECT_EQ(room(false), window_) << "the others are gone";
}

TEST_F(Sending, WhatTheClientGrantsAfterIsNotKnownBeforeItHasDoneSo) {
  EXPECT_EQ(room(), kWindow);
  send(kWindow / 2);
  EXPECT_EQ(room(), kWindow / 2);
  grant(kStep);
  EXPECT_EQ(room(), 0U) << "now it is, and more than that is under way";
}

// libssh's and Twisted's: when half of the window is used.
TEST_F(Sending, AClientThatGrantsSeldomAlwaysHasEnoughUnderWay) {
  show_step(kWindow / 2);
  for (int i = 0; i < 10; ++i) {
    send(room());
    ASSERT_LT(window_, kWindow / 2) << "or it would never grant more";
    grant(kWindow / 2);
  }
}

TEST_F(Sending, WhatIsSentMeanwhileHidesNoGrant) {
  show_step(kWindow / 2);
  send(kWindow / 4);
  grant(kWindow / 4);
  static_cast<void>(room());
  EXPECT_EQ(room(), kWindow / 2) << "twice the least grant";
}

TEST_F(Sending, ALongerPathHasMoreUnderWay) {
  path_.round_trip = milliseconds(3);
  show_step(kStep);
  EXPECT_EQ(room(), 3 * kMost);
  path_.round_trip = milliseconds(50);
  EXPECT_EQ(room(), kWindow);
}

TEST_F(Sending, AClientThatGrantsNothingForLongGetsTwiceAsMuchAndIsLookedAt) {
  show_step(kStep);
  send(kMost);
  EXPECT_EQ(room(), 0U);
  EXPECT_EQ(path_.look_again, now_ + SendWindow::kPatience);
  now_ += SendWindow::kPatience - milliseconds(1);
  EXPECT_EQ(room(), 0U);
  now_ += milliseconds(1);
  EXPECT_EQ(room(), kMost);
  send(kMost);
  EXPECT_EQ(room(), 0U);
  now_ += SendWindow::kPatience;
  EXPECT_EQ(room(), 2 * kMost) << "until the window is full";
  grant(kStep);
  EXPECT_EQ(room(), 2 * kMost + kStep);
}

TEST_F(Sending, APauseOfOursIsNoneOfTheClients) {
  show_step(kStep);
  send(kMost);
  EXPECT_EQ(room(), 0U);
  grant(kStep);
  EXPECT_EQ(room(), kStep);
  now_ += std::chrono::minutes(10);
  send(kStep);
  EXPECT_EQ(room(), 0U);
}

TEST_F(Sending, MoreThanTheWindowIsNeverSentAndAFullOneWaitsForTheClientAlone) {
  show_step(kWindow);
  send(kWindow);
  EXPECT_EQ(room(), 0U);
  EXPECT_EQ(path_.look_again, Deadline::max());
}

TEST(RoundTrip, IsTheLeastThatWasSeen) {
  LongPath path;
  path.answered_after(milliseconds(-1));
  path.answered_after(milliseconds(0));
  EXPECT_EQ(path.round_trip, Clock::duration::zero()) << "not known";
  path.answered_after(milliseconds(3000));  // a person typed
  path.answered_after(milliseconds(200));
  path.answered_after(milliseconds(210));
  EXPECT_EQ(path.round_trip, milliseconds(200));
}

}  // namespace
}  // namespace qf::test
