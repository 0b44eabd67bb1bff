// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/session_clock.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace qf {
namespace {

bool over(const SessionClock& clock, std::chrono::milliseconds patience) {
  return static_cast<bool>(wait_for(clock.fd(), POLLIN, Clock::now() + patience));
}

TEST(SessionClock, RunsOutAndCanBeTakenBack) {
  SessionClock clock;
  EXPECT_EQ(clock.fd(), -1);
  ASSERT_TRUE(clock.start());
  ASSERT_TRUE(clock.limit(1));
  EXPECT_TRUE(over(clock, std::chrono::seconds(20)));
  ASSERT_TRUE(clock.limit(0));
  EXPECT_FALSE(over(clock, std::chrono::milliseconds(0)));
  // from the login on: that second is over
  ASSERT_TRUE(clock.limit(1));
  EXPECT_TRUE(over(clock, std::chrono::milliseconds(0)));
  ASSERT_TRUE(clock.limit(UINT32_MAX));
  EXPECT_FALSE(over(clock, std::chrono::milliseconds(0)));
}

}  // namespace
}  // namespace qf
