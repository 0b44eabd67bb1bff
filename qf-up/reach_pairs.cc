// SPDX-License-Identifier: Apache-2.0
#include "qf-up/reach_pairs.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "libqf/codec.h"

namespace qf {

namespace {

constexpr Both<size_t> kSides = {kBefore, kAfter};

// One policy, in one document or in both with the same content.
struct SharedPolicy {
  Both<uint32_t> index = {kNoList, kNoList};
  bool touched = false;  // it or its people differ
};

// The people whom the documents see differently: the groups that they are or were in.
struct PeopleChange {
  std::set<std::string> groups;
  bool users = false;  // who is a user of the fabric at all
};

PeopleChange change_of_people(const Crowd& crowd) {
  PeopleChange change;
  auto add = [&](const std::vector<std::string>& groups) {
    change.groups.insert(groups.begin(), groups.end());
  };
  for (const auto& person : crowd.classes) {
    const auto& [before, after] = person.identity;
    if (crowd.issuers[person.issuer].changed || before.has_value() != after.has_value() ||
        (before && before->fabric_user != after->fabric_user)) {
      change.users = true;
      if (before) add(before->groups);
      if (after) add(after->groups);
    } else if (before) {
      std::vector<std::string> differ;
      std::set_symmetric_difference(before->groups.begin(), before->groups.end(), after->groups.begin(),
                                    after->groups.end(), std::back_inserter(differ));
      add(differ);
    }
  }
  return change;
}

class PairSearch {
 public:
  PairSearch(const Both<const Fabric*>& fabrics, const ReachQuestion& question)
      : fabrics_(fabrics), question_(question) {}

  PeerPairs find(const Crowd& crowd) {
    share_policies();
    touch_changed();
    touch_people(change_of_people(crowd));
    make_classes();
    index_sources();
    for (uint32_t d = 0; d < found_.destinations.size(); ++d) ask_about(d);
    return std::move(found_);
  }

 private:
  [[nodiscard]] const Numbers& list(size_t side, uint32_t number) const {
    static const Numbers kNone;
    return number == kNoList ? kNone : fabrics_[side]->lists()[number];
  }
  [[nodiscard]] const SharedPolicy& shared(size_t side, uint32_t index) const {
    return policies_[numbers_[side][index]];
  }

  void share_policies() {
    Numbered<std::string> contents;
    for (size_t side : kSides) {
      if (fabrics_[side] == nullptr) continue;
      const auto& all = fabrics_[side]->policies();
      for (uint32_t index = 0; index < all.size(); ++index) {
        uint32_t number = contents.of(encode(all[index]));
        if (number == policies_.size()) policies_.emplace_back();
        policies_[number].index[side] = index;
        numbers_[side].push_back(number);
      }
    }
  }

  void touch_changed() {
    for (auto& policy : policies_)
      policy.touched = policy.index[kBefore] == kNoList || policy.index[kAfter] == kNoList;
  }

  // A policy that names no groups is about every user of the fabric.
  void touch_people(const PeopleChange& change) {
    for (auto& policy : policies_) {
      if (policy.index[kBefore] == kNoList) continue;
      const auto& named = fabrics_[kBefore]->policies()[policy.index[kBefore]].authorized_groups;
      bool about =
          named.empty() ? change.users : std::any_of(named.begin(), named.end(), [&](const auto& entry) {
            return change.groups.contains(entry.first);
          });
      policy.touched = policy.touched || about;
    }
  }

  // Each peer of either document, by name.
  void make_classes() {
    std::map<Both<uint32_t>, uint32_t> sources;
    std::map<std::pair<Both<uint32_t>, Both<std::string>>, uint32_t> destinations;
    Both<size_t> next = {0, 0};
    for (;;) {
      const std::string* name = nullptr;
      for (size_t side : kSides) {
        const auto* peer = peer_at(side, next[side]);
        if (peer != nullptr && (name == nullptr || peer->name < *name)) name = &peer->name;
      }
      if (name == nullptr) return;
      Both<const Fabric::Peer*> peer = {};
      for (size_t side : kSides) {
        const auto* one = peer_at(side, next[side]);
        if (one == nullptr || one->name != *name) continue;
        peer[side] = one;
        ++next[side];
      }
      auto number = static_cast<uint32_t>(found_.peers.size());
      found_.peers.push_back(name);
      if (!question_.from || *question_.from == *name) add_source(peer, number, sources);
      if (!question_.to || *question_.to == *name) add_destination(peer, number, destinations);
    }
  }

  [[nodiscard]] const Fabric::Peer* peer_at(size_t side, size_t index) const {
    bool there = fabrics_[side] != nullptr && index < fabrics_[side]->peers().size();
    return there ? &fabrics_[side]->peers()[index] : nullptr;
  }

  // The lists of a peer on one side of the pairs; false: no policy names it.
  bool lists_of(const Both<const Fabric::Peer*>& peer, uint32_t Fabric::Peer::*end, PeerClass& made) const {
    made.list = {kNoList, kNoList};
    for (size_t side : kSides) {
      if (peer[side] != nullptr && !list(side, peer[side]->*end).empty()) made.list[side] = peer[side]->*end;
    }
    return made.list[kBefore] != kNoList || made.list[kAfter] != kNoList;
  }

