// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/session.h"

#include <fcntl.h>
#include <grp.h>
#include <paths.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utmp.h>

#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr int kPipeBytes = 1 << 20;  // F_SETPIPE_SZ: bulk data moves in few turns
constexpr const char* kUserPath = "/usr/local/bin:/usr/bin:/bin:/usr/games";
constexpr const char* kRootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Standard input, output and error of the session, and the ends that net gets.
struct Stdio {
  Fd inside[3];     // the session's
  Fd outside[3];    // net's
  std::string tty;  // path of the terminal, empty: none
};

Result<Stdio> make_pipes() {
  Stdio stdio;
  for (int i = 0; i < 3; ++i) {
    auto pipe = make_pipe();
    if (!pipe) return pipe.error();
    // a smaller pipe (the user's limit is used up) is only slower
    static_cast<void>(::fcntl(pipe->first.get(), F_SETPIPE_SZ, kPipeBytes));
    stdio.inside[i] = std::move(i == 0 ? pipe->first : pipe->second);
    stdio.outside[i] = std::move(i == 0 ? pipe->second : pipe->first);
  }
  return stdio;
}

Result<Stdio> make_terminal(const Terminal& terminal, const Account& account, bool privileged) {
  winsize size = {static_cast<unsigned short>(terminal.rows), static_cast<unsigned short>(terminal.columns),
                  static_cast<unsigned short>(terminal.width), static_cast<unsigned short>(terminal.height)};
  int master = -1;
  int slave = -1;
  char name[128] = {};
  if (::openpty(&master, &slave, name, nullptr, &size) != 0) return system_error("cannot open a terminal");
  Stdio stdio;
  stdio.tty = name;
  stdio.outside[0] = Fd(master);
  stdio.inside[0] = Fd(slave);
  if (::fcntl(master, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(slave, F_SETFD, FD_CLOEXEC) != 0) {
    return system_error("cannot set up the terminal");
  }
  // the user owns the terminal; group tty may write to it (write(1), wall(1)), nobody else may look
  if (privileged) {
    const group* tty = ::getgrnam("tty");
    gid_t gid = tty != nullptr ? tty->gr_gid : account.gid;
    if (::fchown(slave, account.uid, gid) != 0 || ::fchmod(slave, tty != nullptr ? 0620 : 0600) != 0) {
      return system_error("cannot give the terminal to the user");
    }
  }
  for (int i = 1; i < 3; ++i) {
    auto outside = duplicate(master);
    auto inside = duplicate(slave);
    if (!outside) return outside.error();
    if (!inside) return inside.error();
    stdio.outside[i] = std::move(*outside);
    stdio.inside[i] = std::move(*inside);
  }
  return stdio;
}

// ---- in the child, after fork: only exec or _exit leads out -----------------------------------------------

[[noreturn]] void fail(const std::string& what) {
  std::string line = "qf-sshd: " + what + ": " + std::strerror(errno) + "\n";
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
  ::_exit(255);
}

// Until execve(2) this is a copy of the monitor, host key included, and soon it belongs to the user, who may
// stop and look at processes of that uid. What is not dumpable cannot be looked at; execve makes it dumpable
// again.
void hide_memory() {
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) fail("cannot hide the process");
}

void take_stdio(Stdio& stdio) {
  if (::setsid() < 0) fail("cannot start a session");
  if (!stdio.tty.empty() && ::ioctl(stdio.inside[0].get(), TIOCSCTTY, 0) != 0)
    fail("cannot take the terminal");
  for (int i = 0; i < 3; ++i) {
    if (::dup2(stdio.inside[i].get(), i) < 0) fail("cannot set up standard input and output");
  }
  if (::close_range(3, ~0U, 0) != 0) fail("cannot close descriptors");
}

void reset_signals() {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  // kernel-internal real-time signals refuse the change, which is fine
  for (int s = 1; s < NSIG; ++s) static_cast<void>(::sigaction(s, &standard, nullptr));
  sigset_t none;
  sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) fail("cannot reset signals");
}

