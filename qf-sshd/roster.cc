// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/roster.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "libqf/log.h"
#include "libqf/unix_socket.h"
#include "qf-sshd/connection_status.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

constexpr auto kNewcomerPatience = std::chrono::seconds(5);
constexpr size_t kMostNewcomers = 256;
constexpr int kAcceptsPerTurn = 64;

}  // namespace

void Roster::add(MessageSocket monitor, pid_t pid, const AuditConnection& source) {
  // what the number meant before
  leaving_.erase(pid);
  if (Connection* connection = enter(std::move(monitor), pid, source)) connection->child = true;
}

Connection* Roster::enter(MessageSocket monitor, pid_t pid, const AuditConnection& source) {
  // a monitor that does not read must not hold up the listener
  if (auto set = set_nonblocking(monitor.fd(), true); !set) {
    log_error(set.error().text());
    return nullptr;
  }
  Connection connection;
  connection.number = next_number_++;
  connection.monitor = std::move(monitor);
  connection.pid = pid;
  connection.source = source;
  connection.network = source_network(source.address, blocks_);
  connection.since = system_milliseconds();
  return &connections_.emplace_back(std::move(connection));
}

std::list<Connection>::iterator Roster::remove(std::list<Connection>::iterator connection) {
  if (connection->child) leaving_[connection->pid] = std::move(connection->source);
  return connections_.erase(connection);
}

std::optional<AuditConnection> Roster::reaped(pid_t pid) {
  if (auto left = leaving_.extract(pid)) return std::move(left.mapped());
  for (const auto& connection : connections_) {
    if (connection.child && connection.pid == pid) return connection.source;
  }
  return std::nullopt;
}

Load Roster::load(const std::string& network) const {
  Load load;
  load.all = connections_.size();
  for (const auto& connection : connections_) {
    if (connection.network == network) ++load.of_source;
    if (connection.logged_in || connection.person_logs_in) continue;
    ++load.startups;
    if (connection.network == network) ++load.startups_of_source;
  }
  return load;
}

Connection* Roster::find(uint64_t number) {
  auto found = std::find_if(connections_.begin(), connections_.end(),
                            [&](const Connection& connection) { return connection.number == number; });
  return found == connections_.end() ? nullptr : &*found;
}

void Roster::policy_changed() {
  for (auto& connection : connections_) connection.policy_untold = true;
  tell_late();
}

void Roster::tell_late() {
  for (auto& connection : connections_) {
    if (connection.policy_untold && connection.monitor.send(PolicyChanged{}))
      connection.policy_untold = false;
  }
}

// ---- monitors of an earlier listener ----------------------------------------------------------------------

Status Roster::open(const std::string& path) {
  auto door = listen_unix(path, 0600, SOCK_SEQPACKET);
  if (!door) return door.error();
  door_ = std::move(*door);
  return Done{};
}

void Roster::poll(std::vector<pollfd>& polled) const {
  bool room = newcomers_.size() < kMostNewcomers;
  polled.push_back({room ? door_.get() : -1, POLLIN, 0});
  for (const auto& newcomer : newcomers_) polled.push_back({newcomer.socket.fd(), POLLIN, 0});
}

Deadline Roster::deadline() const {
  Deadline first = Deadline::max();
  for (const auto& newcomer : newcomers_) first = std::min(first, newcomer.until);
  return first;
}

void Roster::settle(const std::vector<pollfd>& polled, size_t first) {
  size_t index = first + 1;
  for (auto newcomer = newcomers_.begin(); newcomer != newcomers_.end();) {
    bool spoke = polled[index++].revents != 0;
    if (spoke) take_up(*newcomer);
    newcomer = spoke || Clock::now() >= newcomer->until ? newcomers_.erase(newcomer) : std::next(newcomer);
  }
  if (polled[first].revents != 0) accept_newcomers();
}

void Roster::accept_newcomers() {
  for (int i = 0; i < kAcceptsPerTurn && newcomers_.size() < kMostNewcomers; ++i) {
    Fd fd(::accept4(door_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    auto who = peer_credentials(fd.get());
    if (!who || who->uid != ::geteuid()) continue;
    newcomers_.push_back({MessageSocket(std::move(fd)), who->pid, Clock::now() + kNewcomerPatience});
  }
}

void Roster::take_up(Newcomer& newcomer) {
  auto message = newcomer.socket.receive();
  auto card = message ? open_message<Register>(*message) : Result<Register>(message.error());
  if (!card || card->version != kMessageVersion || connections_.size() >= most_) {
    log_warning("process " + std::to_string(newcomer.pid) + " cannot be taken up as a monitor" +
                (card ? card->version == kMessageVersion ? ": too many connections" : ": another version"
                      : ": " + card.error().text()));
    return;
  }
  Connection* connection =
      enter(std::move(newcomer.socket), newcomer.pid,
            {card->connection, card->address, static_cast<uint16_t>(card->port), card->peer});
  if (connection == nullptr) return;
  connection->since = card->since;
  connection->logged_in = card->logged_in;
  // there may have been a new policy since it has looked for one itself
  connection->policy_untold = true;
  log_info("the connection from " + card->address + " port " + std::to_string(card->port) + " goes on");
}

}  // namespace qf
