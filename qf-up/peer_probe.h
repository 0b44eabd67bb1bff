// SPDX-License-Identifier: Apache-2.0
// What answers on port 22022 of many peers, for qf-up status and qf-up doctor: a bounded number of them is
// asked at the same time, each with a deadline, and all together with another. Needs no rights.
#pragma once

#include <optional>
#include <vector>

#include "libqf/peers_db.h"
#include "libqf/probe.h"

namespace qf {

struct ProbeLimits {
  std::chrono::milliseconds each;  // for one peer
  std::chrono::milliseconds all;   // nobody is asked any more after it
};

// In the order of the records; nothing for those whose turn did not come in time.
[[nodiscard]] std::vector<std::optional<ProbeResult>> probe_peers(const std::vector<PeerRecord>& records,
                                                                  const ProbeLimits& limits);

}  // namespace qf
