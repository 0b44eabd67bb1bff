// SPDX-License-Identifier: Apache-2.0
// RUNTIME/qf-up.json, 0644: what the running qf-up has started as SSH server. The remembered choices may be
// others by now, which count from its next start.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libqf/folders.h"

namespace qf {

struct ServerNote {
  uint64_t restarts = 0;
  std::vector<std::string> flags;  // as server_flags() has them
};
// By the supervisor, of this process; a fault is for the debug log alone.
void write_server_note(const Folders& folders, const ServerNote& note);
void remove_server_note(const Folders& folders);
// Nothing: this supervisor runs no server, or it cannot be known.
[[nodiscard]] std::optional<ServerNote> read_server_note(const Folders& folders, pid_t supervisor);

}  // namespace qf
