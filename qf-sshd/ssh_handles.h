// SPDX-License-Identifier: Apache-2.0
// libssh's handles with one owner each.
#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include <memory>

namespace qf {

struct SshFree {
  void operator()(ssh_bind bind) const { ::ssh_bind_free(bind); }
  void operator()(ssh_session session) const { ::ssh_free(session); }
  void operator()(ssh_event event) const { ::ssh_event_free(event); }
  void operator()(ssh_string string) const { ::ssh_string_free(string); }
  void operator()(ssh_key key) const { ::ssh_key_free(key); }
  void operator()(ssh_message message) const { ::ssh_message_free(message); }
  void operator()(char* text) const { ::ssh_string_free_char(text); }
};
template <class Handle>
using SshPtr = std::unique_ptr<std::remove_pointer_t<Handle>, SshFree>;

// A request of the client that waits for its answer.
using SshMessage = SshPtr<ssh_message>;

}  // namespace qf
