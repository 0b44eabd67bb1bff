// SPDX-License-Identifier: Apache-2.0
// The live connections, as the listener knows them: one entry a monitor, those that it has started and those
// of an earlier listener that have come to it (RUNTIME/sshd-monitors.sock: 0600, and the uid at the other end
// is checked).
#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "qf-sshd/admission.h"
#include "qf-sshd/audit.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/messages.h"

struct pollfd;

namespace qf {

struct Connection {
  uint64_t number = 0;  // ours, never used twice
  MessageSocket monitor;
  pid_t pid = -1;
  AuditConnection source;
  std::string network;  // of the source, for the limits
  uint64_t since = 0;   // milliseconds since the epoch
  bool child = false;   // of this listener; else of an earlier one
  bool logged_in = false;
  bool person_logs_in = false;             // at a provider; listener_device_logins.h counts these
  bool policy_untold = false;              // it has not taken in yet that there is a new policy
  bool queried = false;                    // was there when this status round began
  bool asked = false;                      // in this status round, and has not answered
  std::optional<ConnectionReport> report;  // of this status round
  LiveSessions live;                       // as its monitor has said last
};

class Roster {
 public:
  explicit Roster(NetBlocks blocks, size_t most) : blocks_(blocks), most_(most) {}

  void add(MessageSocket monitor, pid_t pid, const AuditConnection& source);
  // Whose monitor has closed its socket; returns the next one.
  std::list<Connection>::iterator remove(std::list<Connection>::iterator connection);
  // A child of ours has ended; where its connection came from, when it was a monitor.
  [[nodiscard]] std::optional<AuditConnection> reaped(pid_t pid);
  [[nodiscard]] Load load(const std::string& network) const;
  [[nodiscard]] Connection* find(uint64_t number);
  // Tells every monitor that there is a new policy; tell_late() again those that did not take it in.
  void policy_changed();
  void tell_late();
  [[nodiscard]] std::list<Connection>& connections() { return connections_; }
  [[nodiscard]] const std::list<Connection>& connections() const { return connections_; }

  // Monitors of an earlier listener may come from here on.
  [[nodiscard]] Status open(const std::string& path);
  // Appends what is to be polled for them; then settle() with the same entries, from `first` on.
  void poll(std::vector<pollfd>& polled) const;
  void settle(const std::vector<pollfd>& polled, size_t first);
  // When settle() should be called even when nothing happens.
  [[nodiscard]] Deadline deadline() const;

 private:
  // Has connected, and not said yet who it is.
  struct Newcomer {
    MessageSocket socket;
    pid_t pid = -1;
    Deadline until;
  };
  Connection* enter(MessageSocket monitor, pid_t pid, const AuditConnection& source);
  void accept_newcomers();
  void take_up(Newcomer& newcomer);

  NetBlocks blocks_;
  size_t most_;
  uint64_t next_number_ = 1;
  std::list<Connection> connections_;
  std::map<pid_t, AuditConnection> leaving_;  // removed, and not reaped yet
  Fd door_;
  std::list<Newcomer> newcomers_;
};

}  // namespace qf
