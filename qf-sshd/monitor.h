// SPDX-License-Identifier: Apache-2.0
// Role: monitor. One process a connection; decides everything and parses no SSH packet.
//   uid: root (or the server's own account when not root)
//   fds: the sockets to its net (two of them for a tunnel), to the listener, audit log and its tail, pidfds
//   of the sessions talks to: net (messages.h; anything out of turn ends the connection), listener (key sets,
//   status); goes on without a listener, and comes to the next one must never: parse SSH from the wire, fetch
//   anything, let a message of net stand unchecked
#pragma once

#include "libqf/address.h"
#include "qf-sshd/audit.h"
#include "qf-sshd/jail.h"
#include "qf-sshd/keysets.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/settings.h"
#include "qf-sshd/ssh_handles.h"
#include "qf-sshd/user_context.h"

namespace qf {

struct MonitorPlan {
  const Settings& settings;
  const SyscallFilter& filter;
  ssh_bind bind;          // borrowed
  KeySetStore& key_sets;  // as the listener held them when the connection came
  AuditLog& audit;
  AuditConnection connection;
  SocketAddress client, server;  // the connection's ends
  [[nodiscard]] ConnectionEnds ends() const {
    return {client.address(), server.address(), client.port(), server.port()};
  }
};

[[noreturn]] void monitor_role(const MonitorPlan& plan, Fd connection, MessageSocket listener);

}  // namespace qf
