// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/detection_cache.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using std::chrono::seconds;

TEST(DetectionCache, PositiveForAMinuteNegativeForFiveSeconds) {
  DetectionCache cache;
  Deadline now = Clock::now();
  for (const char* kind : {"jwt", "no-jwt"}) {
    cache.put("db1", kind, now);
    EXPECT_EQ(cache.find("db1", now + seconds(59)), kind);
    EXPECT_FALSE(cache.find("db1", now + seconds(60)));
  }
  for (const char* kind : {"other", "closed", "none"}) {
    cache.put("db1", kind, now);
    EXPECT_EQ(cache.find("db1", now + seconds(4)), kind);
    EXPECT_FALSE(cache.find("db1", now + seconds(5)));
  }
  EXPECT_FALSE(cache.find("db2", now));
}

TEST(DetectionCache, IsBounded) {
  DetectionCache cache;
  Deadline now = Clock::now();
  cache.put("first", "none", now);
  for (size_t i = 0; i < DetectionCache::kMost + 100; ++i) cache.put("p" + std::to_string(i), "jwt", now);
  EXPECT_FALSE(cache.find("first", now)) << "what runs out first makes room";
  EXPECT_TRUE(cache.find("p" + std::to_string(DetectionCache::kMost + 99), now));
}

TEST(SshNotes, OnlyThatProcessAndThatPeer) {
  SshNotes notes;
  notes.put(10, "500", "db1", 1000, 700);
  EXPECT_TRUE(notes.find(10, "500", "db1", 989));
  EXPECT_FALSE(notes.find(10, "500", "db1", 990)) << "it would run out during the login";
  EXPECT_FALSE(notes.find(10, "501", "db1", 700)) << "another process with that pid";
  EXPECT_FALSE(notes.find(11, "500", "db1", 700));
  EXPECT_FALSE(notes.find(10, "500", "db2", 700));
  notes.clear();
  EXPECT_FALSE(notes.find(10, "500", "db1", 700));
}

TEST(SshNotes, AreBounded) {
  SshNotes notes;
  notes.put(1, "1", "db1", 900, 700);
  for (size_t i = 0; i < SshNotes::kMost; ++i) {
    notes.put(static_cast<int64_t>(i) + 10, "1", "db1", 1000, 700);
  }
  EXPECT_FALSE(notes.find(1, "1", "db1", 700));
  EXPECT_TRUE(notes.find(10, "1", "db1", 700));
}

}  // namespace
}  // namespace qf
