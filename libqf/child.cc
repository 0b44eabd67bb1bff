// SPDX-License-Identifier: Apache-2.0
#include "libqf/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "libqf/systemd.h"
#include "libqf/text.h"

// The header of glibc 2.36 does not say that its functions are C.
extern "C" {
#include <sys/pidfd.h>
}

namespace qf {

namespace {

struct Prepared {
  std::vector<char*> argv;  // NULL at its end
  std::vector<char*> envp;  // the same
  char* listen_pid;         // where the digits of LISTEN_PID go; null: nothing is handed on
  std::vector<int> handed;
  std::array<int, 3> stdio;
  int death_signal;
  bool detached;
  pid_t parent;
  int report_fd;  // close-on-exec: its closing tells the parent that the exec worked
};

constexpr size_t kPidDigits = 20;
constexpr std::string_view kListenPid = "LISTEN_PID=";

// The descriptors to hand on, in their places. Copies above those first, of what reports to the parent too: a
// place may be taken by another of them.
void take_handed_places(Prepared& prepared, int& report_fd, const auto& fail) {
  if (prepared.handed.empty()) return;
  int above = kFirstHandedFd + static_cast<int>(prepared.handed.size());
  int report = ::fcntl(report_fd, F_DUPFD_CLOEXEC, above);
  if (report < 0) fail();
  report_fd = report;
  for (int& fd : prepared.handed) {
    fd = ::fcntl(fd, F_DUPFD_CLOEXEC, above);
    if (fd < 0) fail();
  }
  int place = kFirstHandedFd;
  for (int fd : prepared.handed) {
    if (::dup2(fd, place++) < 0) fail();
  }
}

// In the child after fork: only async-signal-safe calls until exec.
[[noreturn]] void become(Prepared& prepared) {
  int report_fd = prepared.report_fd;
  auto fail = [&] {
    int code = errno;
    ssize_t n = ::write(report_fd, &code, sizeof code);
    ::_exit(n == sizeof code ? 127 : 126);
  };
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) fail();
  if (prepared.death_signal != 0) {
    if (::prctl(PR_SET_PDEATHSIG, prepared.death_signal) != 0) fail();
    // the parent may have died before prctl
    if (::getppid() != prepared.parent) ::_exit(126);
  }
  // Copies above 2 first: one of the given descriptors may itself be 0, 1 or 2.
  std::array<int, 3> copies{-1, -1, -1};
  for (size_t i = 0; i < 3; ++i) {
    if (prepared.stdio[i] < 0) continue;
    copies[i] = ::fcntl(prepared.stdio[i], F_DUPFD_CLOEXEC, 3);
    if (copies[i] < 0) fail();
  }
  for (size_t i = 0; i < 3; ++i) {
    if (copies[i] >= 0 && ::dup2(copies[i], static_cast<int>(i)) < 0) fail();
  }
  take_handed_places(prepared, report_fd, fail);
  if (prepared.listen_pid != nullptr)
    std::to_chars(prepared.listen_pid, prepared.listen_pid + kPidDigits, ::getpid());
  if (prepared.detached && (::setsid() < 0 || ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0)) fail();
  ::execve(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
  fail();
  ::_exit(126);
}

// Whether one of these "NAME=value" is for the same variable.
bool replaced_by(const std::vector<std::string>& variables, std::string_view entry) {
  std::string_view name = entry.substr(0, entry.find('=') + 1);
  return std::any_of(variables.begin(), variables.end(),
                     [&](const std::string& variable) { return variable.starts_with(name); });
}

// 0 when the exec worked, else the child's errno.
int exec_error(int fd) {
  int code = 0;
  for (;;) {
    ssize_t n = ::read(fd, &code, sizeof code);
    if (n < 0 && errno == EINTR) continue;
    return n == sizeof code ? code : 0;
  }
}

// Reads what is there; false at the end of the stream.
bool collect(int fd, std::string& into, size_t limit) {
  char buffer[4096];
  ssize_t n = ::read(fd, buffer, sizeof buffer);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  into.append(buffer, std::min(static_cast<size_t>(n), limit - into.size()));
  return n > 0;
}

}  // namespace

Result<Child> Child::spawn(const std::vector<std::string>& arguments, const SpawnOptions& options) {
  auto report = make_pipe();
  if (!report) return report.error();
  // the child knows its pid only after the fork, when it may not allocate any more
  std::string listen_pid = std::string(kListenPid) + std::string(kPidDigits + 1, '\0');
  Prepared prepared{{},
                    {},
                    options.handed.empty() ? nullptr : listen_pid.data() + kListenPid.size(),
                    {},
                    {options.stdin_fd, options.stdout_fd, options.stderr_fd},
                    options.death_signal,
                    options.detached,
                    ::getpid(),
                    report->second.get()};
  for (const auto& argument : arguments) prepared.argv.push_back(const_cast<char*>(argument.c_str()));
  prepared.argv.push_back(nullptr);
  std::vector<std::string> variables = options.environment;
  if (!options.handed.empty()) {
    std::vector<std::string> names;
    for (const auto& handed : options.handed) {
      prepared.handed.push_back(handed.fd);
      names.push_back(handed.name);
    }
    variables.push_back("LISTEN_FDS=" + std::to_string(names.size()));
    variables.push_back("LISTEN_FDNAMES=" + join(names, ":"));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool handed = !options.handed.empty() && std::string_view(*entry).starts_with(kListenPid);
    if (!handed && !replaced_by(variables, *entry)) prepared.envp.push_back(*entry);
  }
  for (const auto& variable : variables) prepared.envp.push_back(const_cast<char*>(variable.c_str()));
  if (!options.handed.empty()) prepared.envp.push_back(listen_pid.data());
  prepared.envp.push_back(nullptr);
  pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start " + arguments[0]);
  if (pid == 0) become(prepared);
  report->second.reset();
  // Our own unreaped child: the pid cannot be another's yet.
  // The wrapper of glibc 2.36 is declared without C linkage.
  Child child(pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
  if (!child.pidfd_) return system_error("cannot watch the new process");
  if (int code = exec_error(report->first.get()); code != 0) {
    errno = code;
    return system_error("cannot execute " + arguments[0]);
  }
  return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      status_(std::exchange(other.status_, std::nullopt)) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this == &other) return *this;
  end();
  pid_ = std::exchange(other.pid_, -1);
  pidfd_ = std::move(other.pidfd_);
  status_ = std::exchange(other.status_, std::nullopt);
  return *this;
}

Child::~Child() {
  end();
}

void Child::end() {
  if (pid_ < 0 || status_) return;
  send_signal(SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  status_ = status;
}

void Child::send_signal(int signal) const {
  if (pid_ > 0 && !status_) ::kill(pid_, signal);
}

Result<int> Child::wait(Deadline deadline) {
  if (status_) return *status_;
  if (auto ended = wait_for(pidfd_.get(), POLLIN, deadline); !ended) return ended.error();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return system_error("cannot wait for process " + std::to_string(pid_));
  }
  status_ = status;
  return status;
}

std::string describe_exit(int wait_status) {
  if (WIFEXITED(wait_status)) return "exited with status " + std::to_string(WEXITSTATUS(wait_status));
  int signal = WTERMSIG(wait_status);
  return "killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
}

Result<ChildPipes> ChildPipes::make() {
  auto null = open_file("/dev/null", O_RDONLY);
  auto out = make_pipe();
  auto err = make_pipe();
  if (!null) return null.error();
  if (!out) return out.error();
  if (!err) return err.error();
  return ChildPipes{std::move(*null), std::move(*out), std::move(*err)};
}

SpawnOptions ChildPipes::options() const {
  SpawnOptions options;
  options.stdin_fd = null.get();
  options.stdout_fd = out.second.get();
  options.stderr_fd = err.second.get();
  return options;
}

void ChildPipes::started() {
  null.reset();
  out.second.reset();
  err.second.reset();
}

namespace {

Result<ChildOutput> run_to_end(const std::vector<std::string>& arguments, ChildPipes pipes,
                               const SpawnOptions& options, Deadline deadline, size_t limit) {
  auto child = Child::spawn(arguments, options);
  if (!child) return child.error();
  pipes.started();
  Fd &out = pipes.out.first, &err = pipes.err.first;
  ChildOutput result;
  while (out || err) {
    // poll(2) ignores the negative descriptor of a stream that has ended
    struct pollfd polled[2] = {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}};
    int n = ::poll(polled, 2, poll_timeout(deadline));
    if (n == 0) return timeout_error(arguments[0] + " did not end in time");
    if (n < 0 && errno != EINTR) return system_error("poll");
    if (n < 0) continue;
    if (polled[0].revents != 0 && !collect(out.get(), result.out, limit)) out.reset();
    if (polled[1].revents != 0 && !collect(err.get(), result.err, limit)) err.reset();
  }
  auto status = child->wait(deadline);
  if (!status) return status.error();
  result.status = *status;
  return result;
}

}  // namespace

Result<ChildOutput> run_program(const std::vector<std::string>& arguments, Deadline deadline, size_t limit) {
  auto pipes = ChildPipes::make();
  if (!pipes) return pipes.error();
  auto options = pipes->options();
  return run_to_end(arguments, std::move(*pipes), options, deadline, limit);
}

Result<ChildOutput> run_program_with(const std::vector<std::string>& arguments, std::string_view input,
                                     const std::vector<std::string>& environment, Deadline deadline,
                                     size_t limit) {
  // no pipe: a program that prints before it has read all could wait for us, and we for it
  Fd file(::memfd_create("input", MFD_CLOEXEC));
  if (!file) return system_error("cannot make the input of " + arguments[0]);
  if (auto written = write_all(file.get(), input); !written) return written.error();
  if (::lseek(file.get(), 0, SEEK_SET) != 0)
    return system_error("cannot rewind the input of " + arguments[0]);
  auto pipes = ChildPipes::make();
  if (!pipes) return pipes.error();
  auto options = pipes->options();
  options.stdin_fd = file.get();
  options.environment = environment;
  options.death_signal = SIGKILL;
  return run_to_end(arguments, std::move(*pipes), options, deadline, limit);
}

}  // namespace qf
