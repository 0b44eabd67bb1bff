// SPDX-License-Identifier: Apache-2.0
#include "qf-up/reach.h"

#include <algorithm>
#include <map>

#include "qf-up/reach_judge.h"
#include "qf-up/reach_pairs.h"

namespace qf {

namespace {

// The peer groups of a document by their members, numbered as all peers of both are.
std::map<Numbers, std::string> named_sets(const Fabric& fabric,
                                          const std::vector<const std::string*>& peers) {
  Numbers number_of(fabric.peers().size());
  uint32_t number = 0;
  for (size_t i = 0; i < number_of.size(); ++i) {
    while (*peers[number] != fabric.peers()[i].name) ++number;
    number_of[i] = number;
  }
  std::map<Numbers, std::string> sets;
  for (const auto& [group, members] : fabric.peer_groups()) {
    Numbers set;
    for (uint32_t member : members) set.push_back(number_of[member]);
    if (set.size() > 1) sets.emplace(std::move(set), group);
  }
  return sets;
}

class RowWriter {
 public:
  RowWriter(const Both<const Fabric*>& fabrics, const Crowd& crowd, const PairJudge& judge, PeerPairs pairs)
      : crowd_(crowd), judge_(judge), pairs_(std::move(pairs)) {
    for (size_t side : {kBefore, kAfter}) {
      if (fabrics[side] != nullptr) named_[side] = named_sets(*fabrics[side], pairs_.peers);
    }
  }

  // The pairs of one row: each list of sources with all destinations that have it.
  void write(const JudgedRow& judged, const std::vector<std::pair<uint32_t, uint32_t>>& pairs,
             std::vector<ReachRow>& rows) const {
    std::map<uint32_t, Numbers> sources;
    for (const auto& [from, to] : pairs) sources[to].push_back(from);
    std::map<Numbers, Numbers> destinations;
    for (auto& [to, from] : sources) {
      std::sort(from.begin(), from.end());
      destinations[std::move(from)].push_back(to);
    }
    ReachRow row;
    row.who = people(judged);
    row.login = judged.login;
    row.but_logins = judged.but_logins;
    row.mail = judged.mail;
    row.grant = judged.grant;
    size_t side = judged.grant[kAfter] ? kAfter : kBefore;
    for (const auto& [from, to] : destinations) {
      row.from = peers(pairs_.sources, from, side);
      row.to = peers(pairs_.destinations, to, side);
      rows.push_back(row);
    }
  }

 private:
  [[nodiscard]] ReachPeople people(const JudgedRow& judged) const {
    ReachPeople who;
    who.kind = judged.who.kind;
    if (who.kind != PeopleKind::kUnasked) who.issuer = crowd_.issuers[judged.who.issuer].name;
    who.groups = judged.groups;
    bool everybody = who.kind == PeopleKind::kEverybody;
    for (uint32_t number : judge_.members(judged.who)) {
      const PersonClass& person = crowd_.classes[number];
      bool token = person.kind == PeopleKind::kTokenGroup;
      auto& list = !everybody ? who.names : token ? who.but_groups : who.but_names;
      list.insert(list.end(), person.names.begin(), person.names.end());
    }
    for (auto* list : {&who.names, &who.but_groups, &who.but_names}) std::sort(list->begin(), list->end());
    return who;
  }

  [[nodiscard]] ReachPeers peers(const std::vector<PeerClass>& classes, const Numbers& meant,
                                 size_t side) const {
    Numbers numbers;
    for (uint32_t one : meant)
      numbers.insert(numbers.end(), classes[one].peers.begin(), classes[one].peers.end());
    std::sort(numbers.begin(), numbers.end());
    ReachPeers found;
    if (auto group = named_[side].find(numbers); group != named_[side].end()) found.group = group->second;
    for (uint32_t number : numbers) found.names.push_back(*pairs_.peers[number]);
    return found;
  }

  const Crowd& crowd_;
  const PairJudge& judge_;
  PeerPairs pairs_;
  Both<std::map<Numbers, std::string>> named_;
};

}  // namespace

uint64_t ReachRow::logins() const {
  return std::max<uint64_t>(who.names.size(), 1) * from.names.size() * to.names.size();
}

Result<std::vector<ReachRow>> reach(const Both<const Fabric*>& fabrics, const ReachQuestion& question) {
  auto crowd = gather_people(fabrics);
  if (!crowd) return crowd.error();
  PeerPairs found = find_pairs(fabrics, *crowd, question);
  PairJudge judge(fabrics, *crowd, question);
  std::map<JudgedRow, std::vector<std::pair<uint32_t, uint32_t>>> judged;
  for (const auto& asked : found.questions) {
    for (auto& row : judge.rows(asked)) {
      auto& pairs = judged[std::move(row)];
      pairs.insert(pairs.end(), asked.pairs.begin(), asked.pairs.end());
    }
  }
  RowWriter writer(fabrics, *crowd, judge, std::move(found));
  std::vector<ReachRow> rows;
  for (const auto& [row, pairs] : judged) writer.write(row, pairs, rows);
  return rows;
}

}  // namespace qf
