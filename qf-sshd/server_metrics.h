// SPDX-License-Identifier: Apache-2.0
// The server's numbers as Prometheus reads them: METRICS in qf-sshd(8). For RUNTIME/metrics.sock, and with
// --metrics-dir for the file there. Labels are ours, but the names of the document's issuers.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "qf-sshd/counts.h"
#include "qf-sshd/keysets.h"
#include "qf-sshd/roster.h"

namespace qf {

struct ServerFacts {
  const Counts& counts;
  const std::list<Connection>& connections;
  std::vector<KeySetStore::Age> key_sets;
  std::optional<uint64_t> serial;  // of the document in force
  int64_t started = 0, now = 0;    // seconds since the epoch
};

[[nodiscard]] std::string server_metrics(const ServerFacts& facts);

// Adds what a monitor says; false: it is not what it should be.
[[nodiscard]] bool take_tally(const Tally& tally, Connection& connection, Counts& counts);

}  // namespace qf
