// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/session.h"

#include <fcntl.h>
#include <grp.h>
#include <paths.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-sshd/client_variables.h"
#include "qf-sshd/greeting.h"
#include "qf-sshd/process_title.h"
#include "qf-sshd/user_process.h"

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

Result<Stdio> make_terminal(const PtyRequest& terminal, const Account& account, bool privileged) {
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

void take_stdio(Stdio& stdio) {
  if (::setsid() < 0) fail_child("cannot start a session");
  if (!stdio.tty.empty() && ::ioctl(stdio.inside[0].get(), TIOCSCTTY, 0) != 0)
    fail_child("cannot take the terminal");
  for (int i = 0; i < 3; ++i) {
    if (::dup2(stdio.inside[i].get(), i) < 0) fail_child("cannot set up standard input and output");
  }
  if (::close_range(3, ~0U, 0) != 0) fail_child("cannot close descriptors");
}

void enter_home(const Account& account) {
  if (::chdir(account.home.c_str()) == 0) return;
  std::string line =
      "could not change to the home folder " + account.home + ": " + std::strerror(errno) + "\n";
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
  if (::chdir("/") != 0) fail_child("cannot change to /");
}

// The cookie becomes known to the user's programs through xauth(1); on its standard input, since arguments
// can be seen by everybody. Without xauth the display is there, and its programs are turned away.
void register_display(const Settings& settings, const SessionForwards& forwards,
                      const std::vector<char*>& variables) {
  if (!forwards.display || settings.xauth.empty()) return;
  // xauth's name for it: sshd's "unix:N" stands for every way to reach localhost:N
  std::string display =
      "unix:" + std::to_string(*forwards.display) + "." + std::to_string(forwards.x11.screen);
  std::string commands = "remove " + display + "\nadd " + display + " " + forwards.x11.protocol + " " +
                         forwards.x11.cookie + "\n";
  auto pipe = make_pipe();
  if (!pipe) return;
  pid_t pid = ::fork();
  if (pid < 0) return;
  if (pid == 0) {
    auto null = open_file("/dev/null", O_WRONLY);
    if (!null || ::dup2(pipe->first.get(), STDIN_FILENO) < 0 || ::dup2(null->get(), STDOUT_FILENO) < 0 ||
        ::dup2(null->get(), STDERR_FILENO) < 0) {
      ::_exit(255);
    }
    std::string program = settings.xauth, quiet = "-q", from_input = "-";
    char* words[] = {program.data(), quiet.data(), from_input.data(), nullptr};
    ::execve(words[0], words, variables.data());
    ::_exit(255);
  }
  pipe->first.reset();
  // shorter than a pipe holds, so this does not wait; one that cannot be run reads nothing
  ::signal(SIGPIPE, SIG_IGN);
  static_cast<void>(write_all(pipe->second.get(), commands));
  ::signal(SIGPIPE, SIG_DFL);
  pipe->second.reset();
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

// What a shell with a terminal says first; sshd(8) is silent when there is a command, or ~/.hushlogin.
void greet(const SessionPlan& plan, const SessionRequest& request, const std::optional<LastLogin>& last) {
  if (!request.terminal || request.kind != SessionKind::kShell || wants_silence(plan.account)) return;
  std::string text = plan.context.greeting;
  if (last) text += last_login_text(*last) + "\n";
  if (!plan.context.pam) text += motd_text();
  static_cast<void>(!write_all(STDOUT_FILENO, text));
}

std::vector<char*> pointers(std::vector<std::string>& environment) {
  std::vector<char*> variables;
  for (auto& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);
  return variables;
}

[[noreturn]] void execute(const SessionPlan& plan, const SessionRequest& request,
                          const std::vector<char*>& variables) {
  const std::string& path = plan.account.shell;
  std::string base = path.substr(path.rfind('/') + 1);
  std::string login_name = "-" + base;
  std::string option = "-c";
  std::string command = request.command;
  // by the login shell, as sshd does: an account whose shell is nologin has no sftp either
  if (request.kind == SessionKind::kSubsystem) command = "exec " + plan.settings.sftp_server;
  char* shell[] = {login_name.data(), nullptr};
  char* with_command[] = {base.data(), option.data(), command.data(), nullptr};
  ::execve(path.c_str(), request.kind == SessionKind::kShell ? shell : with_command, variables.data());
  fail_child("cannot execute " + path);
}

// The child of fork(2). `record`: of a login that is to be entered, its pid is this process.
[[noreturn]] void run_session(const SessionPlan& plan, const SessionRequest& request,
                              const SessionForwards& forwards, Stdio& stdio,
                              std::optional<UtmpRecord> record) {
  hide_memory();
  set_title(plan.account.name + "@" + (record ? record->terminal.substr(sizeof "/dev/" - 1) : "notty"));
  // here and not in the monitor: a lock on utmp that somebody holds delays this session alone
  std::optional<LastLogin> last;
  if (record) {
    record->pid = ::getpid();
    last = record_login(*record);
  }
  auto environment = session_environment(plan, request, forwards, stdio.tty);
  auto variables = pointers(environment);
  take_stdio(stdio);
  reset_signals();
  auto became = become_user(plan.settings, plan.account, plan.context);
  if (!became) fail_child(became.error());
  // where fs.suid_dumpable is not 0, the change of user has made the process dumpable
  hide_memory();
  enter_home(plan.account);
  greet(plan, request, last);
  std::string rc_input = forwards.display ? forwards.x11.protocol + " " + forwards.x11.cookie + "\n" : "";
  bool told = run_rc_file({plan.account, request.kind == SessionKind::kSubsystem, rc_input, variables});
  if (!told) register_display(plan.settings, forwards, variables);
  execute(plan, request, variables);
}

}  // namespace

std::string display_name(const SessionForwards& forwards) {
  return "localhost:" + std::to_string(*forwards.display) + "." + std::to_string(forwards.x11.screen);
}

std::vector<std::string> session_environment(const SessionPlan& plan, const SessionRequest& request,
                                             const SessionForwards& forwards, const std::string& tty) {
  const Account& account = plan.account;
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : request.environment) {
    if (accepted_variable(name) && value.find('\0') == std::string::npos) variables[name] = value;
  }
  for (const auto& variable : plan.context.environment) {
    size_t equals = variable.find('=');
    // what is about this connection is not for a file or a module to say
    if (equals == std::string::npos || equals == 0 || variable.rfind("SSH_", 0) == 0) continue;
    variables[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  variables.try_emplace("PATH", account.uid == 0 ? kRootPath : kUserPath);
  variables.try_emplace("MAIL", std::string(_PATH_MAILDIR) + "/" + account.name);
  if (const char* zone = ::getenv("TZ")) variables.try_emplace("TZ", zone);
  variables["USER"] = variables["LOGNAME"] = account.name;
  variables["HOME"] = account.home;
  variables["SHELL"] = account.shell;
  variables["SSH_CLIENT"] = plan.ends.client_address + " " + std::to_string(plan.ends.client_port) + " " +
                            std::to_string(plan.ends.server_port);
  variables["SSH_CONNECTION"] = connection_text(plan.ends);
  if (!tty.empty()) {
    variables["SSH_TTY"] = tty;
    if (request.terminal && !request.terminal->type.empty()) variables["TERM"] = request.terminal->type;
  }
  if (!forwards.agent_socket.empty()) variables["SSH_AUTH_SOCK"] = forwards.agent_socket;
  if (forwards.display) variables["DISPLAY"] = display_name(forwards);
  std::vector<std::string> environment;
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  return environment;
}

Result<SpawnedSession> spawn_session(const SessionPlan& plan, const SessionRequest& request,
                                     const SessionForwards& forwards) {
  auto stdio = request.terminal ? make_terminal(*request.terminal, plan.account, plan.settings.privileged)
                                : make_pipes();
  if (!stdio) return stdio.error();
  std::optional<UtmpRecord> record;
  if (request.terminal && plan.settings.privileged) {
    record = UtmpRecord{plan.account.name, plan.account.uid, stdio->tty, plan.ends.client_address, 0};
  }
  pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start a process");
  if (pid == 0) run_session(plan, request, forwards, *stdio, std::move(record));
  SpawnedSession session;
  session.pid = pid;
  session.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  for (auto& fd : stdio->outside) session.fds.push_back(std::move(fd));
  if (record) record->pid = pid;
  session.record = std::move(record);
  if (!session.pidfd) return system_error("cannot watch the process");
  return session;
}

}  // namespace qf
