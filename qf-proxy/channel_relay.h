// SPDX-License-Identifier: Apache-2.0
// Carries bytes between the client's two descriptors and an SSH channel. Memory is bounded in both
// directions: what the client does not take stays in the channel's window, and what the network does not take
// stays in stdin.
#pragma once

#include <libssh/libssh.h>

#include <string>

#include "libqf/result.h"

namespace qf {

struct ChannelEnds {
  int in = -1, out = -1;  // borrowed; pipes, sockets, or anything else
  ssh_session session = nullptr;
  ssh_channel channel = nullptr;  // open
};

// Until the channel has ended and all of its bytes are with the client, or the client is gone: Done. The
// first line from the channel must be `line` (CR LF or LF after it) and is not passed on: the client has it
// already. Errors: kSystem when the connection broke, kPeer when that line is another one.
[[nodiscard]] Status relay_channel(const ChannelEnds& ends, const std::string& line);

}  // namespace qf
