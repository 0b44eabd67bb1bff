// SPDX-License-Identifier: Apache-2.0
// What a locked-in process may and may not do, tried in children of their own.
#include "qf-sshd/jail.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "libqf/fd.h"

namespace qf {
namespace {

// Runs `body` in a child; the wait status.
int in_child(const std::function<int()>& body) {
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

int under_filter(const std::function<int()>& body) {
  auto filter = make_net_filter();
  EXPECT_TRUE(filter);
  return in_child([&] {
    if (!forbid_growth() || !limit_memory() || !load_filter(*filter)) return 99;
    return body();
  });
}

#ifdef QF_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
constexpr const char* kWhySkipped = "the sanitizer makes system calls of its own";

bool killed_by_filter(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}
bool fine(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Jail, NetMayMoveBytesAndAllocate) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  auto pair = make_socketpair(SOCK_STREAM);
  ASSERT_TRUE(pair);
  EXPECT_TRUE(fine(under_filter([&] {
    char byte = 'x';
    if (::write(pair->first.get(), &byte, 1) != 1 || ::read(pair->second.get(), &byte, 1) != 1) return 1;
    std::string memory(4 << 20, 'm');
    return memory.back() == 'm' ? 0 : 2;
  })));
}

TEST(Jail, NetOpensNoFile) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  EXPECT_TRUE(
      fine(under_filter([] { return ::open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 0 : 1; })));
}

TEST(Jail, NetMakesNoSocket) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  EXPECT_TRUE(
      fine(under_filter([] { return ::socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EACCES ? 0 : 1; })));
}

TEST(Jail, NetSetsOneOptionOfItsSocket) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  int on = 1;
  Fd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto set = [&](int level, int option) {
    return ::setsockopt(tcp.get(), level, option, &on, sizeof on) == 0 ? 0 : errno;
  };
  EXPECT_TRUE(fine(under_filter([&] { return set(IPPROTO_TCP, TCP_QUICKACK); })));
  EXPECT_TRUE(fine(under_filter([&] { return set(IPPROTO_TCP, TCP_NODELAY) == EACCES ? 0 : 1; })));
  EXPECT_TRUE(fine(under_filter([&] { return set(SOL_SOCKET, SO_KEEPALIVE) == EACCES ? 0 : 1; })));
}

TEST(Jail, NetIsKilledForAnythingElse) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  const std::pair<const char*, std::function<int()>> attempts[] = {
      {"execve", [] { return ::execl("/bin/true", "true", nullptr); }},
      {"fork", [] { return static_cast<int>(::syscall(SYS_fork)); }},
      {"clone", [] { return static_cast<int>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }},
      {"kill", [] { return ::kill(::getppid(), 0); }},
      {"ptrace", [] { return static_cast<int>(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }},
      {"connect", [] { return ::connect(3, nullptr, 0); }},
      {"bind", [] { return ::bind(3, nullptr, 0); }},
      {"unlink", [] { return ::unlink("/tmp/none"); }},
      {"chmod", [] { return ::chmod("/tmp/none", 0777); }},
      {"setuid", [] { return ::setuid(0); }},
      {"process_vm_readv",
       [] { return static_cast<int>(::syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0)); }},
      {"TIOCSTI", [] { return ::ioctl(0, TIOCSTI, "x"); }},
      {"io_uring_setup", [] { return static_cast<int>(::syscall(SYS_io_uring_setup, 1, nullptr)); }},
  };
  for (const auto& [name, attempt] : attempts) EXPECT_TRUE(killed_by_filter(under_filter(attempt))) << name;
}

TEST(Jail, MemoryIsLimitedAndMoreAfterTheLogin) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  auto takes = [](size_t bytes) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED && ::munmap(memory, bytes) == 0;
  };
  EXPECT_TRUE(fine(under_filter([&] {
    if (takes(kMostMemoryBefore) || !takes(kMostMemoryBefore / 4)) return 1;
    if (!allow_more_memory() || !takes(kMostMemoryBefore)) return 2;
    return takes(kMostMemoryAfter) ? 3 : 0;
  })));
}

TEST(Jail, NetChangesNoOtherLimit) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  EXPECT_TRUE(killed_by_filter(under_filter([] {
    const rlimit limit = {0, 0};
    return ::setrlimit(RLIMIT_NOFILE, &limit);
  })));
  EXPECT_TRUE(killed_by_filter(under_filter([] {
    const rlimit limit = {0, 0};
    return ::prlimit(::getppid(), RLIMIT_DATA, &limit, nullptr);
  })));
}

