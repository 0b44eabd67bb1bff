// SPDX-License-Identifier: Apache-2.0
// Child processes with one owner. A program is started by its path and an argument vector: no shell, no PATH.
// A child that could not be executed is an error of spawn(), with the errno of execve.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/fd.h"
#include "libqf/result.h"

namespace qf {

// A descriptor for a child, borrowed. No colon in the name.
struct HandedFd {
  int fd = -1;
  std::string name;
};

struct SpawnOptions {
  // Borrowed; -1: the parent's own. Everything else that is not close-on-exec is inherited.
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  // The signal that the kernel sends to the child when the parent dies (PR_SET_PDEATHSIG), 0: none.
  int death_signal = 0;
  // The child gets these under the numbers from kFirstHandedFd on, with LISTEN_PID, LISTEN_FDS and
  // LISTEN_FDNAMES in its environment (libqf/systemd.h). Not together with `detached`.
  std::vector<HandedFd> handed{};
  // A daemon that outlives us: a session of its own, and no descriptor of ours but the three.
  bool detached = false;
  // "NAME=value": added to our own environment, in the place of a variable of the same name.
  std::vector<std::string> environment{};
};

// Owns one child: the destructor kills (SIGKILL) and reaps one that still runs.
class Child {
 public:
  // arguments[0] is the absolute path of the program. Signal dispositions and mask are the defaults.
  [[nodiscard]] static Result<Child> spawn(const std::vector<std::string>& arguments,
                                           const SpawnOptions& options = {});
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // A pidfd: readable (poll) once the child has ended.
  [[nodiscard]] int fd() const { return pidfd_.get(); }
  // Does nothing once the child is reaped, so it never hits a recycled pid.
  void send_signal(int signal) const;
  // Waits for the end and reaps: the status of waitpid(2); kTimeout leaves the child running.
  [[nodiscard]] Result<int> wait(Deadline deadline);
  // Gives it up: it lives on without an owner.
  void leave() { pid_ = -1; }
  // The same status again after it was reaped.
  [[nodiscard]] std::optional<int> status() const { return status_; }

 private:
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  void end();
  pid_t pid_ = -1;
  Fd pidfd_;
  std::optional<int> status_;
};

// "exited with status 3", "killed by signal 9 (Killed)"
[[nodiscard]] std::string describe_exit(int wait_status);

// What a program is started with whose output is read: stdin from /dev/null, a pipe for each of the others.
struct ChildPipes {
  Fd null;
  FdPair out, err;

  [[nodiscard]] static Result<ChildPipes> make();
  // With the ends for the child set.
  [[nodiscard]] SpawnOptions options() const;
  // The child has its ends: ours are closed, so that reading comes to an end.
  void started();
};

struct ChildOutput {
  int status = 0;  // of waitpid(2)
  std::string out;
  std::string err;
};
// Runs a program to its end with stdin from /dev/null and collects what it prints, at most `limit` bytes of
// each; the rest is read and dropped. kTimeout kills it.
[[nodiscard]] Result<ChildOutput> run_program(const std::vector<std::string>& arguments, Deadline deadline,
                                              size_t limit = 65536);
// The same with `input` as its standard input, a file, and these variables as in SpawnOptions; it dies with
// us.
[[nodiscard]] Result<ChildOutput> run_program_with(const std::vector<std::string>& arguments,
                                                   std::string_view input,
                                                   const std::vector<std::string>& environment,
                                                   Deadline deadline, size_t limit);

}  // namespace qf
