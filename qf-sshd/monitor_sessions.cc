// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/monitor_sessions.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/log.h"

namespace qf {

namespace {

constexpr auto kSessionsLastWords =
    std::chrono::seconds(2);  // for sessions to end after their connection, for the audit log
constexpr std::chrono::milliseconds kLogoutPatience(200);
constexpr auto kHangUp =
    std::chrono::milliseconds(700);  // of a dismissed user, for them to end by themselves

}  // namespace

void MonitorSessions::logged_in(const Account& account, const UserContext& context) {
  account_ = &account;
  context_ = &context;
  if (auto started = orphans_.start(); !started)
    log_error("what sessions leave behind will not be found: " + started.error().text());
}

// What stands against this session; empty: nothing.
std::string MonitorSessions::judge(const SessionRequest& request) const {
  if (dismissed_) return "this connection is ending";
  if (sessions_.size() >= plan_.settings.most_sessions) return "too many sessions on this connection";
  if (request.kind != SessionKind::kSubsystem) return "";
  if (request.command != "sftp") return "subsystem \"" + request.command + "\" is not available";
  if (!plan_.settings.sftp) {
    return "SFTP subsystem not available\nhint: ask the admin of this peer for qf-up --enable-ssh-sftp";
  }
  if (plan_.settings.sftp_server.empty()) {
    return "SFTP subsystem not available: this peer has no sftp-server\nhint: install openssh-sftp-server "
           "there";
  }
  return "";
}

Status MonitorSessions::refuse(MessageSocket& net, uint32_t channel, const std::string& reason) {
  auto null = open_file("/dev/null", O_RDWR);
  if (!null) return null.error();
  plan_.audit.session_refused(plan_.connection, user(), reason);
  return net.send(SessionReply{channel, false, reason, false, 0},
                  std::vector<int>(SessionReply::kFds, null->get()));
}

Status MonitorSessions::start(MessageSocket& net, const SessionRequest& request) {
  if (sessions_.count(request.channel) != 0) return peer_error("net used a channel number twice");
  if (auto reason = judge(request); !reason.empty()) return refuse(net, request.channel, reason);
  SessionForwards forwards;
  auto sockets = open_sockets(net, request, forwards);
  if (!sockets) return sockets.error();
  SessionPlan plan{plan_.settings, *account_, *context_, plan_.ends()};
  auto spawned = spawn_session(plan, request, forwards);
  if (!spawned) {
    forwarding_.release(request.channel);
    log_error("cannot start a session for " + account_->name + ": " + spawned.error().text());
    return refuse(net, request.channel, "cannot start the session: " + spawned.error().text());
  }
  const char* kind = request.kind == SessionKind::kShell  ? "shell"
                     : request.kind == SessionKind::kExec ? "exec"
                                                          : "sftp";
  plan_.audit.session_start(plan_.connection,
                            {request.channel, kind, user(), request.terminal.has_value(), spawned->pid});
  LiveSession session;
  session.channel = request.channel;
  session.kind = kind;
  session.pid = spawned->pid;
  session.pidfd = std::move(spawned->pidfd);
  session.started = Clock::now();
  session.record = std::move(spawned->record);
  sessions_[request.channel] = std::move(session);
  status_.session_started(request.channel, request, spawned->pid);
  std::vector<int> fds;
  for (const auto& fd : spawned->fds) fds.push_back(fd.get());
  for (const auto& fd : sockets->fds) fds.push_back(fd.get());
  return net.send(SessionReply{request.channel, true, "", sockets->agent, sockets->displays}, fds);
}

// What the client asked to be forwarded for this session. What cannot be is left out, as sshd does: the
// session is worth more.
Result<MonitorSessions::Sockets> MonitorSessions::open_sockets(MessageSocket& net,
                                                               const SessionRequest& request,
                                                               SessionForwards& forwards) {
  Sockets out;
  for (size_t i = 0; i < SessionReply::kFds - 3; ++i) {
    auto null = open_file("/dev/null", O_RDWR);
    if (!null) return null.error();
    out.fds.push_back(std::move(*null));
  }
  if (request.agent && !plan_.settings.agent_forwarding)
    plan_.audit.forward(plan_.connection, user(), "agent", "", "not enabled on this peer");
  if (request.x11 && !plan_.settings.x11_forwarding)
    plan_.audit.forward(plan_.connection, user(), "x11", "", "not enabled on this peer");
  if (request.agent && plan_.settings.agent_forwarding) {
    auto agent = forwarding_.open_agent(net, request.channel);
    plan_.audit.forward(plan_.connection, user(), "agent", "", agent ? "" : agent.error().text());
    if (agent) {
      forwards.agent_socket = agent->path;
      out.agent = true;
      out.fds[0] = std::move(agent->fds[0]);
    }
  }
  if (request.x11 && plan_.settings.x11_forwarding) {
    auto display = forwarding_.open_display(net);
    plan_.audit.forward(plan_.connection, user(), "x11", "", display ? "" : display.error().text());
    if (display) {
      forwards.display = display->display;
      forwards.x11 = *request.x11;
      out.displays = static_cast<uint32_t>(display->fds.size());
      for (size_t i = 0; i < display->fds.size(); ++i) out.fds[1 + i] = std::move(display->fds[i]);
    }
  }
  return out;
}

void MonitorSessions::signal(const SignalRequest& request) {
  auto session = sessions_.find(request.channel);
  int number = signal_number(request.name);
  if (session == sessions_.end() || session->second.ended || number == 0) return;
  // the session leads a process group of its own (setsid)
  signals_.send(*account_, session->second.pid, number);
}

void MonitorSessions::close(const SessionClose& close) {
  auto found = sessions_.find(close.channel);
  if (found == sessions_.end()) return;
  LiveSession& session = found->second;
  session.channel_open = false;
  forwarding_.release(close.channel);
  session.bytes_in = close.bytes_in;
  session.bytes_out = close.bytes_out;
  status_.session_closed(close);
  if (session.ended) {
    record_end(session);
    sessions_.erase(found);
  }
}

void MonitorSessions::reap(LiveSession& session) {
  pid_t pid = session.pid;
  if (session.reap(logout_patience())) signals_.forget(pid);
}

// While net still holds the terminal, so that it is nobody else's yet. A dismissed user, who may hold the
// lock of wtmp, does not put off the end of the others by it.
std::chrono::milliseconds MonitorSessions::logout_patience() const {
  if (!dismissed_) return kLogoutPatience;
  if (kill_at_ == Deadline::max()) return std::chrono::milliseconds(0);
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(kill_at_ - Clock::now());
  return std::clamp(left, std::chrono::milliseconds(0), kLogoutPatience);
}

std::vector<pid_t> MonitorSessions::own_children() const {
  std::vector<pid_t> own = others_;
  own.insert(own.end(), {forwarding_.helper_pid(), signals_.child()});
  for (const auto& [channel, session] : sessions_) {
    if (!session.ended) own.push_back(session.pid);
  }
  return own;
}

void MonitorSessions::record_end(const LiveSession& session) {
  plan_.audit.session_end(plan_.connection, session.audit_end(user()));
}

// ---- their end --------------------------------------------------------------------------------------------

void MonitorSessions::dismiss(bool all) {
  dismissed_ = true;
  dismissed_all_ = all;
  for (const auto& [channel, session] : sessions_) {
    for (auto& process : session.descendants()) descendants_.push_back(std::move(process));
    session.signal_group(SIGHUP);
  }
  kill_at_ = Clock::now() + kHangUp;
}

void MonitorSessions::kill_all() {
  kill_at_ = Deadline::max();
  for (const auto& [channel, session] : sessions_) {
    for (auto& process : session.descendants()) descendants_.push_back(std::move(process));
    session.signal_group(SIGKILL);
  }
  for (const auto& process : descendants_)
    static_cast<void>(::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0));
  descendants_.clear();
  // Not what root has left: that is a daemon of the machine, and who was root has other ways to stay.
  if (dismissed_all_ && account_ != nullptr && account_->uid != 0)
    orphans_.kill_all(own_children(), account_->uid);
}

