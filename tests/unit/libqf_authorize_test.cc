// SPDX-License-Identifier: Apache-2.0
#include "libqf/authorize.h"

#include <gtest/gtest.h>

#include "tests/unit/libqf_policy_writer.h"

namespace qf {
namespace {

PeerPolicyRecord laptop() {
  PeerPolicyRecord peer;
  peer.name = "laptop";
  peer.addresses = {"100.119.4.2"};
  peer.groups = {"laptops"};
  return peer;
}

PeerPolicyRecord db1() {
  PeerPolicyRecord peer;
  peer.name = "db1";
  peer.addresses = {"100.119.230.104"};
  peer.ssh = true;
  peer.version = "0.61.0";
  peer.groups = {"databases"};
  return peer;
}

Identity alice(std::vector<std::string> groups, const std::string& email_local = "") {
  Identity identity;
  identity.issuer_name = "corp";
  identity.subject = "alice";
  identity.groups = std::move(groups);
  identity.fabric_user = true;
  identity.email_local = email_local;
  return identity;
}

// All policies of a case go from laptop to db1.
PolicyDb between(PolicyWriter& writer, const std::vector<PolicyRecord>& policies) {
  for (const auto& policy : policies) writer.policy(policy, {"laptop"}, {"db1"});
  return writer.open();
}

// ---- network ----------------------------------------------------------------------------------------------

struct NetworkCase {
  const char* what;
  std::vector<PolicyRecord> policies;
  bool allowed;
  const char* policy;  // that decides
  bool ssh = true;
  const char* version = "0.61.0";
};

std::vector<NetworkCase> network_cases() {
  const auto kDbas = GroupUsers{{"DBAs", {"postgres"}}};
  return {
      {"nothing matches: deny", {}, false, ""},
      {"a qufabric-ssh policy", {ssh_policy("s", true)}, true, "s"},
      {"limited access opens the port too", {ssh_policy("s", false, kDbas)}, true, "s"},
      {"a disabled policy is none", {disabled(ssh_policy("s", true))}, false, ""},
      {"tcp for the port itself", {tcp_policy("t", 22022, 22022)}, true, "t"},
      {"tcp, first port of a range", {tcp_policy("t", 22022, 30000)}, true, "t"},
      {"tcp, last port of a range", {tcp_policy("t", 1000, 22022)}, true, "t"},
      {"tcp, just below", {tcp_policy("t", 1000, 22021)}, false, ""},
      {"tcp, just above", {tcp_policy("t", 22023, 30000)}, false, ""},
      {"tcp without ports",
       {[] {
         auto policy = tcp_policy("t", 1, 1);
         policy.ports.clear();
         return policy;
       }()},
       false,
       ""},
      {"deny beats allow", {ssh_policy("s", true), ssh_policy("d", true, {}, false)}, false, "d"},
      {"deny beats allow, in any order",
       {ssh_policy("d", true, {}, false), ssh_policy("s", true)},
       false,
       "d"},
      {"a tcp deny beats a qufabric-ssh allow",
       {ssh_policy("s", true), tcp_policy("d", 20000, 30000, false)},
       false,
       "d"},
      {"a disabled deny is none",
       {ssh_policy("s", true), disabled(ssh_policy("d", true, {}, false))},
       true,
       "s"},
      {"a deny of another port is none", {ssh_policy("s", true), tcp_policy("d", 80, 80, false)}, true, "s"},
      {"a deny that names groups waits for the identity",
       {ssh_policy("s", true), ssh_policy("d", true, kDbas, false)},
       true,
       "s"},
      {"a deny that names groups opens nothing", {ssh_policy("d", true, kDbas, false)}, false, ""},

      // the derived rule
      {"derived: tcp 22", {tcp_policy("t", 22, 22)}, true, "t"},
      {"derived: a range with 22", {tcp_policy("t", 20, 30)}, true, "t"},
      {"derived: not from 23", {tcp_policy("t", 23, 30)}, false, ""},
      {"derived: only when the peer has ssh", {tcp_policy("t", 22, 22)}, false, "", false},
      {"derived: version 0.60.0", {tcp_policy("t", 22, 22)}, true, "t", true, "0.60.0"},
      {"derived: version 0.59.9 is too old", {tcp_policy("t", 22, 22)}, false, "", true, "0.59.9"},
      {"derived: a pre-release is older", {tcp_policy("t", 22, 22)}, false, "", true, "0.60.0-rc1"},
      {"derived: pre-release of a later one", {tcp_policy("t", 22, 22)}, true, "t", true, "0.61.0-rc1"},
      {"derived: compares numbers, not text", {tcp_policy("t", 22, 22)}, true, "t", true, "0.100.0"},
      {"derived: major version", {tcp_policy("t", 22, 22)}, true, "t", true, "v1.0.0+build"},
      {"derived: two numbers", {tcp_policy("t", 22, 22)}, true, "t", true, "0.61"},
      {"derived: no version", {tcp_policy("t", 22, 22)}, false, "", true, ""},
      {"derived: nonsense version", {tcp_policy("t", 22, 22)}, false, "", true, "latest"},
      {"derived: too many numbers", {tcp_policy("t", 22, 22)}, false, "", true, "1.2.3.4"},
      {"derived: a deny of 22 denies it",
       {tcp_policy("t", 22, 22), tcp_policy("d", 20, 25, false)},
       false,
       "d"},
      {"derived: a deny of 22 before it",
       {tcp_policy("d", 22, 22, false), tcp_policy("t", 22, 22)},
       false,
       "d"},
      {"a deny of 22 does not touch a rule for 22022",
       {ssh_policy("s", true), tcp_policy("d", 22, 22, false)},
       true,
       "s"},
      {"derived: not where a rule covers 22022 already",
       {tcp_policy("t", 22, 22), ssh_policy("d", true, kDbas, false)},
       false,
       ""},
      {"derived: a disabled rule for 22022 covers nothing",
       {tcp_policy("t", 22, 22), disabled(ssh_policy("s", true))},
       true,
       "t"},
      {"one policy for both ports", {tcp_policy("t", 1, 65535)}, true, "t", false, ""},
  };
}

TEST(Authorize, Network) {
  for (const auto& c : network_cases()) {
    SCOPED_TRACE(c.what);
    PolicyWriter writer;
    auto db = between(writer, c.policies);
    auto self = db1();
    self.ssh = c.ssh;
    self.version = c.version;
    auto decision = judge_network(db, laptop(), self);
    EXPECT_EQ(decision.allowed, c.allowed) << decision.detail;
    EXPECT_EQ(decision.policy, c.policy);
    EXPECT_EQ(decision.refusal, c.allowed ? RefusalKind::kNone : RefusalKind::kPeer);
    EXPECT_EQ(decision.detail.empty(), c.allowed);
  }
}

TEST(Authorize, PoliciesOfGroupsAndOfOtherPairs) {
  PolicyWriter writer;
  writer.policy(ssh_policy("groups", true), {"@laptops"}, {"@databases"});
  writer.policy(ssh_policy("other-source", true), {"phone"}, {"db1"});
  writer.policy(ssh_policy("other-destination", true), {"tablet"}, {"db2"});
  auto db = writer.open();
  EXPECT_TRUE(judge_network(db, laptop(), db1()).allowed);
  PeerPolicyRecord tablet;
  tablet.name = "tablet";
  EXPECT_FALSE(judge_network(db, tablet, db1()).allowed);
  // the direction counts
  EXPECT_FALSE(judge_network(db, db1(), laptop()).allowed);
}

TEST(Authorize, WhatCannotBeReadDenies) {
  for (const char* key : {"policy:00000001", "src:p:laptop", "dst:p:db1", "src:g:laptops"}) {
    SCOPED_TRACE(key);
    PolicyWriter writer;
    writer.policy(ssh_policy("s", true), {"laptop"}, {"db1"});
    writer.policy(ssh_policy("d", true, {}, false), {"laptop"}, {"db1"});
    auto db = writer.raw(key, "broken").open();
    auto decision = judge_login(db, laptop(), db1(), {alice({}), "ann", false, false});
    EXPECT_FALSE(decision.allowed);
    EXPECT_EQ(decision.refusal, RefusalKind::kPeer);
    EXPECT_FALSE(judge_network(db, laptop(), db1()).allowed);
    EXPECT_FALSE(judge_tunnel(db, laptop(), db1(), alice({})).allowed);
  }
}

// ---- login ------------------------------------------------------------------------------------------------

struct LoginCase {
  const char* what;
  std::vector<PolicyRecord> policies;
  Identity identity;
  const char* os_user;
  RefusalKind refusal;  // kNone: allowed
  const char* policy = "";
};

Identity stranger() {
  auto identity = alice({"Developers"});
  identity.fabric_user = false;
  return identity;
}

std::vector<LoginCase> login_cases() {
  const auto kLimited =
      ssh_policy("s", false, {{"Developers", {"developer", "deploy"}}, {"DBAs", {"postgres"}}});
  const auto kNone = RefusalKind::kNone;
  return {
      // limited
      {"listed", {kLimited}, alice({"Developers"}), "deploy", kNone, "s"},
      {"listed for another group", {kLimited}, alice({"Developers"}), "postgres", RefusalKind::kOsUser},
      {"listed for one of two groups", {kLimited}, alice({"DBAs", "Developers"}), "postgres", kNone, "s"},
      {"not listed for anybody", {kLimited}, alice({"Developers"}), "mysql", RefusalKind::kNoMapping},
      {"in no group", {kLimited}, alice({}), "deploy", RefusalKind::kPeer},
      {"in another group", {kLimited}, alice({"Sales"}), "deploy", RefusalKind::kPeer},
      {"in no group, OS user not mapped", {kLimited}, alice({}), "mysql", RefusalKind::kPeer},
      {"not a user of the fabric", {kLimited}, stranger(), "deploy", RefusalKind::kPeer},
      {"OS users are compared exactly", {kLimited}, alice({"Developers"}), "Deploy", RefusalKind::kNoMapping},
      {"no prefix", {kLimited}, alice({"Developers"}), "dep", RefusalKind::kNoMapping},
      {"groups are compared exactly", {kLimited}, alice({"developers"}), "deploy", RefusalKind::kPeer},
      {"empty OS user", {kLimited}, alice({"Developers"}), "", RefusalKind::kNoMapping},
      {"limited without groups grants nothing",
       {ssh_policy("s", false)},
       alice({"Developers"}),
       "deploy",
       RefusalKind::kPeer},
      {"a group without OS users",
       {ssh_policy("s", false, {{"Developers", {}}})},
       alice({"Developers"}),
       "deploy",
       RefusalKind::kNoMapping},
      // wild cards
      {"star is any user", {ssh_policy("s", false, {{"Ops", {"*"}}})}, alice({"Ops"}), "anyone", kNone, "s"},
      {"star of another group",
       {ssh_policy("s", false, {{"Ops", {"*"}}, {"Developers", {"deploy"}}})},
       alice({"Developers"}),
       "anyone",
       RefusalKind::kOsUser},
      {"star inside a name is no pattern",
       {ssh_policy("s", false, {{"Ops", {"db*"}}})},
       alice({"Ops"}),
       "db1",
       RefusalKind::kNoMapping},
      {"email.local",
       {ssh_policy("s", false, {{"Staff", {"{email.local}"}}})},
       alice({"Staff"}, "al"),
       "al",
       kNone,
       "s"},
      {"email.local of another",
       {ssh_policy("s", false, {{"Staff", {"{email.local}"}}})},
       alice({"Staff"}, "al"),
       "bob",
       RefusalKind::kOsUser},
      {"email.local without a verified email",
       {ssh_policy("s", false, {{"Staff", {"{email.local}"}}})},
       alice({"Staff"}),
       "al",
       RefusalKind::kOsUser},
      {"email.local without a verified email is not the empty user",
       {ssh_policy("s", false, {{"Staff", {"{email.local}"}}})},
       alice({"Staff"}),
       "",
       RefusalKind::kOsUser},
      {"the placeholder is no user name",
       {ssh_policy("s", false, {{"Staff", {"{email.local}"}}})},
       alice({"Staff"}, "al"),
       "{email.local}",
       RefusalKind::kOsUser},
      // full
      {"full without groups", {ssh_policy("s", true)}, alice({}), "anyone", kNone, "s"},
      {"full without groups is for users of the fabric",
       {ssh_policy("s", true)},
       stranger(),
       "x",
       RefusalKind::kPeer},
      {"full with groups", {ssh_policy("s", true, {{"Ops", {}}})}, alice({"Ops"}), "anyone", kNone, "s"},
      {"full with other groups",
       {ssh_policy("s", true, {{"Ops", {}}})},
       alice({"DBAs"}),
       "x",
       RefusalKind::kPeer},
      // tcp: network-level access
      {"tcp 22022: any user of the fabric", {tcp_policy("t", 22022, 22022)}, alice({}), "anyone", kNone, "t"},
      {"tcp 22022: nobody else", {tcp_policy("t", 22022, 22022)}, stranger(), "anyone", RefusalKind::kPeer},
      {"tcp 22: derived", {tcp_policy("t", 22, 22)}, alice({}), "anyone", kNone, "t"},
      {"tcp 22 grants nothing beside a rule for 22022",
       {tcp_policy("t", 22, 22), kLimited},
       alice({}),
       "anyone",
       RefusalKind::kPeer},
      {"tcp 22022 beside a limited policy",
       {kLimited, tcp_policy("t", 22022, 22022)},
       alice({}),
       "anyone",
       kNone,
       "t"},
      {"tcp for another port grants nothing",
       {kLimited, tcp_policy("t", 80, 80)},
       alice({}),
       "x",
       RefusalKind::kPeer},
      // several policies
      {"any policy may grant",
       {kLimited, ssh_policy("s2", false, {{"Developers", {"mysql"}}})},
       alice({"Developers"}),
       "mysql",
       kNone,
       "s2"},
      {"the first one decides", {kLimited, ssh_policy("s2", true)}, alice({"DBAs"}), "postgres", kNone, "s"},
      {"mapped by a policy for others",
       {kLimited, ssh_policy("s2", false, {{"Ops", {"mysql"}}})},
       alice({"Developers"}),
       "mysql",
       RefusalKind::kOsUser},
      {"a disabled policy grants nothing",
       {kLimited, disabled(ssh_policy("s2", true))},
       alice({"Developers"}),
       "mysql",
       RefusalKind::kNoMapping},
      // deny
      {"deny of an OS user",
       {kLimited, ssh_policy("d", false, {{"Developers", {"deploy"}}}, false)},
       alice({"Developers"}),
       "deploy",
       RefusalKind::kOsUser,
       "d"},
      {"deny of another OS user",
       {kLimited, ssh_policy("d", false, {{"Developers", {"deploy"}}}, false)},
       alice({"Developers"}),
       "developer",
       kNone,
       "s"},
      {"deny of another group",
       {kLimited, ssh_policy("d", false, {{"DBAs", {"deploy"}}}, false)},
       alice({"Developers"}),
       "deploy",
       kNone,
       "s"},
      {"deny through one of two groups",
       {kLimited, ssh_policy("d", true, {{"Suspended", {}}}, false)},
       alice({"Developers", "Suspended"}),
       "deploy",
       RefusalKind::kOsUser,
       "d"},
      {"deny of everything for a group, listed OS users or not",
       {ssh_policy("s", true), ssh_policy("d", true, {{"Suspended", {"postgres"}}}, false)},
       alice({"Suspended"}),
       "deploy",
       RefusalKind::kOsUser,
       "d"},
      {"deny with an empty list is of every OS user",
       {ssh_policy("s", true), ssh_policy("d", false, {{"Suspended", {}}}, false)},
       alice({"Suspended"}),
       "deploy",
       RefusalKind::kOsUser,
       "d"},
      {"deny beats a tcp allow",
       {tcp_policy("t", 22022, 22022), ssh_policy("d", false, {{"Developers", {"*"}}}, false)},
       alice({"Developers"}),
       "deploy",
       RefusalKind::kOsUser,
       "d"},
      {"the network judgement comes first",
       {kLimited, tcp_policy("d", 22022, 22022, false)},
       alice({"Developers"}),
       "deploy",
       RefusalKind::kPeer,
       "d"},
      {"nothing at all", {}, alice({"Developers"}), "deploy", RefusalKind::kPeer},
  };
}

TEST(Authorize, Login) {
  for (const auto& c : login_cases()) {
    SCOPED_TRACE(c.what);
    PolicyWriter writer;
    auto db = between(writer, c.policies);
    auto decision = judge_login(db, laptop(), db1(), {c.identity, c.os_user, false, false});
    EXPECT_EQ(decision.allowed, c.refusal == RefusalKind::kNone) << decision.detail;
    EXPECT_EQ(decision.refusal, c.refusal);
    EXPECT_EQ(decision.policy, c.policy);
    EXPECT_EQ(decision.detail.empty(), decision.allowed);
  }
}

struct RootCase {
  const char* what;
  std::vector<PolicyRecord> policies;
  const char* os_user;
  bool is_root, enabled;
  RefusalKind refusal;
};

TEST(Authorize, RootIsUidZeroByWhateverName) {
  const auto kFull = ssh_policy("s", true);
  const auto kRoot = ssh_policy("s", false, {{"Ops", {"root"}}});
  const auto kStar = ssh_policy("s", false, {{"Ops", {"*"}}});
  const auto kDenyRoot = ssh_policy("d", false, {{"Ops", {"root"}}}, false);
  const std::vector<RootCase> cases = {
      {"root by policy and flag", {kRoot}, "root", true, true, RefusalKind::kNone},
      {"root without the flag", {kRoot}, "root", true, false, RefusalKind::kOsUser},
      {"star without the flag", {kStar}, "root", true, false, RefusalKind::kOsUser},
      {"full without the flag", {kFull}, "root", true, false, RefusalKind::kOsUser},
      {"tcp without the flag", {tcp_policy("t", 22022, 22022)}, "root", true, false, RefusalKind::kOsUser},
      {"another name for uid 0, without the flag", {kFull}, "toor", true, false, RefusalKind::kOsUser},
      {"another name for uid 0, with the flag", {kFull}, "toor", true, true, RefusalKind::kNone},
      {"a grant of root is not one of toor", {kRoot}, "toor", true, true, RefusalKind::kNoMapping},
      {"a user called root that is not", {kRoot}, "root", false, false, RefusalKind::kNone},
      {"a deny of root is one of toor", {kFull, kDenyRoot}, "toor", true, true, RefusalKind::kOsUser},
      {"a deny of root is not one of others", {kFull, kDenyRoot}, "deploy", false, true, RefusalKind::kNone},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    PolicyWriter writer;
    auto db = between(writer, c.policies);
    LoginRequest request{alice({"Ops"}), c.os_user, c.is_root, c.enabled};
    auto decision = judge_login(db, laptop(), db1(), request);
    EXPECT_EQ(decision.refusal, c.refusal) << decision.detail;
    EXPECT_EQ(decision.allowed, c.refusal == RefusalKind::kNone);
  }
}

TEST(Authorize, OnlyWhoIsAuthorizedLearnsOfTheRootFlag) {
  PolicyWriter writer;
  auto db = between(writer, {ssh_policy("s", true, {{"Ops", {}}})});
  EXPECT_NE(judge_login(db, laptop(), db1(), {alice({"Ops"}), "root", true, false})
                .detail.find("--enable-ssh-root"),
            std::string::npos);
  EXPECT_EQ(judge_login(db, laptop(), db1(), {alice({}), "root", true, false}).refusal, RefusalKind::kPeer);
}

struct NobodyCase {
  const char* what;
  std::vector<PolicyRecord> policies;
  const char* os_user;
  bool is_root, enabled, allowed;
};

TEST(Authorize, WithoutAuthenticationTheNetworkAloneDecides) {
  const auto kLimited = ssh_policy("s", false, {{"Developers", {"deploy"}}});
  const std::vector<NobodyCase> cases = {
      {"any OS user", {kLimited}, "anyone", false, false, true},
      {"root by its flag", {kLimited}, "root", true, true, true},
      {"root without", {kLimited}, "root", true, false, false},
      {"not through a closed port",
       {kLimited, tcp_policy("d", 22022, 22022, false)},
       "anyone",
       false,
       false,
       false},
      {"nothing matches", {}, "anyone", false, false, false},
      {"a deny of some is one of all: nobody is known",
       {kLimited, ssh_policy("d", true, {{"Suspended", {}}}, false)},
       "anyone",
       false,
       false,
       false},
      {"a deny of an OS user is of that one",
       {kLimited, ssh_policy("d", false, {{"Suspended", {"postgres"}}}, false)},
       "deploy",
       false,
       false,
       true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    PolicyWriter writer;
    auto db = between(writer, c.policies);
    auto decision = judge_login(db, laptop(), db1(), {std::nullopt, c.os_user, c.is_root, c.enabled});
    EXPECT_EQ(decision.allowed, c.allowed) << decision.detail;
  }
}

TEST(Authorize, LimitsComeFromThePolicyThatDecides) {
  auto strict = ssh_policy("strict", false, {{"Developers", {"deploy"}}});
  strict.permit_open = {"localhost:5432"};
  strict.permit_listen = {"localhost:*"};
  strict.max_session = 3600;
  PolicyWriter writer;
  auto db = between(writer, {strict, ssh_policy("loose", false, {{"Developers", {"developer"}}})});
  auto decision = judge_login(db, laptop(), db1(), {alice({"Developers"}), "deploy", false, false});
  EXPECT_EQ(decision.permit_open, strict.permit_open);
  EXPECT_EQ(decision.permit_listen, strict.permit_listen);
  EXPECT_EQ(decision.max_session, 3600U);
  decision = judge_login(db, laptop(), db1(), {alice({"Developers"}), "developer", false, false});
  EXPECT_TRUE(decision.permit_open.empty());
  EXPECT_EQ(decision.max_session, 0U);
}

TEST(Authorize, Tunnel) {
  const auto kLimited = ssh_policy("s", false, {{"Developers", {"deploy"}}});
  struct Case {
    const char* what;
    std::vector<PolicyRecord> policies;
    Identity identity;
    bool allowed;
  };
  const std::vector<Case> cases = {
      {"some OS user might be allowed", {kLimited}, alice({"Developers"}), true},
      {"none could be", {kLimited}, alice({"DBAs"}), false},
      {"not a user of the fabric", {kLimited}, stranger(), false},
      {"tcp", {tcp_policy("t", 22, 22)}, alice({}), true},
      {"full", {ssh_policy("s", true)}, alice({}), true},
      {"the network denies", {kLimited, tcp_policy("d", 22022, 22022, false)}, alice({"Developers"}), false},
      {"every OS user denied",
       {kLimited, ssh_policy("d", true, {{"Developers", {}}}, false)},
       alice({"Developers"}),
       false},
      {"every OS user denied by star",
       {kLimited, ssh_policy("d", false, {{"Developers", {"*"}}}, false)},
       alice({"Developers"}),
       false},
      {"one OS user denied",
       {kLimited, ssh_policy("d", false, {{"Developers", {"root"}}}, false)},
       alice({"Developers"}),
       true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    PolicyWriter writer;
    auto db = between(writer, c.policies);
    EXPECT_EQ(judge_tunnel(db, laptop(), db1(), c.identity).allowed, c.allowed);
  }
}

// ---- words ------------------------------------------------------------------------------------------------

Decision refused_with(RefusalKind refusal, const std::string& detail = "") {
  Decision decision;
  decision.refusal = refusal;
  decision.detail = detail;
  decision.policy = "secret-policy";
  return decision;
}

TEST(Authorize, RefusalsKeepTheDocumentedWords) {
  auto who = alice({});
  EXPECT_EQ(refusal_text(refused_with(RefusalKind::kPeer), who, "root"),
            "User is not authorized to access this peer: \"corp:alice\"");
  EXPECT_EQ(refusal_text(refused_with(RefusalKind::kOsUser), who, "root"),
            "User is not authorized to login as OS user: \"corp:alice\" as \"root\"");
  EXPECT_EQ(refusal_text(refused_with(RefusalKind::kNoMapping), who, "mysql"),
            "No authorization mapping for OS user: \"corp:alice\" as \"mysql\"");
  EXPECT_EQ(refusal_text(refused_with(RefusalKind::kPeer), std::nullopt, "root"),
            "User is not authorized to access this peer");
  EXPECT_EQ(
      refusal_text(refused_with(RefusalKind::kOsUser, "root login is not enabled"), std::nullopt, "root"),
      "User is not authorized to login as OS user: \"root\" (root login is not enabled)");
}

TEST(Authorize, RefusalsAreCleanAndShort) {
  auto who = alice({});
  who.subject = "a\x1b[2Jb\nc";
  std::string text = refusal_text(refused_with(RefusalKind::kOsUser), who, std::string(90'000, 'x') + "\r\n");
  EXPECT_EQ(text.find_first_of("\x1b\r\n"), std::string::npos);
  EXPECT_LT(text.size(), 1024U);
  EXPECT_EQ(text.find("secret-policy"), std::string::npos);
}

// A token that does not say its groups evades no deny, and gains nothing by an allow.
TEST(Authorize, GroupsThatTheTokenLeavesOutCountForADenyOnly) {
  PolicyWriter writer;
  auto db = between(writer,
                    {ssh_policy("all", true), ssh_policy("d", false, {{"Contractors", {"postgres"}}}, false),
                     ssh_policy("dbas", false, {{"DBAs", {"oracle"}}})});
  auto decide = [&](std::vector<std::string> unknown, const std::string& os_user) {
    Identity identity = alice({});
    identity.unknown_groups = std::move(unknown);
    return judge_login(db, laptop(), db1(), {identity, os_user, false, false});
  };
  for (const char* unknown : {"Contractors", "*"}) {
    auto decision = decide({"Staff", unknown}, "postgres");
    EXPECT_FALSE(decision.allowed) << unknown;
    EXPECT_EQ(decision.policy, "d");
    EXPECT_NE(decision.detail.find("does not hold the user's groups"), std::string::npos) << decision.detail;
  }
  EXPECT_TRUE(decide({"Staff"}, "postgres").allowed) << "the map does not lead to the denied group";
  EXPECT_TRUE(decide({"Contractors"}, "deploy").allowed) << "another OS user is not denied";
  EXPECT_TRUE(decide({}, "postgres").allowed);
  PolicyWriter limited;
  auto only = between(limited, {ssh_policy("dbas", false, {{"DBAs", {"oracle"}}})});
  Identity identity = alice({});
  identity.unknown_groups = {"*"};
  EXPECT_FALSE(judge_login(only, laptop(), db1(), {identity, "oracle", false, false}).allowed);
}

TEST(Authorize, GroupsThatTheTokenLeavesOutOpenNoTunnelEither) {
  PolicyWriter writer;
  auto db = between(writer, {ssh_policy("all", true), ssh_policy("d", true, {{"Contractors", {}}}, false)});
  Identity identity = alice({});
  EXPECT_TRUE(judge_tunnel(db, laptop(), db1(), identity).allowed);
  identity.unknown_groups = {"Contractors"};
  EXPECT_FALSE(judge_tunnel(db, laptop(), db1(), identity).allowed);
}

}  // namespace
}  // namespace qf
