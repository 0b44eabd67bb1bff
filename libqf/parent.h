// SPDX-License-Identifier: Apache-2.0
// Which ssh runs us. Match exec and ProxyCommand of one connection have the same parent process; its pid and
// start time together name it until the machine restarts, also when the pid is used again.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace qf {

struct Parent {
  pid_t pid = 0;
  std::string start;  // field 22 of /proc/PID/stat, clock ticks since boot
};

// The parent process, when its command name is "ssh"; a client of another name loads no certificate file.
[[nodiscard]] std::optional<Parent> parent_ssh();

// Whether the ssh that runs us is the proxy command (-W, of ProxyJump) of one with the very same words, so
// that it would have yet another one, without end. ssh itself sees that only as long as the port is the
// jump's.
[[nodiscard]] bool ssh_jumps_without_end();

// The start time out of the text of /proc/PID/stat when the command name is `name`.
[[nodiscard]] std::optional<std::string> start_time(std::string_view stat, std::string_view name);

}  // namespace qf