TEST(Jail, NetGetsNoExecutableMemory) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  EXPECT_TRUE(killed_by_filter(under_filter([] {
    void* code =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED ? 1 : 0;
  })));
}

// RLIMIT_DATA counts neither shared memory nor stacks.
TEST(Jail, NetGetsNoMemoryBesideTheLimit) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  for (int flags : {MAP_SHARED, MAP_SHARED_VALIDATE, MAP_PRIVATE | MAP_GROWSDOWN}) {
    EXPECT_TRUE(killed_by_filter(under_filter([=] {
      void* memory = ::mmap(nullptr, kMostMemoryAfter, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
      return memory == MAP_FAILED ? 1 : 0;
    }))) << flags;
  }
  EXPECT_TRUE(fine(under_filter([] {
    void* memory = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return ::mremap(memory, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED && errno == EACCES ? 0 : 1;
  })));
}

// A listening socket that is shut down would be connected by its first data.
TEST(Jail, NetConnectsNoSocketByData) {
  if (kSanitized) GTEST_SKIP() << kWhySkipped;
  auto listening = [](sockaddr_in& address) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* where = reinterpret_cast<sockaddr*>(&address);
    EXPECT_TRUE(::bind(fd.get(), where, length) == 0 && ::listen(fd.get(), 1) == 0 &&
                ::getsockname(fd.get(), where, &length) == 0);
    return fd;
  };
  sockaddr_in own = {}, target = {};
  Fd handed_out = listening(own), other = listening(target);
  EXPECT_TRUE(killed_by_filter(under_filter([&] {
    ::shutdown(handed_out.get(), SHUT_RD);
    auto* where = reinterpret_cast<sockaddr*>(&target);
    return ::sendto(handed_out.get(), "x", 1, MSG_FASTOPEN, where, sizeof target) == 1 ? 1 : 0;
  })));
  EXPECT_TRUE(killed_by_filter(under_filter([&] {
    msghdr header = {};
    header.msg_name = &target;
    header.msg_namelen = sizeof target;
    return ::sendmsg(handed_out.get(), &header, MSG_FASTOPEN) == 0 ? 1 : 0;
  })));
}

TEST(Jail, KeepOnlyClosesTheRest) {
  EXPECT_TRUE(fine(in_child([] {
    int first = ::open("/dev/null", O_RDONLY);
    int kept = ::open("/dev/zero", O_RDONLY);
    int last = ::open("/dev/null", O_RDONLY);
    if (!keep_only({kept})) return 1;
    char byte = 'x';
    if (::read(kept, &byte, 1) != 1 || byte != 0) return 2;
    if (::fcntl(first, F_GETFD) >= 0 || ::fcntl(last, F_GETFD) >= 0) return 3;
    // standard input is empty, standard output goes nowhere
    return ::read(0, &byte, 1) == 0 && ::write(1, &byte, 1) == 1 ? 0 : 4;
  })));
}

TEST(Jail, BecomeLeavesNoWayBack) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  EXPECT_TRUE(fine(in_child([] {
    if (!become(65534, 65534)) return 1;
    uid_t real = 0, effective = 0, saved = 0;
    if (::getresuid(&real, &effective, &saved) != 0 || ::getgroups(0, nullptr) != 0) return 2;
    return real == 65534 && effective == 65534 && saved == 65534 && ::setuid(0) != 0 ? 0 : 3;
  })));
}

TEST(Jail, EmptyRootHidesEverything) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can change the root folder";
  char folder[] = "/tmp/qf-empty-root-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  EXPECT_TRUE(fine(in_child([&] {
    if (!enter_empty_root(folder)) return 1;
    return ::access("/etc", F_OK) != 0 && ::access("..", F_OK) == 0 ? 0 : 2;
  })));
  ::rmdir(folder);
}

TEST(Jail, GrowthIsForbidden) {
  EXPECT_TRUE(fine(in_child([] {
    if (!forbid_growth()) return 1;
    // a file that exists cannot grow either
    ::signal(SIGXFSZ, SIG_IGN);
    FILE* file = ::tmpfile();
    if (file != nullptr && ::write(::fileno(file), "x", 1) > 0) return 2;
    return 0;
  })));
}

}  // namespace
}  // namespace qf
