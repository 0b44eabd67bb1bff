// SPDX-License-Identifier: Apache-2.0
// The parts of reading a fabric document, in the order in which they refer to each other: issuers, user
// groups, peers, peer groups, policies, tests. Inside of document.cc only.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

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
};

// Names count to the letter, but two that people would take for one are refused.
inline constexpr const char* kOtherCase = "another one has this name in other letter case";

void read_issuer(DocumentReader& reader, const cJSON* value, const Place& place);
// After the user groups: every group that a group_map names must be one of them.
void check_group_maps(DocumentReader& reader, const cJSON* root, const Place& place);
void read_peer(DocumentReader& reader, const cJSON* value, const Place& place);
void read_policy(DocumentReader& reader, const cJSON* value, const Place& place);
void read_test(DocumentReader& reader, const cJSON* value, const Place& place);

// "ISSUER:SUBJECT" of an issuer that is known by now; kInput says what is wrong.
[[nodiscard]] Result<Identifier> parse_identifier(const DocumentReader& reader, const std::string& text);
// The peer of exactly that name, or null.
[[nodiscard]] const PeerEntry* find_peer_entry(DocumentReader& reader, const std::string& name);
// " (there is "db1")" when a peer differs by letter case only, else nothing.
[[nodiscard]] std::string spelled_otherwise(DocumentReader& reader, const std::string& name);

}  // namespace qf
