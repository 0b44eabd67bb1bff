// SPDX-License-Identifier: Apache-2.0
// Role: listener. Accepts connections, judges where they come from, starts a monitor for each, holds the key
// sets, and knows what lives (qf-up status -d).
//   uid: root (or the server's own account when not root)
//   fds: listening sockets, sockets to keyfetch and to every monitor, the audit log and its tail, three Unix
//   sockets in the runtime folder (sshd-monitors, sshd-status, metrics), their clients, inotify
//   talks to: keyfetch, monitors (messages.h), systemd or qf-up (readiness, signs of life), qf-up status
//   must never: parse SSH, or JWTs of peers; send a byte to a source that is not allowed; wait for a monitor
//   or a client
#pragma once

#include <vector>

#include "libqf/systemd.h"
#include "qf-sshd/listening_sockets.h"
#include "qf-sshd/settings.h"

namespace qf {

// What systemd, or qf-up in its place, has given to the program.
struct Handed {
  std::vector<HandedSocket> sockets;
  Notifier notifier;
};

// Runs until SIGTERM or SIGINT; sessions that stand go on without it. SIGHUP: reads the document and the host
// key again, opens the audit log anew. Returns the exit code of the program.
[[nodiscard]] int listener_role(const Settings& settings, Handed handed);

}  // namespace qf
