// SPDX-License-Identifier: Apache-2.0
// System calls that net must not be able to make. Each is made in earnest: its arguments are such that it
// would do harm if it were let through.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "qf-sshd/messages.h"
#include "tests/hostile/attack.h"

namespace qf::hostile {

namespace {

using Call = long (*)(const Foothold& foothold);

struct Attack {
  const char* name;
  Call call;
  bool after_only = false;  // wants something of a session
};

constexpr const char* kFile = "/etc/passwd";
constexpr size_t kPage = 4096;

sockaddr_in somewhere(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

long map(size_t bytes, int protection, int flags) {
  return reinterpret_cast<long>(::mmap(nullptr, bytes, protection, flags | MAP_ANONYMOUS, -1, 0));
}

long resize_memory() {
  void* memory = ::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return ::syscall(SYS_mremap, memory, kPage, 2 * kPage, MREMAP_MAYMOVE, 0);
}

long make_code(const Foothold&) {
  void* memory = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return ::mprotect(memory, kPage, PROT_READ | PROT_EXEC);
}

// A terminal that the monitor hands over as it does to an honest net; typing into it would be the user's
// shell's commands.
long push_input(const Foothold& foothold) {
  SessionRequest request;
  request.channel = 4000;
  request.kind = SessionKind::kExec;
  request.command = "sleep 3";
  request.terminal = PtyRequest{"xterm", 80, 24, 0, 0};
  int terminal = foothold.connection;
  if (say(foothold.monitor, std::string("\0\0\0\3", 4) + encode(request))) {
    Answer answer = hear(foothold.monitor);
    if (!answer.fds.empty()) terminal = answer.fds[0];
  }
  return ::ioctl(terminal, TIOCSTI, "x");
}

ListenReply listen_on(const Foothold& foothold, uint32_t id, std::vector<int>& fds) {
  ListenRequest request{id, "localhost", 0};
  if (!say(foothold.monitor, std::string("\0\0\0\x11", 4) + encode(request))) return {};
  Answer answer = hear(foothold.monitor);
  fds = answer.fds;
  auto reply = answer.bytes.size() < 4 ? Result<ListenReply>(peer_error(""))
                                       : decode<ListenReply>(answer.bytes.substr(4));
  return reply ? *reply : ListenReply{};
}

// A listening socket that is shut down is a new one, and data with MSG_FASTOPEN connects it, without
// connect(2).
long connect_by_data(const Foothold& foothold) {
  std::vector<int> fds, others;
  listen_on(foothold, 4001, fds);
  auto target = listen_on(foothold, 4002, others);
  long result = -1;
  for (int fd : fds) {
    ::shutdown(fd, SHUT_RD);
    sockaddr_in6 six = {};
    six.sin6_family = AF_INET6;
    six.sin6_addr = IN6ADDR_LOOPBACK_INIT;
    six.sin6_port = htons(static_cast<uint16_t>(target.port));
    sockaddr_in four = somewhere(static_cast<uint16_t>(target.port));
    result =
        ::sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&four), sizeof four);
    if (result < 0 && errno != EINPROGRESS) {
      result =
          ::sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&six), sizeof six);
    }
    if (result >= 0 || errno == EINPROGRESS) return 0;
  }
  return result;
}

long send_with_message(const Foothold& foothold) {
  sockaddr_in address = somewhere(22);
  msghdr header = {};
  header.msg_name = &address;
  header.msg_namelen = sizeof address;
  return ::sendmsg(foothold.connection, &header, MSG_FASTOPEN | MSG_NOSIGNAL);
}

long call_as_32_bit(const Foothold&) {
#ifdef __x86_64__
  long result = 20;  // getpid
  asm volatile("int $0x80" : "+a"(result) : : "memory");
  return result;
#else
  return ::syscall(SYS_getppid);
#endif
}

