// SPDX-License-Identifier: Apache-2.0
#include "libqf/parent.h"

#include <gtest/gtest.h>

#include "libqf/fd.h"

namespace qf {
namespace {

// proc(5): field 22 is starttime
constexpr const char* kRest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21\n";

TEST(Parent, StartTimeOfTheNamedCommand) {
  EXPECT_EQ(start_time(std::string("42 (ssh)") + kRest, "ssh"), "987654");
  EXPECT_EQ(start_time(std::string("42 (sh)") + kRest, "ssh"), std::nullopt);
  EXPECT_EQ(start_time(std::string("42 (sshd)") + kRest, "ssh"), std::nullopt);
}

TEST(Parent, NamesWithParentheses) {
  EXPECT_EQ(start_time(std::string("42 (a) (ssh)") + kRest, "ssh"), std::nullopt);
  EXPECT_EQ(start_time(std::string("42 (a) S 1 (b)") + kRest, "a) S 1 (b"), "987654");
}

TEST(Parent, EveryTruncation) {
  std::string stat = std::string("42 (ssh)") + kRest;
  size_t last = stat.find("987654");
  for (size_t cut = 0; cut <= last; ++cut)
    EXPECT_EQ(start_time(stat.substr(0, cut), "ssh"), std::nullopt) << cut;
  EXPECT_EQ(start_time("", "ssh"), std::nullopt);
  EXPECT_EQ(start_time("42 )( S", "ssh"), std::nullopt);
}

TEST(Parent, OfThisMachine) {
  auto stat = read_file("/proc/self/stat", 4096);
  ASSERT_TRUE(stat);
  size_t open = stat->find('('), close = stat->rfind(')');
  auto start = start_time(*stat, stat->substr(open + 1, close - open - 1));
  ASSERT_TRUE(start);
  EXPECT_GT(std::stoull(*start), 0U);
}

}  // namespace
}  // namespace qf
