// SPDX-License-Identifier: Apache-2.0
// What the attacks of a deliberately compromised net share; see attack.cc.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace qf::hostile {

// What net holds: the socket to its monitor, the monitor's pid, the connection.
struct Foothold {
  int monitor = -1;
  pid_t parent = -1;
  int connection = -1;
};

// One line of the attack log (standard error, which the test makes a pipe).
void report(const std::string& attack, const std::string& outcome);

// System calls (calls.cc). Those that must fail with an error, one after the other, then return; and one that
// must not return.
void try_harmless_calls(const Foothold& foothold, const std::string& when);
void try_fatal_call(const Foothold& foothold, const std::string& when, const std::string& name);

// Messages to the monitor (forge.cc). "list" reports what there is to forge; anything else ends the process
// when the monitor has hung up, or reports that it has not.
void forge(const Foothold& foothold, const std::string& name);

// Socket and descriptors of what the monitor says next; empty: it has hung up.
struct Answer {
  std::string bytes;
  std::vector<int> fds;
};
[[nodiscard]] bool say(int monitor, const std::string& bytes, const std::vector<int>& fds = {});
[[nodiscard]] Answer hear(int monitor);

}  // namespace qf::hostile
