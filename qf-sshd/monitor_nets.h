// SPDX-License-Identifier: Apache-2.0
// The net processes of one connection, as its monitor has them: the one that speaks with the client, and the
// one at the end of a tunnel inside it.
#pragma once

#include <sys/types.h>

#include <list>
#include <memory>
#include <vector>

#include "libqf/fd.h"
#include "qf-sshd/login.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/messages.h"

namespace qf {

struct NetLink {
  MessageSocket socket;
  pid_t pid = -1;
  NetState state = NetState::kStart;
  bool inner = false;
  bool ended = false;  // it has closed its socket
  std::unique_ptr<Login> login;
};
using NetLinks = std::list<NetLink>;

[[nodiscard]] std::vector<pid_t> net_pids(const NetLinks& nets);
// The one that is logged in as an OS user; null: none.
[[nodiscard]] NetLink* session_net(NetLinks& nets);

// To a net that may not read: it gets a moment. False: it did not take it.
[[nodiscard]] bool say_soon(MessageSocket& net, const Disconnect& words);

// The byte counts that it has told and nobody has read yet. Waits for nothing; whatever else it said is lost.
[[nodiscard]] std::vector<Message> last_counts(NetLink& link);

// Waits for its end until then, and kills it. The signal that ended it, 0 for none and for SIGKILL.
[[nodiscard]] int reap_net(const NetLink& link, Deadline deadline);

}  // namespace qf
