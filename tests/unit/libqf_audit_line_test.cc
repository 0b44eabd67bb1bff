// SPDX-License-Identifier: Apache-2.0
#include "libqf/audit_line.h"

#include <gtest/gtest.h>

#include <limits>

namespace qf::test {
namespace {

constexpr std::string_view kBody = R"({"time":"2024-05-01T12:34:56.789Z","event":"x"})";

TEST(AuditLine, HasItsPlaceFirst) {
  std::string line = audit_line(7, kNoAuditLine, kBody);
  EXPECT_EQ(line, R"({"n":7,"previous":"0000000000000000000000000000000000000000000000000000000000000000",)"
                  R"("time":"2024-05-01T12:34:56.789Z","event":"x"})");
  auto place = audit_place(line);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->n, 7U);
  EXPECT_EQ(place->previous, kNoAuditLine);
  EXPECT_EQ(place->time, "2024-05-01T12:34:56.789Z");
  auto bare = audit_place(audit_line(1, kNoAuditLine, "{}"));
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->time, "");
}

TEST(AuditLine, EveryCutLineIsNone) {
  std::string line = audit_line(12345, audit_hash("x"), kBody);
  for (size_t i = 0; i < line.size(); ++i) {
    EXPECT_FALSE(audit_place(std::string_view(line).substr(0, i))) << i;
    EXPECT_TRUE(begins_audit_line(std::string_view(line).substr(0, i))) << i;
  }
}

TEST(AuditLine, EveryByteOfItsPlaceCounts) {
  const std::string line = audit_line(12, audit_hash("x"), kBody);
  size_t end = line.find(R"(,"time")");
  for (size_t i = 0; i < end; ++i) {
    std::string changed = line;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    auto place = audit_place(changed);
    EXPECT_FALSE(place && place->n == 12 && place->previous == audit_hash("x")) << changed;
  }
  for (std::string_view other :
       {R"({"n": 1,"previous":"0")", R"({"n":01,"previous":"0"})", R"({"n":0,"previous")",
        R"({"previous":"0","n":1})", "{}", "", "x", R"({"n":99999999999999999999,)"})
    EXPECT_FALSE(audit_place(other)) << other;
  EXPECT_FALSE(begins_audit_line("foreign"));
  EXPECT_FALSE(begins_audit_line(R"({"time":)"));
}

TEST(AuditLine, HashIsSha256) {
  EXPECT_EQ(audit_hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(AuditTail, RoundTripInASizeThatNeverChanges) {
  AuditTail tail{1, audit_hash("x"), 1, 2, 3, 4};
  AuditTail large{(uint64_t{1} << 53),
                  audit_hash("y"),
                  std::numeric_limits<uint64_t>::max(),
                  std::numeric_limits<uint64_t>::max(),
                  std::numeric_limits<uint64_t>::max(),
                  std::numeric_limits<uint64_t>::max()};
  for (const auto& each : {tail, large, AuditTail{}}) {
    std::string text = audit_tail_text(each);
    EXPECT_EQ(text.size(), kAuditTailBytes);
    auto read = parse_audit_tail(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(audit_tail_text(*read), text);
    for (size_t i = 0; i < text.size(); ++i) EXPECT_FALSE(parse_audit_tail(text.substr(0, i))) << i;
    EXPECT_FALSE(parse_audit_tail(text + " "));
  }
  EXPECT_FALSE(parse_audit_tail(std::string(kAuditTailBytes, '\0')));
  EXPECT_FALSE(parse_audit_tail(std::string(kAuditTailBytes - 1, ' ') + "\n"));
}

TEST(AuditTail, LiesBesideItsLog) {
  EXPECT_EQ(audit_tail_path("/var/lib/qufabric/audit.log"), "/var/lib/qufabric/audit.tail");
  EXPECT_EQ(audit_tail_path("other"), "other.tail");
}

TEST(AuditTime, IsUtcWithMilliseconds) {
  EXPECT_EQ(rfc3339(1'714'566'896'789), "2024-05-01T12:34:56.789Z");
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(951'782'400'005), "2000-02-29T00:00:00.005Z");
  EXPECT_EQ(rfc3339(-1), "1970-01-01T00:00:00.000Z");
}

}  // namespace
}  // namespace qf::test
