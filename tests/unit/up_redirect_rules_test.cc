// SPDX-License-Identifier: Apache-2.0
#include "qf-up/redirect_rules.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

const std::vector<std::string> kOwn = {"fd00::68", "100.119.230.104"};
const std::vector<std::string> kPeers = {"100.119.4.2", "fd00::2", "100.119.4.1", "100.119.230.104",
                                         "10.0.0.1"};

RedirectPlan plan_of(const std::string& choice) {
  return plan_redirect("qufabric", *parse_redirect(choice), kOwn, kPeers);
}

// What nft 1.0.6 prints for this plan, with the handles that it gives.
std::string listing() {
  return R"({"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "x", "json_schema_version": 1}},
{"table": {"family": "inet", "name": "qufabric", "handle": 7}},
{"set": {"family": "inet", "name": "peers4", "table": "qufabric", "type": "ipv4_addr", "handle": 2,
  "elem": ["100.119.4.2", "100.119.4.1"]}},
{"set": {"family": "inet", "name": "peers6", "table": "qufabric", "type": "ipv6_addr", "handle": 3, "elem": ["fd00::2"]}},
{"chain": {"family": "inet", "table": "qufabric", "name": "port22", "handle": 1, "type": "nat", "hook": "prerouting",
  "prio": -105, "policy": "accept"}},
{"rule": {"family": "inet", "table": "qufabric", "chain": "port22", "handle": 4, "expr": [
  {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@peers4"}},
  {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "100.119.230.104"}},
  {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}},
  {"dnat": {"family": "ip", "addr": "100.119.230.104", "port": 22022}}]}},
{"rule": {"family": "inet", "table": "qufabric", "chain": "port22", "handle": 5, "expr": [
  {"match": {"op": "==", "left": {"payload": {"protocol": "ip6", "field": "saddr"}}, "right": "@peers6"}},
  {"match": {"op": "==", "left": {"payload": {"protocol": "ip6", "field": "daddr"}}, "right": "fd00::68"}},
  {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}},
  {"dnat": {"family": "ip6", "addr": "fd00::68", "port": 22022}}]}}]})";
}

TEST(RedirectChoice, AnInterfaceOrNetworks) {
  auto interface = parse_redirect("wg0");
  ASSERT_TRUE(interface);
  EXPECT_EQ(interface->interface, "wg0");
  EXPECT_TRUE(interface->covers("192.0.2.1"));
  auto networks = parse_redirect("100.64.0.0/10,FD00::1/8,192.0.2.7");
  ASSERT_TRUE(networks);
  EXPECT_EQ(networks->interface, "");
  EXPECT_TRUE(networks->covers("100.127.255.255"));
  EXPECT_FALSE(networks->covers("100.128.0.0"));
  EXPECT_TRUE(networks->covers("fdff::1"));
  EXPECT_FALSE(networks->covers("fc00::1"));
  EXPECT_TRUE(networks->covers("192.0.2.7"));
  EXPECT_FALSE(networks->covers("192.0.2.6"));
  EXPECT_TRUE(parse_redirect("0.0.0.0/0")->covers("255.255.255.255"));
  EXPECT_FALSE(parse_redirect("0.0.0.0/0")->covers("::1"));
}

TEST(RedirectChoice, EverythingElseIsSaid) {
  for (const char* wrong :
       {"", ",", "a,b", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8,", "fd00::/129", "wg*", "a b",
        "a/b", "a\"b", "sixteen-letters-", "false", "off", "no", "none", "..", "10.0.0.0/8,wg0"}) {
    auto choice = parse_redirect(wrong);
    ASSERT_FALSE(choice) << wrong;
    EXPECT_NE(choice.error().what.find("must be an interface (wg0) or networks"), std::string::npos);
    EXPECT_EQ(choice.error().hint, "to switch it off: --redirect-port-22=");
  }
}

TEST(RedirectTable, OneForEachStateFolder) {
  EXPECT_EQ(redirect_table("/var/lib/qufabric"), "qufabric");
  EXPECT_EQ(redirect_table("/srv/a"), "qufabric-b068a6cef8334eeb");
  EXPECT_NE(redirect_table("/srv/a"), redirect_table("/srv/b"));
}

TEST(RedirectPlan, PeersThatTheChoiceCoversAndNotOurselves) {
  auto all = plan_of("wg0");
  EXPECT_EQ(all.own, (std::vector<std::string>{"100.119.230.104", "fd00::68"}));
  EXPECT_EQ(all.peers4, (std::vector<std::string>{"10.0.0.1", "100.119.4.1", "100.119.4.2"}));
  EXPECT_EQ(all.peers6, std::vector<std::string>{"fd00::2"});
  auto some = plan_of("100.119.4.0/24");
  EXPECT_EQ(some.peers4, (std::vector<std::string>{"100.119.4.1", "100.119.4.2"}));
  EXPECT_TRUE(some.peers6.empty());
}

