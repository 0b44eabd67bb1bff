// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/environment_file.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using Variables = std::vector<std::string>;

TEST(EnvironmentFile, ReadsAssignmentsAsPamEnvDoes) {
  EXPECT_EQ(parse_environment("A=1\n# B=2\n\n  C=three  \nexport D=4\nE=\"a b\"\nF='x=y'\nG=\n"),
            (Variables{"A=1", "C=three", "D=4", "E=a b", "F=x=y", "G="}));
}

TEST(EnvironmentFile, LastLineNeedsNoNewline) {
  EXPECT_EQ(parse_environment("A=1"), Variables{"A=1"});
  EXPECT_EQ(parse_environment(""), Variables{});
}

TEST(EnvironmentFile, ExpandsNothing) {
  EXPECT_EQ(parse_environment("A=$HOME`id`$(id)\n"), Variables{"A=$HOME`id`$(id)"});
}

TEST(EnvironmentFile, PassesOverWhatIsNoAssignment) {
  EXPECT_EQ(parse_environment("word\n=x\n1A=x\nA B=x\nA-B=x\nexport\n\xff=x\n"), Variables{});
  EXPECT_EQ(parse_environment(std::string_view("A=a\0b\nB=1\n", 10)), Variables{"B=1"});
}

TEST(EnvironmentFile, AQuoteAloneIsNoQuotation) {
  EXPECT_EQ(parse_environment("A=\"\nB='x\nC=\"x'\n"), (Variables{"A=", "B=x", "C=x'"}));
}

TEST(EnvironmentFile, IsBounded) {
  std::string longest = "A=" + std::string(kMostEnvironmentLine - 2, 'x');
  EXPECT_EQ(parse_environment(longest), Variables{longest});
  EXPECT_EQ(parse_environment(longest + "x"), Variables{});
  std::string many;
  for (size_t i = 0; i < kMostEnvironmentVariables + 10; ++i) many += "A" + std::to_string(i) + "=\n";
  EXPECT_EQ(parse_environment(many).size(), kMostEnvironmentVariables);
}

TEST(EnvironmentFile, MissingFileIsNoError) {
  EXPECT_EQ(read_environment_file("/nonexistent/environment"), Variables{});
}

}  // namespace
}  // namespace qf
