// SPDX-License-Identifier: Apache-2.0
// A qf-keyfetch of our own (user qufabric-fetch when we are root, seccomp, nothing writable): what a server
// and the network do to libcurl happens there. It ends with this, and when we die.
#pragma once

#include "libqf/child.h"
#include "libqf/result.h"
#include "qf-sshd/message_socket.h"

namespace qf {

struct KeyfetchProcess {
  MessageSocket socket;
  Child child;

  [[nodiscard]] static Result<KeyfetchProcess> start();
  // kTimeout after the deadline; kSystem when it has ended.
  [[nodiscard]] Result<Message> receive(Deadline deadline);
};

}  // namespace qf