TEST(RedirectRuleset, ReplacesTheTableInOneTransaction) {
  auto plan = plan_redirect("qufabric", *parse_redirect("wg0"), {"10.0.0.1"}, {"10.0.0.2"});
  EXPECT_EQ(
      redirect_ruleset(plan),
      R"({"nftables":[{"add":{"table":{"family":"inet","name":"qufabric"}}},)"
      R"({"delete":{"table":{"family":"inet","name":"qufabric"}}},)"
      R"({"add":{"table":{"family":"inet","name":"qufabric"}}},)"
      R"({"add":{"set":{"family":"inet","table":"qufabric","name":"peers4","type":"ipv4_addr","elem":["10.0.0.2"]}}},)"
      R"({"add":{"set":{"family":"inet","table":"qufabric","name":"peers6","type":"ipv6_addr"}}},)"
      R"({"add":{"chain":{"family":"inet","table":"qufabric","name":"port22","type":"nat","hook":"prerouting",)"
      R"("prio":-105,"policy":"accept"}}},)"
      R"({"add":{"rule":{"family":"inet","table":"qufabric","chain":"port22","expr":[)"
      R"({"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"wg0"}},)"
      R"({"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"@peers4"}},)"
      R"({"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"daddr"}},"right":"10.0.0.1"}},)"
      R"({"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":22}},)"
      R"({"dnat":{"family":"ip","addr":"10.0.0.1","port":22022}}]}}}]})");
}

TEST(RedirectListing, AsItWasMade) {
  auto plan = plan_of("100.119.4.0/24,fd00::/64");
  EXPECT_TRUE(check_listing(plan, listing()));
  // a listing without elements has no "elem"
  auto none = plan_redirect("qufabric", *parse_redirect("wg0"), {}, {});
  EXPECT_TRUE(
      check_listing(none, R"({"nftables": [{"table": {"family": "inet", "name": "qufabric", "handle": 7}},
{"set": {"family": "inet", "name": "peers4", "table": "qufabric", "type": "ipv4_addr", "handle": 2}},
{"set": {"family": "inet", "name": "peers6", "table": "qufabric", "type": "ipv6_addr", "handle": 3}},
{"chain": {"family": "inet", "table": "qufabric", "name": "port22", "handle": 1, "type": "nat", "hook": "prerouting",
  "prio": -105, "policy": "accept"}}]})"));
}

TEST(RedirectListing, EveryDifferenceIsSeen) {
  auto plan = plan_of("100.119.4.0/24,fd00::/64");
  const std::vector<std::pair<std::string, std::string>> changes = {
      {R"("100.119.4.2", )", ""},
      {R"("fd00::2")", R"("fd00::3")"},
      {R"(["fd00::2"])", R"([{"prefix": {"addr": "fd00::", "len": 64}}])"},
      {R"("name": "peers6")", R"("name": "others")"},
      {R"("ipv4_addr")", R"("ipv6_addr")"},
      {"-105", "-100"},
      {R"("policy": "accept")", R"("policy": "drop")"},
      {"prerouting", "output"},
      {R"("right": 22})", R"("right": 23})"},
      {"22022", "22023"},
      {R"("op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}})",
       R"("op": "!=", "left": {"payload": {"protocol": "ip", "field": "saddr"}})"},
      {R"({"table": {"family": "inet", "name": "qufabric", "handle": 7}})",
       R"({"table": {"family": "inet", "name": "qufabric", "handle": 7, "flags": ["dormant"]}})"},
      {R"({"table": {)", R"({"map": {"family": "inet"}}, {"table": {)"},
      {R"({"chain": {)", R"({"chain": {"name": "more"}}, {"chain": {)"},
      {R"({"set": {)", R"({"rule": {"chain": "port22", "expr": []}}, {"set": {)"},
  };
  for (const auto& [from, to] : changes) {
    std::string text = listing();
    size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    auto good = check_listing(plan, text.replace(at, from.size(), to));
    ASSERT_FALSE(good) << from;
    EXPECT_EQ(good.error().kind, ErrorKind::kInput) << from;
    EXPECT_NE(good.error().what.find("is not as it was made: "), std::string::npos) << good.error().what;
  }
  EXPECT_FALSE(check_listing(plan, listing().substr(0, 900)));
  EXPECT_FALSE(check_listing(plan, "{}"));
  EXPECT_FALSE(check_listing(plan, R"({"nftables": [{}]})"));
}

}  // namespace
}  // namespace qf
