// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/keysets.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "libqf/fd.h"
#include "tests/unit/libqf_tools.h"

namespace qf::test {
namespace {

constexpr int64_t kStart = 1'800'000'000;

std::string one_key(const std::string& kid) {
  auto key = SigningKey::generate(KeyType::kEd25519);
  if (!key) std::abort();
  return key_set_json(*key, kid);
}

IssuerRecord fetched_issuer(const std::string& name = "corp") {
  IssuerRecord issuer;
  issuer.name = name;
  issuer.issuer = "https://idp.example/";
  issuer.jwks_uri = "https://idp.example/jwks";
  return issuer;
}

class KeySetStoreTest : public ::testing::Test {
 protected:
  KeySetStore new_store() { return KeySetStore(scratch_.path("keysets")); }
  void good(KeySetStore& store, const std::string& json, int64_t lifetime, int64_t now, bool changed = true) {
    auto stored = store.store("corp", json, lifetime, now);
    ASSERT_TRUE(stored) << stored.error().text();
    EXPECT_EQ(*stored, changed);
  }
  std::string first_kid(const KeySetStore& store, int64_t now) {
    const KeySet* keys = store.find(fetched_issuer(), now);
    return keys == nullptr ? "none" : keys->front().kid;
  }
  Scratch scratch_;
};

TEST_F(KeySetStoreTest, StartsWithNothingAndAsksAtOnce) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  EXPECT_EQ(store.find(fetched_issuer(), kStart), nullptr);
  EXPECT_EQ(store.json("corp"), "");
  EXPECT_EQ(store.next_due(kStart), 0);
  auto due = store.due(kStart);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].name, "corp");
  EXPECT_TRUE(store.pending("corp", kStart));
  EXPECT_TRUE(store.due(kStart).empty()) << "asked for once";
}

// What a document that came later says of the same name.
TEST_F(KeySetStoreTest, KeysOfAnotherSourceAreNotTheIssuers) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  good(store, one_key("k1"), 600, kStart);
  auto issuer = fetched_issuer();
  issuer.max_token_age = 1;
  EXPECT_NE(store.find(issuer, kStart), nullptr);
  for (auto change :
       {+[](IssuerRecord& i) { i.issuer += "other"; }, +[](IssuerRecord& i) { i.jwks_uri.reset(); },
        +[](IssuerRecord& i) { i.jwks = one_key("k1"); }, +[](IssuerRecord& i) { i.ca_file = "/x"; }}) {
    auto other = fetched_issuer();
    change(other);
    EXPECT_EQ(store.find(other, kStart), nullptr);
  }
}

TEST_F(KeySetStoreTest, AnUnansweredRequestIsMadeAgain) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  EXPECT_EQ(store.due(kStart).size(), 1U);
  EXPECT_EQ(store.next_due(kStart + 10), kKeySetRetry - 10);
  EXPECT_TRUE(store.due(kStart + kKeySetRetry - 1).empty());
  EXPECT_EQ(store.due(kStart + kKeySetRetry).size(), 1U);
}

TEST_F(KeySetStoreTest, KeepsWhatWasFetched) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  EXPECT_EQ(store.due(kStart).size(), 1U);
  auto json = one_key("k1");
  good(store, json, 600, kStart + 1);
  EXPECT_FALSE(store.pending("corp", kStart + 1));
  EXPECT_EQ(first_kid(store, kStart + 1), "k1");
  EXPECT_EQ(store.json("corp"), json);
  good(store, json, 600, kStart + 2, false);
  good(store, one_key("k2"), 600, kStart + 3, true);
  EXPECT_EQ(first_kid(store, kStart + 3), "k2");
}

