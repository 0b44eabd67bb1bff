// SPDX-License-Identifier: Apache-2.0
// Role: session. The user's shell, command or sftp-server.
//   uid: the OS user's (its groups from NSS), no jail: this is the user's own work
//   fds: standard input, output and error alone
// Started by the monitor, which gets the other ends and hands them to net.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "libqf/fd.h"
#include "qf-sshd/account.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/settings.h"

namespace qf {

struct ConnectionEnds {
  std::string client_address, server_address;
  uint16_t client_port = 0, server_port = 0;
};

struct SpawnedSession {
  pid_t pid = -1;
  Fd pidfd;             // readable when the process has ended
  std::vector<Fd> fds;  // three, as SessionReply has them
};

// Variables that a client may send: LANG, LC_*, COLORTERM and NO_COLOR.
[[nodiscard]] bool accepted_variable(const std::string& name);

// The whole environment of a session: "NAME=value".
[[nodiscard]] std::vector<std::string> session_environment(const Account& account,
                                                           const SessionRequest& request,
                                                           const ConnectionEnds& ends,
                                                           const std::string& tty);

[[nodiscard]] Result<SpawnedSession> spawn_session(const Settings& settings, const Account& account,
                                                   const SessionRequest& request, const ConnectionEnds& ends);

}  // namespace qf
