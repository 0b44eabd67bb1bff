// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "libqf/fd.h"
#include "libqf/log.h"

namespace qf {

namespace {

using FilterContext = std::unique_ptr<void, decltype(&::seccomp_release)>;

// Calls that need no look at their arguments.
constexpr int kAllowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(shutdown),
    SCMP_SYS(accept4),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sched_yield),
    SCMP_SYS(clock_nanosleep),
};

// Calls that libraries try on their own and that may simply not work.
constexpr int kRefused[] = {
    SCMP_SYS(open),        SCMP_SYS(openat),     SCMP_SYS(stat),       SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),  SCMP_SYS(statx),      SCMP_SYS(access),     SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),  SCMP_SYS(readlink),   SCMP_SYS(readlinkat), SCMP_SYS(fstat),
    SCMP_SYS(lseek),       SCMP_SYS(getsockopt), SCMP_SYS(uname),      SCMP_SYS(getuid),
    SCMP_SYS(geteuid),     SCMP_SYS(getgid),     SCMP_SYS(getegid),    SCMP_SYS(getpeername),
    SCMP_SYS(getsockname), SCMP_SYS(sysinfo),    SCMP_SYS(prctl),      SCMP_SYS(socket),
    SCMP_SYS(mremap),
};

// Calls that are allowed, or refused, when all of these conditions on their arguments hold.
struct Narrow {
  int call;
  std::vector<scmp_arg_cmp> conditions;
  uint32_t action = SCMP_ACT_ALLOW;
};

std::vector<Narrow> narrow_calls() {
  return {
      // Memory, but never code; and none that RLIMIT_DATA does not count: shared, or a stack's (which mremap
      // would
      // make of the one that there is).
      {SCMP_SYS(mmap),
       {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
        SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_SHARED | MAP_GROWSDOWN, 0)}},
      {SCMP_SYS(mprotect), {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)}},
      // Only to who is connected. MSG_FASTOPEN connects: a listening socket that is shut down is as good as a
      // new
      // one.
      {SCMP_SYS(sendto), {SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0), SCMP_A4(SCMP_CMP_EQ, 0)}},
      {SCMP_SYS(sendmsg), {SCMP_A2(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0)}},
      {SCMP_SYS(fcntl), {SCMP_A1(SCMP_CMP_EQ, F_GETFL)}},
      {SCMP_SYS(fcntl), {SCMP_A1(SCMP_CMP_EQ, F_SETFL)}},
      {SCMP_SYS(fcntl), {SCMP_A1(SCMP_CMP_EQ, F_GETFD)}},
      {SCMP_SYS(fcntl), {SCMP_A1(SCMP_CMP_EQ, F_SETFD)}},
      {SCMP_SYS(fcntl), {SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC)}},
      {SCMP_SYS(prlimit64), {SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A1(SCMP_CMP_EQ, RLIMIT_DATA)}},
      {SCMP_SYS(setitimer), {SCMP_A0(SCMP_CMP_EQ, ITIMER_PROF)}},
      // a terminal's size is all that net may set
      {SCMP_SYS(ioctl), {SCMP_A1(SCMP_CMP_EQ, TIOCSWINSZ)}},
      // of a socket, when it acknowledges; libraries try others
      {SCMP_SYS(setsockopt), {SCMP_A1(SCMP_CMP_EQ, IPPROTO_TCP), SCMP_A2(SCMP_CMP_EQ, TCP_QUICKACK)}},
      {SCMP_SYS(setsockopt), {SCMP_A1(SCMP_CMP_NE, IPPROTO_TCP)}, SCMP_ACT_ERRNO(EACCES)},
      {SCMP_SYS(setsockopt), {SCMP_A2(SCMP_CMP_NE, TCP_QUICKACK)}, SCMP_ACT_ERRNO(EACCES)},
  };
}

int add_rules(scmp_filter_ctx context) {
  for (int call : kAllowed) {
    if (int code = ::seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 0); code != 0) return code;
  }
  for (int call : kRefused) {
    if (int code = ::seccomp_rule_add(context, SCMP_ACT_ERRNO(EACCES), call, 0); code != 0) return code;
  }
  for (const auto& [call, conditions, action] : narrow_calls()) {
    auto count = static_cast<unsigned>(conditions.size());
    int code = ::seccomp_rule_add_array(context, action, call, count, conditions.data());
    if (code != 0) return code;
  }
  return 0;
}

}  // namespace

