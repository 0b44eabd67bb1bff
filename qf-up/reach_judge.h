// SPDX-License-Identifier: Apache-2.0
// The answers to one question of qf-up/reach_pairs.h: all people and OS users, asked of the evaluator in
// classes, and the ones that differ between the two documents.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "qf-up/reach_pairs.h"

namespace qf {

// Some of the people, by the numbers of their classes.
struct PeopleSet {
  PeopleKind kind = PeopleKind::kListed;
  uint32_t issuer = 0;
  // kNoList: `classes` are meant. Else, and with kEverybody, all of the bucket or of the issuer but those.
  uint32_t bucket = kNoList;
  Numbers classes;
  [[nodiscard]] auto members() const { return std::tie(kind, issuer, bucket, classes); }
};

struct JudgedRow {
  PeopleSet who;
  std::vector<std::string> groups;
  std::string login;
  std::vector<std::string> but_logins;
  MailCondition mail = MailCondition::kNone;
  Both<std::optional<Grant>> grant;
  [[nodiscard]] auto members() const {
    return std::tuple_cat(who.members(), std::tie(groups, login, but_logins, mail, grant));
  }
  bool operator<(const JudgedRow& other) const { return members() < other.members(); }
};

// The crowd, the fabrics and the question are borrowed.
class PairJudge {
 public:
  PairJudge(const Both<const Fabric*>& fabrics, const Crowd& crowd, const ReachQuestion& question);
  ~PairJudge();
  [[nodiscard]] std::vector<JudgedRow> rows(const PairQuestion& asked) const;
  // The numbers of the classes that a set means; of kEverybody those that it does not.
  [[nodiscard]] Numbers members(const PeopleSet& set) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qf
