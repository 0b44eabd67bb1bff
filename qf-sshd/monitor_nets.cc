// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/monitor_nets.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <utility>

namespace qf {

namespace {

constexpr suseconds_t kMomentMicroseconds = 300'000;
constexpr size_t kMostLastMessages = 256;
constexpr int kLookMilliseconds = 5;

}  // namespace

std::vector<pid_t> net_pids(const NetLinks& nets) {
  std::vector<pid_t> pids;
  for (const auto& link : nets) pids.push_back(link.pid);
  return pids;
}

NetLink* session_net(NetLinks& nets) {
  for (auto& link : nets) {
    if (link.state == NetState::kSession) return &link;
  }
  return nullptr;
}

bool say_soon(MessageSocket& net, const Disconnect& words) {
  timeval moment = {0, kMomentMicroseconds};
  bool short_wait = ::setsockopt(net.fd(), SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof moment) == 0;
  return short_wait && net.send(words);
}

std::vector<Message> last_counts(NetLink& link) {
  std::vector<Message> counts;
  bool closed = false;
  for (size_t i = 0; i < kMostLastMessages; ++i) {
    auto message = link.socket.receive(Deadline::min());
    // that it closed its socket with something unread in it comes first, once
    if (!message && std::exchange(closed, true)) break;
    if (message && (is_a<SessionClose>(*message) || is_a<ForwardTraffic>(*message)))
      counts.push_back(std::move(*message));
  }
  return counts;
}

int reap_net(const NetLink& link, Deadline deadline) {
  int status = 0;
  pid_t gone = 0;
  while ((gone = ::waitpid(link.pid, &status, WNOHANG)) == 0 && Clock::now() < deadline)
    ::poll(nullptr, 0, kLookMilliseconds);
  if (gone == 0) {
    ::kill(link.pid, SIGKILL);
    ::waitpid(link.pid, &status, 0);
    return 0;
  }
  bool by_signal = gone == link.pid && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;
  return by_signal ? WTERMSIG(status) : 0;
}

}  // namespace qf
