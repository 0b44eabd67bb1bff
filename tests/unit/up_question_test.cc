// SPDX-License-Identifier: Apache-2.0
// Who may do what, from the document to the decision: one table that can be read as documentation.
#include "qf-up/question.h"

#include "libqf/text.h"
#include "qf-up/compile.h"
#include "tests/unit/up_tools.h"

namespace qf {
namespace {

// Two issuers with equal subjects, a laptop and a server, and these policies.
std::string document_with(const std::string& issuer, const std::string& policies,
                          const std::string& server = R"("ssh": true, "version": "0.61.0")") {
  return R"({"format": 1, "serial": 1, "domain": "a.example", "issuers": [
    {"name": "corp", "issuer": "https://idp.example/", "audiences": ["a"], "jwks_uri": "https://idp.example/k",
     "email_domains": ["example.com"])" +
         issuer + R"(},
    {"name": "twin", "issuer": "https://twin.example/", "audiences": ["a"], "jwks_uri": "https://twin.example/k"}],
    "user_groups": {"Dev": ["corp:ann", "twin:bob"], "Ops": ["corp:otto"]},
    "peers": [{"name": "laptop", "addresses": ["100.64.0.1"]},
              {"name": "db", "addresses": ["100.64.0.2"], )" +
         server + R"(, "ssh_host_keys": [")" + test::kHostKey + R"("]}],
    "policies": [)" +
         policies + "]}";
}

std::string policy(const std::string& rest) {
  static int number = 0;
  return R"({"name": "p)" + std::to_string(++number) +
         R"(", "sources": ["laptop"], "destinations": ["db"], )" + rest + "}";
}
std::string limited(const std::string& groups) {
  return policy(
      R"("action": "allow", "protocol": "qufabric-ssh", "access": "limited", "authorized_groups": )" +
      groups);
}
std::string full(const std::string& groups = "") {
  return policy(R"("action": "allow", "protocol": "qufabric-ssh", "access": "full")" +
                (groups.empty() ? "" : ", \"authorized_groups\": " + groups));
}
std::string tcp(const std::string& ports, const std::string& action = "allow") {
  return policy("\"action\": \"" + action + R"(", "protocol": "tcp", "ports": [")" + ports + "\"]");
}

struct Case {
  const char* what;
  std::string issuer;  // more of the issuer "corp"
  std::string policies;
  const char* user;
  const char* groups;  // of the token, with a comma between; null: it does not say
  const char* claims;
  const char* login;
  bool allowed;
};

std::vector<Case> cases() {
  const std::string dev = limited(R"({"Dev": ["deploy"], "Ops": ["*"]})");
  const std::string mapped = R"(, "group_map": {"eng": "Dev"})", any = R"(, "group_map": {"*": "*"})";
  const std::string mail = limited(R"({"Dev": ["{email.local}"]})");
  const char* verified = R"({"email": "ann.a@example.com", "email_verified": true})";
  return {
      // groups: of the document, of the token
      {"a member by the document", "", dev, "corp:ann", nullptr, "{}", "deploy", true},
      {"as somebody whom the group does not list", "", dev, "corp:ann", nullptr, "{}", "postgres", false},
      {"* is any local user", "", dev, "corp:otto", nullptr, "{}", "postgres", true},
      {"an equal subject of another issuer is another person", "", dev, "twin:ann", nullptr, "{}", "deploy",
       false},
      {"and the other way round", "", dev, "corp:bob", nullptr, "{}", "deploy", false},
      {"the token's group through the map", mapped, dev, "corp:new", "eng", "{}", "deploy", true},
      {"a group that the map does not have", mapped, dev, "corp:new", "Dev", "{}", "deploy", false},
      {"no map: the token's groups count for nothing", "", dev, "corp:new", "Dev", "{}", "deploy", false},
      {"* to *: every name as it is", any, dev, "corp:new", "x,Dev", "{}", "deploy", true},
      {"the map of another issuer", mapped, dev, "twin:new", "eng", "{}", "deploy", false},
      {"the groups of the document and the token together", mapped, dev, "corp:otto", "eng", "{}", "postgres",
       true},
      // members
      {"listed: who is in no group is nobody", "", full(), "corp:new", nullptr, "{}", "x", false},
      {"listed: a group of the token is enough", mapped, full(), "corp:new", "eng", "{}", "x", true},
      {"listed: a group that is no user group is not", any, full(), "corp:new", "Sales", "{}", "x", false},
      {"all: whom the issuer vouches for", R"(, "members": "all")", full(), "corp:new", nullptr, "{}", "x",
       true},
      {"all: of this issuer", R"(, "members": "all")", full(), "twin:new", nullptr, "{}", "x", false},
      {"required claims", R"(, "members": "all", "required_claims": {"mfa": true})", full(), "corp:new",
       nullptr, R"({"mfa": true})", "x", true},
      {"required claims that are missing", R"(, "members": "all", "required_claims": {"mfa": true})", full(),
       "corp:new", nullptr, "{}", "x", false},
      // the local part of the email
      {"email.local, verified", "", mail, "corp:ann", nullptr, verified, "ann.a", true},
      {"email.local, somebody else", "", mail, "corp:ann", nullptr, verified, "ann", false},
      {"email.local, not verified", "", mail, "corp:ann", nullptr,
       R"({"email": "ann.a@example.com", "email_verified": false})", "ann.a", false},
      {"email.local, nothing about verified", "", mail, "corp:ann", nullptr,
       R"({"email": "ann.a@example.com"})", "ann.a", false},
      {"email.local, another domain", "", mail, "corp:ann", nullptr,
       R"({"email": "ann.a@evil.example", "email_verified": true})", "ann.a", false},
      // full and tcp
      {"full for a group", "", full(R"({"Ops": []})"), "corp:otto", nullptr, "{}", "x", true},
      {"full for another group", "", full(R"({"Ops": []})"), "corp:ann", nullptr, "{}", "x", false},
      {"tcp: every user of the fabric", "", tcp("22022"), "corp:ann", nullptr, "{}", "x", true},
      {"tcp: nobody else", "", tcp("22022"), "corp:new", nullptr, "{}", "x", false},
      {"a range with 22", "", tcp("20-30"), "corp:ann", nullptr, "{}", "x", true},
      {"a range without", "", tcp("23-30"), "corp:ann", nullptr, "{}", "x", false},
      // deny
      {"deny of 22 against allow of 20-30", "", tcp("20-30") + "," + tcp("22", "deny"), "corp:ann", nullptr,
       "{}", "x", false},
      {"deny of 23 against allow of 20-30", "", tcp("20-30") + "," + tcp("23", "deny"), "corp:ann", nullptr,
       "{}", "x", true},
      {"deny of 22 against a rule for 22022", "", full() + "," + tcp("22", "deny"), "corp:ann", nullptr, "{}",
       "x", true},
      {"deny of the protocol", "", full() + "," + policy(R"("action": "deny", "protocol": "qufabric-ssh")"),
       "corp:ann", nullptr, "{}", "x", false},
      {"deny of a group that the token may not leave out", mapped,
       full() + "," + policy(R"("action": "deny", "protocol": "qufabric-ssh", "access": "full",
                               "authorized_groups": {"Dev": []})"),
       "corp:otto", nullptr, "{}", "x", false},
      {"but that it may say to be without", mapped,
       full() + "," + policy(R"("action": "deny", "protocol": "qufabric-ssh", "access": "full",
                               "authorized_groups": {"Dev": []})"),
       "corp:otto", "sales", "{}", "x", true},
      {"a policy that is not enabled", "", policy(R"("enabled": false, "action": "allow", "protocol": "tcp",
                                                    "ports": ["22"])"),
       "corp:ann", nullptr, "{}", "x", false},
      {"no policy at all", "", "", "corp:ann", nullptr, "{}", "x", false},
      {"the tunnel's name is nobody's", "", full(), "corp:ann", nullptr, "{}", "qufabric-tunnel", false},
  };
}

LoginQuestion question_of(const Case& c) {
  LoginQuestion question;
  question.user = c.user;
  if (c.groups != nullptr) question.groups = split(c.groups, ',');
  question.claims = c.claims;
  question.from = "laptop";
  question.to = "db";
  question.login = c.login;
  return question;
}

Decision decision_of(const std::string& document, const LoginQuestion& question,
                     const ServerSide& server = {}) {
  auto records = compile_policy(test::good_document(document));
  auto db = PolicyDb::over(records);
  auto login = make_login(db, question, server);
  if (!login) ADD_FAILURE() << login.error().text();
  return login ? decide(db, *login) : Decision{};
}

TEST(Question, WhoMayDoWhat) {
  for (const auto& c : cases()) {
    SCOPED_TRACE(c.what);
    auto decision = decision_of(document_with(c.issuer, c.policies), question_of(c));
    EXPECT_EQ(decision.allowed, c.allowed) << decision.policy << ": " << decision.detail;
  }
}

TEST(Question, TheDerivedRuleWantsAServerOfTheVersion) {
  LoginQuestion question = question_of({"", "", "", "corp:ann", nullptr, "{}", "x", true});
  auto with = [&](const char* server) {
    return decision_of(document_with("", tcp("22"), server), question).allowed;
  };
  EXPECT_TRUE(with(R"("ssh": true, "version": "0.60.0")"));
  EXPECT_FALSE(with(R"("ssh": true, "version": "0.59.9")"));
  EXPECT_FALSE(with(R"("ssh": true)"));
  EXPECT_FALSE(with(R"("ssh": false, "version": "0.60.0")"));
}

TEST(Question, RootByNameAndByUid) {
  std::string document = document_with("", full());
  LoginQuestion root = question_of({"", "", "", "corp:ann", nullptr, "{}", "root", true});
  LoginQuestion toor = question_of({"", "", "", "corp:ann", nullptr, "{}", "toor", true});
  ServerSide off{false, false, false}, off_uid_0{false, false, true}, on_uid_0{true, false, true};
  EXPECT_TRUE(decision_of(document, root).allowed);
  EXPECT_FALSE(decision_of(document, root, off).allowed);
  EXPECT_TRUE(decision_of(document, toor, off).allowed);
  EXPECT_FALSE(decision_of(document, toor, off_uid_0).allowed);
  EXPECT_TRUE(decision_of(document, toor, on_uid_0).allowed);
}

TEST(Question, WithoutIdentityTheNetworkDecides) {
  ServerSide server{false, true, false};
  LoginQuestion nobody = question_of({"", "", "", "corp:new", nullptr, "{}", "x", true});
  std::string dev = limited(R"({"Dev": ["deploy"]})");
  EXPECT_TRUE(decision_of(document_with("", dev), nobody, server).allowed);
  EXPECT_FALSE(decision_of(document_with("", tcp("80")), nobody, server).allowed);
  nobody.login = "root";
  EXPECT_FALSE(decision_of(document_with("", dev), nobody, server).allowed);
}

TEST(Question, WhoIsMeant) {
  auto records = compile_policy(test::good_document(document_with("", full())));
  auto db = PolicyDb::over(records);
  LoginQuestion question = question_of({"", "", "", "corp:ann", nullptr, "{}", "x", true});
  auto fault = [&] {
    auto login = make_login(db, question, {});
    return login ? "" : login.error().text();
  };
  EXPECT_EQ(fault(), "");
  question.user = "urn:x";
  EXPECT_EQ(
      fault(),
      "which issuer does \"urn:x\" belong to? There are corp, twin; write ISSUER:SUBJECT, or give --issuer");
  question.issuer = "corp";
  EXPECT_EQ(fault(), "");
  question.issuer = "nobody";
  EXPECT_EQ(fault(), "the fabric document has no issuer \"nobody\" (there is corp, twin)");
  question.issuer = "corp";
  question.from = "100.64.0.9";
  EXPECT_EQ(fault(), "no peer of the fabric document has the address 100.64.0.9");
  question.from = "Laptop";
  EXPECT_EQ(fault(), "the fabric document has no peer \"Laptop\" (there is \"laptop\")");
}

}  // namespace
}  // namespace qf
