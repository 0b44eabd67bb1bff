// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/greeting.h"

#include <paths.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libqf/fd.h"

namespace qf {

namespace {

constexpr size_t kMostMotdBytes = 65536;

bool exists(const std::string& path) {
  struct stat st = {};
  return ::stat(path.c_str(), &st) == 0;
}

// In a child of the session: shell -c command, with standard input from `input`.
[[noreturn]] void execute(const std::string& shell, const std::string& command, const Fd& input,
                          const std::vector<char*>& environment) {
  std::string name = shell.substr(shell.rfind('/') + 1);
  std::string option = "-c";
  std::string text = command;
  char* words[] = {name.data(), option.data(), text.data(), nullptr};
  if (::dup2(input.get(), STDIN_FILENO) >= 0) ::execve(shell.c_str(), words, environment.data());
  ::_exit(127);
}

}  // namespace

bool wants_silence(const Account& account) {
  return exists(account.home + "/.hushlogin");
}

std::string motd_text(const std::string& path) {
  auto text = read_file(path, kMostMotdBytes);
  return text ? *text : "";
}

bool run_rc_file(const RcRun& run) {
  std::string shell = _PATH_BSHELL;
  std::string command = std::string(_PATH_BSHELL) + " ";
  if (!run.subsystem && exists(kUserRc)) {
    shell = run.account.shell;
    command += kUserRc;
  } else if (exists(run.system_rc)) {
    command += run.system_rc;
  } else {
    return false;
  }
  auto pipe = make_pipe();
  if (!pipe) return true;
  pid_t pid = ::fork();
  if (pid < 0) return true;
  if (pid == 0) execute(shell, command, pipe->first, run.environment);
  pipe->first.reset();
  // a file that does not read is no reason to die of SIGPIPE
  ::signal(SIGPIPE, SIG_IGN);
  static_cast<void>(!write_all(pipe->second.get(), run.input));
  ::signal(SIGPIPE, SIG_DFL);
  pipe->second.reset();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return true;
}

}  // namespace qf
