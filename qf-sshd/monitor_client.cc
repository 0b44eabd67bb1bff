// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/monitor_client.h"

#include <cstdlib>

#include "libqf/log.h"

namespace qf {

namespace {

// How long a monitor may think about one question: a key set may have to be fetched.
constexpr auto kPatience = std::chrono::seconds(60);

}  // namespace

void MonitorClient::leave() {
  std::_Exit(kExitSystem);
}

Message MonitorClient::wait_for_type(uint32_t type) {
  Deadline deadline = Clock::now() + kPatience;
  for (;;) {
    auto message = socket_.receive(deadline);
    if (!message) leave();
    if (message->type == type) return std::move(*message);
    early_.push_back(std::move(*message));
  }
}

std::optional<Message> MonitorClient::next(bool readable) {
  if (!early_.empty()) {
    Message message = std::move(early_.front());
    early_.pop_front();
    return message;
  }
  if (!readable) return std::nullopt;
  // the message that made the socket readable may be taken already, by who waited for an answer
  auto message = socket_.receive(Clock::now());
  if (message) return std::move(*message);
  if (message.error().kind == ErrorKind::kTimeout) return std::nullopt;
  // the connection is over
  std::_Exit(message.error().kind == ErrorKind::kNotFound ? kExitOk : kExitSystem);
}

}  // namespace qf
