// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/orphans.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace qf {
namespace {

// Children of this process, which adopts what they leave behind.
class OrphansTest : public ::testing::Test {
 protected:
  OrphansTest() { EXPECT_TRUE(orphans_.start()); }
  ~OrphansTest() override {
    for (pid_t child : children_of(::getpid())) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  }
  static pid_t sleeper() {
    pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  // The child of a child that has ended: ours now, in a session of its own.
  static pid_t orphan() {
    auto pipe = make_pipe();
    if (!pipe) std::abort();
    pid_t parent = ::fork();
    if (parent == 0) {
      pid_t pid = ::fork();
      if (pid != 0) ::_exit(0);
      ::setsid();
      pid = ::getpid();
      static_cast<void>(!::write(pipe->second.get(), &pid, sizeof pid));
      for (;;) ::pause();
    }
    ::waitpid(parent, nullptr, 0);
    pid_t pid = -1;
    EXPECT_EQ(::read(pipe->first.get(), &pid, sizeof pid), ssize_t{sizeof pid});
    return pid;
  }
  static bool is_child(pid_t pid) {
    auto children = children_of(::getpid());
    return std::find(children.begin(), children.end(), pid) != children.end();
  }
  bool child_ended() const { return static_cast<bool>(wait_for(orphans_.fd(), POLLIN, soon())); }
  static Deadline soon() { return Clock::now() + std::chrono::seconds(20); }
  Orphans orphans_;
};

TEST_F(OrphansTest, AdoptsAndEndsThemButNotItsOwnChildren) {
  pid_t own = sleeper(), left = orphan();
  EXPECT_TRUE(is_child(left));
  orphans_.kill_all({own}, ::getuid());
  EXPECT_FALSE(is_child(left));
  EXPECT_TRUE(is_child(own));
  EXPECT_EQ(::kill(own, 0), 0);
}

TEST_F(OrphansTest, WhatAnotherUserHasBecomeIsLeft) {
  pid_t left = orphan();
  orphans_.kill_all({}, ::getuid() + 1);
  EXPECT_TRUE(is_child(left));
  EXPECT_EQ(::waitpid(left, nullptr, WNOHANG), 0);
}

TEST_F(OrphansTest, BuriesTheDeadButNotItsOwnChildren) {
  pid_t own = sleeper(), left = orphan();
  ::kill(left, SIGKILL);
  ::kill(own, SIGKILL);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(own), &info, WEXITED | WNOWAIT), 0);
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(left), &info, WEXITED | WNOWAIT), 0);
  ASSERT_TRUE(child_ended());
  orphans_.reap({own});
  EXPECT_FALSE(is_child(left));
  int status = 0;
  EXPECT_EQ(::waitpid(own, &status, 0), own);
  EXPECT_TRUE(WIFSIGNALED(status));
}

// The descendants of one that is ended become ours while it goes on.
TEST_F(OrphansTest, WhatKeepsMovingIsFound) {
  pid_t first = ::fork();
  if (first == 0) {
    // a chain: each starts the next one and ends
    for (int i = 0; i < 20'000 && ::fork() == 0; ++i) ::usleep(500);
    ::_exit(0);
  }
  ::waitpid(first, nullptr, 0);
  orphans_.kill_all({}, ::getuid());
  orphans_.reap({});
  EXPECT_TRUE(children_of(::getpid()).empty());
}

TEST_F(OrphansTest, StopGivesTheSignalBack) {
  sigset_t mask;
  ::sigprocmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGCHLD), 1);
  orphans_.stop();
  ::sigprocmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGCHLD), 0);
  EXPECT_EQ(orphans_.fd(), -1);
}

}  // namespace
}  // namespace qf
