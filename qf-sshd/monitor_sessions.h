// SPDX-License-Identifier: Apache-2.0
// The sessions of one connection, as the monitor (root) keeps them: starts them as the logged-in user, passes
// the client's signals on, tells net how they end, ends them when the user may not stay, and notes all of it
// in the audit log.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "qf-sshd/connection_status.h"
#include "qf-sshd/forwarding.h"
#include "qf-sshd/live_session.h"
#include "qf-sshd/monitor.h"
#include "qf-sshd/orphans.h"
#include "qf-sshd/session.h"
#include "qf-sshd/signal_sender.h"

struct pollfd;

namespace qf {

class MonitorSessions {
 public:
  MonitorSessions(const MonitorPlan& plan, Forwarding& forwarding, ConnectionStatus& status)
      : plan_(plan), forwarding_(forwarding), status_(status), signals_(plan.settings.privileged) {}

  // Before this there are no sessions. Both are borrowed.
  void logged_in(const Account& account, const UserContext& context);

  // Requests of net; an error is net's fault, or the machine's, and ends the connection.
  [[nodiscard]] Status start(MessageSocket& net, const SessionRequest& request);
  void signal(const SignalRequest& request);
  void close(const SessionClose& close);

  // No more sessions, and those that there are get SIGHUP, and SIGKILL after a moment. `all`: the user may
  // not stay, and what earlier sessions have left behind goes as well.
  void dismiss(bool all);
  // The connection ends: waits a moment for its sessions, so that the audit log has how they ended.
  void end();

  // Appends what is to be polled; then settle() with the same entries, from `first` on. `net`: who is told of
  // sessions that have ended, null: nobody is left to be. False: net takes nothing any more.
  void poll(std::vector<pollfd>& polled) const;
  [[nodiscard]] bool settle(const std::vector<pollfd>& polled, size_t first, MessageSocket* net);
  // When settle() must be called even when nothing happens.
  [[nodiscard]] Deadline deadline() const { return std::min(kill_at_, signals_.deadline()); }
  // The monitor's children that others have started: they are reaped there.
  void others(std::vector<pid_t> children) { others_ = std::move(children); }

 private:
  // Sockets that belong to a session; /dev/null for what there is not.
  struct Sockets {
    std::vector<Fd> fds;  // agent, two displays
    bool agent = false;
    uint32_t displays = 0;
  };
  [[nodiscard]] std::string judge(const SessionRequest& request) const;
  [[nodiscard]] Status refuse(MessageSocket& net, uint32_t channel, const std::string& reason);
  [[nodiscard]] Result<Sockets> open_sockets(MessageSocket& net, const SessionRequest& request,
                                             SessionForwards& forwards);
  [[nodiscard]] AuditUser user() const { return {status_.identity, account_->name}; }
  void reap(LiveSession& session);
  [[nodiscard]] std::chrono::milliseconds logout_patience() const;
  [[nodiscard]] std::vector<pid_t> own_children() const;
  void record_end(const LiveSession& session);
  void kill_all();

  const MonitorPlan& plan_;
  Forwarding& forwarding_;
  ConnectionStatus& status_;
  SignalSender signals_;
  const Account* account_ = nullptr;
  const UserContext* context_ = nullptr;
  std::map<uint32_t, LiveSession> sessions_;  // by channel
  std::vector<Fd> descendants_;               // of a dismissed user's sessions
  std::vector<pid_t> others_;                 // children of ours that are no sessions
  Orphans orphans_;
  bool dismissed_ = false, dismissed_all_ = false;
  Deadline kill_at_ = Deadline::max();  // of a dismissed user, until it is done
};

}  // namespace qf
