// SPDX-License-Identifier: Apache-2.0
// qf-up's own numbers for Prometheus, METRICS in qf-up(8): for `qf-up metrics`, and with --metrics-dir the
// supervisor's file qufabric-up.prom there.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "libqf/folders.h"
#include "libqf/metrics.h"
#include "libqf/peers_db.h"
#include "qf-up/choices.h"
#include "qf-up/source_record.h"

namespace qf {

// What is not known, or means nothing here, has no sample.
struct UpFacts {
  std::optional<bool> up, server_up, redirect;
  std::optional<uint64_t> restarts;
  std::optional<PeersMeta> meta;
  int64_t applied = 0, expires = 0, now = 0;  // seconds since the epoch; 0: unknown, never
  std::optional<SourceRecord> source;
};
[[nodiscard]] std::string up_metrics(const UpFacts& facts);

// In the supervisor: qufabric-up.prom while it runs, and its last one afterwards, which says that it does
// not.
class UpMetrics {
 public:
  explicit UpMetrics(Folders folders) : folders_(std::move(folders)) {}
  // Writes; until the next time. Nothing: nobody wants it.
  [[nodiscard]] std::optional<std::chrono::milliseconds> turn(std::optional<bool> server_runs,
                                                              uint64_t restarts);
  // qf-sshd has ended and may have left its file.
  void server_ended() const;
  void end();

 private:
  Folders folders_;
  std::optional<MetricsFile> file_;
};

// The files of --metrics-dir, with both gone nobody is told anything.
void remove_metrics(const Choices& choices);

}  // namespace qf
