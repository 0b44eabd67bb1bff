// SPDX-License-Identifier: Apache-2.0
// Small random fabrics, the same one for the same seed: peers "a" and "b", the peer group "g", the user
// groups "Dev" and "Ops" as policies name them.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "qf-up/document.h"

namespace qf::test {

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}
  bool one_in(uint32_t n) { return engine_() % n == 0; }
  template <class T>
  const T& of(const std::vector<T>& all) {
    return all[engine_() % all.size()];
  }

 private:
  std::mt19937 engine_;
};

using Names = std::vector<std::string>;

inline PolicyEntry random_policy(Dice& dice, size_t index) {
  PolicyEntry entry;
  PolicyRecord& record = entry.record;
  record.name = "p" + std::to_string(index);
  record.enabled = !dice.one_in(5);
  record.allow = !dice.one_in(3);
  record.protocol = dice.one_in(2) ? PolicyProtocol::kTcp : PolicyProtocol::kSsh;
  const std::vector<PolicyEnd> ends = {{false, "a"}, {false, "b"}, {true, "g"}};
  entry.sources = {dice.of(ends)};
  entry.destinations = {dice.of(ends)};
  if (record.protocol == PolicyProtocol::kTcp) {
    record.ports = {dice.of<PortRange>({{22, 22}, {20, 30}, {22022, 22022}, {1, 65535}, {80, 80}})};
    return entry;
  }
  record.full_access = dice.one_in(2);
  for (const char* group : {"Dev", "Ops"}) {
    if (!dice.one_in(2)) continue;
    auto& users = record.authorized_groups[group];
    if (!record.full_access) users = {dice.of(Names{"x", "y", "root", "*", "{email.local}"})};
  }
  return entry;
}

inline Document random_document(Dice& dice) {
  Document document;
  for (const char* name : {"a", "b"}) {
    PeerEntry peer;
    peer.record.name = name;
    peer.record.ssh = !dice.one_in(4);
    peer.record.version = dice.of(Names{"0.61.0", "0.60.0", "0.59.0"});
    document.peers.push_back(peer);
  }
  document.peer_groups["g"] = dice.one_in(2) ? Names{"a"} : Names{"a", "b"};
  size_t count = dice.of(std::vector<size_t>{1, 2, 3, 5});
  for (size_t i = 0; i < count; ++i) document.policies.push_back(random_policy(dice, i));
  return document;
}

}  // namespace qf::test
