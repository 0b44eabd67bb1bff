// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/client_watch.h"

#include <poll.h>

#include "libqf/log.h"

namespace qf {

Trouble client_left() {
  return {kExitNegative, "", ""};
}

Result<ClientWatch::Wake, Trouble> ClientWatch::wait(int fd, short events, Deadline deadline) const {
  constexpr short kGone = POLLERR | POLLHUP | POLLRDHUP | POLLNVAL;
  for (;;) {
    struct pollfd polled[3] = {{fd, events, 0}, {in_, POLLRDHUP, 0}, {out_, 0, 0}};
    int n = ::poll(polled, 3, poll_timeout(deadline));
    if (n < 0 && errno != EINTR) return Trouble{kExitSystem, system_error("poll").text(), ""};
    if (n < 0) continue;
    if ((polled[1].revents & kGone) != 0 || (polled[2].revents & kGone) != 0) return client_left();
    if (polled[0].revents != 0) return Wake::kReady;
    if (n == 0) return Wake::kTimeout;
  }
}

}  // namespace qf
