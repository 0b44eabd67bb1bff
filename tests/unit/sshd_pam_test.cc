// SPDX-License-Identifier: Apache-2.0
// What needs no service file; the rest is in tests/bats/account_pam.bats.
#include "qf-sshd/pam.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

TEST(Pam, TextIsLinesAndTakenOnce) {
  PamText text;
  text.add("one");
  text.add("two\n");
  text.add(nullptr);
  text.add("");
  EXPECT_EQ(text.take(), "one\ntwo\n");
  EXPECT_EQ(text.take(), "");
}

TEST(Pam, TextIsBounded) {
  PamText text;
  text.add(std::string(100000, 'x').c_str());
  for (int i = 0; i < 1000; ++i) text.add("more and more");
  EXPECT_LE(text.take().size(), kMostPamText + 1);
  text.add("again");
  EXPECT_EQ(text.take(), "again\n");
}

}  // namespace
}  // namespace qf
