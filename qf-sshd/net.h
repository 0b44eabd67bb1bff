// SPDX-License-Identifier: Apache-2.0
// Role: net. One process a connection (two for a tunnel: outer and inner); the only one that parses SSH from
// the wire.
//   uid: qufabric, empty root folder, no_new_privs, seccomp; not root: seccomp (and Landlock) all the same
//   fds: the connection, the socket to its monitor, stderr; later the ends of sessions that the monitor hands
//   in talks to: the client (SSH, libssh), its monitor (messages.h) must never: open, connect, execute, fork;
//   believe that the client is who it says: the monitor decides
// Fails by ending: the monitor notices and cleans up.
#pragma once

#include <string>

#include "libqf/fd.h"
#include "qf-sshd/jail.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/settings.h"
#include "qf-sshd/ssh_handles.h"

namespace qf {

struct NetPlan {
  const Settings& settings;
  const SyscallFilter& filter;
  ssh_bind bind;                  // host key and identification line; borrowed, prepared by the listener
  bool inside_tunnel = false;     // the inner connection of a tunnel
  bool password_offered = false;  // some issuer accepts bearer tokens
};

// What libssh needs to accept connections: host key, identification string, algorithms. The key is held in
// memory, so that what happens to its file does not matter before it is loaded again.
[[nodiscard]] Result<SshPtr<ssh_bind>> make_bind(const Settings& settings, SshPtr<ssh_key> host_key);

[[noreturn]] void net_role(const NetPlan& plan, Fd connection, MessageSocket monitor);

}  // namespace qf
