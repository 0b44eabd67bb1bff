// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/token_cache.h"
#include "tests/unit/tokend_time.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

Identity identity(int64_t issued_at, int64_t expires, uint32_t max_token_age) {
  Identity out;
  out.issuer_name = "corp";
  out.subject = "alice";
  out.issued_at = issued_at;
  out.expires = expires;
  out.max_token_age = max_token_age;
  out.token = Secret("a.b.c");
  return out;
}

CacheTime at(int64_t seconds) {
  static const Deadline start = Clock::now();
  return {start + std::chrono::seconds(seconds), kNow + seconds};
}

TEST(TokenCache, AsLongAsTheTtl) {
  TokenCache cache;
  cache.put(identity(kNow, kNow + 36000, 0), at(0));
  EXPECT_NE(cache.find("corp", at(59), 60), nullptr);
  EXPECT_EQ(cache.seconds_left("corp", at(59), 60), 1);
  EXPECT_EQ(cache.find("corp", at(60), 60), nullptr);
  EXPECT_EQ(cache.seconds_left("corp", at(60), 60), 0);
  EXPECT_EQ(cache.find("other", at(0), 60), nullptr);
}

TEST(TokenCache, NeverLongerThanTheToken) {
  TokenCache cache;
  cache.put(identity(kNow, kNow + 100, 0), at(0));
  EXPECT_NE(cache.find("corp", at(89), 3600), nullptr);
  EXPECT_EQ(cache.find("corp", at(90), 3600), nullptr) << "it would run out on its way";
}

TEST(TokenCache, NeverLongerThanPeersTakeIt) {
  TokenCache cache;
  cache.put(identity(kNow - 300, kNow + 36000, 600), at(0));
  EXPECT_NE(cache.find("corp", at(289), 3600), nullptr);
  EXPECT_EQ(cache.find("corp", at(290), 3600), nullptr);
}

TEST(TokenCache, TtlOfZeroKeepsNothing) {
  TokenCache cache;
  cache.put(identity(kNow, kNow + 36000, 0), at(0));
  EXPECT_EQ(cache.find("corp", at(0), 0), nullptr);
}

TEST(TokenCache, AClockSetBackDoesNotStretchTheTtl) {
  TokenCache cache;
  cache.put(identity(kNow, kNow + 36000, 0), at(0));
  CacheTime later = at(60);
  later.wall = kNow - 100'000;
  EXPECT_EQ(cache.find("corp", later, 60), nullptr);
}

TEST(TokenCache, Expire) {
  TokenCache cache;
  cache.put(identity(kNow, kNow + 36000, 0), at(0));
  EXPECT_EQ(cache.first_expiry(at(10), 60), 50);
  EXPECT_TRUE(cache.expire(at(59), 60).empty());
  EXPECT_EQ(cache.expire(at(60), 60), std::vector<std::string>{"corp"});
  EXPECT_TRUE(cache.empty());
}

TEST(TokenCache, DropAndReplace) {
  TokenCache cache;
  cache.put(identity(kNow, kNow + 36000, 0), at(0));
  auto second = identity(kNow, kNow + 36000, 0);
  second.subject = "bob";
  cache.put(std::move(second), at(1));
  EXPECT_EQ(cache.find("corp", at(1), 60)->subject, "bob");
  EXPECT_EQ(cache.issuers(), std::vector<std::string>{"corp"});
  EXPECT_TRUE(cache.drop("corp"));
  EXPECT_FALSE(cache.drop("corp"));
}

}  // namespace
}  // namespace qf
