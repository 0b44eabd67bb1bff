// SPDX-License-Identifier: Apache-2.0
// What keyfetch may still do: connect, read files (resolver, certificate authorities), start threads (libcurl
// resolves names in one) and allocate. The list has to suit whatever NSS modules the machine has, so a call
// that is not on it is answered ENOSYS, for which libraries have a fallback; what only an intruder would try
// kills the process. Any step that does not work is an error, and the role ends.
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "qf-sshd/keyfetch.h"

namespace qf {

namespace {

using FilterContext = std::unique_ptr<void, decltype(&::seccomp_release)>;

constexpr int kAllowed[] = {
    // bytes
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(eventfd2),
    SCMP_SYS(socketpair),
    SCMP_SYS(memfd_create),
    SCMP_SYS(fcntl),
    // sockets; which families: below. bind is what glibc does with a netlink socket.
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    // waiting
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(futex),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(sched_yield),
    SCMP_SYS(restart_syscall),
    // looking at files
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(getdents64),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(fadvise64),
    // memory, with code: NSS modules are loaded on demand
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(membarrier),
    // threads and signals of our own
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // asking the kernel about time and about ourselves
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getgroups),
    SCMP_SYS(getresuid),
    SCMP_SYS(getresgid),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrlimit),
};

constexpr int kDeadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(kill),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(setuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresgid),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(reboot),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
};

int add_argument_rules(scmp_filter_ctx context) {
  int code = 0;
  auto allow = [&](int call, scmp_arg_cmp condition) {
    if (code == 0) code = ::seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 1, condition);
  };
  for (scmp_datum_t family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}) {
    allow(SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, family));
  }
  // files are opened for reading only
  constexpr scmp_datum_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;
  allow(SCMP_SYS(open), SCMP_A1(SCMP_CMP_MASKED_EQ, kWriting, O_RDONLY));
  allow(SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, kWriting, O_RDONLY));
  // a thread, not a process; clone3 hides its flags in memory, and glibc takes clone when it is missing
  allow(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  for (scmp_datum_t command : {FIONREAD, FIONBIO, TCGETS}) {
    allow(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, command));
  }
  allow(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
  // abort() signals its own process
  allow(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid())));
  // limits of our own may be read
  if (code == 0) {
    code = ::seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0),
                              SCMP_A2(SCMP_CMP_EQ, 0));
  }
  return code;
}

Status filter_system_calls() {
  FilterContext context(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), &::seccomp_release);
  if (context == nullptr) return Error{ErrorKind::kSystem, ENOMEM, "cannot make a system call filter"};
  int code = 0;
  for (int call : kAllowed) {
    if (code == 0) code = ::seccomp_rule_add(context.get(), SCMP_ACT_ALLOW, call, 0);
  }
  for (int call : kDeadly) {
    if (code == 0) code = ::seccomp_rule_add(context.get(), SCMP_ACT_KILL_PROCESS, call, 0);
  }
  if (code == 0) code = add_argument_rules(context.get());
  // sets no_new_privs too
  if (code == 0) code = ::seccomp_load(context.get());
  if (code != 0) return Error{ErrorKind::kSystem, -code, "cannot load the system call filter"};
  return Done{};
}

// Landlock without a rule for what it handles: nothing can be written, made, removed or executed by path.
// Reading stays. Where the kernel has no Landlock the system call filter has to do.
Status forbid_writing_files() {
  landlock_ruleset_attr attributes = {};
  constexpr uint64_t kAll = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // of ABI 1
  attributes.handled_access_fs = kAll & ~uint64_t{LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR};
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

}  // namespace

Status lock_in_keyfetch() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("cannot set no_new_privs");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return system_error("cannot forbid core dumps");
  const rlimit none = {0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return system_error("cannot set a limit");
  if (auto done = forbid_writing_files(); !done) return done;
  return filter_system_calls();
}

}  // namespace qf
