// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/token_cache.h"

#include <gtest/gtest.h>

#include "tests/unit/tokend_time.h"

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

Identity refreshable_identity(int64_t life, int64_t issued_at = kNow) {
  Identity out = identity(issued_at, issued_at + life, 0);
  out.refresh_token = Secret("r");
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

TEST(TokenCache, ARefreshTokenKeepsTheLoginForTheTtl) {
  TokenCache cache;
  cache.put(refreshable_identity(100), at(0));
  EXPECT_NE(cache.find("corp", at(89), 3600), nullptr);
  EXPECT_EQ(cache.find("corp", at(90), 3600), nullptr) << "the token itself is not usable";
  EXPECT_NE(cache.refreshable("corp", at(90), 3600), nullptr);
  EXPECT_NE(cache.refreshable("corp", at(3599), 3600), nullptr);
  EXPECT_EQ(cache.refreshable("corp", at(3600), 3600), nullptr) << "past the TTL";
  EXPECT_EQ(cache.refreshable("corp", at(0), 0), nullptr);
  EXPECT_EQ(cache.refreshable("other", at(0), 3600), nullptr);
  EXPECT_EQ(cache.seconds_left("corp", at(100), 3600), 3500);
  EXPECT_EQ(cache.first_expiry(at(100), 3600), 3500);
  EXPECT_TRUE(cache.expire(at(3599), 3600).empty());
  EXPECT_NE(cache.kept("corp"), nullptr);
  EXPECT_EQ(cache.expire(at(3600), 3600), std::vector<std::string>{"corp"});
  EXPECT_EQ(cache.kept("corp"), nullptr);
}

TEST(TokenCache, WithoutARefreshTokenNothingIsRefreshed) {
  TokenCache cache;
  cache.put(identity(kNow, kNow + 100, 0), at(0));
  EXPECT_EQ(cache.refreshable("corp", at(0), 3600), nullptr);
  EXPECT_EQ(cache.expire(at(90), 3600), std::vector<std::string>{"corp"});
}

TEST(TokenCache, ATokenGrowsOldInTheLastQuarterOfItsLife) {
  TokenCache cache;
  cache.put(refreshable_identity(400), at(0));
  EXPECT_FALSE(cache.grows_old("corp", at(0), 3600));
  EXPECT_FALSE(cache.grows_old("corp", at(290), 3600));
  EXPECT_TRUE(cache.grows_old("corp", at(291), 3600));
  EXPECT_TRUE(cache.grows_old("corp", at(389), 3600));
  EXPECT_FALSE(cache.grows_old("corp", at(390), 3600)) << "it is no more usable";
  EXPECT_FALSE(cache.grows_old("other", at(291), 3600));
}

// Peers refuse a token by its age before it expires: that is the life that counts.
TEST(TokenCache, AgesByWhatPeersTake) {
  TokenCache cache;
  Identity out = identity(kNow, kNow + 36000, 400);
  out.refresh_token = Secret("r");
  cache.put(std::move(out), at(0));
  EXPECT_FALSE(cache.grows_old("corp", at(290), 3600));
  EXPECT_TRUE(cache.grows_old("corp", at(291), 3600));
}

TEST(TokenCache, TheEndOfTheTtlIsNoAge) {
  TokenCache cache;
  cache.put(refreshable_identity(36000), at(0));
  EXPECT_FALSE(cache.grows_old("corp", at(59), 60)) << "a refresh would not outlive the login";
}

TEST(TokenCache, RefreshesKeepAPause) {
  TokenCache cache;
  cache.put(refreshable_identity(100), at(0));
  EXPECT_NE(cache.refreshable("corp", at(0), 3600), nullptr) << "a login is no refresh";
  cache.refresh_failed("corp", false, "why", at(10));
  EXPECT_EQ(cache.refreshable("corp", at(39), 3600), nullptr);
  EXPECT_NE(cache.refreshable("corp", at(40), 3600), nullptr);
  EXPECT_NE(cache.find("corp", at(40), 3600), nullptr) << "the token serves on";
}

// A provider may hand out tokens that are old already: they must not be asked for again and again, but one
// that is needed is.
TEST(TokenCache, ATokenThatIsBornOldIsNoLoop) {
  TokenCache cache;
  cache.put(refreshable_identity(400), at(0));
  cache.renew(refreshable_identity(400, kNow), at(300));
  EXPECT_FALSE(cache.grows_old("corp", at(329), 3600));
  EXPECT_NE(cache.refreshable("corp", at(301), 3600), nullptr);
  EXPECT_TRUE(cache.grows_old("corp", at(330), 3600));
  cache.put(refreshable_identity(400, kNow), at(331));
  EXPECT_TRUE(cache.grows_old("corp", at(331), 3600)) << "a login is no refresh";
}

TEST(TokenCache, ARefusedRefreshTokenIsForgotten) {
  TokenCache cache;
  cache.put(refreshable_identity(100), at(0));
  cache.refresh_failed("corp", true, "why", at(10));
  EXPECT_EQ(cache.refreshable("corp", at(50), 3600), nullptr);
  EXPECT_NE(cache.find("corp", at(89), 3600), nullptr) << "the token serves as long as it is good";
  EXPECT_EQ(cache.expire(at(90), 3600), std::vector<std::string>{"corp"});
  cache.refresh_failed("corp", true, "why", at(91));  // gone: nothing happens
  EXPECT_TRUE(cache.empty());
}

TEST(TokenCache, ARefreshDoesNotMakeTheLoginYounger) {
  TokenCache cache;
  cache.put(refreshable_identity(100), at(0));
  cache.renew(refreshable_identity(36000, kNow + 90), at(90));
  EXPECT_NE(cache.find("corp", at(599), 600), nullptr);
  EXPECT_EQ(cache.find("corp", at(600), 600), nullptr);
  cache.put(refreshable_identity(36000, kNow + 600), at(600));
  EXPECT_NE(cache.find("corp", at(700), 600), nullptr) << "a new login does";
}

TEST(TokenCache, ARefreshBringsNothingBack) {
  TokenCache cache;
  cache.renew(refreshable_identity(100), at(0));
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
