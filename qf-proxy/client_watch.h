// SPDX-License-Identifier: Apache-2.0
// Waiting for something while the client may leave: who presses Ctrl-C at a login prompt must end the login.
#pragma once

#include "libqf/fd.h"
#include "libqf/terminal.h"

namespace qf {

// The client went away: nobody is left to tell, so it has no text.
[[nodiscard]] Trouble client_left();

class ClientWatch {
 public:
  // Borrowed: the client's two descriptors, stdin and stdout of a ProxyCommand.
  ClientWatch(int in, int out) : in_(in), out_(out) {}

  enum class Wake { kReady, kTimeout };
  // Until fd is ready for `events`, or the deadline. Trouble when the client is gone. Bytes that the client
  // has sent meanwhile stay where they are.
  [[nodiscard]] Result<Wake, Trouble> wait(int fd, short events, Deadline deadline) const;

 private:
  int in_, out_;
};

}  // namespace qf
