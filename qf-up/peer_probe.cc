// SPDX-License-Identifier: Apache-2.0
#include "qf-up/peer_probe.h"

#include <algorithm>
#include <atomic>
#include <future>

#include "libqf/address.h"

namespace qf {

namespace {

// Most of their time these wait for the network. More would be no quicker where peers answer, and where they
// do not, their packets would look like a scan.
constexpr size_t kMostAtOnce = 64;

}  // namespace

std::vector<std::optional<ProbeResult>> probe_peers(const std::vector<PeerRecord>& records,
                                                    const ProbeLimits& limits) {
  std::vector<std::optional<ProbeResult>> results(records.size());
  Deadline end = Clock::now() + limits.all;
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i = next++; i < records.size() && Clock::now() < end; i = next++)
      results[i] = probe(records[i].addresses, kFabricPort, Clock::now() + limits.each);
  };
  std::vector<std::future<void>> workers;
  for (size_t i = 0; i < std::min(kMostAtOnce, records.size()); ++i)
    workers.push_back(std::async(std::launch::async, work));
  for (auto& worker : workers) worker.wait();
  return results;
}

}  // namespace qf
