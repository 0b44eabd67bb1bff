// SPDX-License-Identifier: Apache-2.0
#include "qf-up/reach_text.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

ReachRow row_of(const std::string& subject, const std::string& login) {
  ReachRow row;
  row.who.issuer = "corp";
  row.who.names = {subject};
  row.who.groups = {"DBAs"};
  row.login = login;
  row.from = {{"ann-laptop", "bob-laptop"}, "laptops"};
  row.to = {{"db1"}, ""};
  return row;
}

TEST(ReachText, AFewNamesAndHowManyMore) {
  EXPECT_EQ(few_of({"a"}), "a");
  EXPECT_EQ(few_of({"a", "b", "c", "d"}), "a, b, c, d");
  EXPECT_EQ(few_of({"a", "b", "c", "d", "e"}), "a, b, c and 2 more");
  EXPECT_EQ(few_of({"no plain word", "a\x1b"}), "\"no plain word\", \"a?\"");
}

TEST(ReachText, DiffLines) {
  ReachRow gained = row_of("ann", "postgres"), lost = row_of("ann", "root"), stays = row_of("bob", "*");
  gained.grant[kAfter] = Grant{"dba", 0, {}, {}, {"guests"}};
  lost.grant[kBefore] = Grant{"old rules", 0, {}, {}, {}};
  lost.mail = MailCondition::kTheirs;
  stays.grant = {Grant{"dba", 0, {}, {}, {}}, Grant{"ops", 60, {"*:80", "*:81"}, {"*:1"}, {"guests"}}};
  stays.but_logins = {"root"};
  EXPECT_EQ(
      diff_lines({stays, lost, gained}),
      "+ corp:ann (DBAs)  postgres@db1  from laptops  by policy dba  unless the token has group guests\n"
      "- corp:ann (DBAs)  root@db1  from laptops  by policy \"old rules\"  whose verified email is root@...\n"
      "~ corp:bob (DBAs)  *@db1  from laptops  by policy ops, was dba; max_session 60 s, was none; "
      "permit_open *:80 *:81, was any; permit_listen *:1, was any; refused with a token of guests, was no "
      "group  but not as root\n");
}

TEST(ReachText, WhoIsMeant) {
  ReachRow row = row_of("", "x");
  row.grant[kAfter] = Grant{"p", 0, {}, {}, {"b"}};
  row.from = {{"one"}, ""};
  auto who = [&] {
    std::string table = who_table({row});
    std::string line = table.substr(table.find('\n') + 1);
    return line.substr(0, line.find("  "));
  };
  row.who.kind = PeopleKind::kTokenGroup;
  row.who.names = {"a"};
  EXPECT_EQ(who(), "corp: whoever has group a in the token");
  row.who.names = {"a", "b"};
  EXPECT_EQ(who(), "corp: whoever has one of the groups a, b in the token");
  row.who.kind = PeopleKind::kEverybody;
  row.who.names.clear();
  EXPECT_EQ(who(), "corp: everybody");
  row.who.but_names = {"ann"};
  EXPECT_EQ(who(), "corp: everybody but corp:ann");
  // "b" is among the conditions
  row.who.but_groups = {"a", "b"};
  EXPECT_EQ(who(), "corp: everybody but corp:ann, and but whoever has group a in the token");
  row.who.kind = PeopleKind::kUnasked;
  EXPECT_EQ(who(), "anybody");
}

TEST(ReachText, TheTableHasConditionsWhereThereAreSome) {
  ReachRow row = row_of("ann", "x"), other = row_of("bob the second", "x");
  row.grant[kAfter] = other.grant[kAfter] = Grant{"p", 0, {}, {}, {}};
  EXPECT_EQ(who_table({other, row}),
            "WHO                           FROM     POLICY\n"
            "\"corp:bob the second\" (DBAs)  laptops  p\n"
            "corp:ann (DBAs)               laptops  p\n");
  row.mail = MailCondition::kNotTheirs;
  EXPECT_EQ(who_table({row}),
            "WHO              FROM     POLICY  CONDITION\n"
            "corp:ann (DBAs)  laptops  p       unless their verified email is x@...\n");
}

TEST(ReachText, EveryLoginIsCounted) {
  ReachRow row = row_of("ann", "x");
  row.who.names = {"ann", "bob", "eve"};
  row.to.names = {"db1", "db2"};
  row.grant[kAfter] = Grant{};
  EXPECT_EQ(row.logins(), 12U);
  row.who.kind = PeopleKind::kEverybody;
  row.who.names.clear();
  auto counts = count_logins({row});
  EXPECT_EQ(counts.gained, 4U);
  EXPECT_EQ(counts.lost + counts.changed, 0U);
  std::swap(row.grant[kBefore], row.grant[kAfter]);
  EXPECT_EQ(count_logins({row}).lost, 4U);
  row.grant[kAfter] = Grant{"other", 0, {}, {}, {}};
  EXPECT_EQ(count_logins({row}).changed, 4U);
  EXPECT_TRUE(count_logins({}).none());
}

TEST(ReachText, JsonHasAll) {
  ReachRow row = row_of("ann", "*");
  row.grant[kAfter] = Grant{"dba", 60, {"*:80"}, {}, {"guests"}};
  row.but_logins = {"root"};
  row.mail = MailCondition::kTheirs;
  EXPECT_EQ(json_text(rows_json({row}).get()),
            R"([{"who":{"kind":"listed","issuer":"corp","names":["ann"],"groups":["DBAs"],"but_names":[],)"
            R"("but_token_groups":[]},"login":"*","but_logins":["root"],"email":"of-the-login",)"
            R"("from":["ann-laptop","bob-laptop"],"to":["db1"],"before":null,"after":{"policy":"dba",)"
            R"("max_session":60,"permit_open":["*:80"],"permit_listen":[],"unless_token_groups":["guests"]},)"
            R"("logins":2}])");
}

}  // namespace
}  // namespace qf
