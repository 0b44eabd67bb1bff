// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/listener_link.h"

#include <algorithm>

#include "libqf/unix_socket.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

// A failed try costs three system calls. A thousand monitors must neither all come at once nor keep a machine
// awake whose server was stopped for good.
constexpr auto kFirstDelay = std::chrono::milliseconds(500);
constexpr auto kMostDelay = std::chrono::milliseconds(8000);

std::chrono::milliseconds spread(std::chrono::milliseconds delay) {
  return delay + delay * (::getpid() % 16) / 32;
}

}  // namespace

Deadline ListenerLink::next_try() const {
  return socket_ || path_.empty() ? Deadline::max() : try_at_;
}

void ListenerLink::lost() {
  socket_.close();
  delay_ = kFirstDelay;
  try_at_ = Clock::now() + spread(delay_);
}

void ListenerLink::turn(Deadline now) {
  if (now < next_try()) return;
  auto fd = connect_unix(path_, ::geteuid(), SOCK_SEQPACKET | SOCK_NONBLOCK);
  if (fd) {
    socket_ = MessageSocket(std::move(*fd));
    if (socket_.send(card_)) return;
    socket_.close();
  }
  delay_ = std::min(delay_ * 2, kMostDelay);
  try_at_ = now + spread(delay_);
}

void ListenerLink::logged_in(bool tunnel) {
  card_.logged_in = true;
  send(LoggedIn{tunnel});
}

}  // namespace qf
