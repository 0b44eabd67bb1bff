// SPDX-License-Identifier: Apache-2.0
// qf-detect --host-keys: the pinned host keys of a peer as known_hosts lines, for ssh's KnownHostsCommand.
#pragma once

#include <string>
#include <string_view>

#include "libqf/peers_db.h"

namespace qf {

// `name` is what ssh looks up: "host" or "[host]:port". One line "NAME TYPE KEY" a key; empty when it is no
// peer or another port than ours.
[[nodiscard]] std::string known_hosts_lines(const PeersDb& db, std::string_view name);

}  // namespace qf
