// SPDX-License-Identifier: Apache-2.0
// Who somebody is by a token that is good: the subject, the groups, the email (qf-sshd/authenticate.h).
#include <gtest/gtest.h>

#include "qf-sshd/authenticate.h"
#include "tests/unit/sshd_test_credentials.h"

namespace qf::test {
namespace {

using Identities = Credentials;

TEST_F(Identities, RequiredClaims) {
  issuer_.required_claims = {{"hd", "\"example.com\""}, {"mfa", "true"}, {"level", "3"}};
  ClaimTexts good = {{"hd", "\"example.com\""}, {"mfa", "true"}, {"level", "3"}};
  EXPECT_TRUE(by_certificate(certificate(token(good))));
  for (const auto& [name, text] : ClaimTexts{
           {"hd", "\"Example.com\""}, {"hd", ""}, {"mfa", "\"true\""}, {"level", "2"}, {"level", "null"}}) {
    ClaimTexts bad = good;
    bad[name] = text;
    expect_refused(by_certificate(certificate(token(bad))), TokenFault::kClaims, name);
  }
}

TEST_F(Identities, UserIdClaim) {
  issuer_.user_id_claim = "oid";
  policy_.member("corp", "u-1", "Ops");
  auto identity = by_certificate(certificate(token({{"oid", "\"u-1\""}})));
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_EQ(identity->name(), "corp:u-1");
  EXPECT_EQ(identity->groups, std::vector<std::string>{"Ops"}) << "not those of sub";
  expect_refused(by_certificate(certificate(token())), TokenFault::kSubject, "oid");
  expect_refused(by_certificate(certificate(token({{"oid", "\"\""}}))), TokenFault::kSubject);
  expect_refused(by_certificate(certificate(token({{"oid", "5"}}))), TokenFault::kSubject);
  expect_refused(by_certificate(certificate(token({{"oid", R"("u-1\u001b")"}}))), TokenFault::kSubject,
                 "control characters");
  expect_refused(by_certificate(certificate(token({{"oid", "\"" + std::string(901, 'u') + "\""}}))),
                 TokenFault::kSubject, "longer than 900");
}

TEST_F(Identities, EmailAsUserIdMustBeVerified) {
  issuer_.user_id_claim = "email";
  ClaimTexts email = {{"email", "\"ann@example.com\""}};
  expect_refused(by_certificate(certificate(token(email))), TokenFault::kSubject, "verified");
  email["email_verified"] = "\"true\"";
  expect_refused(by_certificate(certificate(token(email))), TokenFault::kSubject);
  email["email_verified"] = "true";
  EXPECT_TRUE(by_certificate(certificate(token(email))));
}

struct GroupCase {
  const char* what;
  const char* claim;  // JSON text
  std::map<std::string, std::string> map;
  std::vector<std::string> groups;
  bool fabric_user;
};

TEST_F(Identities, GroupsOfTheTokenCountThroughTheMap) {
  const std::vector<GroupCase> cases = {
      {"no map", R"(["Developers"])", {}, {}, false},
      {"mapped", R"(["eng","x"])", {{"eng", "Developers"}}, {"Developers"}, true},
      {"not mapped", R"(["eng"])", {{"ops", "Ops"}}, {}, false},
      {"two on one", R"(["a","b"])", {{"a", "Ops"}, {"b", "Ops"}}, {"Ops"}, true},
      {"star takes names as they are", R"(["Ops","zoo"])", {{"*", "*"}}, {"Ops", "zoo"}, true},
      {"star beside others",
       R"(["eng","Ops"])",
       {{"*", "*"}, {"eng", "Developers"}},
       {"Developers", "Ops"},
       true},
      {"names the document does not know", R"(["zoo"])", {{"*", "*"}}, {"zoo"}, false},
      {"a single string", R"("eng")", {{"eng", "Developers"}}, {"Developers"}, true},
      {"null", "null", {{"eng", "Developers"}}, {}, false},
      {"empty", "[]", {{"eng", "Developers"}}, {}, false},
      {"absent", "", {{"eng", "Developers"}}, {}, false},
  };
  policy_.user_group("Ops");
  issuer_added_ = true;
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    issuer_.group_map = c.map;
    PolicyWriter writer;
    writer.issuer(issuer_).user_group("Ops").user_group("Developers");
    auto db = writer.open();
    AuthenticationContext context{db, self_, kOwnKey, key_sets_, now_};
    auto identity = authenticate_certificate(context, certificate(token({{"groups", c.claim}})));
    ASSERT_TRUE(identity) << identity.error().text();
    EXPECT_EQ(identity->groups, c.groups);
    EXPECT_EQ(identity->fabric_user, c.fabric_user);
  }
}

TEST_F(Identities, GroupsThatCannotBeReadRefuse) {
  issuer_.group_map = {{"*", "*"}};
  for (const char* claim : {"7", R"(["a",7])", R"({"a":true})", "true"}) {
    expect_refused(by_certificate(certificate(token({{"groups", claim}}))), TokenFault::kClaims, "groups");
  }
}

// Too many groups for a token: it says where they are, which we do not ask.
TEST_F(Identities, GroupsThatAreElsewhereRefuse) {
  issuer_.group_map = {{"eng", "Developers"}};
  const std::vector<ClaimTexts> cases = {
      {{"_claim_names", R"({"groups":"src1"})"}},
      {{"_claim_names", R"({"groups":"src1"})"}, {"groups", R"(["eng"])"}},
      {{"_claim_names", R"("groups")"}},
      {{"hasgroups", "true"}},
      {{"hasgroups", "\"true\""}},
  };
  for (const auto& changes : cases) {
    expect_refused(by_certificate(certificate(token(changes))), TokenFault::kGroups);
  }
  EXPECT_TRUE(by_certificate(certificate(token({{"_claim_names", R"({"photo":"src1"})"}}))));
  EXPECT_TRUE(by_certificate(certificate(token({{"hasgroups", "false"}}))));
}

TEST_F(Identities, GroupsElsewhereDoNotMatterWithoutAMap) {
  EXPECT_TRUE(by_certificate(certificate(token({{"hasgroups", "true"}}))));
}

TEST_F(Identities, GroupsThatTheTokenLeavesOutAreNoted) {
  issuer_.group_map = {{"eng", "Developers"}, {"ops", "*"}};
  for (const char* claim : {"", "null"}) {
    auto identity = by_certificate(certificate(token({{"groups", claim}})));
    ASSERT_TRUE(identity) << identity.error().text();
    EXPECT_EQ(identity->unknown_groups, (std::vector<std::string>{"Developers", "ops"})) << claim;
  }
  auto identity = by_certificate(certificate(token({{"groups", "[]"}})));
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_TRUE(identity->unknown_groups.empty()) << "an empty list says that there are none";
}

TEST_F(Identities, WithoutAMapNoGroupIsUnknown) {
  auto identity = by_certificate(certificate(token()));
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->unknown_groups.empty());
}