Result<SyscallFilter> make_net_filter() {
  FilterContext context(::seccomp_init(SCMP_ACT_KILL_PROCESS), &::seccomp_release);
  if (context == nullptr) return system_error("cannot make a system call filter");
  if (int code = add_rules(context.get()); code != 0) {
    errno = -code;
    return system_error("cannot make a system call filter");
  }
  Fd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) return system_error("cannot make a system call filter");
  if (int code = ::seccomp_export_bpf(context.get(), file.get()); code != 0) {
    errno = -code;
    return system_error("cannot export the system call filter");
  }
  off_t size = ::lseek(file.get(), 0, SEEK_END);
  SyscallFilter filter(static_cast<size_t>(size) / sizeof(sock_filter));
  if (size <= 0 || ::pread(file.get(), filter.data(), static_cast<size_t>(size), 0) != size) {
    return system_error("cannot read the system call filter");
  }
  return filter;
}

Status keep_only(const std::vector<int>& kept) {
  release_log();
  auto null = open_file("/dev/null", O_RDWR);
  if (!null) return null.error();
  if (::dup2(null->get(), STDIN_FILENO) < 0 || ::dup2(null->get(), STDOUT_FILENO) < 0) {
    return system_error("cannot close standard input and output");
  }
  auto sorted = kept;
  std::sort(sorted.begin(), sorted.end());
  unsigned first = STDERR_FILENO + 1;
  for (int fd : sorted) {
    auto number = static_cast<unsigned>(fd);
    if (number > first && ::close_range(first, number - 1, 0) != 0)
      return system_error("cannot close descriptors");
    first = std::max(first, number + 1);
  }
  // `null` is closed here with the rest
  if (std::find(sorted.begin(), sorted.end(), null->get()) == sorted.end())
    static_cast<void>(null->release());
  if (::close_range(first, ~0U, 0) != 0) return system_error("cannot close descriptors");
  return Done{};
}

Status become(uid_t uid, gid_t gid) {
  if (::setgroups(0, nullptr) != 0) return system_error("cannot drop groups");
  if (::setresgid(gid, gid, gid) != 0) return system_error("cannot become gid " + std::to_string(gid));
  if (::setresuid(uid, uid, uid) != 0) return system_error("cannot become uid " + std::to_string(uid));
  if (::setuid(0) == 0 || ::setgid(0) == 0) return refused("privileges could be taken back");
  return Done{};
}

Status enter_empty_root(const std::string& folder) {
  if (::chdir(folder.c_str()) != 0) return system_error("cannot enter " + folder);
  if (::chroot(".") != 0) return system_error("cannot make " + folder + " the root folder");
  return Done{};
}

Status forbid_growth() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("cannot set no_new_privs");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return system_error("cannot forbid core dumps");
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return system_error("cannot tie the process to its parent");
  const rlimit none = {0, 0};
  for (auto resource : {RLIMIT_CORE, RLIMIT_FSIZE, RLIMIT_NPROC}) {
    if (::setrlimit(resource, &none) != 0) return system_error("cannot set a limit");
  }
  return Done{};
}

Status forbid_files() {
  landlock_ruleset_attr attributes = {};
  attributes.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // all of ABI 1
  Fd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!rules) {
    // EPERM is no error of its own: it is what the filter of a container says to calls that it does not know
    if (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM) return Done{};
    return system_error("cannot make a Landlock rule set");
  }
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0)
    return system_error("cannot apply Landlock");
  return Done{};
}

Status limit_memory() {
  const rlimit limit = {kMostMemoryBefore, kMostMemoryAfter};
  if (::setrlimit(RLIMIT_DATA, &limit) != 0) return system_error("cannot limit memory");
  return Done{};
}

Status allow_more_memory() {
  const rlimit limit = {kMostMemoryAfter, kMostMemoryAfter};
  if (::prlimit(0, RLIMIT_DATA, &limit, nullptr) != 0) return system_error("cannot raise the memory limit");
  return Done{};
}

Status limit_turn() {
  const itimerval limit = {{0, 0}, {kMostTurnSeconds, 0}};
  if (::setitimer(ITIMER_PROF, &limit, nullptr) != 0) return system_error("cannot set a timer");
  return Done{};
}

Status load_filter(const SyscallFilter& filter) {
  sock_fprog program = {static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return system_error("cannot load the system call filter");
  return Done{};
}

}  // namespace qf
