// SPDX-License-Identifier: Apache-2.0
// For what a test does to its own process and must not stay: limits, mask, title.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace qf {

// What `check` says in a child of its own.
inline bool in_child(const std::function<bool()>& check) {
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(check() ? 0 : 1);
  int status = -1;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace qf
