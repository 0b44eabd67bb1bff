// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/live_session.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "libqf/text.h"
#include "qf-sshd/jail.h"
#include "qf-sshd/process_title.h"

namespace qf {

namespace {

// Those of RFC 4254 section 6.10.
constexpr int kNamed[] = {SIGABRT, SIGALRM, SIGFPE,  SIGHUP,  SIGILL,  SIGINT, SIGKILL,
                          SIGPIPE, SIGQUIT, SIGSEGV, SIGTERM, SIGUSR1, SIGUSR2};

constexpr auto kLogoutPatience = std::chrono::milliseconds(200);
constexpr size_t kMostDescendants = 2000;  // each is a descriptor for a moment
constexpr size_t kMostChildrenBytes = size_t{1} << 20;
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
  std::vector<Fd> found;
  std::vector<pid_t> parents;
  if (!ended) parents.push_back(pid);
  while (!parents.empty() && found.size() < kMostDescendants) {
    std::string task = std::to_string(parents.back());
    parents.pop_back();
    auto children = read_file("/proc/" + task + "/task/" + task + "/children", kMostChildrenBytes);
    if (!children) continue;
    for (const auto& word : split(*children, ' ')) {
      auto child = parse_number(word, std::numeric_limits<pid_t>::max());
      if (!child) continue;
      Fd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(*child), 0)));
      if (!process) continue;
      found.push_back(std::move(process));
      parents.push_back(static_cast<pid_t>(*child));
    }
  }
  return found;
}

bool LiveSession::reap() {
  int status = 0;
  if (::waitpid(pid, &status, WNOHANG) != pid) return false;
  ended = true;
  // while net still holds the terminal, so that it is nobody else's yet
  enter_logout(kLogoutPatience);
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
