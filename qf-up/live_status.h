// SPDX-License-Identifier: Apache-2.0
// What lives on this machine's qf-sshd, for qf-up status -d: asked at its status socket, shown as a table.
#pragma once

#include <string>

#include "libqf/folders.h"
#include "libqf/json.h"
#include "libqf/result.h"

namespace qf {

// All that the server says to who connects to this socket of its ("/metrics.sock"). Errors as below.
[[nodiscard]] Result<std::string> ask_server_text(const Folders& folders, const std::string& socket);

// The server's answer: an object with "listening" and "connections" (qf-up(8)). kNotFound: none runs; kPeer:
// it is not what it should be. Takes at most 10 s.
[[nodiscard]] Result<JsonPtr> ask_server(const Folders& folders);

// For people: a line for each session, and for each connection without one. Control characters are removed.
// Ends with a newline.
[[nodiscard]] std::string live_table(const cJSON* status, bool colours = false);

struct LiveCount {
  int64_t connections = 0, logged_in = 0, sessions = 0;
};
[[nodiscard]] LiveCount count_live(const cJSON* status);

// "0 B", "999 B", "1.2 kB", "34 MB"
[[nodiscard]] std::string short_bytes(int64_t bytes);

}  // namespace qf
