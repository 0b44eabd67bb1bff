// SPDX-License-Identifier: Apache-2.0
// Forwarding, as the monitor sees it: judges what the client wants against the server's flags and the policy,
// and has the helper make the sockets as the logged-in user. Runs in the monitor (root); the helper is its
// child and is not believed beyond the sockets that it hands over: what it sends out of turn ends it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "libqf/authorize.h"
#include "qf-sshd/account.h"
#include "qf-sshd/audit.h"
#include "qf-sshd/helper_messages.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/settings.h"
#include "qf-sshd/user_context.h"

namespace qf {

class Forwarding {
 public:
  // Sockets that the helper listens on for a session.
  struct Sockets {
    std::vector<Fd> fds;
    std::string path;      // of the agent's
    uint32_t display = 0;  // of X11
  };

  Forwarding(const Settings& settings, AuditLog& audit, const AuditConnection& connection)
      : settings_(settings), audit_(audit), connection_(connection) {}
  ~Forwarding() { end_helper(); }
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;

  // Before this nothing is forwarded. `decision`: which policy has let the user in and what it permits.
  // `context` is borrowed.
  void allow(Account account, const UserContext& context, const Decision& decision, std::string identity);
  // A new policy: what stands and is no longer permitted is withdrawn. The error is net's not taking it in.
  [[nodiscard]] Status judge_again(MessageSocket& net, const Decision& decision);
  // The user may not stay: nothing new is forwarded.
  void dismiss() { dismissed_ = true; }
  // When something withdrawn must be gone; net breaks the rules when it is not (overdue()).
  [[nodiscard]] Deadline deadline() const;
  [[nodiscard]] bool overdue() const { return Clock::now() >= deadline(); }

  // Requests of net; answers go to `net`, now or from read_helper(). An error is net's fault and ends the
  // connection.
  [[nodiscard]] Status connect(MessageSocket& net, const ConnectRequest& request);
  [[nodiscard]] Status listen(MessageSocket& net, const ListenRequest& request);
  void cancel(const ListenCancel& request);
  void ended(const ConnectEnd& message);
  void refused_by_net(const ForwardRefused& message);

  // For a session, within a few seconds; the error is for the user. What else the helper says meanwhile goes
  // to `net`, which is waiting for its session. release() when the session has ended.
  [[nodiscard]] Result<Sockets> open_agent(MessageSocket& net, uint32_t channel);
  [[nodiscard]] Result<Sockets> open_display(MessageSocket& net);
  void release(uint32_t channel);
  // The connection ends, and the helper with it.
  void stop() { end_helper(); }

  // To be polled; -1: no helper runs.
  [[nodiscard]] int helper_fd() const { return helper_ ? helper_.fd() : -1; }
  // Until it is reaped; -1: none.
  [[nodiscard]] pid_t helper_pid() const { return helper_pid_; }
  // Takes one message of the helper; `net`: whom its answers go to.
  [[nodiscard]] Status read_helper(MessageSocket& net);

 private:
  enum class Asked { kConnect, kListen, kSession };
  // What the client asked for, as the policy's patterns see it.
  struct Place {
    std::string host;
    uint32_t port = 0;
  };
  struct Question {
    Asked asked = Asked::kConnect;
    uint32_t net_id = 0;
    std::string target;          // for the audit log
    std::string address = {};    // that is listened on
    Place place = {};            // of a connect or listen
    std::string withdrawn = {};  // why a policy that came meanwhile does not permit it; empty: it does
  };
  // A connection or a listened-on place that net holds.
  struct Forward {
    Asked asked = Asked::kConnect;
    Place place;
    std::string target;
    Deadline gone_by = Deadline::max();  // it is withdrawn
  };

  [[nodiscard]] Status start_helper();
  void end_helper();
  template <class T>
  [[nodiscard]] Status ask(const T& message, Question question);
  [[nodiscard]] Status take(const Message& message, MessageSocket& net);
  [[nodiscard]] Status refuse_connect(MessageSocket& net, uint32_t id, const std::string& error);
  [[nodiscard]] Status refuse_listen(MessageSocket& net, uint32_t id, const std::string& error);
  [[nodiscard]] Result<Sockets> wait_for_sockets(MessageSocket& net, uint32_t id);
  [[nodiscard]] Status lose_helper(MessageSocket& net, const Error& why);
  [[nodiscard]] std::string judge(Asked asked, const Place& place) const;
  [[nodiscard]] size_t count(Asked asked) const;
  void record(Asked asked, const std::string& target, const std::string& error);

  const Settings& settings_;
  AuditLog& audit_;
  const AuditConnection& connection_;
  std::optional<Account> account_;
  std::string identity_;  // for the audit log
  const UserContext* context_ = nullptr;
  bool dismissed_ = false;
  unsigned refused_by_net_ = 0;
  std::string policy_;
  std::vector<std::string> permit_open_, permit_listen_;
  MessageSocket helper_;
  pid_t helper_pid_ = -1;
  unsigned starts_ = 0;
  uint32_t next_id_ = 1;
  std::map<uint32_t, Question> questions_;
  std::set<uint32_t> late_;  // asked for a session that did not wait for the answer
  std::map<uint32_t, std::pair<HelperListening, std::vector<Fd>>> arrived_;  // of sessions, not yet taken
  std::map<uint32_t, uint32_t> agents_;                                      // channel: helper's number
  std::map<uint32_t, Forward> standing_;                                     // by net's number
};

}  // namespace qf