TEST_F(KeySetStoreTest, RefreshesBeforeTheLifetimeEnds) {
  struct Case {
    int64_t lifetime, refresh;
  };
  for (const auto& c :
       {Case{600, 450}, Case{0, kKeySetDefaultLifetime * 3 / 4}, Case{1, 45}, Case{60, 45},
        Case{1'000'000'000, kKeySetHardLimit * 3 / 8}, Case{-5, kKeySetDefaultLifetime * 3 / 4}}) {
    SCOPED_TRACE(c.lifetime);
    auto store = new_store();
    store.configure({fetched_issuer()}, kStart);
    static_cast<void>(store.store("corp", one_key("k1"), c.lifetime, kStart));
    EXPECT_EQ(store.next_due(kStart), c.refresh);
    EXPECT_TRUE(store.due(kStart + c.refresh - 1).empty());
    EXPECT_EQ(store.due(kStart + c.refresh).size(), 1U);
  }
}

TEST_F(KeySetStoreTest, ADeadProviderLocksNobodyOutBeforeTheHardLimit) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  good(store, one_key("k1"), 600, kStart);
  for (int64_t now = kStart + 450; now < kStart + kKeySetHardLimit; now += 600) {
    store.fetch_failed("corp", "timeout", now);
    EXPECT_EQ(first_kid(store, now), "k1");
  }
  EXPECT_EQ(first_kid(store, kStart + kKeySetHardLimit), "k1");
  EXPECT_EQ(first_kid(store, kStart + kKeySetHardLimit + 1), "none");
}

TEST_F(KeySetStoreTest, FailuresAreRetriedSlower) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  int64_t now = kStart;
  for (int64_t pause : {30, 60, 120, 240, 480, 600, 600, 600}) {
    EXPECT_EQ(store.due(now).size(), 1U);
    store.fetch_failed("corp", "no route", now);
    EXPECT_EQ(store.next_due(now), pause);
    now += pause;
  }
  good(store, one_key("k1"), 600, now);
  store.fetch_failed("corp", "no route", now);
  EXPECT_EQ(store.next_due(now), 30) << "a success starts anew";
}

TEST_F(KeySetStoreTest, BadSetsChangeNothing) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  good(store, one_key("k1"), 600, kStart);
  for (const char* json :
       {"", "{", "[]", "{}", R"({"keys":[]})", R"({"keys":[{"kty":"oct","k":"AA"}]})", "<html>"}) {
    EXPECT_FALSE(store.store("corp", json, 600, kStart + 1)) << json;
    EXPECT_EQ(first_kid(store, kStart + 1), "k1");
  }
  EXPECT_FALSE(store.store("unknown", one_key("k2"), 600, kStart));
}

// ---- logins that want fresh keys --------------------------------------------------------------------------

TEST_F(KeySetStoreTest, LoginsFetchAtMostOnceInThirtySeconds) {
  auto store = new_store();
  auto json = one_key("k1");
  store.configure({fetched_issuer()}, kStart);
  EXPECT_EQ(store.due(kStart).size(), 1U);
  EXPECT_FALSE(store.want("corp", kStart)) << "a fetch is under way: wait for it";
  good(store, json, 600, kStart);
  EXPECT_TRUE(store.want("corp", kStart + 1)) << "rotated just after the fetch";
  good(store, json, 600, kStart + 2, false);
  EXPECT_FALSE(store.want("corp", kStart + 3));
  EXPECT_FALSE(store.want("corp", kStart + 30));
  EXPECT_TRUE(store.want("corp", kStart + 31));
  EXPECT_FALSE(store.want("unknown", kStart));
}

TEST_F(KeySetStoreTest, AClockSetBackDoesNotStopFetching) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  EXPECT_TRUE(store.want("corp", kStart));
  good(store, one_key("k1"), 600, kStart);
  int64_t before = kStart - 100'000;
  EXPECT_EQ(store.next_due(before), 0);
  EXPECT_EQ(store.due(before).size(), 1U);
  EXPECT_FALSE(store.want("corp", before)) << "that fetch is under way";
  store.fetch_failed("corp", "x", before);
  EXPECT_TRUE(store.want("corp", before));
}

// ---- inline -----------------------------------------------------------------------------------------------

TEST_F(KeySetStoreTest, InlineSetsAreNeverFetchedAndNeverEnd) {
  auto issuer = fetched_issuer();
  issuer.jwks_uri.reset();
  issuer.jwks = one_key("inline");
  auto store = new_store();
  store.configure({issuer}, kStart);
  const KeySet* listed = store.find(issuer, kStart + 100 * kKeySetHardLimit);
  ASSERT_NE(listed, nullptr);
  EXPECT_EQ(listed->front().kid, "inline");
  EXPECT_TRUE(store.due(kStart).empty());
  EXPECT_GT(store.next_due(kStart), 3600);
  EXPECT_FALSE(store.want("corp", kStart));
  EXPECT_FALSE(store.store("corp", one_key("other"), 600, kStart)) << "nobody may replace it";
  ASSERT_EQ(store.find(issuer, kStart), listed);
  EXPECT_EQ(listed->front().kid, "inline");
}

TEST_F(KeySetStoreTest, ABrokenInlineSetIsNone) {
  auto issuer = fetched_issuer();
  issuer.jwks = "{}";
  auto store = new_store();
  store.configure({issuer}, kStart);
  EXPECT_EQ(store.find(issuer, kStart), nullptr);
}

