// SPDX-License-Identifier: Apache-2.0
// The fabric document (fabric.json(5)): one JSON text that describes the private network, read strictly.
// Anything that it does not say exactly right is a fault with its JSON path, and then there is no Document.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libqf/peers_db.h"
#include "libqf/policy_db.h"
#include "qf-up/question.h"
#include "qf-up/schema.h"

namespace qf {

inline constexpr int64_t kDocumentFormat = 1;
inline constexpr size_t kMostDocumentBytes = size_t{1} << 30;

struct IssuerEntry {
  IssuerRecord rules;
  bool has_client =
      false;           // "client": how a person or machine logs in; without it only servers use the issuer
  LoginRecord client;  // what "client" says; the rest of it is in `rules`
};

struct PeerEntry {
  PeerRecord record;
  std::vector<std::string> fingerprints;  // "SHA256:…" of the pinned host keys, sorted
};

struct PolicyEnd {
  bool is_group = false;
  std::string name;
};

struct PolicyEntry {
  PolicyRecord record;
  std::vector<PolicyEnd> sources, destinations;
};

struct Identifier {
  std::string issuer;  // its name
  std::string subject;
};

// One of "tests": a login, and what the policies must say about it.
struct TestEntry {
  std::string name;  // empty: none
  LoginQuestion question;
  bool allow = true;
  std::string policy;  // that must decide; empty: any
};

struct Document {
  uint64_t serial = 0;
  std::string domain;   // lower case
  std::string hash;     // SHA-256 of the text, hex
  int64_t expires = 0;  // seconds since the epoch; 0: never
  std::vector<IssuerEntry> issuers;
  std::map<std::string, std::vector<Identifier>> user_groups;
  std::vector<PeerEntry> peers;
  std::map<std::string, std::vector<std::string>> peer_groups;  // names of peers as the peers spell them
  std::vector<PolicyEntry> policies;
  std::vector<TestEntry> tests;
};

// "2027-01-31T00:00:00Z" (RFC 3339, UTC, whole seconds, from 1970 on) as seconds since the epoch, and back.
[[nodiscard]] std::optional<int64_t> parse_moment(const std::string& text);
[[nodiscard]] std::string moment_text(int64_t moment);

// At most Faults::kMostFaults faults. The time is linear in the text.
[[nodiscard]] Result<Document, std::vector<Fault>> read_document(std::string_view text);

}  // namespace qf
