// SPDX-License-Identifier: Apache-2.0
// How many connections the listener takes: in all, of those that are not logged in (as sshd's MaxStartups),
// and of one source network (PerSourceMaxStartups, PerSourceNetBlockSize).
#pragma once

#include <string>
#include <string_view>

#include "qf-sshd/settings.h"

namespace qf {

// Connections that stand when another one comes.
struct Load {
  size_t all = 0;
  size_t of_source = 0;             // of the same source network, logged in or not
  unsigned startups = 0;            // not logged in
  unsigned startups_of_source = 0;  // of the same source network
};

// Whether a new connection is dropped while `count` others are not logged in; chance: 0 to 99, drawn at
// random.
[[nodiscard]] bool drop_startup(const StartupLimit& limit, unsigned count, unsigned chance);

// The network that an address (canonical) counts with: "2001:db8:0:1::/64", "192.0.2.7/32".
[[nodiscard]] std::string source_network(std::string_view address, const NetBlocks& blocks);

// Why there is no room for another connection.
enum class LoadFault { kNone, kConnections, kSource, kSourceStartups, kStartups };
[[nodiscard]] const char* load_fault_text(LoadFault fault);  // empty for kNone
[[nodiscard]] LoadFault judge_load(const Settings& settings, const Load& load, unsigned chance);

}  // namespace qf
