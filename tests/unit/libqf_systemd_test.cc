// SPDX-License-Identifier: Apache-2.0
#include "libqf/systemd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <functional>

#include "libqf/unix_socket.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

// Variables and low descriptors belong to a whole process: each case runs in one of its own. The exit code of
// `work` must be 0.
int in_child(const std::function<bool()>& work) {
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(work() ? 0 : 1);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

void hand_in(const char* count, const char* names, int fds) {
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", count, 1);
  if (names != nullptr) ::setenv("LISTEN_FDNAMES", names, 1);
  ::close_range(kFirstHandedFd, ~0U, 0);
  for (int i = 0; i < fds; ++i) static_cast<void>(::open("/dev/null", O_RDONLY));
}

TEST(HandedDescriptors, NoneWithoutVariablesOrForAnotherProcess) {
  EXPECT_EQ(in_child([] { return handed_descriptors() && handed_descriptors()->empty(); }), 0);
  EXPECT_EQ(in_child([] {
              hand_in("1", nullptr, 1);
              ::setenv("LISTEN_PID", "1", 1);
              auto names = handed_descriptors();
              return names && names->empty();
            }),
            0);
}

TEST(HandedDescriptors, HaveTheirNamesAndAreNotInherited) {
  EXPECT_EQ(in_child([] {
              hand_in("2", "four:six", 2);
              auto names = handed_descriptors();
              return names && *names == std::vector<std::string>{"four", "six"} &&
                     (::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0 && (::fcntl(4, F_GETFD) & FD_CLOEXEC) != 0;
            }),
            0);
  EXPECT_EQ(in_child([] {
              hand_in("1", nullptr, 1);
              auto names = handed_descriptors();
              return names && *names == std::vector<std::string>{"unknown"};
            }),
            0);
}

TEST(HandedDescriptors, WhatIsWrongIsRefused) {
  for (const char* count : {"", "x", "-1", "257", "1 "}) {
    EXPECT_EQ(in_child([&] {
                hand_in(count, nullptr, 1);
                return !handed_descriptors();
              }),
              0)
        << count;
  }
  EXPECT_EQ(in_child([] {
              hand_in("2", "one", 2);
              return !handed_descriptors();
            }),
            0);
  EXPECT_EQ(in_child([] {
              hand_in("2", nullptr, 1);  // a descriptor is missing
              return !handed_descriptors();
            }),
            0);
}

TEST(Notifier, ReachesItsReceiverAndLeavesTheEnvironment) {
  test::Scratch scratch;
  auto receiver = NotifyReceiver::open(scratch.path());
  ASSERT_TRUE(receiver);
  ::setenv("NOTIFY_SOCKET", receiver->name().c_str(), 1);
  Notifier notifier = Notifier::take();
  EXPECT_TRUE(notifier);
  EXPECT_EQ(::getenv("NOTIFY_SOCKET"), nullptr);
  notifier.ready();
  notifier.reloading();
  notifier.status("two words");
  notifier.stopping();
  auto lines = receiver->receive(::getpid());
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0], "READY=1");
  EXPECT_EQ(lines[1], "RELOADING=1");
  EXPECT_TRUE(lines[2].starts_with("MONOTONIC_USEC="));
  EXPECT_EQ(lines[3], "STATUS=two words");
  EXPECT_EQ(lines[4], "STOPPING=1");
  EXPECT_TRUE(receiver->receive(::getpid()).empty());
}

TEST(LifeSigns, ComeThriceInTheTimeThatTheyAreWaitedFor) {
  test::Scratch scratch;
  auto receiver = NotifyReceiver::open(scratch.path());
  ASSERT_TRUE(receiver);
  ::setenv("NOTIFY_SOCKET", receiver->name().c_str(), 1);
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  Notifier notifier = Notifier::take();
  EXPECT_EQ(notifier.watchdog(), std::chrono::seconds(30));
  EXPECT_EQ(::getenv("WATCHDOG_USEC"), nullptr);
  EXPECT_EQ(::getenv("WATCHDOG_PID"), nullptr);
  LifeSigns life(notifier);
  auto now = Clock::now();
  EXPECT_LE(life.next(), now);
  life.give(now);
  EXPECT_EQ(receiver->receive(::getpid()), std::vector<std::string>{"WATCHDOG=1"});
  EXPECT_EQ(life.next(), now + std::chrono::seconds(10));
  life.give(now + std::chrono::milliseconds(9999));
  EXPECT_TRUE(receiver->receive(::getpid()).empty());
  life.give(now + std::chrono::seconds(10));
  EXPECT_EQ(receiver->receive(::getpid()), std::vector<std::string>{"WATCHDOG=1"});
}

