// SPDX-License-Identifier: Apache-2.0
// The device logins (RFC 8628) that keyfetch runs for clients that have none of our programs: one a
// connection, each from its DeviceLoginStart to a DeviceLoginEnd or a DeviceLoginCancel. The tokens are bound
// to no key; what they are worth is decided by who asked.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "libqf/http.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/messages.h"

namespace qf {

class KeyfetchLogin;

class KeyfetchLogins {
 public:
  struct Tell {
    std::function<void(const DeviceLoginPrompt&)> prompt;
    std::function<void(const DeviceLoginEnd&)> end;
  };
  // `http` is borrowed, and handled by its owner.
  KeyfetchLogins(HttpClient& http, Tell tell);
  KeyfetchLogins(const KeyfetchLogins&) = delete;
  KeyfetchLogins& operator=(const KeyfetchLogins&) = delete;
  ~KeyfetchLogins();

  // False: the message is none of a device login's, or is malformed.
  [[nodiscard]] bool take(const Message& message);
  // When turn() wants to be called although nothing happened.
  [[nodiscard]] Deadline deadline() const;
  // After http was handled.
  void turn();

 private:
  HttpClient& http_;
  Tell tell_;
  std::map<uint64_t, std::unique_ptr<KeyfetchLogin>> logins_;  // by the number of the connection
};

}  // namespace qf
