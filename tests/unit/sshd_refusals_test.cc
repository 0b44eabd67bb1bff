// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/refusals.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using std::chrono::seconds;

AuditConnection from(const std::string& address, const std::string& peer = "laptop") {
  return {"id", address, 1, peer};
}
Decision because(const std::string& detail) {
  Decision decision;
  decision.detail = detail;
  return decision;
}

TEST(Refusals, TheFirstAreWrittenTheRestIsCounted) {
  Refusals refusals(3);
  Deadline now = Clock::now();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(refusals.note("n", from("10.0.0.1"), because("no"), now));
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(refusals.note("n", from("10.0.0.1"), because("no"), now));
  // another reason and another source are others
  EXPECT_TRUE(refusals.note("n", from("10.0.0.1"), because("why not"), now));
  EXPECT_TRUE(refusals.note("m", from("10.0.0.2"), because("no"), now));
  EXPECT_TRUE(refusals.take_over(now + seconds(59)).empty());
  auto over = refusals.take_over(now + seconds(60));
  ASSERT_EQ(over.size(), 1U);
  EXPECT_EQ(over[0].count, 500U);
  EXPECT_EQ(over[0].seconds, 60);
  EXPECT_EQ(over[0].connection.address, "10.0.0.1");
  EXPECT_EQ(over[0].decision.detail, "no");
  // and a new interval begins
  EXPECT_TRUE(refusals.note("n", from("10.0.0.1"), because("no"), now + seconds(61)));
}

TEST(Refusals, AStrangersAddressesAreOneSource) {
  // the reason names the address, which an IPv6 network has many of
  Refusals refusals(1);
  Deadline now = Clock::now();
  EXPECT_TRUE(refusals.note("n", from("fd00::1", ""), because("no peer at fd00::1"), now));
  EXPECT_FALSE(refusals.note("n", from("fd00::2", ""), because("no peer at fd00::2"), now));
}

TEST(Refusals, ManySourcesTakeBoundedMemoryAndAreCountedTogether) {
  Refusals refusals(1);
  Deadline now = Clock::now();
  size_t written = 0;
  for (size_t i = 0; i < 10 * kMostRefusalSources; ++i)
    written += refusals.note(std::to_string(i), from("10.0.0.1"), because("no"), now) ? 1 : 0;
  EXPECT_EQ(written, kMostRefusalSources + 1);
  uint64_t counted = 0;
  for (const auto& summary : refusals.take_over(Deadline::max())) counted += summary.count;
  EXPECT_EQ(written + counted, 10 * kMostRefusalSources);
}

TEST(Refusals, NoneAtAllIsPossible) {
  Refusals refusals(0);
  EXPECT_FALSE(refusals.note("n", from("10.0.0.1"), because("no"), Clock::now()));
  EXPECT_EQ(refusals.take_over(Deadline::max()).size(), 1U);
}

}  // namespace
}  // namespace qf