  void add_source(const Both<const Fabric::Peer*>& peer, uint32_t number,
                  std::map<Both<uint32_t>, uint32_t>& classes) {
    PeerClass made;
    if (!lists_of(peer, &Fabric::Peer::from, made)) return;
    auto [found, fresh] = classes.emplace(made.list, static_cast<uint32_t>(found_.sources.size()));
    if (fresh) found_.sources.push_back(std::move(made));
    found_.sources[found->second].peers.push_back(number);
  }

  void add_destination(const Both<const Fabric::Peer*>& peer, uint32_t number,
                       std::map<std::pair<Both<uint32_t>, Both<std::string>>, uint32_t>& classes) {
    PeerClass made;
    if (!lists_of(peer, &Fabric::Peer::to, made)) return;
    Both<std::string> kinds;
    made.kind = {kNoList, kNoList};
    for (size_t side : kSides) {
      if (made.list[side] == kNoList) continue;
      made.kind[side] = peer[side]->kind;
      kinds[side] = fabrics_[side]->kind_text(peer[side]->kind);
    }
    auto [found, fresh] =
        classes.emplace(std::pair(made.list, kinds), static_cast<uint32_t>(found_.destinations.size()));
    if (fresh) found_.destinations.push_back(std::move(made));
    found_.destinations[found->second].peers.push_back(number);
  }

  // Whether the peers have changed by themselves: not for a policy that is touched, which is looked at
  // anyway.
  [[nodiscard]] bool differs(const PeerClass& peers) const {
    Both<Numbers> untouched;
    for (size_t side : kSides) {
      for (uint32_t index : list(side, peers.list[side])) {
        if (!shared(side, index).touched) untouched[side].push_back(numbers_[side][index]);
      }
    }
    return untouched[kBefore] != untouched[kAfter];
  }

  void index_sources() {
    for (size_t side : kSides) {
      if (fabrics_[side] == nullptr) continue;
      from_[side].resize(fabrics_[side]->policies().size());
      differing_from_[side].resize(from_[side].size());
    }
    for (uint32_t s = 0; s < found_.sources.size(); ++s) {
      bool differing = differs(found_.sources[s]);
      for (size_t side : kSides) {
        for (uint32_t index : list(side, found_.sources[s].list[side])) {
          from_[side][index].push_back(s);
          if (differing) differing_from_[side][index].push_back(s);
        }
      }
    }
  }

  [[nodiscard]] bool kind_differs(const PeerClass& to) const {
    if (to.kind[kBefore] == kNoList || to.kind[kAfter] == kNoList) return true;
    return fabrics_[kBefore]->kind_text(to.kind[kBefore]) != fabrics_[kAfter]->kind_text(to.kind[kAfter]);
  }

  void ask_about(uint32_t destination) {
    const PeerClass& to = found_.destinations[destination];
    bool differing = kind_differs(to) || differs(to);
    Numbers sources;
    for (size_t side : kSides) {
      for (uint32_t index : list(side, to.list[side])) {
        bool all = differing || shared(side, index).touched;
        const Numbers& some = all ? from_[side][index] : differing_from_[side][index];
        sources.insert(sources.end(), some.begin(), some.end());
      }
    }
    std::sort(sources.begin(), sources.end());
    sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
    for (uint32_t source : sources) ask(source, destination);
  }

  void ask(uint32_t source, uint32_t destination) {
    const PeerClass &from = found_.sources[source], &to = found_.destinations[destination];
    PairQuestion asked;
    asked.kind = {kNoList, kNoList};
    Both<Numbers> contents;
    bool touched = false;
    for (size_t side : kSides) {
      const Numbers &left = list(side, from.list[side]), &right = list(side, to.list[side]);
      std::set_intersection(left.begin(), left.end(), right.begin(), right.end(),
                            std::back_inserter(asked.policies[side]));
      if (!asked.policies[side].empty()) asked.kind[side] = to.kind[side];
      for (uint32_t index : asked.policies[side]) {
        contents[side].push_back(numbers_[side][index]);
        touched = touched || shared(side, index).touched;
      }
    }
    asked.same = contents[kBefore] == contents[kAfter] && !kind_differs(to);
    if (asked.same && !touched) return;
    auto [found, fresh] = questions_.emplace(std::tuple(asked.policies, asked.kind, asked.same),
                                             static_cast<uint32_t>(found_.questions.size()));
    if (fresh) found_.questions.push_back(std::move(asked));
    found_.questions[found->second].pairs.emplace_back(source, destination);
  }

  const Both<const Fabric*>& fabrics_;
  const ReachQuestion& question_;
  std::vector<SharedPolicy> policies_;
  Both<Numbers> numbers_;  // of the policies by their indexes
  // By the index of a policy: the classes of its sources, and the ones that have changed.
  Both<std::vector<Numbers>> from_, differing_from_;
  std::map<std::tuple<Both<Numbers>, Both<uint32_t>, bool>, uint32_t> questions_;
  PeerPairs found_;
};

}  // namespace

PeerPairs find_pairs(const Both<const Fabric*>& fabrics, const Crowd& crowd, const ReachQuestion& question) {
  return PairSearch(fabrics, question).find(crowd);
}

}  // namespace qf
