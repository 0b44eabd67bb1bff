// SPDX-License-Identifier: Apache-2.0
#include "libqf/policy_db.h"

#include <gtest/gtest.h>

#include "libqf/crypto.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

PolicyRecord policy(const std::string& name) {
  PolicyRecord record;
  record.name = name;
  return record;
}

PeerPolicyRecord peer(const std::string& name, std::vector<std::string> groups) {
  PeerPolicyRecord record;
  record.name = name;
  record.groups = std::move(groups);
  return record;
}

using Records = std::map<std::string, std::string>;

Records policy_records() {
  return {{"meta", encode(PolicyMeta{})},
          {"issuer:corp", encode(IssuerRecord{})},
          {"addr:100.119.230.104", "db1"},
          {"addr:100.119.4.9", "gone"},
          {"peer:db1", encode(peer("db1", {"databases"}))},
          {user_key("corp", "auth0|61"), encode(StringList{{"Developers", "DBAs"}})},
          {"src:p:ann", encode(IdList{{1}})},
          {"src:g:laptops", encode(IdList{{0, 1, 10, 11}})},
          {"dst:p:db1", encode(IdList{{11}})},
          {"dst:g:databases", encode(IdList{{1, 2, 10}})},
          {policy_key(0), encode(policy("zero"))},
          {policy_key(1), encode(policy("one"))},
          {policy_key(2), encode(policy("two"))},
          {policy_key(10), encode(policy("ten"))},
          {policy_key(11), encode(policy("eleven"))}};
}

// The names of the policies between a laptop and db1, or the error
std::vector<std::string> between(const Records& all) {
  test::Scratch scratch;
  EXPECT_TRUE(write_lmdb(scratch.path("policy.mdb"), all, 0600));
  auto db = PolicyDb::open(scratch.path("policy.mdb"));
  if (!db) return {db.error().text()};
  auto policies = db->policies_between(peer("ann", {"laptops"}), peer("db1", {"databases"}));
  if (!policies) return {"error: " + policies.error().text()};
  std::vector<std::string> names;
  for (const auto& p : *policies) names.push_back(p.name);
  return names;
}

TEST(PolicyDb, PoliciesBetweenInTheOrderOfTheDocument) {
  EXPECT_EQ(between(policy_records()), (std::vector<std::string>{"one", "ten", "eleven"}));
}

TEST(PolicyDb, NoPolicyIsNoError) {
  Records all = policy_records();
  all.erase("src:g:laptops");
  all.erase("src:p:ann");
  EXPECT_EQ(between(all), std::vector<std::string>{});
}

// Whatever cannot be read may have held a deny.
TEST(PolicyDb, WhatCannotBeReadIsAnError) {
  for (const std::string& key : {policy_key(10), std::string("src:p:ann"), std::string("dst:g:databases")}) {
    Records all = policy_records();
    all[key] += "x";
    EXPECT_EQ(between(all), std::vector<std::string>{"error: malformed record"}) << key;
  }
  Records all = policy_records();
  all.erase(policy_key(10));
  EXPECT_EQ(between(all), std::vector<std::string>{"error: no record policy:0000000a"});
}

TEST(PolicyDb, LooksUp) {
  test::Scratch scratch;
  std::string path = scratch.path("policy.mdb");
  Records all = policy_records();
  all[user_key("corp", "broken")] = "x";
  ASSERT_TRUE(write_lmdb(path, all, 0600));
  auto db = PolicyDb::open(path);
  ASSERT_TRUE(db) << db.error().text();
  EXPECT_TRUE(db->meta());
  EXPECT_TRUE(db->issuer("corp"));
  EXPECT_EQ(db->issuer("x").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(db->peer_at("100.119.230.104")->name, "db1");
  EXPECT_EQ(db->peer_at("100.119.230.105").error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(db->peer_at("100.119.4.9")) << "an address that leads nowhere";
  EXPECT_EQ(*db->groups_of_user("corp", "auth0|61"), (std::vector<std::string>{"Developers", "DBAs"}));
  EXPECT_EQ(*db->groups_of_user("other", "auth0|61"), std::vector<std::string>{})
      << "two issuers, two people";
  EXPECT_EQ(*db->groups_of_user("corp", std::string(600, 'x')), std::vector<std::string>{});
  EXPECT_FALSE(db->groups_of_user("corp", "broken"));
}

TEST(PolicyDb, MissingOrOfAnotherFormat) {
  EXPECT_EQ(PolicyDb::open("/no/such.mdb").error().kind, ErrorKind::kNotFound);
  Records all = policy_records();
  PolicyMeta meta;
  meta.format = 99;
  all["meta"] = encode(meta);
  std::string text = between(all).at(0);
  EXPECT_NE(text.find("was written by another version; run: qf-up apply"), std::string::npos) << text;
}

TEST(PolicyDb, Keys) {
  EXPECT_EQ(user_key("a", "b"), std::string("user:a\0b", 8));
  EXPECT_NE(user_key("a", "bc"), user_key("ab", "c"));
  EXPECT_EQ(policy_key(0), "policy:00000000");
  EXPECT_EQ(policy_key(0xabcdef12), "policy:abcdef12");
}

TEST(PolicyDb, PortRangesIncludeBothEnds) {
  PortRange range{20, 30};
  EXPECT_TRUE(range.covers(20) && range.covers(25) && range.covers(30));
  EXPECT_FALSE(range.covers(19) || range.covers(31));
}

// Both sides of an upgrade read this: a change of a record needs a new format.
TEST(PolicyDb, RecordsAreGolden) {
  PolicyRecord record = policy("dba");
  record.protocol = PolicyProtocol::kTcp;
  record.ports = {{20, 30}};
  record.authorized_groups = {{"DBAs", {"postgres"}}};
  EXPECT_EQ(hex(encode(record)),
            "00000003646261"
            "01"
            "01"
            "00000001"
            "00000001"
            "0014"
            "001e"
            "00"
            "00000001"
            "0000000444424173"
            "00000001"
            "00000008706f737467726573"
            "00000000"
            "00000000"
            "00000000");
  EXPECT_EQ(hex(encode(peer("db1", {"g"}))),
            "00000003646231"
            "00000000"
            "00"
            "00000000"
            "00000001"
            "0000000167"
            "00000000"
            "00000000");
}

}  // namespace
}  // namespace qf
