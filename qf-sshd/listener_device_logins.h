// SPDX-License-Identifier: Apache-2.0
// The listener's part in device logins: passes them on between monitors and keyfetch, and limits how many
// there are at once, of one source and in all. One that is over still counts for a while from its start, so
// that nobody makes a provider hand out codes by connecting again and again.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "libqf/fd.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/settings.h"

namespace qf {

inline constexpr std::chrono::seconds kDeviceLoginPause{30};  // that each counts at least

class DeviceLogins {
 public:
  struct Ways {
    std::function<bool(const DeviceLoginStart&)> start;  // to keyfetch; false: it does not run
    std::function<void(const DeviceLoginCancel&)> cancel;
    // to the monitor of the connection of that number
    std::function<void(const DeviceLoginPrompt&)> prompt;
    std::function<void(const DeviceLoginEnd&)> end;
  };
  DeviceLogins(const Settings& settings, Ways ways) : settings_(settings), ways_(std::move(ways)) {}

  // The monitor of connection `number`, which comes from `network`, wants one.
  void start(uint64_t number, const std::string& network, DeviceLoginStart login, Deadline now);
  // The monitor does not want it any more, or is gone.
  void give_up(uint64_t number);
  // False: malformed, or none of a device login's.
  [[nodiscard]] bool hear_keyfetch(const Message& message);
  void keyfetch_ended();
  // Whether somebody is being waited for on that connection: it counts here, and not as one that is not
  // logged in.
  [[nodiscard]] bool waits(uint64_t number) const;

 private:
  struct Login {
    std::string network;
    Deadline counts_until;  // at least
    bool over = false;
  };
  void forget_old(Deadline now);
  const Settings& settings_;
  Ways ways_;
  std::map<uint64_t, Login> logins_;  // by the number of the connection
};

}  // namespace qf
