// SPDX-License-Identifier: Apache-2.0
// The peer that is to be reached and the connection to it; every way to fail says what failed and what to do.
#pragma once

#include <string>

#include "libqf/fd.h"
#include "libqf/folders.h"
#include "libqf/identification.h"
#include "libqf/peers_db.h"
#include "libqf/terminal.h"

namespace qf {

// By any of its names, from peers.mdb alone. Trouble when it is no peer, has no server or no pinned host key.
[[nodiscard]] Result<PeerRecord, Trouble> find_target(const Folders& folders, const std::string& host);

struct PeerConnection {
  Fd fd;  // non-blocking; nothing is read from it yet, the identification line included
  Identification identification;
  std::string place;  // "db1 (100.119.230.104 port 22022)"
};

// Port 22022 whatever ssh was told: 22 is the port that people type.
[[nodiscard]] Result<Fd, Trouble> dial_peer(const PeerRecord& peer);
[[nodiscard]] Result<PeerConnection, Trouble> connect_peer(const PeerRecord& peer);
// The identification line and the place of a connection that stands already.
[[nodiscard]] Result<PeerConnection, Trouble> take_connection(const PeerRecord& peer, Fd fd);

[[nodiscard]] Trouble wrong_host_key(const std::string& place, const std::string& key);

}  // namespace qf
