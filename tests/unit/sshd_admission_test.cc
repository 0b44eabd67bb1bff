// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/admission.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

TEST(Admission, StartupsAreDroppedByChanceAndAllFromFullOn) {
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

TEST(Admission, APlainLimitDropsNobodyBelowIt) {
  const StartupLimit limit{5, 100, 5};
  EXPECT_FALSE(drop_startup(limit, 4, 0));
  EXPECT_TRUE(drop_startup(limit, 5, 99));
}

TEST(Admission, ASourceIsANetwork) {
  const NetBlocks usual;
  EXPECT_EQ(source_network("192.0.2.7", usual), "192.0.2.7/32");
  EXPECT_EQ(source_network("2001:db8:0:1:aaaa::1", usual), "2001:db8:0:1::/64");
  EXPECT_EQ(source_network("2001:db8:0:1:bbbb::2", usual), "2001:db8:0:1::/64");
  EXPECT_NE(source_network("2001:db8:0:2::1", usual), "2001:db8:0:1::/64");
  EXPECT_EQ(source_network("192.0.2.7", {24, 64}), "192.0.2.0/24");
  EXPECT_EQ(source_network("192.0.2.255", {25, 64}), "192.0.2.128/25");
  EXPECT_EQ(source_network("192.0.2.7", {0, 0}), "0.0.0.0/0");
  EXPECT_EQ(source_network("2001:db8::1", {0, 0}), "::/0");
  EXPECT_EQ(source_network("2001:db8::1", {32, 128}), "2001:db8::1/128");
  EXPECT_EQ(source_network("2001:db8:ffff::1", {32, 33}), "2001:db8:8000::/33");
  EXPECT_EQ(source_network("no address", usual), "no address");
}

TEST(Admission, EachLimitHasItsWords) {
  Settings settings;
  settings.most_connections = 5;
  settings.most_source_startups = 2;
  settings.startups = {3, 100, 3};
  settings.most_source_connections = 4;
  auto judged = [&](Load load) { return std::string(load_fault_text(judge_load(settings, load, 99))); };
  EXPECT_EQ(judge_load(settings, {.all = 4, .of_source = 3, .startups = 2, .startups_of_source = 1}, 0),
            LoadFault::kNone);
  EXPECT_EQ(judged({.all = 5}), "too many connections");
  EXPECT_EQ(judged({.all = 4, .of_source = 4}), "too many connections of one source");
  EXPECT_EQ(judged({.all = 4, .of_source = 2, .startups = 2, .startups_of_source = 2}),
            "too many connections of one source that are not logged in");
  EXPECT_EQ(judged({.all = 4, .of_source = 3, .startups = 3}), "too many connections that are not logged in");
}

}  // namespace
}  // namespace qf
