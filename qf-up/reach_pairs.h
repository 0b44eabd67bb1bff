// SPDX-License-Identifier: Apache-2.0
// Which pairs of peers have to be looked at, and which of them are one question (qf-up/reach.h). With two
// documents these are only the pairs for which something may have changed: the policies between them, their
// order, the destination, or the people that a policy between them is about.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "qf-up/reach.h"

namespace qf {

// Peers that are the same on one side of a pair. Numbers of all peers of both documents, by name.
struct PeerClass {
  Both<uint32_t> list;  // Fabric::lists(), kNoList: no policy names it
  Both<uint32_t> kind;  // of a destination
  Numbers peers;
};
inline constexpr uint32_t kNoList = UINT32_MAX;

// What is between the two peers of some pairs.
struct PairQuestion {
  Both<Numbers> policies;                            // indexes, in the document's order
  Both<uint32_t> kind;                               // of the destination, where there are policies
  bool same = false;                                 // in both documents: only people can have changed
  std::vector<std::pair<uint32_t, uint32_t>> pairs;  // classes of sources and destinations
};

struct PeerPairs {
  std::vector<const std::string*> peers;  // by name, borrowed
  std::vector<PeerClass> sources, destinations;
  std::vector<PairQuestion> questions;
};

[[nodiscard]] PeerPairs find_pairs(const Both<const Fabric*>& fabrics, const Crowd& crowd,
                                   const ReachQuestion& question);

}  // namespace qf
