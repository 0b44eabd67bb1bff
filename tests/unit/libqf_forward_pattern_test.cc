// SPDX-License-Identifier: Apache-2.0
#include "libqf/forward_pattern.h"

#include <gtest/gtest.h>

namespace qf::test {
namespace {

TEST(ForwardPattern, MatchesHostAndPort) {
  auto pattern = parse_forward_pattern("db.example:5432");
  ASSERT_TRUE(pattern);
  EXPECT_TRUE(pattern->matches("db.example", 5432));
  EXPECT_TRUE(pattern->matches("DB.Example", 5432));
  EXPECT_FALSE(pattern->matches("db.example", 5433));
  EXPECT_FALSE(pattern->matches("db.example.evil", 5432));
  EXPECT_FALSE(pattern->matches("xdb.example", 5432));
}

TEST(ForwardPattern, StarsAndRanges) {
  auto pattern = parse_forward_pattern("*.example:8000-8010");
  ASSERT_TRUE(pattern);
  EXPECT_TRUE(pattern->matches("a.b.example", 8000));
  EXPECT_TRUE(pattern->matches(".example", 8010));
  EXPECT_FALSE(pattern->matches("example", 8000));
  EXPECT_FALSE(pattern->matches("a.example", 8011));
  EXPECT_FALSE(pattern->matches("a.example", 7999));
  auto any = parse_forward_pattern("*:*");
  ASSERT_TRUE(any);
  EXPECT_TRUE(any->matches("anything", 1));
  EXPECT_TRUE(any->matches("", 0));
  auto middle = parse_forward_pattern("a*b*c:1");
  ASSERT_TRUE(middle);
  EXPECT_TRUE(middle->matches("abxbxc", 1));
  EXPECT_FALSE(middle->matches("abxbx", 1));
}

TEST(ForwardPattern, AddressesInAnySpelling) {
  auto pattern = parse_forward_pattern("[FD00:0::1]:22");
  ASSERT_TRUE(pattern);
  EXPECT_TRUE(pattern->matches("fd00::1", 22));
  EXPECT_FALSE(pattern->matches("fd00::2", 22));
  auto v4 = parse_forward_pattern("10.0.0.1:22");
  ASSERT_TRUE(v4);
  EXPECT_TRUE(v4->matches("::ffff:10.0.0.1", 22));
}

TEST(ForwardPattern, AddressesWithAStarAreNoNames) {
  auto v4 = parse_forward_pattern("10.*:22");
  ASSERT_TRUE(v4);
  EXPECT_TRUE(v4->matches("10.1.2.3", 22));
  EXPECT_TRUE(v4->matches("::ffff:10.1.2.3", 22));
  for (const char* name : {"10.attacker.example", "10.", "10.1", "10.0x1.2.3"})
    EXPECT_FALSE(v4->matches(name, 22)) << name;
  auto v6 = parse_forward_pattern("[fd00:*]:22");
  ASSERT_TRUE(v6);
  EXPECT_TRUE(v6->matches("fd00::7", 22));
  EXPECT_FALSE(v6->matches("fd00:attacker.example", 22));
  auto name = parse_forward_pattern("db*:22");
  ASSERT_TRUE(name);
  EXPECT_TRUE(name->matches("db7.example", 22));
}

TEST(ForwardPattern, RefusesWhatIsNone) {
  for (const char* text : {"", "db", "db:", ":22", "db:0", "db:65536", "db:22-21", "db:x", "fd00::1:22",
                           "[db]:22", "[]:22", "db :22", "db:22:", "db:-", "db:1-"}) {
    EXPECT_FALSE(parse_forward_pattern(text)) << text;
  }
  EXPECT_FALSE(parse_forward_pattern(std::string(256, 'a') + ":1"));
}

TEST(ForwardPattern, AnEmptyListAllowsAndABrokenEntryDoesNot) {
  EXPECT_TRUE(forward_permitted({}, "x", 1));
  EXPECT_FALSE(forward_permitted({"broken"}, "x", 1));
  EXPECT_TRUE(forward_permitted({"broken", "x:1"}, "x", 1));
}

}  // namespace
}  // namespace qf::test
