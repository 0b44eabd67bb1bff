// SPDX-License-Identifier: Apache-2.0
#include "libqf/parent.h"

#include <unistd.h>

#include "libqf/fd.h"
#include "libqf/text.h"

namespace qf {

std::optional<Parent> parent_ssh() {
  pid_t pid = ::getppid();
  auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) return std::nullopt;
  auto start = start_time(*stat, "ssh");
  // When the parent ended meanwhile, its pid may be somebody else's by now.
  if (!start || ::getppid() != pid) return std::nullopt;
  return Parent{pid, *start};
}

std::optional<std::string> start_time(std::string_view stat, std::string_view name) {
  // "PID (NAME) STATE PPID …": the name may hold spaces and parentheses, so its end is the last one.
  size_t open = stat.find('(');
  size_t close = stat.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return std::nullopt;
  if (stat.substr(open + 1, close - open - 1) != name) return std::nullopt;
  auto rest = split(stat.substr(close + 2), ' ');
  constexpr size_t kStart = 22 - 3;  // rest begins with field 3
  if (rest.size() <= kStart || !parse_number(rest[kStart], UINT64_MAX)) return std::nullopt;
  return rest[kStart];
}

}  // namespace qf
