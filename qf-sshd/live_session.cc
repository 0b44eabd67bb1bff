// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/live_session.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "qf-sshd/jail.h"
#include "qf-sshd/orphans.h"
#include "qf-sshd/process_title.h"

namespace qf {

namespace {

// Those of RFC 4254 section 6.10.
constexpr int kNamed[] = {SIGABRT, SIGALRM, SIGFPE,  SIGHUP,  SIGILL,  SIGINT, SIGKILL,
                          SIGPIPE, SIGQUIT, SIGSEGV, SIGTERM, SIGUSR1, SIGUSR2};

constexpr unsigned kLogoutSeconds = 60;  // then it is given up

}  // namespace

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  bool named = std::find(std::begin(kNamed), std::end(kNamed), signal) != std::end(kNamed);
  return std::string(name != nullptr ? name : "UNKNOWN") + (named ? "" : "@openssh.com");
}

int signal_number(const std::string& name) {
  const auto* found = std::find_if(std::begin(kNamed), std::end(kNamed),
                                   [&](int known) { return name == ::sigabbrev_np(known); });
  return found == std::end(kNamed) ? 0 : *found;
}

void LiveSession::signal_group(int number) const {
  // until it is reaped nobody else can have its number
  if (!ended) ::kill(-pid, number);
}

std::vector<Fd> LiveSession::descendants() const {
  return ended ? std::vector<Fd>() : descendants_of(pid);
}

bool LiveSession::reap(std::chrono::milliseconds patience) {
  int status = 0;
  if (::waitpid(pid, &status, WNOHANG) != pid) return false;
  ended = true;
  // while net still holds the terminal, so that it is nobody else's yet
  enter_logout(patience);
  exit = {channel, 0, "", false};
  if (WIFSIGNALED(status)) {
    exit.signal = signal_name(WTERMSIG(status));
    exit.core_dumped = WCOREDUMP(status);
  } else {
    exit.status = static_cast<uint32_t>(WEXITSTATUS(status));
  }
  pidfd.reset();
  return true;
}

void LiveSession::enter_logout(std::chrono::milliseconds patience) {
  if (!record) return;
  auto done = make_pipe();
  if (!done) return;
  pid_t child = ::fork();
  if (child == 0) {
    // the parent of the one that writes is gone at once, so that nobody has to reap it
    if (::fork() != 0) ::_exit(0);
    set_title(role_title("logout record"));
    // above all not the sockets of the connection
    if (!keep_only({done->second.get()})) ::_exit(1);
    ::alarm(kLogoutSeconds);
    record_logout(*record);
    ::_exit(0);
  }
  record.reset();
  if (child < 0) return;
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  done->second.reset();
  static_cast<void>(wait_for(done->first.get(), POLLIN, Clock::now() + patience));
}

AuditEnd LiveSession::audit_end(AuditUser user) const {
  AuditEnd entry;
  entry.channel = channel;
  entry.kind = kind;
  entry.user = std::move(user);
  entry.pid = pid;
  entry.left_running = !ended;
  entry.status = exit.status;
  entry.signal = exit.signal;
  entry.bytes_in = bytes_in;
  entry.bytes_out = bytes_out;
  entry.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  return entry;
}

}  // namespace qf
