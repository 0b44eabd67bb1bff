// SPDX-License-Identifier: Apache-2.0
// qf-detect --match: whether the generated block of ssh_config applies to this ssh. Runs for every ssh to a
// host of that block, so it is quick, silent and never in the way: any trouble of ours means "does not
// apply".
#pragma once

#include <string>
#include <string_view>

#include "libqf/folders.h"

namespace qf {

struct MatchAnswer {
  bool applies = false;
  std::string reason;  // for --verbose
};

// `host` as the user typed it. Dials port 22022 only, at the addresses of peers.mdb, and never port 22: sshd
// punishes clients that connect and leave. Never starts qf-tokend.
[[nodiscard]] MatchAnswer match_host(const Folders& folders, std::string_view host, std::string_view port);

}  // namespace qf
