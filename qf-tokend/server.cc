// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/server.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "libqf/log.h"
#include "libqf/secret.h"
#include "libqf/signals.h"

namespace qf {

namespace {

constexpr auto kSweepTime = std::chrono::seconds(20);  // how often idle clients are looked for
constexpr auto kEndTime = std::chrono::seconds(1);     // for last answers when the loop ends
constexpr auto kAcceptPause = std::chrono::milliseconds(200);
// So that one client, or a flood of new ones, does not starve the others.
constexpr int kAcceptsPerTurn = 64;
constexpr int kLinesPerTurn = 16;

Fd make_signal_fd() {
  auto signals = watch_signals({SIGTERM, SIGINT, SIGHUP});
  return signals ? std::move(*signals) : Fd();
}

// Readable when the socket there loses its name. Not open where the kernel has no more of these: then the
// sweep notices, later.
Fd watch_for_loss(const std::string& path) {
  Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (watch) ::inotify_add_watch(watch.get(), path.c_str(), IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
  return watch;
}

ino_t inode_of(const std::string& path) {
  struct stat st = {};
  return ::lstat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5; not yet in Debian 12's headers
#endif

// Whether the process that connected has ended; false also where the kernel cannot tell.
bool caller_ended(int client) {
  int pidfd = -1;
  socklen_t length = sizeof pidfd;
  // another error than that it is not known: there is no such process
  if (::getsockopt(client, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) != 0) return errno != ENOPROTOOPT;
  Fd owner(pidfd);
  pollfd ended = {pidfd, POLLIN, 0};
  return ::poll(&ended, 1, 0) != 0;
}

}  // namespace

Server::Server(Fd listener, std::string path, LineService& service, ServerLimits limits)
    : listener_(std::move(listener)),
      signals_(make_signal_fd()),
      path_(std::move(path)),
      inode_(inode_of(path_)),
      loss_(watch_for_loss(path_)),
      service_(service),
      limits_(limits),
      next_sweep_(Clock::now() + kSweepTime) {}

Status Server::run() {
  if (!signals_) return system_error("cannot wait for signals");
  std::vector<pollfd> polled;
  while (!stopping_) {
    polled.clear();
    polled.push_back({signals_.get(), POLLIN, 0});
    polled.push_back({listener_.get(), static_cast<short>(Clock::now() < accept_again_ ? 0 : POLLIN), 0});
    polled.push_back({loss_.get(), POLLIN, 0});
    service_.add(polled);
    wait(polled);
    if (polled[0].revents != 0) {
      stopping_ = true;
      break;
    }
    service_.handle(polled);
    serve(polled);
    if (polled[1].revents != 0) accept_clients();
    if (polled[2].revents != 0) {
      char events[4096];
      while (::read(loss_.get(), events, sizeof events) > 0) {
      }
      check_path();
    }
    life_.give(Clock::now());
    if (Clock::now() >= next_sweep_) sweep();
  }
  end_requests();
  finish_writing();
  return Done{};
}

void Server::wait(std::vector<pollfd>& polled) {
  Deadline until = std::min({service_.deadline(), next_sweep_, life_.next()});
  if (accept_again_ > Clock::now()) until = std::min(until, accept_again_);
  first_client_ = polled.size();
  polled_clients_.clear();
  for (const auto& [id, client] : clients_) {
    polled.push_back({client.fd(), client.events(), 0});
    polled_clients_.push_back(id);
    until = std::min(until, client.unread_until());
    if (client.has_line()) until = Deadline::min();
  }
  int n = ::poll(polled.data(), polled.size(), poll_timeout(until));
  // EINTR can only be a stop and continue by job control; then nothing is ready
  if (n < 0) {
    for (auto& p : polled) p.revents = 0;
  }
}

void Server::accept_clients() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      admit_client(std::move(fd));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      log_warning("cannot accept a client: " + std::string(std::strerror(errno)));
      accept_again_ = Clock::now() + kAcceptPause;
    }
    return;
  }
}

void Server::admit_client(Fd fd) {
  ucred who = {};
  socklen_t length = sizeof who;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return;
  if (clients_of(who.uid) >= limits_.most_of_user) make_room(who.uid);
  if (clients_.size() >= limits_.most_clients) make_room(std::nullopt);
  // who is refused counts for nobody's wait, so it makes room for the next one
  bool full = clients_of(who.uid) >= limits_.most_of_user || clients_.size() >= limits_.most_clients;
  uint64_t id = next_id_++;
  auto [it, added] = clients_.emplace(id, ClientConnection(id, std::move(fd), who, Clock::now()));
  auto refusal =
      full ? Refusal{"busy", "too many clients wait for an answer", "try again later"} : service_.admit(who);
  if (!refusal && service_.judges_process() && caller_ended(it->second.fd())) {
    refusal = Refusal{"refused", "the process that connected has ended", ""};
  }
  if (!refusal) return;
  it->second.close_after_answer();
  send(id, refusal_line(*refusal), true);
}

