// SPDX-License-Identifier: Apache-2.0
// Where a fault lies, as it is told to an admin: line, column, path, and what it belongs to.
#include <gtest/gtest.h>

#include "qf-up/document.h"

namespace qf {
namespace {

std::vector<std::string> told(const std::string& text) {
  std::vector<std::string> lines;
  auto document = read_document(text);
  if (document) return lines;
  for (const auto& fault : document.error()) lines.push_back(fault.text_in("f.json"));
  return lines;
}
using Lines = std::vector<std::string>;

constexpr const char* kHead = R"({
  "format": 1, "serial": 1, "domain": "f.example",
)";

TEST(UpJsonPlace, LineColumnAndName) {
  EXPECT_EQ(
      told(std::string(kHead) + R"(  "peers": [
    { "name": "db1", "addresses": ["127.0.0.9"] },
    { "name": "\u00e4ö", "addresses": [],
      "ssh": 7 }
  ],
  "policies": [ { "name": "db admins", "action": "allow", "protocol": "tcp", "ports": ["22"],
      "sources": ["db1",
        "dbs"], "destinations": ["db1"] } ]
})"),
      (Lines{"f.json:5:15: $.peers[1].name: \"äö\": a peer name has letters, digits, '.', '-' and '_', and "
             "starts with a letter or digit",
             "f.json:6:14: $.peers[1].ssh (peer \"äö\"): expected true or false, found a number",
             "f.json:10:9: $.policies[0].sources[1] (policy \"db admins\"): no peer or peer group "
             "\"dbs\" (there is \"db1\")"}));
}

TEST(UpJsonPlace, WhatIsMissingIsWhereItsObjectBegins) {
  EXPECT_EQ(told(std::string(kHead) + R"(  "issuers": [
    { "name": "corp", "issuer": "https://idp.example/",
      "audiences": ["a"], "client": {} } ]
})"),
            Lines{"f.json:5:37: $.issuers[0].client.client_id (issuer \"corp\"): missing"});
  EXPECT_EQ(told("\n { \"format\": 1, \"serial\": 1}"), Lines{"f.json:2:2: $.domain: missing"});
}

TEST(UpJsonPlace, KeysThatAreOddOrWrittenOddly) {
  EXPECT_EQ(told(std::string(kHead) + R"(  "user_groups": { "a": [], "b \"c\"":
    7 } })"),
            Lines{"f.json:4:5: $.user_groups[\"b \\\"c\\\"\"]: expected a list of \"ISSUER:SUBJECT\""});
  EXPECT_EQ(told(std::string(kHead) + R"(  "us\u0065r_groups": { "ä": [7] } })"),
            Lines{"f.json:3:31: $.user_groups[\"ä\"][0]: expected a string, found a number"});
}

TEST(UpJsonPlace, AControlCharacterIsFoundWithItsOwner) {
  EXPECT_EQ(told(std::string(kHead) + R"(  "peers": [{"name": "db1", "addresses": ["1\t"]}] })"),
            Lines{"f.json:3:43: $.peers[0].addresses[0] (peer \"db1\"): has the control character U+0009"});
}

TEST(UpJsonPlace, WhatIsNoJson) {
  EXPECT_EQ(told("{\n  \"peers\": [{\"name\": \"a\",}]}"),
            Lines{"f.json:2:25: $.peers[0].name: a comma before }: none follows the last one"});
  EXPECT_EQ(told("{\n// mine\n}"), Lines{"f.json:2:1: $: a comment, which JSON does not have"});
  EXPECT_EQ(told("\xef\xbb\xbf{}"),
            Lines{"f.json:1:1: $: a byte order mark: save the text as UTF-8 without one"});
  EXPECT_EQ(told("{\"a\": 1, \"a\": 2}"), Lines{"f.json:1:10: $.a: duplicate key \"a\""});
}

// ---- one slip of the pen is one fault ---------------------------------------------------------------------

