// SPDX-License-Identifier: Apache-2.0
// One fabric document as the questions about all of its peers need it: every peer with the policies that name
// it, small enough for a million of them. Read from the policy.mdb in force, or from a document that is not
// applied yet. What cannot be read is an error: a peer or a policy that is missing would change the answer.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libqf/policy_db.h"
#include "qf-up/document.h"

namespace qf {

using Numbers = std::vector<uint32_t>;

struct NumberedHash {
  size_t operator()(const std::string& text) const { return std::hash<std::string>{}(text); }
  size_t operator()(const Numbers& numbers) const {
    return std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(uint32_t)});
  }
};

// A number for each different value.
template <class T>
class Numbered {
 public:
  uint32_t of(const T& value) {
    auto [found, fresh] = numbers_.emplace(value, static_cast<uint32_t>(values_.size()));
    if (fresh) values_.push_back(&found->first);
    return found->second;
  }
  [[nodiscard]] const T& operator[](uint32_t number) const { return *values_[number]; }
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(values_.size()); }

 private:
  std::unordered_map<T, uint32_t, NumberedHash> numbers_;
  std::vector<const T*> values_;  // keys of the map, which stay where they are
};

class Fabric {
 public:
  struct Peer {
    std::string name;
    uint32_t from = 0, to = 0;  // lists(): the policies that name it on that side
    uint32_t kind = 0;          // kinds()
    size_t addresses = 0;       // a hash of them
  };

  [[nodiscard]] static Result<Fabric> in_force(const std::string& path);
  [[nodiscard]] static Result<Fabric> of(const Document& document);

  // Has no peers and addresses where it was made of a document.
  [[nodiscard]] const PolicyDb& db() const { return *db_; }
  [[nodiscard]] const PolicyMeta& meta() const { return meta_; }
  [[nodiscard]] const std::vector<PolicyRecord>& policies() const { return policies_; }
  [[nodiscard]] const std::vector<Peer>& peers() const { return peers_; }  // by name
  // Indexes of policies, ascending.
  [[nodiscard]] const Numbered<Numbers>& lists() const { return *lists_; }
  // What decides about a peer as a destination, besides the policies: a record without a name, and a text
  // that is the same for the same kind in another document.
  [[nodiscard]] const PeerPolicyRecord& kind(uint32_t number) const { return kinds_[number]; }
  [[nodiscard]] const std::string& kind_text(uint32_t number) const { return (*kind_texts_)[number]; }
  // Indexes of its peers, ascending.
  [[nodiscard]] const std::map<std::string, Numbers>& peer_groups() const { return peer_groups_; }

 private:
  Fabric() = default;
  Status read_policies();
  Status take_peer(std::string_view value);
  std::unique_ptr<PolicyDb::Records> records_;  // what db_ borrows, of a document
  std::unique_ptr<PolicyDb> db_;
  PolicyMeta meta_;
  std::vector<PolicyRecord> policies_;
  std::vector<Peer> peers_;
  std::unique_ptr<Numbered<Numbers>> lists_ = std::make_unique<Numbered<Numbers>>();
  std::vector<PeerPolicyRecord> kinds_;
  std::unique_ptr<Numbered<std::string>> kind_texts_ = std::make_unique<Numbered<std::string>>();
  std::map<std::string, Numbers> peer_groups_;
};

}  // namespace qf
