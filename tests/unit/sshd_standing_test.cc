// SPDX-License-Identifier: Apache-2.0
// A live connection under another document. Each test logs in under the first one and is judged under a
// second.
#include "qf-sshd/standing.h"

#include <gtest/gtest.h>

#include "tests/unit/sshd_test_credentials.h"

namespace qf::test {
namespace {

constexpr const char* kAddress = "100.119.4.2";

class LiveConnections : public Credentials {
 protected:
  LiveConnections() {
    settings_.self = "db1";
    begin_again();
    second_->member("corp", "auth0|61", "Developers");
  }

  // With a second document that has only the peers.
  void begin_again() {
    second_.emplace();
    add_peers(*second_, kAddress);
  }
  static void add_peers(PolicyWriter& writer, const std::string& address) {
    PeerPolicyRecord server, client;
    server.name = "db1";
    server.ssh = true;
    client.name = "laptop";
    client.addresses = {address};
    writer.raw("peer:db1", encode(server))
        .raw("peer:laptop", encode(client))
        .raw("addr:" + address, "laptop");
  }
  // "deploy" for Developers.
  static PolicyRecord developers() { return ssh_policy("dev", false, {{"Developers", {"deploy"}}}); }

  [[nodiscard]] Standing logged_in(const std::string& os_user = "deploy") {
    auto identity = by_certificate(certificate(token()));
    EXPECT_TRUE(identity) << identity.error().text();
    return {Standing::Stage::kLoggedIn, kAddress, "laptop", *identity, os_user, os_user == "root"};
  }
  // With the issuer as it is now, and these policies from laptop to db1.
  [[nodiscard]] Verdict judge(const Standing& standing, const std::vector<PolicyRecord>& policies) {
    if (!without_issuer_) second_->issuer(issuer_);
    for (const auto& policy : policies) second_->policy(policy, {"laptop"}, {"db1"});
    return judge_standing(second_->open(), settings_, standing, now_ + 86400);
  }
  void expect_withdrawn(const Verdict& verdict, const std::string& words) {
    EXPECT_FALSE(verdict.decision.allowed);
    EXPECT_EQ(verdict.decision.refusal, RefusalKind::kPeer);
    EXPECT_NE(verdict.decision.detail.find(words), std::string::npos) << verdict.decision.detail;
  }

