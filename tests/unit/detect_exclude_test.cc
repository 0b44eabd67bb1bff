// SPDX-License-Identifier: Apache-2.0
#include "qf-detect/exclude.h"

#include <gtest/gtest.h>

#include <chrono>

namespace qf {
namespace {

TEST(Exclude, Patterns) {
  EXPECT_TRUE(matches_pattern("db1", "db1"));
  EXPECT_FALSE(matches_pattern("db1", "db10"));
  EXPECT_FALSE(matches_pattern("db1", "db"));
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("*", "anything"));
  EXPECT_TRUE(matches_pattern("db?", "db1"));
  EXPECT_FALSE(matches_pattern("db?", "db"));
  EXPECT_TRUE(matches_pattern("*.fabric.example", "db1.fabric.example"));
  EXPECT_FALSE(matches_pattern("*.fabric.example", "fabric.example"));
  EXPECT_TRUE(matches_pattern("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(matches_pattern("a*b*c", "a-b-b-d"));
  EXPECT_TRUE(matches_pattern("100.119.*.?", "100.119.230.4"));
  EXPECT_FALSE(matches_pattern("", "x"));
  EXPECT_TRUE(matches_pattern("", ""));
}

TEST(Exclude, StarsDoNotExplode) {
  auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(matches_pattern("*a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST(Exclude, Files) {
  std::string text = "# hosts that I reach with keys\n\n  DB1  \r\n*.lab # all of them\n#db2\n";
  EXPECT_TRUE(excluded_by(text, "db1"));
  EXPECT_TRUE(excluded_by(text, "Db1"));
  EXPECT_TRUE(excluded_by(text, "x.lab"));
  EXPECT_FALSE(excluded_by(text, "db2"));
  EXPECT_FALSE(excluded_by(text, "lab"));
  EXPECT_FALSE(excluded_by("", "db1"));
  EXPECT_FALSE(excluded_by("\n\n#\n", ""));
}

}  // namespace
}  // namespace qf
