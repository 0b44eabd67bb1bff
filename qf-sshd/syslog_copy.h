// SPDX-License-Identifier: Apache-2.0
// One message to the machine's log, as syslog(3) would send it, but never waiting and keeping no descriptor:
// a process that closes descriptors by their numbers and changes its user would keep the wrong one.
#pragma once

#include <string>
#include <string_view>

namespace qf {

// `socket`: /dev/log; `priority`: facility and level of syslog(3). A log that is not there, or that is full,
// does not get the message.
void send_to_syslog(const std::string& socket, int priority, const char* name, std::string_view text);

}  // namespace qf