  Settings settings_;
  std::optional<PolicyWriter> second_;
  bool without_issuer_ = false;
};

TEST_F(LiveConnections, WhatIsStillAllowedStaysThoughTheTokenHasRunOut) {
  auto verdict = judge(logged_in(), {developers()});
  EXPECT_TRUE(verdict.decision.allowed) << verdict.decision.detail;
  EXPECT_EQ(verdict.decision.policy, "dev");
}

TEST_F(LiveConnections, AnotherOsUserIsNotCovered) {
  EXPECT_EQ(judge(logged_in("postgres"), {developers()}).decision.refusal, RefusalKind::kNoMapping);
}

TEST_F(LiveConnections, GroupsAreThoseOfTheNewDocument) {
  auto standing = logged_in();
  standing.identity->groups = {"Admins", "Developers"};  // as the first document had them
  auto verdict = judge(standing, {ssh_policy("admins", false, {{"Admins", {"deploy"}}})});
  EXPECT_FALSE(verdict.decision.allowed);
  ASSERT_TRUE(verdict.identity);
  EXPECT_EQ(verdict.identity->groups, std::vector<std::string>{"Developers"});
}

TEST_F(LiveConnections, GroupsOfTheTokenStillCountThroughTheMapOfNow) {
  claims_["groups"] = R"(["eng"])";
  issuer_.group_map = {{"eng", "Developers"}};
  auto standing = logged_in();
  EXPECT_TRUE(judge(standing, {developers()}).decision.allowed);
  issuer_.group_map = {{"eng", "Other"}};
  begin_again();
  second_->user_group("Other");
  EXPECT_FALSE(judge(standing, {developers()}).decision.allowed);
}

TEST_F(LiveConnections, WhatIsKnownOfTheLoginIsKept) {
  auto standing = logged_in();
  auto verdict = judge(standing, {developers()});
  ASSERT_TRUE(verdict.identity);
  EXPECT_EQ(verdict.identity->token_id, "token-7");
  EXPECT_EQ(verdict.identity->certificate_serial, 42U);
  EXPECT_TRUE(verdict.identity->key_bound);
  EXPECT_EQ(verdict.identity->evidence, standing.identity->evidence);
}

TEST_F(LiveConnections, TheIssuerIsGone) {
  without_issuer_ = true;
  expect_withdrawn(judge(logged_in(), {developers()}), "issuer \"corp\" is no longer in the fabric document");
}

TEST_F(LiveConnections, TheIssuerHasAnotherUrlOrAudience) {
  auto standing = logged_in();
  issuer_.audiences = {"another"};
  expect_withdrawn(judge(standing, {developers()}), "audience");
}

TEST_F(LiveConnections, ThisPeerTakesOtherIssuersNow) {
  auto standing = logged_in();
  PeerPolicyRecord server;
  server.name = "db1";
  server.issuers = {"other"};
  second_->raw("peer:db1", encode(server));
  expect_withdrawn(judge(standing, {developers()}), "no longer takes logins of issuer \"corp\"");
}

TEST_F(LiveConnections, RequiredClaimsThatCameLater) {
  auto standing = logged_in();
  issuer_.required_claims = {{"mfa", "true"}};
  expect_withdrawn(judge(standing, {developers()}), "\"mfa\"");
}

TEST_F(LiveConnections, BearerTokensAreNoLongerTaken) {
  issuer_.accept_bearer = true;
  auto identity = by_password(bearer());
  ASSERT_TRUE(identity) << identity.error().text();
  Standing standing{Standing::Stage::kLoggedIn, kAddress, "laptop", *identity, "deploy", false};
  issuer_.accept_bearer = false;
  expect_withdrawn(judge(standing, {developers()}), "bearer");
}

TEST_F(LiveConnections, WhomThePeerLoggedInItself) {
  issuer_.server_login = ServerLogin{"peers", std::nullopt, {"openid"}};
  auto identity = by_server_login(bearer({{"aud", R"("peers")"}}));
  ASSERT_TRUE(identity) << identity.error().text();
  Standing standing{Standing::Stage::kLoggedIn, kAddress, "laptop", *identity, "deploy", false};
  auto verdict = judge(standing, {developers()});
  EXPECT_TRUE(verdict.decision.allowed) << verdict.decision.detail;
  begin_again();
  second_->member("corp", "auth0|61", "Developers");
  issuer_.server_login->client_id = "others";
  expect_withdrawn(judge(standing, {developers()}), "audience");
  begin_again();
  issuer_.server_login.reset();
  expect_withdrawn(judge(standing, {developers()}), "no longer log people in at issuer \"corp\"");
}

TEST_F(LiveConnections, AnInlineKeyMustStillBeListed) {
  issuer_.jwks = key_set_json(provider_, "k1");
  auto standing = logged_in();
  EXPECT_TRUE(standing.identity->evidence->inline_keys);
  // by another name it is the same key
  issuer_.jwks = key_set_json(provider_, "renamed");
  EXPECT_TRUE(judge(standing, {developers()}).decision.allowed);
  begin_again();
  second_->member("corp", "auth0|61", "Developers");
  issuer_.jwks = key_set_json(new_key(), "k1");
  expect_withdrawn(judge(standing, {developers()}), "key of issuer \"corp\"");
}

TEST_F(LiveConnections, AnInlineKeyThatBecameAFetchedSetIsNoLongerInTheDocument) {
  issuer_.jwks = key_set_json(provider_, "k1");
  auto standing = logged_in();
  issuer_.jwks.reset();
  expect_withdrawn(judge(standing, {developers()}), "key of issuer \"corp\"");
}

TEST_F(LiveConnections, FetchedKeysMayRotate) {
  auto standing = logged_in();
  key_sets_.set("corp", new_key(), "k2");
  EXPECT_TRUE(judge(standing, {developers()}).decision.allowed);
}

TEST_F(LiveConnections, ARefreshedLoginRestsOnBothKeys) {
  issuer_.jwks = key_set_json(provider_, "k1");
  SigningKey second = new_key();
  auto both = FakeKeySets::parsed(provider_, "k1");
  for (auto& key : FakeKeySets::parsed(second, "k2")) both.push_back(std::move(key));
  key_sets_.sets["corp"] = std::move(both);
  ClaimTexts claims = claims_;
  claims["nonce"] = "";
  Credential c = credential(sign_jwt(second, "k2", payload_of(claims)));
  c.original_token = token();
  auto identity = by_certificate(sign_credential(c, user_key_));
  ASSERT_TRUE(identity) << identity.error().text();
  Standing standing{Standing::Stage::kLoggedIn, kAddress, "laptop", *identity, "deploy", false};
  // the one that proved the binding is gone
  issuer_.jwks = key_set_json(second, "k2");
  expect_withdrawn(judge(standing, {developers()}), "key of issuer \"corp\"");
}

TEST_F(LiveConnections, TheLoginWouldBeAnotherUserNow) {
  claims_["oid"] = "\"u-1\"";
  auto standing = logged_in();
  issuer_.user_id_claim = "oid";
  expect_withdrawn(judge(standing, {developers()}), "another user");
}

TEST_F(LiveConnections, TheSourceIsNoPeerAnyMoreOrAnotherOne) {
  auto standing = logged_in();
  standing.source_address = "100.119.4.3";
  expect_withdrawn(judge(standing, {developers()}), "no peer has the address 100.119.4.3");
  begin_again();
  second_->raw("addr:" + std::string(kAddress), "db1");
  standing.source_address = kAddress;
  expect_withdrawn(judge(standing, {developers()}), "the address is now that of the peer \"db1\"");
}

TEST_F(LiveConnections, BeforeTheLoginOnlyTheNetworkIsJudged) {
  Standing standing;
  standing.source_address = kAddress;
  standing.source_peer = "laptop";
  EXPECT_TRUE(judge(standing, {developers()}).decision.allowed);
  begin_again();
  expect_withdrawn(judge(standing, {}), "no policy lets this source reach this peer");
}

TEST_F(LiveConnections, ATunnelWithoutOsUser) {
  auto standing = logged_in();
  standing.stage = Standing::Stage::kTunnel;
  EXPECT_TRUE(judge(standing, {developers()}).decision.allowed);
  begin_again();
  second_->member("corp", "auth0|61", "Developers");
  expect_withdrawn(judge(standing, {ssh_policy("others", true, {{"Others", {}}})}),
                   "none of the user's groups");
}

TEST_F(LiveConnections, RootNeedsItsFlagStill) {
  auto standing = logged_in("root");
  auto full = ssh_policy("all", true, {{"Developers", {}}});
  EXPECT_EQ(judge(standing, {full}).decision.refusal, RefusalKind::kOsUser);
  settings_.root_login = true;
  EXPECT_TRUE(judge(standing, {full}).decision.allowed);
}

TEST_F(LiveConnections, WithoutIdentitiesTheNetworkDecides) {
  Standing standing{Standing::Stage::kLoggedIn, kAddress, "laptop", std::nullopt, "deploy", false};
  EXPECT_TRUE(judge(standing, {developers()}).decision.allowed);
  begin_again();
  EXPECT_FALSE(judge(standing, {}).decision.allowed);
}

}  // namespace
}  // namespace qf::test
