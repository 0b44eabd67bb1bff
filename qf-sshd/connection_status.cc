// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/connection_status.h"

#include <algorithm>
#include <chrono>
#include <tuple>

#include "libqf/text.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

constexpr auto kNetPatience = std::chrono::milliseconds(1000);

bool in_a_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._+-").find(c) != std::string_view::npos;
}

}  // namespace

std::string command_name(std::string_view command) {
  command = trim(command);
  std::string_view word = command.substr(0, command.find_first_of(" \t\r\n;|&<>()"));
  std::string_view name = word.substr(word.rfind('/') == std::string_view::npos ? 0 : word.rfind('/') + 1);
  bool plain = std::all_of(word.begin(), word.end(), [](char c) { return c == '/' || in_a_name(c); });
  return plain ? std::string(name.substr(0, kMostCommandName)) : "";
}

uint64_t system_milliseconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

void ConnectionStatus::session_started(uint32_t channel, const SessionRequest& request, pid_t pid) {
  SessionStatus session;
  session.channel = channel;
  session.kind = request.kind;
  if (request.kind == SessionKind::kExec) session.command = command_name(request.command);
  session.terminal = request.terminal.has_value();
  session.pid = static_cast<uint32_t>(pid);
  session.since = system_milliseconds();
  sessions_[channel] = session;
}

void ConnectionStatus::session_closed(const SessionClose& close) {
  closed_in_ += close.bytes_in;
  closed_out_ += close.bytes_out;
  session_gone(close.channel);
}

void ConnectionStatus::forwards_ended(const ForwardTraffic& traffic) {
  forwards_ = 0;
  forwarded_in_ = traffic.bytes_in;
  forwarded_out_ = traffic.bytes_out;
}

std::pair<uint64_t, uint64_t> ConnectionStatus::traffic() const {
  uint64_t bytes_in = closed_in_ + forwarded_in_, bytes_out = closed_out_ + forwarded_out_;
  for (const auto& [channel, session] : sessions_) {
    bytes_in += session.bytes_in;
    bytes_out += session.bytes_out;
  }
  return {bytes_in, bytes_out};
}

LiveSessions ConnectionStatus::live() const {
  LiveSessions live;
  for (const auto& [channel, session] : sessions_) {
    ++(session.kind == SessionKind::kShell  ? live.shell
       : session.kind == SessionKind::kExec ? live.exec
                                            : live.sftp);
  }
  return live;
}

bool ConnectionStatus::asked(uint32_t number, bool net_can_tell, Deadline now) {
  open_ = number;
  answer_by_ = net_can_tell ? now + kNetPatience : now;
  counted_ = !net_can_tell;
  // one that has not answered the last question gets no other
  if (!net_can_tell || net_asked_) return false;
  net_asked_ = number;
  return true;
}

bool ConnectionStatus::counted(const StatusReply& reply) {
  if (!net_asked_ || *net_asked_ != reply.number) return false;
  net_asked_.reset();
  for (const auto& channel : reply.channels) {
    auto session = sessions_.find(channel.channel);
    if (session == sessions_.end()) continue;
    session->second.bytes_in = channel.bytes_in;
    session->second.bytes_out = channel.bytes_out;
  }
  forwards_ = reply.forwards;
  forwarded_in_ = reply.forwarded_in;
  forwarded_out_ = reply.forwarded_out;
  counted_ = true;
  return true;
}

std::optional<ConnectionReport> ConnectionStatus::take_due(Deadline now) {
  if (!open_ || (!counted_ && now < answer_by_)) return std::nullopt;
  ConnectionReport out = report();
  open_.reset();
  return out;
}

ConnectionReport ConnectionStatus::report() const {
  ConnectionReport out;
  out.number = *open_;
  out.identity = identity.substr(0, kMostStatusText);
  out.os_user = os_user.substr(0, kMostStatusText);
  out.method = method.substr(0, kMostStatusText);
  out.tunnel = tunnel;
  out.counted = counted_;
  std::tie(out.bytes_in, out.bytes_out) = traffic();
  out.forwards = forwards_;
  for (const auto& [channel, session] : sessions_) {
    if (out.sessions.size() < kMostSessionsTold) {
      out.sessions.push_back(session);
    } else {
      ++out.more_sessions;
    }
  }
  return out;
}

}  // namespace qf
