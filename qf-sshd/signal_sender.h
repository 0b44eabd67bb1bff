// SPDX-License-Identifier: Apache-2.0
// Signals of the client to its sessions, sent with the user's rights: a session's process group may hold
// setuid programs that the user must not be able to end. Runs in the monitor (root); each signal is sent by a
// child that is the user's, so the user may stop it: it is never waited for, and killed after a moment. One
// at a time, so that they arrive in order, and not without limit: what is too much is dropped.
#pragma once

#include <sys/types.h>

#include <deque>

#include "libqf/fd.h"
#include "qf-sshd/account.h"

namespace qf {

class SignalSender {
 public:
  static constexpr size_t kMostWaiting = 32;
  static constexpr auto kPause = std::chrono::milliseconds(10);      // between two children
  static constexpr auto kPatience = std::chrono::milliseconds(500);  // with a child

  // privileged: become `account` for it.
  explicit SignalSender(bool privileged) : privileged_(privileged) {}
  ~SignalSender();
  SignalSender(const SignalSender&) = delete;
  SignalSender& operator=(const SignalSender&) = delete;

  // What the user may not do, and what does not work, is nobody's business.
  void send(const Account& account, pid_t group, int signal);
  // The session has ended: its number may soon be another's.
  void forget(pid_t group);

  // The monitor ends.
  void stop();
  // The one that sends, until it is reaped; -1: none.
  [[nodiscard]] pid_t child() const { return child_; }

  // To be polled; -1: nothing to wait for. turn() when it is readable or the time has come.
  [[nodiscard]] int fd() const { return pidfd_.get(); }
  [[nodiscard]] Deadline deadline() const;
  void turn();

 private:
  struct Waiting {
    Account account;
    pid_t group;
    int signal;
  };
  void start_next();
  bool privileged_;
  std::deque<Waiting> waiting_;
  pid_t child_ = -1;
  Fd pidfd_;
  Deadline until_ = Deadline::max();  // for the child to end
  Deadline next_ = Deadline::min();   // not before
};

}  // namespace qf
