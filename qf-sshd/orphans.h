// SPDX-License-Identifier: Apache-2.0
// What a login's sessions have left behind: processes whose parent has ended (nohup, setsid, daemons). Where
// sshd's become children of init, ours become children of the monitor for as long as it lives, so that it
// finds those of a user whose access is withdrawn, whatever groups and sessions they have made of themselves.
// When the connection ends in an ordinary way they go to init and live on.
//
// Runs in the monitor (root), from the login on. It reaps them; what is the monitor's own child is left to
// its owner.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <vector>

#include "libqf/fd.h"

namespace qf {

// The children of a process at this moment; empty when it has ended.
[[nodiscard]] std::vector<pid_t> children_of(pid_t pid);
// What descends from it, as far as it is to be found at this moment, each held by a pidfd.
[[nodiscard]] std::vector<Fd> descendants_of(pid_t pid);

class Orphans {
 public:
  Orphans() = default;
  Orphans(const Orphans&) = delete;
  Orphans& operator=(const Orphans&) = delete;
  ~Orphans() { stop(); }

  // SIGCHLD is blocked from here on.
  [[nodiscard]] Status start();
  // What the monitor starts then (PAM's modules) has SIGCHLD again.
  void stop();

  // To be polled: a child has ended; then reap(). -1: not started.
  [[nodiscard]] int fd() const { return ended_.get(); }
  // `own`: the children that the monitor has started and not reaped yet.
  void reap(const std::vector<pid_t>& own);
  // Ends those that belong to this user (by the real uid), with what descends from them. What somebody else
  // has become (a daemon that sudo has started) is no part of the login any more.
  void kill_all(const std::vector<pid_t>& own, uid_t uid);

 private:
  Fd ended_;
  sigset_t mask_ = {};
};

}  // namespace qf