TEST(LifeSigns, AreForNobodyWhereNobodyWaits) {
  test::Scratch scratch;
  auto receiver = NotifyReceiver::open(scratch.path());
  ASSERT_TRUE(receiver);
  struct {
    const char *usec, *pid;
  } silent[] = {{"", ""}, {"0", ""}, {"x", ""}, {"-1", ""}, {"99999999999999999999", ""}, {"1000", "1"}};
  for (const auto& one : silent) {
    ::setenv("NOTIFY_SOCKET", receiver->name().c_str(), 1);
    ::setenv("WATCHDOG_USEC", one.usec, 1);
    ::setenv("WATCHDOG_PID", one.pid, 1);
    Notifier notifier = Notifier::take();
    EXPECT_FALSE(notifier.watchdog()) << one.usec;
    EXPECT_EQ(LifeSigns(notifier).next(), Deadline::max()) << one.usec;
  }
  // nobody to tell
  ::unsetenv("NOTIFY_SOCKET");
  ::setenv("WATCHDOG_USEC", "1000", 1);
  EXPECT_EQ(LifeSigns(Notifier::take()).next(), Deadline::max());
  EXPECT_EQ(LifeSigns().next(), Deadline::max());
}

TEST(Notifier, OnlyTheChildIsBelieved) {
  test::Scratch scratch;
  auto receiver = NotifyReceiver::open(scratch.path());
  ASSERT_TRUE(receiver);
  ::setenv("NOTIFY_SOCKET", receiver->name().c_str(), 1);
  Notifier notifier = Notifier::take();
  notifier.ready();
  EXPECT_TRUE(receiver->receive(::getpid() + 1).empty());
}

// Who cannot send cannot fill the queue either, which holds ten messages.
TEST(NotifyReceiver, NobodyElseCanFillItsQueue) {
  test::Scratch scratch;
  std::string path;
  {
    auto receiver = NotifyReceiver::open(scratch.path());
    ASSERT_TRUE(receiver);
    path = receiver->name();
    struct stat st = {};
    ASSERT_EQ(::stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode, S_IFSOCK | 0600U);
    EXPECT_TRUE(connect_unix(path, static_cast<uid_t>(-1), SOCK_DGRAM));
    if (::geteuid() == 0) {
      ASSERT_EQ(::chmod(scratch.path().c_str(), 0755), 0);
      EXPECT_EQ(in_child([&] {
                  constexpr uid_t kNobody = 65534;
                  if (::setresuid(kNobody, kNobody, kNobody) != 0) return false;
                  auto fd = connect_unix(path, static_cast<uid_t>(-1), SOCK_DGRAM);
                  return !fd && fd.error().sys == EACCES;
                }),
                0);
    }
    // one that was killed leaves its file
    EXPECT_TRUE(NotifyReceiver::open(scratch.path()));
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  EXPECT_FALSE(NotifyReceiver::open(scratch.path("missing")));
  EXPECT_FALSE(NotifyReceiver::open("/" + std::string(200, 'x')));
}

TEST(Notifier, NoSocketAndBadOnesAreNobody) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(Notifier::take());
  for (const char* bad : {"relative", "@", "vsock:2:1234", ""}) {
    ::setenv("NOTIFY_SOCKET", bad, 1);
    EXPECT_FALSE(Notifier::take()) << bad;
  }
  ::setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
  Notifier::take().ready();  // lost, and nothing else happens
}

}  // namespace
}  // namespace qf
