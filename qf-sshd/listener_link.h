// SPDX-License-Identifier: Apache-2.0
// The monitor's way to the listener. A listener may go away (restart, upgrade) and the connection goes on;
// then the monitor looks for the next one now and then, and introduces itself.
#pragma once

#include <string>

#include "qf-sshd/listener_messages.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/messages.h"

namespace qf {

// In the folder of the server's sockets.
inline constexpr const char* kMonitorsSocket = "sshd-monitors.sock";

class ListenerLink {
 public:
  // `socket`: to the listener that has started us. `path`: where the next one waits for us; empty: nowhere.
  ListenerLink(MessageSocket socket, std::string path, Register card)
      : socket_(std::move(socket)), path_(std::move(path)), card_(std::move(card)) {}

  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(socket_); }
  [[nodiscard]] int fd() const { return socket_.fd(); }  // -1: there is no listener
  // When turn() should be called even when nothing happens.
  [[nodiscard]] Deadline next_try() const;
  // Looks for a listener, when there is none and it is time to.
  void turn(Deadline now);

  // False: the listener is gone, or does not read.
  template <class T>
  bool send(const T& message) {
    if (socket_ && !socket_.send(message)) lost();
    return static_cast<bool>(socket_);
  }
  [[nodiscard]] Result<Message> receive(Deadline deadline) { return socket_.receive(deadline); }
  void lost();
  // For this listener's limits, and the next one's.
  void logged_in(bool tunnel);

 private:
  MessageSocket socket_;
  std::string path_;
  Register card_;
  Deadline try_at_ = Deadline::max();
  std::chrono::milliseconds delay_{0};
};

}  // namespace qf
