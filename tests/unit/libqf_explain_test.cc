// SPDX-License-Identifier: Apache-2.0
#include "libqf/explain.h"

#include <gtest/gtest.h>

#include "tests/unit/libqf_policy_writer.h"

namespace qf {
namespace {

PeerPolicyRecord peer_called(const std::string& name) {
  PeerPolicyRecord peer;
  peer.name = name;
  peer.ssh = true;
  peer.version = "0.61.0";
  return peer;
}

LoginRequest developer_as(const std::string& os_user) {
  Identity identity;
  identity.issuer_name = "corp";
  identity.subject = "alice";
  identity.groups = {"Developers"};
  identity.fabric_user = true;
  return {identity, os_user, false, false};
}

// "name: verdict" of each policy, in the document's order.
std::vector<std::string> lines(const Explanation& explanation) {
  std::vector<std::string> all;
  for (const auto& policy : explanation.policies)
    all.push_back(policy.name + ": " + std::string(verdict_word(policy.verdict)));
  return all;
}

Explanation explain(const PolicyDb& db, const LoginRequest& request,
                    const PeerPolicyRecord& self = peer_called("db1")) {
  auto explanation = explain_login(db, peer_called("laptop"), self, request);
  if (!explanation) std::abort();
  auto decision = judge_login(db, peer_called("laptop"), self, request);
  EXPECT_EQ(explanation->decision.allowed, decision.allowed);
  EXPECT_EQ(explanation->decision.policy, decision.policy);
  EXPECT_EQ(explanation->decision.detail, decision.detail);
  return *explanation;
}

using Lines = std::vector<std::string>;

TEST(Explain, EveryPolicyOfTheDocumentSaysWhy) {
  PolicyWriter writer;
  auto limited = [](const std::string& name, const GroupUsers& groups) {
    return ssh_policy(name, false, groups);
  };
  writer.policy(disabled(ssh_policy("off", true)), {"laptop"}, {"db1"});
  writer.policy(ssh_policy("phones", true), {"phone"}, {"db1"});
  writer.policy(ssh_policy("mail", true), {"laptop"}, {"mail"});
  writer.policy(tcp_policy("web", 80, 443), {"laptop"}, {"db1"});
  writer.policy(tcp_policy("port22", 20, 30), {"laptop"}, {"db1"});
  writer.policy(limited("dbas", {{"DBAs", {"deploy"}}}), {"laptop"}, {"db1"});
  writer.policy(limited("postgres", {{"Developers", {"postgres"}}}), {"laptop"}, {"db1"});
  writer.policy(ssh_policy("others", true, {{"Suspended", {}}}, false), {"laptop"}, {"db1"});
  writer.policy(limited("deploy", {{"Developers", {"deploy"}}}), {"laptop"}, {"db1"});
  writer.policy(ssh_policy("all", true), {"laptop"}, {"db1"});
  auto explanation = explain(writer.open(), developer_as("deploy"));
  EXPECT_TRUE(explanation.decision.allowed);
  EXPECT_EQ(explanation.decision.policy, "deploy");
  EXPECT_EQ(lines(explanation),
            (Lines{"off: disabled", "phones: other-source", "mail: other-destination", "web: other-port",
                   "port22: not-derived", "dbas: no-group", "postgres: os-user", "others: no-group",
                   "deploy: allows", "all: allows"}));
  EXPECT_EQ(explanation.policies[7].reason, "denies none of the user's groups");
  EXPECT_EQ(explanation.policies[9].reason, "allows it too; the first in the document decides");
}

TEST(Explain, ADenyBeatsWhatWouldAllow) {
  PolicyWriter writer;
  writer.policy(ssh_policy("all", true), {"laptop"}, {"db1"});
  writer.policy(ssh_policy("no-root", false, {{"Developers", {"root"}}}, false), {"laptop"}, {"db1"});
  writer.policy(ssh_policy("no-deploy", false, {{"Developers", {"deploy"}}}, false), {"laptop"}, {"db1"});
  auto db = writer.open();
  auto explanation = explain(db, developer_as("deploy"));
  EXPECT_EQ(explanation.decision.policy, "no-deploy");
  EXPECT_EQ(lines(explanation), (Lines{"all: allows", "no-root: os-user", "no-deploy: denies"}));
  EXPECT_EQ(explanation.policies[0].reason, "would allow it, but a deny beats it");
  EXPECT_EQ(explanation.policies[1].reason, "does not deny this OS user to the user's groups");
}

TEST(Explain, AClosedPortAndStrangers) {
  PolicyWriter writer;
  writer.policy(ssh_policy("all", true), {"laptop"}, {"db1"});
  writer.policy(tcp_policy("closed", 1, 65535, false), {"laptop"}, {"db1"});
  EXPECT_EQ(lines(explain(writer.open(), developer_as("deploy"))),
            (Lines{"all: allows", "closed: closes-port"}));
  PolicyWriter open;
  open.policy(ssh_policy("all", true), {"laptop"}, {"db1"});
  auto stranger = developer_as("deploy");
  stranger.identity->fabric_user = false;
  EXPECT_EQ(lines(explain(open.open(), stranger)), Lines{"all: not-a-user"});
}

TEST(Explain, TheDerivedRuleAndItsConditions) {
  PolicyWriter writer;
  writer.policy(tcp_policy("ops", 22, 22), {"laptop"}, {"db1"});
  auto db = writer.open();
  EXPECT_EQ(lines(explain(db, developer_as("x"))), Lines{"ops: allows"});
  auto self = peer_called("db1");
  self.ssh = false;
  EXPECT_EQ(lines(explain(db, developer_as("x"), self)), Lines{"ops: no-ssh"});
  self.ssh = true;
  self.version = "0.59.9";
  EXPECT_EQ(lines(explain(db, developer_as("x"), self)), Lines{"ops: old-version"});
}

// The flag that is missing is no policy's fault.
TEST(Explain, RootWithoutItsFlag) {
  PolicyWriter writer;
  writer.policy(ssh_policy("all", true), {"laptop"}, {"db1"});
  writer.policy(ssh_policy("too", true), {"laptop"}, {"db1"});
  auto request = developer_as("root");
  request.os_user_is_root = true;
  auto explanation = explain(writer.open(), request);
  EXPECT_FALSE(explanation.decision.allowed);
  EXPECT_EQ(explanation.decision.policy, "all");
  EXPECT_EQ(explanation.policies[1].reason, "allows it too; the first in the document decides");
}

TEST(Explain, WhatCannotBeReadIsAnError) {
  PolicyWriter writer;
  writer.policy(ssh_policy("all", true), {"laptop"}, {"db1"});
  auto db = writer.raw("policy:00000000", "broken").open();
  EXPECT_FALSE(explain_login(db, peer_called("laptop"), peer_called("db1"), developer_as("x")));
}

}  // namespace
}  // namespace qf
