// SPDX-License-Identifier: Apache-2.0
#include "qf-up/fabric_tests.h"

#include "tests/unit/up_tools.h"

namespace qf {
namespace {

using test::faults_of;
using test::good_document;
using test::sample_with;

// The sample with these tests.
std::string with_tests(const std::string& tests) {
  return sample_with("\"x-note\": \"top\"", "\"tests\": [" + tests + "]");
}

constexpr const char* kGood =
    R"({"user": "corp:auth0|7", "from": "Ann-Laptop", "to": "db1", "login": "postgres", "expect": "allow",
        "claims": {"hd": "example.com", "level": 3, "mfa": true}})";

std::string good_but(const std::string& from, const std::string& to) {
  std::string text = kGood;
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::vector<std::string> failures(const std::string& tests) {
  auto document = good_document(with_tests(tests));
  std::vector<std::string> texts;
  for (const auto& failed : failed_tests(document)) texts.push_back(failed.text());
  return texts;
}

using Texts = std::vector<std::string>;

TEST(FabricTests, WhatIsWrongWithOneIsSaidWithItsPath) {
  struct Case {
    const char *from, *to, *fault;
  };
  const std::vector<Case> cases = {
      {"\"user\": \"corp:auth0|7\", ", "", "$.tests[0].user: missing"},
      {"corp:auth0|7", "auth0|7", "$.tests[0].user: \"auth0|7\" is not \"ISSUER:SUBJECT\""},
      {"corp:auth0|7", "corp:", "$.tests[0].user: the subject is empty"},
      {"corp:auth0|7", "crop:auth0|7", "$.tests[0].user: no issuer \"crop\""},
      {"Ann-Laptop", "ann-laptop", "$.tests[0].from: no peer \"ann-laptop\" (there is \"Ann-Laptop\")"},
      {"Ann-Laptop", "10.0.0.1", "$.tests[0].from: no peer has the address \"10.0.0.1\""},
      {"Ann-Laptop", "laptops", "$.tests[0].from: no peer \"laptops\""},
      {"\"db1\"", "\"DB1\"", "$.tests[0].to: no peer \"DB1\" (there is \"db1\")"},
      {"postgres", "*", "$.tests[0].login: name one OS user"},
      {"postgres", "{email.local}", "$.tests[0].login: name one OS user"},
      {"\"allow\"", "\"maybe\"", "$.tests[0].expect: must be one of \"allow\", \"deny\""},
      {"\"expect\"", "\"expected\"", "$.tests[0].expect: missing"},
      {"\"expect\"", "\"policy\": \"nope\", \"expect\"", "$.tests[0].policy: no policy \"nope\""},
      {"\"expect\"", "\"groups\": \"eng\", \"expect\"", "$.tests[0].groups: expected a list, found a string"},
      {"\"expect\"", "\"name\": \"*\", \"expect\"", "$.tests[0].name: \"*\""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.to);
    auto faults = faults_of(with_tests(good_but(c.from, c.to)));
    ASSERT_FALSE(faults.empty());
    EXPECT_EQ(faults[0].substr(0, std::string(c.fault).size()), c.fault);
  }
  EXPECT_EQ(faults_of(with_tests("7")), Texts{"$.tests[0]: expected an object, found a number"});
  std::string named = good_but("\"expect\"", "\"name\": \"a\", \"expect\"");
  EXPECT_EQ(faults_of(with_tests(named + "," + named)),
            Texts{"$.tests[1].name: two tests have the name \"a\""});
}

TEST(FabricTests, TheyHold) {
  EXPECT_EQ(failures(kGood), Texts{});
  EXPECT_EQ(failures(good_but("\"expect\"", "\"policy\": \"dba\", \"expect\"")), Texts{});
  EXPECT_EQ(failures(good_but("Ann-Laptop", "::ffff:100.119.4.2")), Texts{});
  EXPECT_EQ(failures(""), Texts{});
}

TEST(FabricTests, OneThatFailsSaysWhy) {
  EXPECT_EQ(failures(std::string(kGood) + "," + good_but("\"allow\"", "\"deny\"")),
            Texts{"$.tests[1]: expected deny, but allowed by policy \"dba\""});
  EXPECT_EQ(
      failures(good_but("\"postgres\", \"expect\"", "\"oracle\", \"name\": \"dba may\", \"expect\"")),
      Texts{"$.tests[0] (test \"dba may\"): expected allow, but denied: the OS user is not mapped for any "
            "of the user's groups"});
  EXPECT_EQ(failures(good_but("\"expect\"", "\"policy\": \"ops\", \"expect\"")),
            Texts{"$.tests[0]: expected policy \"ops\" to decide, but \"dba\" did"});
  EXPECT_EQ(
      failures(good_but("\"mfa\": true", "\"mfa\": false")),
      Texts{"$.tests[0]: expected allow, but denied: the token's claims are not as required (claim "
            "\"mfa\" has another value); the token that is asked about says no more than the question: give "
            "what it has by --claim NAME=VALUE, or by \"claims\" of a test"});
  EXPECT_EQ(failures(good_but("\"corp:auth0|7\"", "\"hosts:build\"")),
            Texts{"$.tests[0]: expected allow, but denied: db1 takes no logins of issuer \"hosts\""});
}

// The token's groups count through group_map, and the verified email as {email.local}.
TEST(FabricTests, TheTokenIsMadeUpAsTheTestSays) {
  std::string stranger = good_but("corp:auth0|7", "corp:new");
  EXPECT_EQ(failures(stranger).size(), 1U);
  auto with = [&](const std::string& login, const std::string& extra) {
    std::string text = stranger;
    text.replace(text.find("postgres"), 8, login);
    return text.replace(text.find("\"expect\""), 0, "\"groups\": [\"eng\"], ")
        .insert(text.find("\"hd\""), extra);
  };
  EXPECT_EQ(failures(with("developer", "")), Texts{});
  EXPECT_EQ(failures(with("ann", R"("email": "ann@example.com", "email_verified": true, )")), Texts{});
  EXPECT_EQ(failures(with("ann", R"("email": "ann@example.com", )")).size(), 1U);
  EXPECT_EQ(failures(with("ann", R"("email": "ann@evil.example", "email_verified": true, )")).size(), 1U);
}

TEST(FabricTests, OnlyThePeersInQuestionTakeMemory) {
  auto document = good_document(with_tests(kGood));
  LoginQuestion question = document.tests[0].question;
  question.from = "::ffff:100.119.4.2";
  auto records = records_for(document, {&question}, false);
  EXPECT_TRUE(records.contains("peer:db1"));
  EXPECT_TRUE(records.contains("peer:Ann-Laptop"));
  question.from = question.to;
  records = records_for(document, {&question}, false);
  EXPECT_FALSE(records.contains("peer:Ann-Laptop"));
  EXPECT_FALSE(records.contains("addr:100.119.4.2"));
}

TEST(FabricTests, TheCommandThatExplainsOne) {
  LoginQuestion question;
  question.user = "corp:auth0|61";
  question.groups = {"eng", "all staff"};
  question.claims = R"({"level":3,"email":"o'x"})";
  question.from = "laptop";
  question.to = "db1";
  question.login = "deploy";
  EXPECT_EQ(explain_command(question, "/a b"),
            "qf-up explain --user 'corp:auth0|61' --group eng --group 'all staff' --claim level=3 --claim "
            "'email=\"o'\\''x\"' --from laptop --to db1 --login deploy --file '/a b'");
}

}  // namespace
}  // namespace qf