size_t Server::clients_of(uid_t uid) const {
  auto same = [&](const auto& entry) { return entry.second.who().uid == uid; };
  return static_cast<size_t>(std::count_if(clients_.begin(), clients_.end(), same));
}

// Only clients that wait for no answer make room, of this user or of all; several at once, since looking for
// them takes time.
void Server::make_room(std::optional<uid_t> uid) {
  std::vector<std::pair<Deadline, uint64_t>> idle;
  for (const auto& [id, client] : clients_) {
    if (!client.busy && (!uid || client.who().uid == *uid)) idle.emplace_back(client.last_request(), id);
  }
  size_t count = std::min<size_t>(idle.size(), kAcceptsPerTurn);
  std::partial_sort(idle.begin(), idle.begin() + static_cast<ptrdiff_t>(count), idle.end());
  for (size_t i = 0; i < count; ++i) drop(idle[i].second);
}

void Server::serve(const std::vector<pollfd>& polled) {
  Deadline now = Clock::now();
  for (size_t i = 0; i < polled_clients_.size(); ++i) {
    uint64_t id = polled_clients_[i];
    short ready = polled[first_client_ + i].revents;
    auto it = clients_.find(id);
    if (it == clients_.end()) continue;
    ClientConnection& client = it->second;
    Status received = (ready & POLLIN) != 0 ? client.receive() : Status(Done{});
    if (!received && received.error().kind == ErrorKind::kPeer) {
      client.busy = false;  // told at once, also when it waits for a login
      service_.gone(id);
      client.close_after_answer();
      send(id, refusal_line({"too_long", received.error().text(), ""}), true);
    } else if (!received) {
      drop(id);
      continue;
    }
    serve_lines(client);
    bool hung_up = (ready & (POLLHUP | POLLERR)) != 0 && !client.has_line();
    if (!client.flush(now) || client.finished() || client.stuck(now) || hung_up) drop(id);
  }
}

void Server::serve_lines(ClientConnection& client) {
  for (int i = 0; i < kLinesPerTurn; ++i) {
    auto line = client.next_line(Clock::now());
    if (!line) return;
    client.busy = true;
    take_line(client, *line);
    wipe(*line);
  }
}

void Server::take_line(ClientConnection& client, const std::string& line) {
  auto request = parse_request(line);
  if (!request) {
    // what is no JSON is not our protocol at all; a wrong member may be mended in the next line
    if (!client.greeted) client.close_after_answer();
    return send(client.id(), refusal_line(request.error()), true);
  }
  if (auto refusal = check_version(*request, !client.greeted)) {
    client.close_after_answer();
    return send(client.id(), refusal_line(*refusal), true);
  }
  client.greeted = true;
  service_.request(client.id(), *request);
}

void Server::answer(uint64_t client, const std::string& line) {
  send(client, line, true);
}

void Server::progress(uint64_t client, const std::string& line) {
  send(client, line, false);
}

void Server::send(uint64_t client, const std::string& line, bool last) {
  auto it = clients_.find(client);
  if (it == clients_.end()) return;
  if (last) it->second.busy = false;
  it->second.send(line, Clock::now());
}

const ucred* Server::who(uint64_t client) const {
  auto it = clients_.find(client);
  return it == clients_.end() ? nullptr : &it->second.who();
}

void Server::drop(uint64_t client) {
  service_.gone(client);
  clients_.erase(client);
}

// Who still waits for an answer when the loop ends gets one.
void Server::end_requests() {
  for (auto& [id, client] : clients_) {
    if (!client.busy) continue;
    service_.gone(id);
    send(id, refusal_line({"cancelled", "qf-tokend was stopped", "try again"}), true);
  }
}

void Server::finish_writing() {
  Deadline until = Clock::now() + kEndTime;
  for (auto& [id, client] : clients_) {
    while (client.flush(Clock::now()) && (client.events() & POLLOUT) != 0) {
      if (!wait_for(client.fd(), POLLOUT, until)) break;
    }
  }
  clients_.clear();
}

void Server::remove_socket() const {
  if (inode_of(path_) == inode_) ::unlink(path_.c_str());
}

void Server::sweep() {
  Deadline now = Clock::now();
  next_sweep_ = now + kSweepTime;
  std::vector<uint64_t> idle;
  for (const auto& [id, client] : clients_) {
    if (!client.busy && now - client.last_request() > kIdleTime) idle.push_back(id);
  }
  for (uint64_t id : idle) drop(id);
  check_path();
}

// When it is not ours any more, nobody can reach us, so nobody could end us either.
void Server::check_path() {
  if (inode_of(path_) == inode_) return;
  log_warning(path_ + " is no longer ours: ending");
  stopping_ = true;
}

}  // namespace qf