// How long the verdict may be remembered: until certificate, exp or age ends, skew included.
TEST_F(Identities, UsableUntil) {
  auto until = [&](const ClaimTexts& changes) {
    auto identity = by_certificate(certificate(token(changes)));
    return identity ? identity->usable_until - kNow : -1;
  };
  EXPECT_EQ(until({}), 300 + 60);
  EXPECT_EQ(until({{"exp", std::to_string(kNow + 100)}}), 100 + 60);
  EXPECT_EQ(until({{"iat", std::to_string(kNow - 590)}}), 10 + 60 + 1);
  EXPECT_EQ(until({{"exp", std::to_string(kNow + 10'000)}}), 300 + 60) << "of the certificate";
}

TEST_F(Identities, GroupsOfDocumentAndTokenAddUp) {
  issuer_.group_map = {{"*", "*"}};
  auto identity = by_certificate(certificate(token({{"groups", R"(["Ops","Developers"])"}})));
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->groups, (std::vector<std::string>{"Developers", "Ops"}));
}

TEST_F(Identities, MembersAll) {
  auto outsider = token({{"sub", "\"new\""}});
  auto identity = by_certificate(certificate(outsider));
  ASSERT_TRUE(identity);
  EXPECT_FALSE(identity->fabric_user);
  issuer_.members_all = true;
  PolicyWriter writer;
  auto db = writer.issuer(issuer_).open();
  identity = authenticate_certificate({db, self_, kOwnKey, key_sets_, now_}, certificate(outsider));
  ASSERT_TRUE(identity);
  EXPECT_TRUE(identity->fabric_user);
  EXPECT_TRUE(identity->groups.empty());
}

TEST_F(Identities, AUserRecordThatCannotBeReadRefuses) {
  policy_.raw(user_key("corp", "auth0|61"), "broken");
  EXPECT_FALSE(by_certificate(certificate(token())));
}

struct EmailCase {
  const char* email;     // JSON text
  const char* verified;  // JSON text
  const char* local;
};

TEST_F(Identities, EmailLocal) {
  issuer_.email_domains = {"example.com"};
  const std::vector<EmailCase> cases = {
      {R"("ann@example.com")", "true", "ann"},
      {R"("ann@EXAMPLE.com")", "true", "ann"},
      {R"("ann@example.com")", "false", ""},
      {R"("ann@example.com")", "", ""},
      {R"("ann@example.com")", "\"true\"", ""},
      {R"("ann@example.com")", "1", ""},
      {R"("ann@other.com")", "true", ""},
      {R"("ann@sub.example.com")", "true", ""},
      {R"("ann@example.com.evil")", "true", ""},
      {R"("ann")", "true", ""},
      {R"("root@evil.com@example.com")", "true", "root@evil.com"},
      {"", "true", ""},
      {"7", "true", ""},
      {R"("@example.com")", "true", ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.email) + " " + c.verified);
    auto identity = by_certificate(certificate(token({{"email", c.email}, {"email_verified", c.verified}})));
    ASSERT_TRUE(identity) << identity.error().text();
    EXPECT_EQ(identity->email_local, c.local);
  }
}

TEST_F(Identities, AccessTokens) {
  issuer_.access_token = true;
  expect_refused(by_certificate(certificate(token())), TokenFault::kType);
  auto jwt = sign_jwt(provider_, "k1", payload_of(claims_), "at+jwt");
  EXPECT_TRUE(by_certificate(certificate(jwt)));
}

TEST_F(Identities, RefusalsNeverRepeatTheToken) {
  auto jwt = bearer({{"exp", std::to_string(kNow - 100)}});
  auto refused = by_password(jwt);
  ASSERT_FALSE(refused);
  auto signature = jwt.substr(jwt.rfind('.') + 1);
  EXPECT_EQ(refused.error().text().find(signature), std::string::npos);
}

}  // namespace
}  // namespace qf::test