// ---- a new policy -----------------------------------------------------------------------------------------

TEST_F(KeySetStoreTest, ANewPolicyKeepsSetsOfTheSameSource) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  good(store, one_key("k1"), 600, kStart);
  auto changed = fetched_issuer();
  changed.max_token_age = 5;
  store.configure({changed}, kStart + 1);
  EXPECT_EQ(first_kid(store, kStart + 1), "k1");
  EXPECT_FALSE(store.due(kStart + 450).empty());
  EXPECT_EQ(store.want("corp", kStart + 500)->max_token_age, 5U) << "with the new rules";
  store.configure({}, kStart + 2);
  EXPECT_EQ(store.find(fetched_issuer(), kStart + 2), nullptr);
}

TEST_F(KeySetStoreTest, KeysOfAnotherSourceDoNotCarryOver) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  good(store, one_key("k1"), 600, kStart);
  std::vector<IssuerRecord> others(4, fetched_issuer());
  others[0].issuer = "https://other.example/";
  others[1].jwks_uri = "https://idp.example/other";
  others[2].jwks_uri.reset();
  others[3].ca_file = "/etc/ssl/other.pem";
  for (const auto& other : others) {
    auto fresh = new_store();  // from disk
    fresh.configure({other}, kStart + 1);
    EXPECT_EQ(first_kid(fresh, kStart + 1), "none");
    store.configure({fetched_issuer()}, kStart + 1);
    store.configure({other}, kStart + 1);  // from memory
    EXPECT_EQ(first_kid(store, kStart + 1), "none");
  }
}

// ---- on disk ----------------------------------------------------------------------------------------------

TEST_F(KeySetStoreTest, ARestartFindsTheKeptSet) {
  {
    auto store = new_store();
    store.configure({fetched_issuer()}, kStart);
    good(store, one_key("k1"), 600, kStart);
  }
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart + 60);
  EXPECT_EQ(first_kid(store, kStart + 60), "k1");
  EXPECT_EQ(store.next_due(kStart + 60), 390) << "its lifetime goes on";
  struct stat st = {};
  ASSERT_EQ(::stat(scratch_.path("keysets/corp.json").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
}

TEST_F(KeySetStoreTest, AKeptSetIsBoundByTheHardLimit) {
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  good(store, one_key("k1"), 600, kStart);
  auto later = new_store();
  later.configure({fetched_issuer()}, kStart + kKeySetHardLimit + 1);
  EXPECT_EQ(first_kid(later, kStart + kKeySetHardLimit + 1), "none");
  auto earlier = new_store();
  earlier.configure({fetched_issuer()}, kStart - 1);
  EXPECT_EQ(first_kid(earlier, kStart - 1), "none") << "fetched in the future";
}

TEST_F(KeySetStoreTest, BrokenFilesCostAFetch) {
  {
    auto store = new_store();
    store.configure({fetched_issuer()}, kStart);
    good(store, one_key("k1"), 600, kStart);
  }
  auto path = scratch_.path("keysets/corp.json");
  auto whole = read_file(path, kMostKeySetBytes);
  ASSERT_TRUE(whole);
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("null"), std::string("{}"),
        whole->substr(0, whole->size() / 2), std::string(kMostKeySetBytes * 2, ' ')}) {
    std::ofstream(path) << text;
    auto store = new_store();
    store.configure({fetched_issuer()}, kStart);
    EXPECT_EQ(first_kid(store, kStart), "none");
    EXPECT_EQ(store.due(kStart).size(), 1U);
  }
}

TEST_F(KeySetStoreTest, AFolderThatCannotBeWrittenCostsNothingElse) {
  std::ofstream(scratch_.path("keysets")) << "a file in the way";
  auto store = new_store();
  store.configure({fetched_issuer()}, kStart);
  good(store, one_key("k1"), 600, kStart);
  EXPECT_EQ(first_kid(store, kStart), "k1");
}

TEST_F(KeySetStoreTest, NamesCannotLeaveTheFolder) {
  auto issuer = fetched_issuer("../../escape");
  auto store = new_store();
  store.configure({issuer}, kStart);
  EXPECT_TRUE(store.store("../../escape", one_key("k1"), 600, kStart));
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(scratch_.path("keysets"))) {
    ++files;
    EXPECT_EQ(entry.path().filename().string().size(), 64 + 5U);
  }
  EXPECT_EQ(files, 1U);
}

}  // namespace
}  // namespace qf::test
