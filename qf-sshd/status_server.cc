// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/status_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/audit_line.h"
#include "libqf/json.h"
#include "libqf/unix_socket.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

constexpr size_t kMostClients = 16;
constexpr auto kRoundTime = std::chrono::milliseconds(2000);    // longer than a monitor waits for its net
constexpr auto kClientTime = std::chrono::milliseconds(10000);  // for one that does not read
constexpr int kStatusVersion = 1;

const char* kind_name(SessionKind kind) {
  switch (kind) {
    case SessionKind::kShell:
      return "shell";
    case SessionKind::kExec:
      return "exec";
    case SessionKind::kSubsystem:
      return "sftp";
  }
  std::abort();
}

std::string time_text(uint64_t milliseconds) {
  return rfc3339(static_cast<int64_t>(milliseconds));
}

JsonPtr session_json(const SessionStatus& session) {
  JsonWriter out;
  out.set("kind", kind_name(session.kind)).set("command", session.command);
  out.set("terminal", session.terminal).set("pid", static_cast<int64_t>(session.pid));
  out.set("since", time_text(session.since));
  out.set("bytes_in", static_cast<int64_t>(session.bytes_in));
  out.set("bytes_out", static_cast<int64_t>(session.bytes_out));
  return out.take();
}

// What the listener knows by itself, and what the monitor has said when it has.
JsonPtr connection_json(const Connection& connection) {
  JsonWriter out;
  out.set("connection", connection.source.id).set("pid", static_cast<int64_t>(connection.pid));
  out.set("peer", connection.source.peer).set("address", connection.source.address);
  out.set("port", static_cast<int64_t>(connection.source.port)).set("since", time_text(connection.since));
  out.set("logged_in", connection.logged_in).set("answers", connection.report.has_value());
  if (!connection.report) return out.take();
  const ConnectionReport& report = *connection.report;
  out.set("identity", report.identity).set("os_user", report.os_user).set("method", report.method);
  out.set("tunnel", report.tunnel).set("forwards", static_cast<int64_t>(report.forwards));
  out.set("bytes_in", static_cast<int64_t>(report.bytes_in));
  out.set("bytes_out", static_cast<int64_t>(report.bytes_out)).set("counted", report.counted);
  JsonPtr sessions(::cJSON_CreateArray());
  for (const auto& session : report.sessions)
    ::cJSON_AddItemToArray(sessions.get(), session_json(session).release());
  out.set("sessions", std::move(sessions));
  out.set("more_sessions", static_cast<int64_t>(report.more_sessions));
  return out.take();
}

}  // namespace

std::string status_text(const std::list<Connection>& connections, const std::vector<std::string>& listening) {
  JsonPtr list(::cJSON_CreateArray());
  for (const auto& connection : connections) {
    if (connection.queried) ::cJSON_AddItemToArray(list.get(), connection_json(connection).release());
  }
  JsonWriter out;
  out.set("version", kStatusVersion).set("server_pid", static_cast<int64_t>(::getpid()));
  out.set("listening", listening).set("connections", std::move(list));
  return out.text();
}

Status StatusServer::open(const std::string& path) {
  auto door = listen_unix(path, 0600);
  if (!door) return door.error();
  door_ = std::move(*door);
  return Done{};
}

Status StatusServer::open_metrics(const std::string& path) {
  auto door = listen_unix(path, 0600);
  if (!door) return door.error();
  metrics_door_ = std::move(*door);
  return Done{};
}

void StatusServer::poll(std::vector<pollfd>& polled) const {
  bool room = clients_.size() < kMostClients;
  polled.push_back({room ? door_.get() : -1, POLLIN, 0});
  polled.push_back({room ? metrics_door_.get() : -1, POLLIN, 0});
  for (const auto& client : clients_)
    polled.push_back({client.fd.get(), static_cast<short>(client.text == nullptr ? 0 : POLLOUT), 0});
}

void StatusServer::serve(const std::vector<pollfd>& polled, size_t first, Roster& roster) {
  size_t index = first + 2;
  for (auto client = clients_.begin(); client != clients_.end();) {
    short ready = polled[index++].revents;
    bool gone = (ready & (POLLHUP | POLLERR)) != 0 || ((ready & POLLOUT) != 0 && !write(*client));
    client = gone ? clients_.erase(client) : std::next(client);
  }
  if (polled[first].revents == 0 && polled[first + 1].revents == 0) return;
  if (polled[first].revents != 0) accept_clients(door_, false);
  if (polled[first + 1].revents != 0) accept_clients(metrics_door_, true);
  // one that comes while the monitors are being asked gets the same answer as the others
  if (!clients_.empty() && round_until_ == Deadline::max()) begin_round(roster);
}

void StatusServer::accept_clients(const Fd& door, bool metrics) {
  while (clients_.size() < kMostClients) {
    Fd fd(::accept4(door.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    auto who = peer_credentials(fd.get());
    if (!who || (who->uid != 0 && who->uid != ::geteuid())) continue;
    clients_.push_back({std::move(fd), nullptr, 0, Clock::now() + kClientTime, metrics});
  }
}

void StatusServer::begin_round(Roster& roster) {
  ++round_;
  round_until_ = Clock::now() + kRoundTime;
  for (auto& connection : roster.connections()) {
    connection.report.reset();
    connection.queried = true;
    // one that takes no message is listed as one that does not answer
    connection.asked = static_cast<bool>(connection.monitor.send(ConnectionQuery{round_}));
  }
}

void StatusServer::report(Connection& connection, const ConnectionReport& report) const {
  if (!connection.asked || report.number != round_) return;  // too late
  connection.asked = false;
  connection.report = report;
}

void StatusServer::turn(Deadline now, Roster& roster, const std::vector<std::string>& listening,
                        const std::function<std::string()>& metrics) {
  std::erase_if(clients_, [&](const Client& client) { return now >= client.until; });
  if (round_until_ == Deadline::max()) return;
  auto& all = roster.connections();
  bool open = std::any_of(all.begin(), all.end(), [](const Connection& c) { return c.asked; });
  if (open && now < round_until_) return;
  round_until_ = Deadline::max();
  using Text = std::shared_ptr<const std::string>;
  Text status, numbers;
  for (auto& client : clients_) {
    if (client.text != nullptr) continue;
    if (client.metrics && numbers == nullptr)
      numbers = std::make_shared<const std::string>(metrics ? metrics() : "");
    if (!client.metrics && status == nullptr)
      status = std::make_shared<const std::string>(status_text(all, listening) + "\n");
    client.text = client.metrics ? numbers : status;
  }
  for (auto& connection : all) {
    connection.asked = false;
    connection.queried = false;
    connection.report.reset();
  }
}

Deadline StatusServer::deadline() const {
  Deadline first = round_until_;
  for (const auto& client : clients_) first = std::min(first, client.until);
  return first;
}

bool StatusServer::write(Client& client) {
  const std::string& text = *client.text;
  ssize_t n = ::send(client.fd.get(), text.data() + client.written, text.size() - client.written,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  client.written += static_cast<size_t>(n);
  return client.written < text.size();
}

}  // namespace qf
