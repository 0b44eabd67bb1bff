// SPDX-License-Identifier: Apache-2.0
// The fabric document as records of peers.mdb and policy.mdb (libqf/peers_db.h, libqf/policy_db.h). A pure
// function: the same document gives the same records.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "libqf/lmdb.h"
#include "qf-up/document.h"

namespace qf {

using Records = std::map<std::string, std::string>;

// What this machine adds to the document.
struct LocalFacts {
  std::string self;            // its peer name, empty when it is none
  uint32_t jwt_cache_ttl = 0;  // seconds
};

// The records one at a time and in order, for a file; the document must live as long. Besides them they take
// some 20 bytes of memory a name and address.
[[nodiscard]] RecordSource peers_records(const Document& document, const LocalFacts& local);
[[nodiscard]] RecordSource policy_records(const Document& document);

// All of them at once: ten times the document, so for small ones.
[[nodiscard]] Records compile_peers(const Document& document, const LocalFacts& local);
[[nodiscard]] Records compile_policy(const Document& document);

// The names and addresses under which a peer is found, in lower case, short name first.
[[nodiscard]] std::vector<std::string> reachable_names(const PeerRecord& peer, const std::string& domain);

}  // namespace qf