void restore_limits(const Settings& settings) {
  rlimit limit = {};
  if (settings.open_files == 0 || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = settings.open_files;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("cannot restore the file limit");
}

void become_user(const Account& account) {
  if (::initgroups(account.name.c_str(), account.gid) != 0) fail("cannot set groups");
  if (::setresgid(account.gid, account.gid, account.gid) != 0) fail("cannot set the group");
  if (::setresuid(account.uid, account.uid, account.uid) != 0) fail("cannot set the user");
  if (account.uid != 0 && (::setuid(0) == 0 || ::seteuid(0) == 0)) {
    errno = EPERM;
    fail("root could be taken back");
  }
}

void enter_home(const Account& account) {
  if (::chdir(account.home.c_str()) == 0) return;
  std::string line =
      "could not change to the home folder " + account.home + ": " + std::strerror(errno) + "\n";
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
  if (::chdir("/") != 0) fail("cannot change to /");
}

[[noreturn]] void execute(const Settings& settings, const Account& account, const SessionRequest& request,
                          std::vector<std::string>& environment) {
  std::vector<char*> variables;
  for (auto& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);
  std::string base = account.shell.substr(account.shell.rfind('/') + 1);
  std::string login_name = "-" + base;
  std::string option = "-c";
  std::string command = request.command;
  // by the login shell, as sshd does: an account whose shell is nologin has no sftp either
  if (request.kind == SessionKind::kSubsystem) command = "exec " + settings.sftp_server;
  char* shell[] = {login_name.data(), nullptr};
  char* with_command[] = {base.data(), option.data(), command.data(), nullptr};
  ::execve(account.shell.c_str(), request.kind == SessionKind::kShell ? shell : with_command,
           variables.data());
  fail("cannot execute " + account.shell);
}

}  // namespace

bool accepted_variable(const std::string& name) {
  if (name == "LANG" || name == "COLORTERM" || name == "NO_COLOR") return true;
  if (name.size() < 4 || name.compare(0, 3, "LC_") != 0 || name.size() > 64) return false;
  return name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == std::string::npos;
}

std::vector<std::string> session_environment(const Account& account, const SessionRequest& request,
                                             const ConnectionEnds& ends, const std::string& tty) {
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : request.environment) {
    if (accepted_variable(name) && value.find('\0') == std::string::npos) variables[name] = value;
  }
  variables["USER"] = variables["LOGNAME"] = account.name;
  variables["HOME"] = account.home;
  variables["SHELL"] = account.shell;
  variables["PATH"] = account.uid == 0 ? kRootPath : kUserPath;
  variables["MAIL"] = std::string(_PATH_MAILDIR) + "/" + account.name;
  std::string client = ends.client_address + " " + std::to_string(ends.client_port);
  variables["SSH_CLIENT"] = client + " " + std::to_string(ends.server_port);
  variables["SSH_CONNECTION"] = client + " " + ends.server_address + " " + std::to_string(ends.server_port);
  if (!tty.empty()) {
    variables["SSH_TTY"] = tty;
    if (request.terminal && !request.terminal->type.empty()) variables["TERM"] = request.terminal->type;
  }
  if (const char* zone = ::getenv("TZ")) variables["TZ"] = zone;
  std::vector<std::string> environment;
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  return environment;
}

Result<SpawnedSession> spawn_session(const Settings& settings, const Account& account,
                                     const SessionRequest& request, const ConnectionEnds& ends) {
  auto stdio =
      request.terminal ? make_terminal(*request.terminal, account, settings.privileged) : make_pipes();
  if (!stdio) return stdio.error();
  // everything that allocates happens before fork
  auto environment = session_environment(account, request, ends, stdio->tty);
  pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start a process");
  if (pid == 0) {
    hide_memory();
    take_stdio(*stdio);
    reset_signals();
    restore_limits(settings);
    if (settings.privileged) become_user(account);
    ::umask(022);
    enter_home(account);
    execute(settings, account, request, environment);
  }
  SpawnedSession session;
  session.pid = pid;
  session.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  for (auto& fd : stdio->outside) session.fds.push_back(std::move(fd));
  if (!session.pidfd) return system_error("cannot watch the process");
  return session;
}

}  // namespace qf
