// SPDX-License-Identifier: Apache-2.0
#include "qf-up/supervise.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(UpBackoff, DoublesAndGivesUp) {
  Backoff backoff;
  milliseconds expected(200);
  for (int i = 0; i < Backoff::kMostQuickEnds; ++i) {
    EXPECT_EQ(backoff.after(seconds(1)), expected) << i;
    expected = std::min(expected * 2, milliseconds(30'000));
  }
  EXPECT_EQ(backoff.after(seconds(1)), std::nullopt);
}

TEST(UpBackoff, AGoodRunStartsAnew) {
  Backoff backoff;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(backoff.after(seconds(1)));
  EXPECT_EQ(backoff.after(seconds(60)), milliseconds(200));
  EXPECT_EQ(backoff.after(seconds(1)), milliseconds(400));
}

}  // namespace
}  // namespace qf
