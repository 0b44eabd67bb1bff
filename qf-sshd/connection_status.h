// SPDX-License-Identifier: Apache-2.0
// What the monitor says about its connection when the listener asks (qf-up status -d): it asks its net for
// the byte counts, waits for them until a deadline without stopping for it, and reports.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "libqf/fd.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/messages.h"

namespace qf {

// The name of the program that a command line starts: the base name of its first word. Empty when that word
// is not plainly a name: with an assignment or quotes in it, it could hold what is nobody's business.
[[nodiscard]] std::string command_name(std::string_view command);

// Milliseconds since the epoch.
[[nodiscard]] uint64_t system_milliseconds();

class ConnectionStatus {
 public:
  // Who is logged in; set as they become known.
  std::string identity, os_user, method;
  bool tunnel = false;

  void session_started(uint32_t channel, const SessionRequest& request, pid_t pid);
  // Its bytes still count for the connection.
  void session_closed(const SessionClose& close);
  // Of all forwards, at the end of the connection.
  void forwards_ended(const ForwardTraffic& traffic);
  // No longer listed: the process has ended and its channel is gone.
  void session_gone(uint32_t channel) { sessions_.erase(channel); }

  // The listener's question. True: net is to be asked, with `number`; false: answer() it at once.
  [[nodiscard]] bool asked(uint32_t number, bool net_can_tell, Deadline now);
  // False: nobody has asked net.
  [[nodiscard]] bool counted(const StatusReply& reply);
  // The answer that is due, once: all is known, or the deadline has passed.
  [[nodiscard]] std::optional<ConnectionReport> take_due(Deadline now);
  // Bytes of the connection as far as they are known: from the client, to the client.
  [[nodiscard]] std::pair<uint64_t, uint64_t> traffic() const;
  [[nodiscard]] LiveSessions live() const;
  [[nodiscard]] Deadline deadline() const { return open_ ? answer_by_ : Deadline::max(); }

 private:
  [[nodiscard]] ConnectionReport report() const;
  std::map<uint32_t, SessionStatus> sessions_;  // by channel
  uint64_t closed_in_ = 0, closed_out_ = 0;     // of channels that are gone
  std::optional<uint32_t> open_;                // number of the query to be answered
  std::optional<uint32_t> net_asked_;           // number that net has not answered yet, however late it is
  bool counted_ = true;
  uint32_t forwards_ = 0;                          // as net has counted them
  uint64_t forwarded_in_ = 0, forwarded_out_ = 0;  // bytes of all of them
  Deadline answer_by_;
};

}  // namespace qf
