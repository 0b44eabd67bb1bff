// SPDX-License-Identifier: Apache-2.0
// Role: helper. One a connection, started when it first forwards something: makes the sockets that the
// logged-in user may make.
//   uid: the OS user's, with its groups; no_new_privs. A program of its own (qf-helper), so that nothing of
//   the monitor's memory is in it fds: the socket to its monitor; sockets on their way to it talks to: its
//   monitor (messages.h); DNS and NSS as any program of the user must never: read or write what it connects;
//   live longer than its monitor
// Fails by ending: what was asked for is then refused, and the next question starts another one.
#pragma once

#include "qf-sshd/message_socket.h"

namespace qf {

// Runs until the monitor closes its end. Returns the exit code of the program.
[[nodiscard]] int helper_role(MessageSocket monitor);

}  // namespace qf
