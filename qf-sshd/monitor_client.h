// SPDX-License-Identifier: Apache-2.0
// net's end of the socket to its monitor: questions that wait for their answer, and what the monitor says of
// its own accord. A monitor that is gone ends net: there is nothing to go on without it.
#pragma once

#include <deque>
#include <utility>

#include "qf-sshd/messages.h"

namespace qf {

class MonitorClient {
 public:
  explicit MonitorClient(MessageSocket socket) : socket_(std::move(socket)) {}

  template <class T>
  void tell(const T& message) {
    if (!socket_.send(message)) leave();
  }
  // The next answer of this type; what comes in between is kept for next().
  template <class Reply, class Question>
  std::pair<Reply, std::vector<Fd>> ask(const Question& question) {
    tell(question);
    Message message = wait_for_type(static_cast<uint32_t>(Reply::kType));
    auto reply = open_message<Reply>(message);
    if (!reply) leave();
    return {std::move(*reply), std::move(message.fds)};
  }
  // What the monitor said while an answer was waited for; then, when the socket is `readable`, one message
  // more.
  [[nodiscard]] std::optional<Message> next(bool readable);
  [[nodiscard]] int fd() const { return socket_.fd(); }

 private:
  [[nodiscard]] Message wait_for_type(uint32_t type);
  [[noreturn]] static void leave();
  MessageSocket socket_;
  std::deque<Message> early_;  // came while an answer was waited for
};

}  // namespace qf
