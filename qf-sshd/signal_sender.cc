// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/signal_sender.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace qf {

namespace {

// In the child.
[[noreturn]] void send_as_user(bool privileged, const Account& account, pid_t group, int signal) {
  // a copy of the monitor that its user may stop: it must hold no connection open, and show nothing
  if (::close_range(3, ~0U, 0) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0) ::_exit(1);
  bool user = !privileged || (::setresgid(account.gid, account.gid, account.gid) == 0 &&
                              ::setresuid(account.uid, account.uid, account.uid) == 0);
  // after that, because a change of the user resets it
  if (!user || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) ::_exit(1);
  ::_exit(::kill(-group, signal) == 0 ? 0 : 1);
}

}  // namespace

SignalSender::~SignalSender() {
  stop();
}

void SignalSender::stop() {
  waiting_.clear();
  // whoever inherits it reaps it
  if (child_ > 0) ::kill(child_, SIGKILL);
}

void SignalSender::send(const Account& account, pid_t group, int signal) {
  if (waiting_.size() >= kMostWaiting) return;
  waiting_.push_back({account, group, signal});
  start_next();
}

void SignalSender::forget(pid_t group) {
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.group == group; });
}

void SignalSender::start_next() {
  if (child_ > 0 || waiting_.empty() || Clock::now() < next_) return;
  Waiting next = std::move(waiting_.front());
  waiting_.pop_front();
  next_ = Clock::now() + kPause;
  pid_t pid = ::fork();
  if (pid < 0) return;
  if (pid == 0) send_as_user(privileged_, next.account, next.group, next.signal);
  child_ = pid;
  // without a pidfd the deadline has to do
  pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  until_ = Clock::now() + kPatience;
}

Deadline SignalSender::deadline() const {
  if (child_ > 0) return until_;
  return waiting_.empty() ? Deadline::max() : next_;
}

void SignalSender::turn() {
  if (child_ > 0 && ::waitpid(child_, nullptr, WNOHANG) == child_) {
    child_ = -1;
    pidfd_.reset();
  }
  if (child_ > 0 && Clock::now() >= until_) {
    // also one that is stopped; it is reaped in a later turn
    ::kill(child_, SIGKILL);
    until_ = Clock::now() + kPatience;
  }
  start_next();
}

}  // namespace qf