// kHead, and references to everything; each part once.
std::string whole() {
  return std::string(kHead) + R"(
  "issuers": [ { "name": "corp", "issuer": "https://idp.example/", "audiences": ["a"] } ],
  "user_groups": { "Admins": ["corp:ann"], "Devs": ["corp:bob"] },
  "peers": [ { "name": "db1", "addresses": ["127.0.0.9"], "issuers": ["corp"] },
             { "name": "laptop", "addresses": [] } ],
  "peer_groups": { "databases": ["db1"] },
  "policies": [ { "name": "dba", "action": "allow", "protocol": "qufabric-ssh", "sources": ["laptop"],
      "destinations": ["databases"], "access": "limited", "authorized_groups": { "Admins": ["root"] } } ],
  "tests": [ { "user": "corp:ann", "from": "laptop", "to": "db1", "login": "root", "expect": "allow",
      "policy": "dba" } ] })";
}

Lines with_slip(const std::string& from, const std::string& to) {
  std::string text = whole();
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  auto document = read_document(text.replace(at, from.size(), to));
  Lines lines;
  if (document) return lines;
  for (const auto& fault : document.error()) lines.push_back(fault.text());
  return lines;
}

TEST(UpJsonPlace, AMisspeltListIsOneFault) {
  EXPECT_TRUE(told(whole()).empty());
  EXPECT_EQ(with_slip("\"issuers\"", "\"isuers\""),
            Lines{"$.isuers: unknown key; did you mean \"issuers\"?"});
  EXPECT_EQ(with_slip("\"user_groups\"", "\"user_group\""),
            Lines{"$.user_group: unknown key; did you mean \"user_groups\"?"});
  EXPECT_EQ(with_slip("\"peers\"", "\"Peers\""), Lines{"$.Peers: unknown key; did you mean \"peers\"?"});
  EXPECT_EQ(with_slip("\"policies\"", "\"polices\""),
            Lines{"$.polices: unknown key; did you mean \"policies\"?"});
}

TEST(UpJsonPlace, WithoutANameReferencesAreNoFaultsOfTheirOwn) {
  EXPECT_EQ(with_slip("\"name\": \"corp\"", "\"nam\": \"corp\""),
            (Lines{"$.issuers[0].name: missing", "$.issuers[0].nam: unknown key; did you mean \"name\"?"}));
  EXPECT_EQ(with_slip("\"name\": \"db1\"", "\"Name\": \"db1\""),
            (Lines{"$.peers[0].name: missing", "$.peers[0].Name: unknown key; did you mean \"name\"?"}));
  EXPECT_EQ(with_slip("\"name\": \"dba\"", "\"name\": 7"),
            Lines{"$.policies[0].name: expected a string, found a number"});
}

TEST(UpJsonPlace, AReferenceThatIsMisspeltNamesWhatIsMeant) {
  EXPECT_EQ(with_slip("\"Admins\": [\"root\"]", "\"Admin\": [\"root\"]"),
            Lines{"$.policies[0].authorized_groups.Admin (policy \"dba\"): no user group \"Admin\" (there is "
                  "\"Admins\")"});
  EXPECT_EQ(with_slip("corp:bob", "crop:bob"),
            Lines{"$.user_groups.Devs[0]: no issuer \"crop\" (there is \"corp\")"});
  EXPECT_EQ(
      with_slip("[\"databases\"]", "[\"database\"]"),
      Lines{"$.policies[0].destinations[0] (policy \"dba\"): no peer or peer group \"database\" (there is "
            "\"databases\")"});
  EXPECT_EQ(with_slip("\"policy\": \"dba\"", "\"policy\": \"dab\""),
            Lines{"$.tests[0].policy: no policy \"dab\" (there is \"dba\")"});
  // a number is no slip of the pen
  EXPECT_EQ(with_slip("\"to\": \"db1\"", "\"to\": \"db2\""), Lines{"$.tests[0].to: no peer \"db2\""});
}

}  // namespace
}  // namespace qf
