// SPDX-License-Identifier: Apache-2.0
#include "qf-up/reach_judge.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "libqf/authorize.h"

namespace qf {

namespace {

constexpr const char* kRoot = "root";
constexpr Both<size_t> kBothSides = {kBefore, kAfter};

// The policies between two peers in one document, and what they name.
struct Bench {
  std::vector<JudgedPolicy> policies;
  PeerPolicyRecord self;
};
struct Mentioned {
  std::set<std::string> groups, logins;
  bool email = false;
};

// People who are the same for the policies of a pair.
struct Part {
  PeopleSet who;
  Both<std::optional<Identity>> identity;  // with the groups that count alone
};
using PartKey = std::tuple<PeopleKind, uint32_t, Both<bool>, Both<bool>, Both<std::vector<std::string>>>;

std::vector<std::string> counting(const std::vector<std::string>& groups,
                                  const std::set<std::string>& named) {
  std::vector<std::string> both;
  std::set_intersection(groups.begin(), groups.end(), named.begin(), named.end(), std::back_inserter(both));
  return both;
}

// The class as these groups see it.
PersonClass seen_by(const PersonClass& person, const std::set<std::string>& groups) {
  PersonClass seen{person.kind, person.issuer, {}, person.identity};
  for (auto& identity : seen.identity) {
    if (!identity) continue;
    identity->groups = counting(identity->groups, groups);
    identity->subject.clear();
  }
  return seen;
}

PartKey key_of(const PersonClass& person) {
  PartKey key{person.kind, person.issuer, {}, {}, {}};
  for (size_t side : kBothSides) {
    const auto& identity = person.identity[side];
    if (!identity) continue;
    std::get<2>(key)[side] = true;
    std::get<3>(key)[side] = identity->fabric_user;
    std::get<4>(key)[side] = identity->groups;
  }
  return key;
}

bool is_changed(const Part& part) {
  const auto& [before, after] = part.identity;
  if (before.has_value() != after.has_value()) return true;
  return before && (before->fabric_user != after->fabric_user || before->groups != after->groups ||
                    before->email_local != after->email_local);
}

// One login in both documents.
using Grants = Both<std::optional<Grant>>;
struct Cell {
  MailCondition mail;
  Grants grant;
  bool operator==(const Cell&) const = default;
};

bool same_login(const JudgedRow& a, const JudgedRow& b) {
  return a.login == b.login && a.but_logins == b.but_logins && a.mail == b.mail && a.grant == b.grant;
}

}  // namespace

struct PairJudge::State {
  const Both<const Fabric*>& fabrics;
  const Crowd& crowd;
  const ReachQuestion& question;
  std::map<std::string, Numbers> by_group;  // classes that are or were in it
  Numbers bucket_of;                        // of a class: people whom nobody's groups tell apart
  std::vector<Part> buckets;

