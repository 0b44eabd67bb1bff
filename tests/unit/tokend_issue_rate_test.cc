// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/issue_rate.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Rate : public ::testing::Test {
 protected:
  // How many of `count` requests at that time are granted.
  int granted(uid_t uid, int count, Deadline at) {
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += rate_.take(uid, at) ? 0 : 1;
    return sum;
  }
  IssueRate rate_;
  Deadline now_ = Clock::now();
};

TEST_F(Rate, SixtyAtOnceThenOneASecond) {
  EXPECT_EQ(granted(1000, 100, now_), 60);
  EXPECT_EQ(granted(1000, 100, now_ + milliseconds(999)), 0);
  EXPECT_EQ(granted(1000, 100, now_ + seconds(1)), 1);
  EXPECT_EQ(granted(1000, 100, now_ + seconds(11)), 10);
}

TEST_F(Rate, OneASecondIsNeverTooOften) {
  EXPECT_EQ(granted(1000, 60, now_), 60);
  for (int i = 1; i <= 600; ++i) EXPECT_FALSE(rate_.take(1000, now_ + seconds(i)));
}

TEST_F(Rate, NobodySavesMoreThanTheBurst) {
  EXPECT_EQ(granted(1000, 60, now_), 60);
  EXPECT_EQ(granted(1000, 200, now_ + std::chrono::hours(5)), 60);
}

TEST_F(Rate, UsersDoNotShare) {
  EXPECT_EQ(granted(1000, 100, now_), 60);
  EXPECT_EQ(granted(1001, 100, now_), 60);
}

TEST_F(Rate, SaysWhenToAskAgain) {
  EXPECT_EQ(granted(1000, 60, now_), 60);
  auto at_once = rate_.take(1000, now_);
  ASSERT_TRUE(at_once);
  EXPECT_EQ(at_once->again, seconds(1));
  auto soon = rate_.take(1000, now_ + milliseconds(990));
  ASSERT_TRUE(soon);
  EXPECT_EQ(soon->again, seconds(1)) << "rounded up, never 0";
  EXPECT_FALSE(rate_.take(1000, now_ + at_once->again));
}

TEST_F(Rate, LoggedOnceAMinuteAndUser) {
  EXPECT_EQ(granted(1000, 60, now_), 60);
  auto first = rate_.take(1000, now_);
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->log);
  EXPECT_EQ(first->refused, 1U);
  int logged = 0;
  for (int i = 1; i < 600; ++i) {  // a minute, ten a second
    auto refused = rate_.take(1000, now_ + milliseconds(100) * i);
    logged += refused && refused->log ? 1 : 0;
  }
  EXPECT_EQ(logged, 0);
  granted(1000, 1, now_ + seconds(60));  // the second that has come
  auto again = rate_.take(1000, now_ + seconds(60));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->log);
  EXPECT_EQ(again->refused, 541U) << "540 of the 599, and this one";
  granted(1001, 60, now_);
  EXPECT_TRUE(rate_.take(1001, now_)->log) << "another user";
}

TEST_F(Rate, TheLogStaysQuietWhenTheBucketIsFullAgain) {
  EXPECT_EQ(granted(1000, 60, now_), 60);
  EXPECT_TRUE(rate_.take(1000, now_ + milliseconds(900))->log);
  Deadline full = now_ + seconds(60);
  for (uid_t uid = 2000; rate_.users() < IssueRate::kMostUsers; ++uid) EXPECT_FALSE(rate_.take(uid, now_));
  EXPECT_FALSE(rate_.take(1, full)) << "makes room";
  EXPECT_EQ(granted(1000, 60, full), 60);
  EXPECT_FALSE(rate_.take(1000, full)->log);
}

TEST_F(Rate, IsBounded) {
  constexpr uid_t kMany = 3 * IssueRate::kMostUsers;
  for (uid_t uid = 0; uid < kMany; ++uid) EXPECT_FALSE(rate_.take(uid, now_));
  EXPECT_EQ(rate_.users(), IssueRate::kMostUsers);
  // all are full again: forgotten for the next one
  EXPECT_FALSE(rate_.take(kMany, now_ + seconds(5)));
  EXPECT_EQ(rate_.users(), 1U);
}

TEST_F(Rate, WhoHasUsedTheirsUpIsNotForgottenForOthers) {
  EXPECT_EQ(granted(7, 60, now_), 60);
  for (uid_t uid = 1000; uid < 1000 + 3 * IssueRate::kMostUsers; ++uid) EXPECT_FALSE(rate_.take(uid, now_));
  EXPECT_TRUE(rate_.take(7, now_));
}

}  // namespace
}  // namespace qf
