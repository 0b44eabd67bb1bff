// SPDX-License-Identifier: Apache-2.0
// The server's numbers as Prometheus reads them: METRICS in qf-sshd(8). For RUNTIME/metrics.sock, and with
// --metrics-dir for the file there. Labels are ours, but the names of the document's issuers.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "libqf/fd.h"
#include "libqf/metrics.h"
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

// When the file of --metrics-dir is written. The monitors are asked first, so that bytes of connections that
// stand count.
class MetricsRounds {
 public:
  // Empty: never.
  explicit MetricsRounds(const std::string& folder)
      : wanted_(!folder.empty()), file_(folder, kServerMetricsFile) {}
  void soon() {
    if (wanted_) next_ = Clock::now();
  }
  [[nodiscard]] Deadline next() const { return next_; }
  // Whether the monitors are to be asked now.
  [[nodiscard]] bool begins(Deadline now);
  // They have answered, or did not in time.
  void end(const std::function<std::string()>& metrics);
  // What a server that is gone has counted is no number of now.
  void forget();

 private:
  bool wanted_;
  MetricsFile file_;
  Deadline next_ = Deadline::max();
  bool due_ = false;  // the monitors are being asked for it
};

// Adds what a monitor says; false: it is not what it should be.
[[nodiscard]] bool take_tally(const Tally& tally, Connection& connection, Counts& counts);

}  // namespace qf
