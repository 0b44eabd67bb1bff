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

bool ssh_jumps_without_end() {
  constexpr size_t kMostWords = 65536;
  auto words = [](const std::string& pid) { return read_file("/proc/" + pid + "/cmdline", kMostWords); };
  std::string parent = std::to_string(::getppid());
  auto stat = read_file("/proc/" + parent + "/stat", 4096);
  if (!stat || !start_time(*stat, "ssh")) return false;
  auto fields = split(std::string_view(*stat).substr(stat->rfind(") ") + 2), ' ');  // STATE PPID …
  auto own = words(parent);
  auto above = words(fields[1]);
  return own && above && *own == *above && own->find(std::string("\0-W\0", 4)) != std::string::npos;
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