  [[nodiscard]] std::vector<Part> parts(const Mentioned& mentioned) const;
  [[nodiscard]] std::vector<Cell> cells(Both<Bench>& benches, const Mentioned& mentioned, const Part& part,
                                        const std::string& login) const;
  [[nodiscard]] std::optional<Grant> judge(Bench& bench, const Mentioned& mentioned, const Part& part,
                                           size_t side, const std::string& login, bool email) const;
  [[nodiscard]] std::vector<JudgedRow> rows(Both<Bench>& benches, const Mentioned& mentioned,
                                            const Part& part) const;
  [[nodiscard]] Numbers members(const PeopleSet& set) const;
  void speak_of_everybody(std::vector<std::vector<JudgedRow>>& rows, const std::vector<Part>& parts) const;
};

PairJudge::PairJudge(const Both<const Fabric*>& fabrics, const Crowd& crowd, const ReachQuestion& question)
    : state_(std::make_unique<State>(State{fabrics, crowd, question, {}, {}, {}})) {
  std::map<PartKey, uint32_t> numbers;
  for (uint32_t number = 0; number < crowd.classes.size(); ++number) {
    const PersonClass& person = crowd.classes[number];
    std::set<std::string> groups;
    for (const auto& identity : person.identity) {
      if (identity) groups.insert(identity->groups.begin(), identity->groups.end());
    }
    for (const auto& group : groups) state_->by_group[group].push_back(number);
    PersonClass seen = seen_by(person, {});
    auto [found, fresh] = numbers.emplace(key_of(seen), static_cast<uint32_t>(state_->buckets.size()));
    if (fresh)
      state_->buckets.push_back({{person.kind, person.issuer, found->second, {}}, std::move(seen.identity)});
    state_->bucket_of.push_back(found->second);
    state_->buckets[found->second].who.classes.push_back(number);
  }
}

PairJudge::~PairJudge() = default;

// Those in groups that count one by one, all others as they are without groups.
std::vector<Part> PairJudge::State::parts(const Mentioned& mentioned) const {
  if (question.without_identity) {
    Part anybody;
    anybody.who.kind = PeopleKind::kUnasked;
    return {anybody};
  }
  std::set<uint32_t> told_apart;
  for (const auto& group : mentioned.groups) {
    if (auto found = by_group.find(group); found != by_group.end())
      told_apart.insert(found->second.begin(), found->second.end());
  }
  std::vector<Part> all;
  std::map<PartKey, size_t> numbers;
  std::map<uint32_t, Numbers> taken;  // from each bucket
  for (uint32_t number : told_apart) {
    PersonClass seen = seen_by(crowd.classes[number], mentioned.groups);
    auto [found, fresh] = numbers.emplace(key_of(seen), all.size());
    if (fresh) all.push_back({{seen.kind, seen.issuer, kNoList, {}}, std::move(seen.identity)});
    all[found->second].who.classes.push_back(number);
    taken[bucket_of[number]].push_back(number);
  }
  for (uint32_t number = 0; number < buckets.size(); ++number) {
    auto& gone = taken[number];
    if (gone.size() == buckets[number].who.classes.size()) continue;
    Part rest = {{buckets[number].who.kind, buckets[number].who.issuer, number, std::move(gone)},
                 buckets[number].identity};
    all.push_back(std::move(rest));
  }
  return all;
}

std::optional<Grant> PairJudge::State::judge(Bench& bench, const Mentioned& mentioned, const Part& part,
                                             size_t side, const std::string& login, bool email) const {
  LoginRequest request;
  request.os_user = login;
  request.os_user_is_root = login == kRoot || question.login_is_root;
  request.root_enabled = question.root_enabled;
  const CrowdIssuer* issuer = nullptr;
  if (part.who.kind != PeopleKind::kUnasked) {
    issuer = &crowd.issuers[part.who.issuer];
    if (!part.identity[side] || !takes_issuer(bench.self, issuer->name)) return std::nullopt;
    request.identity = part.identity[side];
    if (email && issuer->any_email[side]) request.identity->email_local = login;
  }
  auto decision = judge_policies(bench.policies, bench.self, request);
  if (!decision.allowed) return std::nullopt;
  Grant grant{decision.policy, decision.max_session, decision.permit_open, decision.permit_listen, {}};
  if (issuer == nullptr) return grant;
  const auto groups = request.identity->groups;
  for (const auto& [token, stands_for] : issuer->token_groups) {
    const std::string& group = stands_for[side];
    if (!mentioned.groups.contains(group) || std::binary_search(groups.begin(), groups.end(), group))
      continue;
    request.identity->groups = groups;
    request.identity->groups.push_back(group);
    if (!judge_policies(bench.policies, bench.self, request).allowed) grant.unless.push_back(token);
  }
  return grant;
}

std::vector<Cell> PairJudge::State::cells(Both<Bench>& benches, const Mentioned& mentioned, const Part& part,
                                          const std::string& login) const {
  // a name that no policy has
  std::string os_user = login;
  if (login == kAnyOsUser && !question.login) {
    os_user = "somebody";
    while (mentioned.logins.contains(os_user)) os_user += "-";
  }
  Both<Grants> by_email;  // without and with
  for (bool email : {false, true}) {
    for (size_t side : kBothSides) {
      if (email && !mentioned.email) {
        by_email[1][side] = by_email[0][side];
      } else {
        by_email[email ? 1 : 0][side] = judge(benches[side], mentioned, part, side, os_user, email);
      }
    }
  }
  std::vector<Cell> all;
  auto add = [&](MailCondition mail, const Grants& grant) {
    if (grant[kBefore] != grant[kAfter]) all.push_back({mail, grant});
  };
  if (by_email[0] == by_email[1]) {
    add(MailCondition::kNone, by_email[0]);
  } else {
    add(MailCondition::kNotTheirs, by_email[0]);
    add(MailCondition::kTheirs, by_email[1]);
  }
  return all;
}

std::vector<JudgedRow> PairJudge::State::rows(Both<Bench>& benches, const Mentioned& mentioned,
                                              const Part& part) const {
  std::vector<JudgedRow> all;
  auto add = [&](const std::string& login, const std::vector<std::string>& but, const Cell& cell) {
    JudgedRow row{part.who, {}, login, but, cell.mail, cell.grant};
    const auto& identity = part.identity[cell.grant[kAfter] ? kAfter : kBefore];
    if (identity) row.groups = identity->groups;
    all.push_back(std::move(row));
  };
  auto add_all = [&](const std::string& login, const std::vector<Cell>& cells) {
    for (const auto& cell : cells) add(login, {}, cell);
  };
  if (question.login) {
    add_all(*question.login, cells(benches, mentioned, part, *question.login));
    return all;
  }
  auto any_other = cells(benches, mentioned, part, kAnyOsUser);
  std::vector<std::string> but;
  for (const auto& login : mentioned.logins) {
    auto own = cells(benches, mentioned, part, login);
    if (own == any_other) continue;
    but.push_back(login);
    add_all(login, own);
  }
  for (const auto& cell : any_other) add(kAnyOsUser, but, cell);
  add_all(kRoot, cells(benches, mentioned, part, kRoot));
  return all;
}

// What is true of everybody of an issuer is said once; of whom it is not true, is said with it.
void PairJudge::State::speak_of_everybody(std::vector<std::vector<JudgedRow>>& rows,
                                          const std::vector<Part>& parts) const {
  for (size_t everybody = 0; everybody < parts.size(); ++everybody) {
    if (parts[everybody].who.kind != PeopleKind::kEverybody) continue;
    for (auto& said : rows[everybody]) {
      Numbers others;
      for (size_t i = 0; i < parts.size(); ++i) {
        if (i == everybody || parts[i].who.issuer != parts[everybody].who.issuer) continue;
        size_t before = rows[i].size();
        std::erase_if(rows[i], [&](const JudgedRow& row) { return same_login(row, said); });
        if (rows[i].size() != before) continue;
        Numbers meant = members(parts[i].who);
        others.insert(others.end(), meant.begin(), meant.end());
      }
      std::sort(others.begin(), others.end());
      said.who = {PeopleKind::kEverybody, parts[everybody].who.issuer, kNoList, std::move(others)};
    }
  }
}

Numbers PairJudge::State::members(const PeopleSet& set) const {
  if (set.bucket == kNoList) return set.classes;
  Numbers rest;
  const Numbers& all = buckets[set.bucket].who.classes;
  std::set_difference(all.begin(), all.end(), set.classes.begin(), set.classes.end(),
                      std::back_inserter(rest));
  return rest;
}

std::vector<JudgedRow> PairJudge::rows(const PairQuestion& asked) const {
  Both<Bench> benches;
  Mentioned mentioned;
  for (size_t side : kBothSides) {
    if (asked.policies[side].empty()) continue;
    benches[side].self = state_->fabrics[side]->kind(asked.kind[side]);
    for (uint32_t index : asked.policies[side]) {
      const PolicyRecord& policy = state_->fabrics[side]->policies()[index];
      benches[side].policies.push_back({policy});
      for (const auto& [group, logins] : policy.authorized_groups) {
        mentioned.groups.insert(group);
        mentioned.logins.insert(logins.begin(), logins.end());
      }
    }
  }
  mentioned.email = mentioned.logins.erase(kEmailLocal) != 0;
  mentioned.logins.erase(kAnyOsUser);
  mentioned.logins.erase(kRoot);
  auto parts = state_->parts(mentioned);
  std::vector<std::vector<JudgedRow>> rows(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    bool unasked = parts[i].who.kind == PeopleKind::kUnasked;
    bool changed = unasked || is_changed(parts[i]) || state_->crowd.issuers[parts[i].who.issuer].changed;
    if (!asked.same || changed) rows[i] = state_->rows(benches, mentioned, parts[i]);
  }
  state_->speak_of_everybody(rows, parts);
  std::vector<JudgedRow> all;
  for (auto& some : rows) std::move(some.begin(), some.end(), std::back_inserter(all));
  return all;
}

Numbers PairJudge::members(const PeopleSet& set) const {
  return state_->members(set);
}

}  // namespace qf