void MonitorSessions::end() {
  signals_.stop();
  // what goes on without its connection (nohup) is not ours to end, unless its user may not stay
  if (kill_at_ != Deadline::max()) {
    for (const auto& [channel, session] : sessions_) {
      if (!session.ended) static_cast<void>(wait_for(session.pidfd.get(), POLLIN, kill_at_));
    }
    kill_all();
  }
  orphans_.stop();
  Deadline deadline = Clock::now() + kSessionsLastWords;
  for (auto& [channel, session] : sessions_) {
    if (!session.ended && wait_for(session.pidfd.get(), POLLIN, deadline)) reap(session);
    session.enter_logout(std::chrono::milliseconds(0));
    record_end(session);
  }
}

// ---- the loop ---------------------------------------------------------------------------------------------

void MonitorSessions::poll(std::vector<pollfd>& polled) const {
  polled.push_back({signals_.fd(), POLLIN, 0});
  polled.push_back({orphans_.fd(), POLLIN, 0});
  for (const auto& [channel, session] : sessions_) polled.push_back({session.pidfd.get(), POLLIN, 0});
}

bool MonitorSessions::settle(const std::vector<pollfd>& polled, size_t first, MessageSocket* net) {
  if (Clock::now() >= kill_at_) kill_all();
  signals_.turn();
  size_t index = first + 2;
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    LiveSession& session = it->second;
    if (!session.ended && polled[index].revents != 0) {
      reap(session);
      if (session.ended && session.channel_open && net != nullptr && !net->send(session.exit)) return false;
    }
    ++index;
    bool over = session.ended && !session.channel_open;
    if (over) record_end(session);
    it = over ? sessions_.erase(it) : std::next(it);
  }
  if (polled[first + 1].revents != 0) orphans_.reap(own_children());
  return true;
}

}  // namespace qf
