// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/listener.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

TEST(Listener, StartupsAreDroppedByChanceAndAllFromFullOn) {
  const StartupLimit limit{10, 30, 100};
  EXPECT_FALSE(drop_startup(limit, 0, 0));
  EXPECT_FALSE(drop_startup(limit, 9, 0));
  EXPECT_TRUE(drop_startup(limit, 10, 29));
  EXPECT_FALSE(drop_startup(limit, 10, 30));
  EXPECT_TRUE(drop_startup(limit, 55, 64));
  EXPECT_FALSE(drop_startup(limit, 55, 65));
  EXPECT_TRUE(drop_startup(limit, 100, 99));
  EXPECT_TRUE(drop_startup(limit, 5000, 99));
}

TEST(Listener, APlainLimitDropsNobodyBelowIt) {
  const StartupLimit limit{5, 100, 5};
  EXPECT_FALSE(drop_startup(limit, 4, 0));
  EXPECT_TRUE(drop_startup(limit, 5, 99));
}

}  // namespace
}  // namespace qf
