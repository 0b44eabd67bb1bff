// SPDX-License-Identifier: Apache-2.0
// The parts of reading a fabric document, in the order in which they refer to each other: issuers, user
// groups, peers, peer groups, policies, tests. Inside of document.cc only.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "libqf/text.h"
#include "qf-up/document.h"
#include "qf-up/schema.h"

namespace qf {

struct DocumentReader {
  Document& document;
  Faults& faults;
  std::unordered_set<std::string> issuer_names = {};
  std::unordered_set<std::string> issuers_lower = {};
  std::unordered_set<std::string> issuer_urls = {};
  bool any_email_domains = false;
  std::unordered_map<std::string, size_t> peers_by_name = {};     // lower case -> index
  std::unordered_map<std::string, size_t> peers_by_address = {};  // canonical
  std::unordered_set<std::string> user_groups_lower = {};
  std::unordered_set<std::string> peer_groups_lower = {};
  std::unordered_set<std::string> policy_names = {};
  std::unordered_set<std::string> policies_lower = {};
  std::unordered_set<std::string> test_names = {};
  // The name of one of them could not be read, which is a fault already: a reference to a name that is not
  // known may mean it, and is no fault of its own.
  bool nameless_issuer = false, nameless_peer = false, nameless_policy = false;
  bool nameless_user_group = false, nameless_peer_group = false;
};

// Names count to the letter, but two that people would take for one are refused.
inline constexpr const char* kOtherCase = "another one has this name in other letter case";

void read_issuer(DocumentReader& reader, const cJSON* value, const Place& place);
// After the user groups: every group that a group_map names must be one of them.
void check_group_maps(DocumentReader& reader, const cJSON* root, const Place& place);
void read_peer(DocumentReader& reader, const cJSON* value, const Place& place);
void read_policy(DocumentReader& reader, const cJSON* value, const Place& place);
void read_test(DocumentReader& reader, const cJSON* value, const Place& place);

// Whether somebody who wrote `name` could have meant `other`.
[[nodiscard]] bool could_be_meant(const std::string& name, const std::string& other);
// " (there is "db1")"; nothing of an empty name.
[[nodiscard]] std::string there_is(const std::string& name);

// "ISSUER:SUBJECT" of an issuer that is known by now; kInput says what is wrong, kNotFound that there is no
// such issuer.
[[nodiscard]] Result<Identifier> parse_identifier(const DocumentReader& reader, const std::string& text);
// The peer of exactly that name, or null.
[[nodiscard]] const PeerEntry* find_peer_entry(DocumentReader& reader, const std::string& name);
// " (there is "db1")" when a peer, or a peer group where it may be one, has nearly this name, else nothing.
[[nodiscard]] std::string near_peer(const DocumentReader& reader, const std::string& name, bool or_group);
[[nodiscard]] std::string near_user_group(const DocumentReader& reader, const std::string& name);
// The same of other names. One that differs in its digits alone is none: web1 is not meant for web2.
template <class Names>
[[nodiscard]] std::string near_name(const std::string& name, const Names& known) {
  std::vector<std::string> near;
  for (const auto& other : known) {
    if (could_be_meant(name, other)) near.push_back(other);
  }
  return there_is(nearest_spelling(name, near));
}

}  // namespace qf