// Answered with an error.
constexpr Attack kHarmless[] = {
    {"open", [](const Foothold&) { return ::syscall(SYS_open, kFile, O_RDONLY); }},
    {"openat", [](const Foothold&) { return ::syscall(SYS_openat, AT_FDCWD, kFile, O_RDONLY); }},
    {"open-to-write", [](const Foothold&) { return ::syscall(SYS_open, "/x", O_CREAT | O_RDWR, 0600); }},
    {"open-proc", [](const Foothold&) { return ::syscall(SYS_open, "/proc/self/mem", O_RDWR); }},
    {"stat", [](const Foothold&) { return ::syscall(SYS_stat, kFile, nullptr); }},
    {"newfstatat", [](const Foothold&) { return ::syscall(SYS_newfstatat, AT_FDCWD, kFile, nullptr, 0); }},
    {"access", [](const Foothold&) { return ::syscall(SYS_access, kFile, R_OK); }},
    {"readlink", [](const Foothold&) { return ::syscall(SYS_readlink, "/proc/self/exe", nullptr, 0); }},
    {"socket-inet", [](const Foothold&) { return ::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
    {"socket-unix", [](const Foothold&) { return ::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
    {"socket-netlink", [](const Foothold&) { return ::syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }},
    {"socket-packet", [](const Foothold&) { return ::syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0); }},
    {"setsockopt",
     [](const Foothold& f) {
       return ::syscall(SYS_setsockopt, f.connection, SOL_SOCKET, SO_REUSEPORT, &f, 4);
     }},
    {"setsockopt-tcp",
     [](const Foothold& f) {
       return ::syscall(SYS_setsockopt, f.connection, IPPROTO_TCP, TCP_DEFER_ACCEPT, &f, 4);
     }},
    {"setsockopt-ip-12",  // the number of TCP_QUICKACK at another level
     [](const Foothold& f) {
       return ::syscall(SYS_setsockopt, f.connection, IPPROTO_IP, TCP_QUICKACK, &f, 4);
     }},
    {"prctl-dumpable", [](const Foothold&) { return ::syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); }},
    {"prctl-pdeathsig", [](const Foothold&) { return ::syscall(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0); }},
    {"prctl-name", [](const Foothold&) { return ::syscall(SYS_prctl, PR_SET_NAME, "sshd", 0, 0, 0); }},
    {"raise-limit",
     [](const Foothold&) {
       const rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
       return ::syscall(SYS_prlimit64, 0, RLIMIT_DATA, &limit, nullptr);
     }},
    {"memory", [](const Foothold&) { return map(size_t{1} << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE); }},
    {"mremap", [](const Foothold&) { return resize_memory(); }},
    {"accept-monitor",
     [](const Foothold& f) { return ::syscall(SYS_accept4, f.monitor, nullptr, nullptr, 0); }},
    {"accept-connection",
     [](const Foothold& f) { return ::syscall(SYS_accept4, f.connection, nullptr, nullptr, 0); }},
    {"accept-nothing", [](const Foothold&) { return ::syscall(SYS_accept4, 900, nullptr, nullptr, 0); }},
};

// Ends the process by SIGSYS.
constexpr Attack kFatal[] = {
    {"creat", [](const Foothold&) { return ::syscall(SYS_creat, "/x", 0600); }},
    {"openat2", [](const Foothold&) { return ::syscall(SYS_openat2, AT_FDCWD, kFile, nullptr, 0); }},
    {"open-by-handle",
     [](const Foothold&) { return ::syscall(SYS_open_by_handle_at, AT_FDCWD, nullptr, 0); }},
    {"mkdir", [](const Foothold&) { return ::syscall(SYS_mkdir, "/x", 0700); }},
    {"symlink", [](const Foothold&) { return ::syscall(SYS_symlink, kFile, "/x"); }},
    {"unlink", [](const Foothold&) { return ::syscall(SYS_unlink, "/x"); }},
    {"chdir", [](const Foothold&) { return ::syscall(SYS_chdir, ".."); }},
    {"chroot", [](const Foothold&) { return ::syscall(SYS_chroot, "."); }},
    {"mount", [](const Foothold&) { return ::syscall(SYS_mount, "proc", "/", "proc", 0, nullptr); }},
    {"unshare", [](const Foothold&) { return ::syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNET); }},
    {"setns", [](const Foothold& f) { return ::syscall(SYS_setns, f.connection, 0); }},
    {"connect",
     [](const Foothold& f) {
       sockaddr_in address = somewhere(22);
       return ::syscall(SYS_connect, f.connection, &address, sizeof address);
     }},
    {"disconnect",
     [](const Foothold& f) {
       sockaddr nowhere = {};  // AF_UNSPEC
       return ::syscall(SYS_connect, f.connection, &nowhere, sizeof nowhere);
     }},
    {"connect-by-data", connect_by_data, true},
    {"send-to",
     [](const Foothold& f) {
       sockaddr_in address = somewhere(22);
       return ::syscall(SYS_sendto, f.connection, "x", 0, 0, &address, sizeof address);
     }},
    {"send-fast-open",
     [](const Foothold& f) { return ::syscall(SYS_sendto, f.connection, "x", 0, MSG_FASTOPEN, nullptr, 0); }},
    {"sendmsg-fast-open", send_with_message},
    {"bind",
     [](const Foothold& f) {
       sockaddr_in address = somewhere(0);
       return ::syscall(SYS_bind, f.connection, &address, sizeof address);
     }},
    {"listen", [](const Foothold& f) { return ::syscall(SYS_listen, f.connection, 1); }},
    {"accept", [](const Foothold& f) { return ::syscall(SYS_accept, f.connection, nullptr, nullptr); }},
    {"socketpair",
     [](const Foothold&) { return ::syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, nullptr); }},
    {"execve", [](const Foothold&) { return ::syscall(SYS_execve, "/bin/sh", nullptr, nullptr); }},
    {"execveat",
     [](const Foothold&) { return ::syscall(SYS_execveat, 0, "", nullptr, nullptr, AT_EMPTY_PATH); }},
    {"fork", [](const Foothold&) { return ::syscall(SYS_fork); }},
    {"vfork", [](const Foothold&) { return ::syscall(SYS_vfork); }},
    {"clone", [](const Foothold&) { return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
    {"clone3", [](const Foothold&) { return ::syscall(SYS_clone3, nullptr, 0); }},
    {"kill-parent", [](const Foothold& f) { return ::syscall(SYS_kill, f.parent, SIGKILL); }},
    {"kill-all", [](const Foothold&) { return ::syscall(SYS_kill, -1, SIGKILL); }},
    {"tgkill-parent", [](const Foothold& f) { return ::syscall(SYS_tgkill, f.parent, f.parent, SIGKILL); }},
    {"ptrace-parent", [](const Foothold& f) { return ::syscall(SYS_ptrace, PTRACE_ATTACH, f.parent, 0, 0); }},
    {"read-parent",
     [](const Foothold& f) { return ::syscall(SYS_process_vm_readv, f.parent, 0, 0, 0, 0, 0); }},
    {"write-parent",
     [](const Foothold& f) { return ::syscall(SYS_process_vm_writev, f.parent, 0, 0, 0, 0, 0); }},
    {"pidfd-parent", [](const Foothold& f) { return ::syscall(SYS_pidfd_open, f.parent, 0); }},
    {"limit-parent",
     [](const Foothold& f) {
       const rlimit limit = {0, 0};
       return ::syscall(SYS_prlimit64, f.parent, RLIMIT_DATA, &limit, nullptr);
     }},
    {"setuid", [](const Foothold&) { return ::syscall(SYS_setuid, 0); }},
    {"setresuid", [](const Foothold&) { return ::syscall(SYS_setresuid, 0, 0, 0); }},
    {"setgroups", [](const Foothold&) { return ::syscall(SYS_setgroups, 0, nullptr); }},
    {"capset", [](const Foothold&) { return ::syscall(SYS_capset, nullptr, nullptr); }},
    {"setrlimit",
     [](const Foothold&) {
       const rlimit limit = {100, 100};
       return ::syscall(SYS_setrlimit, RLIMIT_NPROC, &limit);
     }},
    {"mprotect-code", make_code},
    {"mmap-code", [](const Foothold&) { return map(kPage, PROT_READ | PROT_EXEC, MAP_PRIVATE); }},
    {"mmap-shared", [](const Foothold&) { return map(size_t{1} << 30, PROT_READ | PROT_WRITE, MAP_SHARED); }},
    {"mmap-stack",
     [](const Foothold&) {
       return map(size_t{1} << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_GROWSDOWN);
     }},
    {"memfd", [](const Foothold&) { return ::syscall(SYS_memfd_create, "x", 0); }},
    {"shmget", [](const Foothold&) { return ::syscall(SYS_shmget, 0, kPage, 0600); }},
    {"personality", [](const Foothold&) { return ::syscall(SYS_personality, 0x0400000); }},
    {"tiocsti", push_input, true},
    {"tioclinux", [](const Foothold&) { return ::syscall(SYS_ioctl, 0, TIOCLINUX, "\3"); }},
    {"setown", [](const Foothold& f) { return ::syscall(SYS_fcntl, f.connection, F_SETOWN, f.parent); }},
    {"setsig", [](const Foothold& f) { return ::syscall(SYS_fcntl, f.connection, F_SETSIG, SIGKILL); }},
    {"seccomp", [](const Foothold&) { return ::syscall(SYS_seccomp, 1, 0, nullptr); }},
    {"io-uring", [](const Foothold&) { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"bpf", [](const Foothold&) { return ::syscall(SYS_bpf, BPF_MAP_CREATE, nullptr, 0); }},
    {"keyctl", [](const Foothold&) { return ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr); }},
    {"perf", [](const Foothold&) { return ::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0); }},
    {"userfaultfd", [](const Foothold&) { return ::syscall(SYS_userfaultfd, 0); }},
    {"modify-ldt", [](const Foothold&) { return ::syscall(SYS_modify_ldt, 0, nullptr, 0); }},
    {"x32", [](const Foothold&) { return ::syscall(0x40000000 | SYS_getpid); }},
    {"int80", call_as_32_bit},
};

std::string outcome(long result, int error) {
  bool failed = result < 0 && result > -4096;
  return failed ? ::strerrorname_np(error) : "SUCCEEDED";
}

}  // namespace

void try_harmless_calls(const Foothold& foothold, const std::string& when) {
  for (const auto& attack : kHarmless) {
    long result = attack.call(foothold);
    report(when + " " + attack.name, outcome(result, errno));
  }
}

void try_fatal_call(const Foothold& foothold, const std::string& when, const std::string& name) {
  for (const auto& attack : kFatal) {
    if (name == "list") {
      if (!attack.after_only) report("list", std::string("before die-") + attack.name);
      report("list", std::string("after die-") + attack.name);
      continue;
    }
    if (name != attack.name) continue;
    report(when + " " + name, "tried");
    long result = attack.call(foothold);
    report(when + " " + name, "SURVIVED " + outcome(result, errno));
  }
}

}  // namespace qf::hostile
