// SPDX-License-Identifier: Apache-2.0
// Role: listener. Accepts connections, judges where they come from, starts a monitor for each, and holds the
// key sets.
//   uid: root (or the server's own account when not root)
//   fds: listening sockets, sockets to keyfetch and to every monitor
//   talks to: keyfetch, monitors (messages.h)
//   must never: parse SSH, or JWTs of peers; send a byte to a source that is not allowed
#pragma once

#include "qf-sshd/settings.h"

namespace qf {

// Whether a new connection is dropped while `count` others are not logged in; chance: 0 to 99, drawn at
// random.
[[nodiscard]] bool drop_startup(const StartupLimit& limit, unsigned count, unsigned chance);

// Runs until SIGTERM or SIGINT; sessions that stand go on without it. Returns the exit code of the program.
[[nodiscard]] int listener_role(const Settings& settings);

}  // namespace qf
