// SPDX-License-Identifier: Apache-2.0
// The peers of the fabric and what answers there, for qf-up status --peers. From what every user may know.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libqf/json.h"
#include "qf-up/peer_probe.h"

namespace qf {

struct PeerAnswer {
  PeerRecord peer;
  bool self = false;                 // this machine
  std::optional<ProbeResult> probe;  // none: its turn did not come in time
};

// All of them, or those of these names or addresses; kInput: one is no peer. Takes 12 s at most.
[[nodiscard]] Result<std::vector<PeerAnswer>> ask_peers(const PeersDb& db,
                                                        const std::vector<std::string>& names);

// A line for each that was asked, and how many answer.
[[nodiscard]] std::string peers_table(const std::vector<PeerAnswer>& peers, bool colours);
// [{"name","addresses","self","ssh","version","answer","reachable","address","software","reason"}…]. answer:
// "jwt", "no-jwt", "other", "closed", "refused", "none", or null for one that was not asked.
[[nodiscard]] JsonPtr peers_json(const std::vector<PeerAnswer>& peers);

}  // namespace qf
