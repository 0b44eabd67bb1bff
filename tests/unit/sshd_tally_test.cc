// SPDX-License-Identifier: Apache-2.0
// What is counted on a connection, told to the listener, and made into numbers for Prometheus.
#include "qf-sshd/tally.h"

#include <gtest/gtest.h>

#include "qf-sshd/server_metrics.h"

namespace qf {
namespace {

constexpr auto kSecond = std::chrono::seconds(1);

TEST(Tally, IsToldOnceAndSeldom) {
  Deadline now = Clock::now();
  TallySheet sheet(now);
  EXPECT_EQ(sheet.deadline(), Deadline::max());
  EXPECT_FALSE(sheet.due(now, true));
  sheet.add(Count::kShell);
  sheet.add(Count::kConnect, 3);
  auto tally = sheet.due(now, false);
  ASSERT_TRUE(tally);
  ASSERT_EQ(tally->counts.size(), 2U);
  EXPECT_EQ(tally->counts[0].count, static_cast<uint32_t>(Count::kShell));
  EXPECT_EQ(tally->counts[1].amount, 3U);
  // not sent: it is still due
  EXPECT_TRUE(sheet.due(now, false));
  sheet.sent(now);
  EXPECT_FALSE(sheet.due(now, true));
  sheet.add(Count::kExec);
  EXPECT_FALSE(sheet.due(now, false));
  EXPECT_TRUE(sheet.due(now, true));
  EXPECT_GT(sheet.deadline(), now);
  EXPECT_TRUE(sheet.due(now + kSecond, false));
}

TEST(Tally, ANewListenerIsToldOfTheSessionsThatRun) {
  Deadline now = Clock::now();
  TallySheet sheet(now);
  ConnectionStatus status;
  SessionRequest request;
  status.session_started(1, request, 7);
  sheet.look(status, now);
  ASSERT_TRUE(sheet.due(now, true));
  EXPECT_EQ(sheet.due(now, true)->live.shell, 1U);
  sheet.sent(now);
  sheet.look(status, now);
  EXPECT_FALSE(sheet.due(now, true));
  sheet.forget_told();
  ASSERT_TRUE(sheet.due(now, true));
  EXPECT_TRUE(sheet.due(now, true)->counts.empty());
  EXPECT_EQ(sheet.due(now, true)->live.shell, 1U);
}

TEST(Tally, BytesCountOnceAndNoMoreThanANetworkCarries) {
  Deadline now = Clock::now();
  TallySheet sheet(now);
  ConnectionStatus status;
  status.forwards_ended({100, 7});
  sheet.look(status, now);
  sheet.look(status, now);
  auto tally = sheet.due(now, true);
  ASSERT_TRUE(tally);
  ASSERT_EQ(tally->counts.size(), 2U);
  EXPECT_EQ(tally->counts[0].amount, 100U);
  EXPECT_EQ(tally->counts[1].amount, 7U);
  sheet.sent(now);
  // less than before is nothing new
  status.forwards_ended({50, 7});
  sheet.look(status, now);
  EXPECT_FALSE(sheet.due(now, true));
  // a lie cannot push the counter to its end
  status.forwards_ended({UINT64_MAX, 7});
  sheet.look(status, now);
  tally = sheet.due(now, true);
  ASSERT_TRUE(tally);
  EXPECT_LE(tally->counts[0].amount, 16'000'000'000U);
}

TEST(Tally, TheListenerTakesOnlyWhatMonitorsCount) {
  Counts counts;
  Connection connection;
  auto one = [](uint32_t count) { return Tally{{{count, 1}}, {1, 2, 3}}; };
  EXPECT_FALSE(take_tally(one(static_cast<uint32_t>(Count::kAccepted)), connection, counts));
  EXPECT_FALSE(take_tally(one(static_cast<uint32_t>(kCounts)), connection, counts));
  EXPECT_FALSE(take_tally(one(UINT32_MAX), connection, counts));
  EXPECT_EQ(connection.live, LiveSessions());
  // all of it or nothing
  EXPECT_FALSE(
      take_tally({{{static_cast<uint32_t>(Count::kExec), 1}, {UINT32_MAX, 1}}, {}}, connection, counts));
  EXPECT_EQ(counts[Count::kExec], 0U);
  EXPECT_TRUE(take_tally(one(static_cast<uint32_t>(Count::kExec)), connection, counts));
  EXPECT_EQ(counts[Count::kExec], 1U);
  EXPECT_EQ(connection.live.sftp, 3U);
  counts.add(Count::kExec, UINT64_MAX);
  EXPECT_EQ(counts[Count::kExec], UINT64_MAX);
}

TEST(ServerMetrics, EachCounterIsThereOnce) {
  Counts counts;
  for (size_t i = 0; i < kCounts; ++i) counts.add(static_cast<Count>(i), 1000 + i);
  std::list<Connection> none;
  ServerFacts facts{counts, none, {{"a\"b\\c\nd", 5, true, 2}, {"never", std::nullopt, false, 1}}, 42, 7, 8};
  std::string text = server_metrics(facts);
  for (size_t i = 0; i < kCounts; ++i) {
    std::string value = " " + std::to_string(1000 + i) + "\n";
    size_t at = text.find(value);
    ASSERT_NE(at, std::string::npos) << i;
    EXPECT_EQ(text.find(value, at + 1), std::string::npos) << i;
  }
  EXPECT_NE(text.find("qufabric_sshd_key_set_age_seconds{issuer=\"a\\\"b\\\\c\\nd\"} 5\n"),
            std::string::npos);
  EXPECT_EQ(text.find("qufabric_sshd_key_set_age_seconds{issuer=\"never\"}"), std::string::npos);
  EXPECT_NE(text.find("qufabric_sshd_document_serial 42\n"), std::string::npos);
}

}  // namespace
}  // namespace qf
