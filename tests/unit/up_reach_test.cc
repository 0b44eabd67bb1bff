// SPDX-License-Identifier: Apache-2.0
// Who may log in where: against every single login of small random fabrics, each asked by itself through
// qf-up/question.h, in one document and between two.
#include "qf-up/reach.h"

#include <algorithm>
#include <functional>
#include <tuple>

#include "qf-up/compile.h"
#include "qf-up/question.h"
#include "qf-up/reach_pairs.h"
#include "qf-up/reach_text.h"
#include "tests/unit/up_random_fabric.h"
#include "tests/unit/up_tools.h"

namespace qf {
namespace {

using test::Dice;
using test::Names;

// ---- random documents -------------------------------------------------------------------------------------

IssuerEntry random_issuer(Dice& dice, const std::string& name, bool by_email) {
  IssuerEntry issuer;
  IssuerRecord& rules = issuer.rules;
  rules.name = name;
  rules.issuer = "https://" + name + ".example/";
  rules.audiences = {"a"};
  if (by_email) rules.user_id_claim = "email";
  rules.group_map = dice.of(std::vector<std::map<std::string, std::string>>{{},
                                                                            {},
                                                                            {{"eng", "Dev"}},
                                                                            {{"eng", "Dev"}, {"ops", "Ops"}},
                                                                            {{"*", "*"}},
                                                                            {{"eng", "Ops"}, {"*", "*"}}});
  rules.members_all = dice.one_in(3);
  if (dice.one_in(2)) rules.email_domains = {"example.com"};
  if (dice.one_in(4)) rules.required_claims["mfa"] = "true";
  return issuer;
}

std::vector<Identifier> random_members(Dice& dice, bool by_email) {
  std::vector<Identifier> members;
  for (const char* issuer : {"corp", "twin"}) {
    for (const char* subject : {"ann", "bob"}) {
      bool email = by_email && std::string(issuer) == "corp";
      if (dice.one_in(2)) members.push_back({issuer, std::string(subject) + (email ? "@example.com" : "")});
    }
  }
  return members;
}

Document random_fabric(Dice& dice, bool by_email) {
  Document document = test::random_document(dice);
  document.issuers = {random_issuer(dice, "corp", by_email), random_issuer(dice, "twin", false)};
  for (const char* group : {"Dev", "Ops", "Idle"})
    document.user_groups[group] = random_members(dice, by_email);
  if (dice.one_in(3)) document.peers[0].record.issuers = {dice.of(Names{"corp", "twin"})};
  if (dice.one_in(3)) {
    document.peers.push_back(document.peers[1]);
    document.peers.back().record.name = "c";
    document.peer_groups["g"].emplace_back("c");
  }
  for (auto& policy : document.policies) {
    if (policy.record.allow && dice.one_in(4))
      policy.record.max_session = dice.of(std::vector<uint32_t>{60, 90});
    if (policy.record.allow && dice.one_in(4)) policy.record.permit_open = {"*:80"};
  }
  return document;
}

// Something of the document, one thing or two.
void change_one(Dice& dice, Document& document, bool by_email) {
  auto& policies = document.policies;
  PeerRecord &first = document.peers[0].record, &second = document.peers[1].record;
  auto& group = document.peer_groups["g"];
  const std::vector<std::function<void()>> changes = {
      [&] {
        auto& policy = policies.back();
        std::string name = policy.record.name;
        policy = test::random_policy(dice, 0);
        policy.record.name = name;
      },
      [&] { std::reverse(policies.begin(), policies.end()); },
      [&] { policies.insert(policies.begin(), test::random_policy(dice, 7)); },
      [&] { policies.erase(policies.begin()); },
      [&] {
        policies[0].destinations = {{false, "b"}};
      },
      [&] {
        policies[0].sources = {{true, "g"}};
      },
      [&] { policies[0].record.enabled = !policies[0].record.enabled; },
      [&] { document.user_groups["Dev"] = random_members(dice, by_email); },
      [&] { document.user_groups["Idle"] = random_members(dice, by_email); },
      [&] {
        group = group.size() == 1 ? Names{"a", "b"} : Names{"b"};
      },
      [&] { document.issuers[0] = random_issuer(dice, "corp", by_email); },
      [&] {
        document.issuers[0].rules.group_map = {{"eng", dice.of(Names{"Dev", "Ops"})}};
      },
      [&] { document.issuers[0].rules.members_all = !document.issuers[0].rules.members_all; },
      [&] { document.issuers.resize(1); },
      [&] { second.ssh = !second.ssh; },
      [&] {
        second.version = dice.of(Names{"0.59.0", "0.62.0"});
      },
      [&] { first.issuers = {"twin"}; },
      [&] { document.peers.pop_back(); },
  };
  dice.of(changes)();
}

// ---- every single login -----------------------------------------------------------------------------------

// Somebody with a token.
struct Somebody {
  std::string issuer, subject;
  Names token_groups;
  std::string email;  // local part
  bool listed = false;
};

std::vector<Somebody> all_people(bool by_email) {
  std::vector<Somebody> all;
  for (const char* issuer : {"corp", "twin"}) {
    bool is_email = by_email && std::string(issuer) == "corp";
    for (const char* email : {"", "x", "ann"}) {
      for (const char* subject : {"ann", "bob"}) {
        if (is_email && *email != '\0') continue;
        all.push_back({issuer,
                       subject + std::string(is_email ? "@example.com" : ""),
                       {},
                       is_email ? subject : email,
                       true});
      }
      for (const Names& groups : std::vector<Names>{{}, {"eng"}, {"ops"}, {"Dev"}, {"Ops"}, {"Idle"}}) {
        std::string subject =
            !is_email ? "zoe" : std::string(*email == '\0' ? "zoe" : email) + "@example.com";
        if (is_email && std::string(email) == "ann") continue;
        all.push_back({issuer, subject, groups, is_email && *email == '\0' ? "zoe" : email, false});
      }
    }
  }
  return all;
}

LoginQuestion question_about(const Somebody& who, const Names& groups) {
  LoginQuestion question;
  question.user = who.subject;
  question.issuer = who.issuer;
  question.groups = groups;
  question.claims = R"({"mfa": true)";
  if (!who.email.empty())
    question.claims += R"(, "email_verified": true, "email": ")" + who.email + "@example.com\"";
  question.claims += "}";
  return question;
}

using Login = std::tuple<std::string, std::string, std::string>;  // OS user, from, to

// `known`: the groups that a token may name.
std::optional<Grant> asked_alone(const PolicyDb& db, const Somebody& who, const Login& login,
                                 const Names& known) {
  LoginQuestion question = question_about(who, who.token_groups);
  std::tie(question.login, question.from, question.to) = login;
  auto allowed = [&]() -> std::optional<Decision> {
    auto made = make_login(db, question, {});
    if (!made) return std::nullopt;  // no such peer or issuer
    auto decision = decide(db, *made);
    return decision.allowed ? std::optional(decision) : std::nullopt;
  };
  auto decision = allowed();
  if (!decision) return std::nullopt;
  Grant grant{decision->policy, decision->max_session, decision->permit_open, decision->permit_listen, {}};
  for (const auto& more : known) {
    question.groups = who.token_groups;
    question.groups->push_back(more);
    if (!allowed()) grant.unless.push_back(more);
  }
  return grant;
}

bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A group that no document takes is as good as none.
bool is_meant(const ReachPeople& people, const Somebody& who, const Names& known) {
  if (people.issuer != who.issuer) return false;
  Names groups;
  for (const auto& group : who.token_groups) {
    if (contains(known, group)) groups.push_back(group);
  }
  switch (people.kind) {
    case PeopleKind::kListed:
      return who.listed && contains(people.names, who.subject);
    case PeopleKind::kTokenGroup:
      return !groups.empty() && contains(people.names, groups[0]);
    case PeopleKind::kEverybody:
      if (contains(people.but_names, who.subject)) return false;
      return groups.empty() || !contains(people.but_groups, groups[0]);
    case PeopleKind::kUnasked:
      return true;
  }
  return false;
}

bool is_row_of(const ReachRow& row, const Somebody& who, const Names& known, const Login& login) {
  const auto& [os_user, from, to] = login;
  bool any = row.login == "*" && os_user != "root" && !contains(row.but_logins, os_user);
  bool theirs = who.email == os_user;
  bool mail = row.mail == MailCondition::kNone || theirs == (row.mail == MailCondition::kTheirs);
  return (any || row.login == os_user) && mail && contains(row.from.names, from) &&
         contains(row.to.names, to) && is_meant(row.who, who, known);
}

// The groups that the issuer's tokens may name in either document.
Names known_groups(const Both<const Document*>& documents, const std::string& issuer) {
  Names all;
  for (const auto* document : documents) {
    if (document == nullptr) continue;
    for (const auto& entry : document->issuers) {
      if (entry.rules.name != issuer) continue;
      for (const auto& [token, group] : entry.rules.group_map) {
        if (token == "*") all.insert(all.end(), {"Dev", "Ops", "Idle"});
        all.push_back(token);
      }
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::string text_of(const Somebody& who, const Login& login) {
  return who.issuer + ":" + who.subject + " [" + (who.token_groups.empty() ? "" : who.token_groups[0]) +
         "] " + who.email + " as " + std::get<0>(login) + " from " + std::get<1>(login) + " to " +
         std::get<2>(login);
}

// Every login of the two documents is in a row if and only if they differ about it. Returns how many do.
size_t compare(const Both<const Document*>& documents, const ReachQuestion& question, bool by_email) {
  Both<PolicyDb::Records> records;
  Both<std::optional<Fabric>> fabrics;
  Both<const Fabric*> both = {};
  for (size_t side : {kBefore, kAfter}) {
    if (documents[side] == nullptr) continue;
    records[side] = compile_policy(*documents[side]);
    fabrics[side] = *Fabric::of(*documents[side]);
    both[side] = &*fabrics[side];
  }
  auto rows = reach(both, question);
  if (!rows) ADD_FAILURE() << rows.error().text();
  for (const auto& row : *rows) {
    if (question.from) {
      EXPECT_EQ(row.from.names, Names{*question.from});
    }
    if (question.to) {
      EXPECT_EQ(row.to.names, Names{*question.to});
    }
    if (question.login) {
      EXPECT_EQ(row.login, *question.login);
    }
  }
  size_t differ = 0;
  for (const auto& who : all_people(by_email)) {
    Names known = known_groups(documents, who.issuer);
    for (const char* os_user : {"x", "root", "ann", "other"}) {
      for (const char* from : {"a", "b", "c"}) {
        for (const char* to : {"a", "b", "c"}) {
          Login login = {os_user, from, to};
          if (question.login && (*question.login != os_user || *question.to != to)) continue;
          if (question.from && *question.from != from) continue;
          Both<std::optional<Grant>> grant;
          for (size_t side : {kBefore, kAfter}) {
            if (documents[side] == nullptr) continue;
            grant[side] = asked_alone(PolicyDb::over(records[side]), who, login, known);
          }
          std::vector<const ReachRow*> found;
          for (const auto& row : *rows) {
            if (is_row_of(row, who, known, login)) found.push_back(&row);
          }
          bool differs = grant[kBefore] != grant[kAfter];
          differ += differs ? 1 : 0;
          EXPECT_EQ(found.size(), differs ? 1U : 0U) << text_of(who, login);
          bool same = found.size() == 1 && found[0]->grant == grant;
          EXPECT_EQ(same, differs) << text_of(who, login);
          if (::testing::Test::HasFailure()) return differ;
        }
      }
    }
  }
  return differ;
}

TEST(Reach, WhoMayIsEverybodyWhoMayByThemselves) {
  size_t allowed = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    bool by_email = dice.one_in(4);
    Document document = random_fabric(dice, by_email);
    ReachQuestion question;
    question.to = dice.of(Names{"a", "b"});
    question.login = dice.of(Names{"x", "root", "ann", "other"});
    if (dice.one_in(3)) question.from = dice.of(Names{"a", "b"});
    allowed += compare({nullptr, &document}, question, by_email);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(allowed, 1000U);
}

TEST(Reach, WhatDiffersIsWhatDiffersByItself) {
  size_t differ = 0;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    bool by_email = dice.one_in(4);
    Document before = random_fabric(dice, by_email);
    Document after = before;
    change_one(dice, after, by_email);
    if (dice.one_in(3) && after.peers.size() > 1 && !after.policies.empty())
      change_one(dice, after, by_email);
    differ += compare({&before, &after}, {}, by_email);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(differ, 1000U);
}

TEST(Reach, ADocumentDoesNotDifferFromItself) {
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    Dice dice(seed);
    Document document = random_fabric(dice, false);
    auto fabric = Fabric::of(document), twin = Fabric::of(document);
    auto rows = reach({&*fabric, &*twin}, {});
    ASSERT_TRUE(rows);
    EXPECT_TRUE(rows->empty()) << seed;
  }
}

// ---- one document, row by row -----------------------------------------------------------------------------

std::string small_document(const std::string& more_of_corp, const std::string& policies,
                           const std::string& listed = R"("Dev": ["corp:dan"], "Ops": ["corp:ann"])") {
  return R"({"format": 1, "serial": 1, "domain": "a.example", "issuers": [
    {"name": "corp", "issuer": "https://idp.example/", "audiences": ["a"], "jwks_uri": "https://idp.example/k",
     "email_domains": ["example.com"])" +
         more_of_corp + R"(}],
    "user_groups": {)" +
         listed + R"(},
    "peer_groups": {"laptops": ["l1", "l2"], "servers": ["s1", "s2"]},
    "peers": [{"name": "l1", "addresses": ["100.64.0.1"]}, {"name": "l2", "addresses": []},
              {"name": "s1", "addresses": ["100.64.0.3"], "ssh": true, "version": "0.61.0"},
              {"name": "s2", "addresses": ["100.64.0.4"], "ssh": true, "version": "0.60.0"}],
    "policies": [)" +
         policies + "]}";
}
std::string to_servers(const std::string& name, const std::string& rest) {
  return R"({"name": ")" + name + R"(", "sources": ["laptops"], "destinations": ["servers"], )" + rest + "}";
}
std::string lets(const std::string& name, const std::string& groups) {
  return to_servers(
      name, R"("action": "allow", "protocol": "qufabric-ssh", "access": "limited", "authorized_groups": )" +
                groups);
}
std::string denies(const std::string& name, const std::string& groups) {
  return to_servers(
      name,
      R"("action": "deny", "protocol": "qufabric-ssh", "access": "full", "authorized_groups": )" + groups);
}

std::string who_may(const std::string& document, const std::string& login, bool unasked = false) {
  auto fabric = Fabric::of(test::good_document(document));
  ReachQuestion question;
  question.to = "s1";
  question.login = login;
  question.without_identity = unasked;
  auto rows = reach({nullptr, &*fabric}, question);
  std::string table = who_table(*rows);
  return table.substr(table.find('\n') + 1);
}

TEST(Reach, WhoMayRowByRow) {
  const std::string mapped = R"(, "group_map": {"eng": "Dev", "guests": "Ops"})";
  struct {
    const char* what;
    std::string document;
    const char *login, *rows;
  } cases[] = {
      {"a member, on all sources of a group", small_document("", lets("p", R"({"Dev": ["x"]})")), "x",
       "corp:dan (Dev)  laptops  p\n"},
      {"nobody", small_document("", lets("p", R"({"Dev": ["x"]})")), "y", ""},
      {"no policy", small_document("", ""), "x", ""},
      {"equal people are one row",
       small_document("", lets("p", R"({"Dev": ["x"]})"),
                      R"("Dev": ["corp:dan", "corp:eve"], "Ops": ["corp:ann"])"),
       "x", "corp:dan, corp:eve (Dev)  laptops  p\n"},
      {"a group that no policy between names is not told",
       small_document("", lets("p", R"({"Dev": ["x"]})"),
                      R"("Dev": ["corp:dan", "corp:eve"], "Ops": ["corp:dan"])"),
       "x", "corp:dan, corp:eve (Dev)  laptops  p\n"},
      {"the local part of the email", small_document("", lets("p", R"({"Dev": ["{email.local}"]})")), "dan",
       "corp:dan (Dev)  laptops  p       whose verified email is dan@...\n"},
      {"a deny of it",
       small_document("", lets("p", R"({"Dev": ["*"]})") + "," +
                              to_servers("no", R"("action": "deny", "protocol": "qufabric-ssh",
                              "access": "limited", "authorized_groups": {"Dev": ["{email.local}"]})")),
       "dan", "corp:dan (Dev)  laptops  p       unless their verified email is dan@...\n"},
      {"a group of the token", small_document(mapped, lets("p", R"({"Dev": ["x"]})")), "x",
       "corp: whoever has group eng in the token  laptops  p\n"
       "corp:dan (Dev)                            laptops  p\n"},
      {"a group of the token that is denied",
       small_document(mapped, lets("p", R"({"Dev": ["x"]})") + "," + denies("no", R"({"Ops": []})")), "x",
       "corp: whoever has group eng in the token  laptops  p       unless the token has group guests\n"
       "corp:dan (Dev)                            laptops  p       unless the token has group guests\n"},
      {"everybody", small_document(R"(, "members": "all")", to_servers("p", R"("action": "allow",
                              "protocol": "tcp", "ports": ["22"])")),
       "x", "corp: everybody  laptops  p\n"},
      {"everybody but who is denied",
       small_document(R"(, "members": "all")",
                      to_servers("p", R"("action": "allow", "protocol": "qufabric-ssh", "access": "full")") +
                          "," + denies("no", R"({"Ops": []})")),
       "x", "corp: everybody but corp:ann  laptops  p\n"},
      {"every user of the fabric by name where only the listed are",
       small_document("", to_servers("p", R"("action": "allow", "protocol": "tcp", "ports": ["22022"])")),
       "x", "corp:ann, corp:dan  laptops  p\n"},
      {"required claims are had",
       small_document(R"(, "required_claims": {"mfa": true})", lets("p", R"({"Dev": ["x"]})")), "x",
       "corp:dan (Dev)  laptops  p\n"},
      {"a required subject is one person's",
       small_document(R"(, "required_claims": {"sub": "dan"})", lets("p", R"({"Dev": ["x"], "Ops": ["x"]})")),
       "x", "corp:dan (Dev)  laptops  p\n"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(who_may(c.document, c.login), c.rows);
  }
}

TEST(Reach, WithoutIdentityItIsAnybody) {
  std::string document = small_document("", lets("p", R"({"Dev": ["x"]})"));
  EXPECT_EQ(who_may(document, "y", true), "anybody  laptops  p\n");
  EXPECT_EQ(who_may(small_document("", ""), "y", true), "");
}

TEST(Reach, RootWhereItIsNotEnabled) {
  auto fabric = Fabric::of(test::good_document(small_document("", lets("p", R"({"Dev": ["*"]})"))));
  for (const char* login : {"root", "toor", "x"}) {
    for (bool enabled : {false, true}) {
      ReachQuestion question;
      question.login = login;
      question.login_is_root = login == std::string("toor");
      question.root_enabled = enabled;
      EXPECT_EQ(reach({nullptr, &*fabric}, question)->empty(), !enabled && login != std::string("x"))
          << login;
    }
  }
}

std::string difference(const std::string& before, const std::string& after) {
  auto one = Fabric::of(test::good_document(before)), other = Fabric::of(test::good_document(after));
  return diff_lines(*reach({&*one, &*other}, {}));
}

// Nobody's groups have changed, nor any policy, but what a token may bring.
TEST(Reach, WhatATokenMayBringIsADifferenceToo) {
  const std::string guests = R"(, "group_map": {"guests": "Ops"})",
                    nobody = R"("Dev": ["corp:dan"], "Ops": [])";
  const std::string policies = lets("p", R"({"Dev": ["x"]})") + "," + denies("no", R"({"Ops": []})");
  EXPECT_EQ(difference(small_document("", policies, nobody), small_document(guests, policies, nobody)),
            "~ corp:dan (Dev)  x@servers  from laptops  refused with a token of guests, was no group\n");
  const std::string by_email = lets("p", R"({"Dev": ["{email.local}"]})");
  std::string text = small_document("", by_email), domain = "example.com";
  std::string other = std::string(text).replace(text.find(domain), domain.size(), "b.example");
  EXPECT_EQ(difference(text, other), "");
  // without a domain nobody has an email that counts; the policy needs one issuer that has
  auto before = test::good_document(text), after = before;
  after.issuers[0].rules.email_domains.clear();
  auto one = Fabric::of(before), two = Fabric::of(after);
  EXPECT_EQ(diff_lines(*reach({&*one, &*two}, {})),
            "- corp:dan (Dev)  *@servers  from laptops  by policy p  whose verified email is OSUSER@...\n"
            "- corp:dan (Dev)  root@servers  from laptops  by policy p  whose verified email is root@...\n");
}

// Only for what can be different is anybody asked: a pair is a question when something about it has changed.
TEST(Reach, OnlyPairsThatChangedAreLookedAt) {
  auto questions = [](const std::string& after) {
    std::string before = lets("p", R"({"Dev": ["x"]})");
    auto one = Fabric::of(test::good_document(small_document("", before)));
    auto other = Fabric::of(test::good_document(after));
    Both<const Fabric*> both = {&*one, &*other};
    auto crowd = gather_people(both);
    return find_pairs(both, *crowd, {}).questions.size();
  };
  const std::string same = lets("p", R"({"Dev": ["x"]})");
  EXPECT_EQ(questions(small_document("", same)), 0U);
  EXPECT_EQ(questions(small_document("", lets("p", R"({"Dev": ["y"]})"))), 1U);
  // the people of a group that the policy names, and of one that it does not
  EXPECT_EQ(questions(small_document("", same, R"("Dev": ["corp:dan", "corp:new"], "Ops": ["corp:ann"])")),
            1U);
  EXPECT_EQ(questions(small_document("", same, R"("Dev": ["corp:dan"], "Ops": ["corp:ann", "corp:new"])")),
            0U);
}

}  // namespace
}  // namespace qf
