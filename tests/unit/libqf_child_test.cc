// SPDX-License-Identifier: Apache-2.0
#include "libqf/child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "libqf/text.h"

namespace qf {
namespace {

Deadline soon() {
  return Clock::now() + std::chrono::seconds(20);
}

TEST(Child, RunsAProgramAndKeepsItsStreamsApart) {
  auto output = run_program({"/bin/sh", "-c", "cat; echo out; echo err >&2; exit 3"}, soon());
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out, "out\n");
  EXPECT_EQ(output->err, "err\n");
  EXPECT_EQ(describe_exit(output->status), "exited with status 3");
}

TEST(Child, ArgumentsReachItUnchanged) {
  auto output = run_program({"/bin/echo", "$HOME", "a b", "*"}, soon());
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out, "$HOME a b *\n");
}

TEST(Child, OutputIsBounded) {
  auto output = run_program({"/bin/sh", "-c", "head -c 300000 /dev/zero"}, soon(), 1000);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out.size(), 1000U);
}

TEST(Child, DetachedOnesKeepNothingOfOurs) {
  auto out = make_pipe();
  auto nowhere = open_file("/dev/null", O_RDWR);
  ASSERT_TRUE(out);
  // as a library leaves one: without close-on-exec
  Fd stray(::fcntl(nowhere->get(), F_DUPFD, 100));
  ASSERT_GE(stray.get(), 100);
  SpawnOptions options;
  options.stdin_fd = options.stderr_fd = nowhere->get();
  options.stdout_fd = out->second.get();
  options.detached = true;
  auto child =
      Child::spawn({"/bin/sh", "-c", "echo /proc/self/fd/*; cut -d' ' -f6 /proc/$$/stat; echo $$"}, options);
  ASSERT_TRUE(child) << child.error().text();
  out->second.reset();
  ASSERT_TRUE(child->wait(Clock::now() + std::chrono::seconds(10)));
  char text[4096] = {};
  ASSERT_GT(::read(out->first.get(), text, sizeof text - 1), 0);
  auto lines = split(text, '\n');
  ASSERT_GE(lines.size(), 3U);
  EXPECT_EQ(lines[0].find("/proc/self/fd/" + std::to_string(stray.get())), std::string::npos) << text;
  EXPECT_EQ(lines[1], lines[2]) << "leader of its own session";
}

TEST(Child, VariablesOfItsOwnReplaceOurs) {
  ::setenv("QF_TEST", "ours", 1);
  ::setenv("QF_TEST_2", "kept", 1);
  auto out = make_pipe();
  ASSERT_TRUE(out);
  SpawnOptions options;
  options.stdout_fd = out->second.get();
  options.environment = {"QF_TEST=its=own", "QF_NEW="};
  auto child = Child::spawn({"/usr/bin/env"}, options);
  ASSERT_TRUE(child) << child.error().text();
  out->second.reset();
  std::string text;
  char buffer[4096];
  for (ssize_t n = 1; n > 0; text.append(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0)))) {
    n = ::read(out->first.get(), buffer, sizeof buffer);
  }
  ASSERT_TRUE(child->wait(soon()));
  auto lines = split(text, '\n');
  auto count = [&](std::string_view start) {
    return std::count_if(lines.begin(), lines.end(),
                         [&](const auto& line) { return line.starts_with(start); });
  };
  EXPECT_EQ(count("QF_TEST="), 1);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "QF_TEST=its=own"), 1);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "QF_TEST_2=kept"), 1);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "QF_NEW="), 1);
  EXPECT_EQ(count("PATH="), 1) << "all the rest is inherited";
  EXPECT_STREQ(::getenv("QF_TEST"), "ours");
  EXPECT_EQ(::getenv("QF_NEW"), nullptr);
}

TEST(Child, AMissingProgramIsAnErrorOfSpawn) {
  auto child = Child::spawn({"/nonexistent/program"});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().sys, ENOENT);
}

TEST(Child, ADeadlineEndsIt) {
  auto output = run_program({"/bin/sleep", "100"}, Clock::now() + std::chrono::milliseconds(50));
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind, ErrorKind::kTimeout);
}

TEST(Child, DestructorKillsAndReaps) {
  pid_t pid = -1;
  {
    auto child = Child::spawn({"/bin/sleep", "100"});
    ASSERT_TRUE(child);
    pid = child->pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Child, SignalsAndMaskAreTheDefaults) {
  sigset_t all, old;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, &old);
  auto child = Child::spawn({"/bin/sleep", "100"});
  ::sigprocmask(SIG_SETMASK, &old, nullptr);
  ASSERT_TRUE(child);
  EXPECT_EQ(child->wait(Clock::now()).error().kind, ErrorKind::kTimeout);
  child->send_signal(SIGTERM);
  auto status = child->wait(soon());
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFSIGNALED(*status));
  EXPECT_EQ(describe_exit(*status), "killed by signal 15 (Terminated)");
  child->send_signal(SIGKILL);  // reaped: nothing happens
  EXPECT_EQ(child->status(), *status);
}

TEST(Child, GivenDescriptorsMayBeAmongTheFirstThree) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  // stdout and stderr swapped
  auto child = Child::spawn({"/bin/sh", "-c", "echo x >&2"}, {-1, STDERR_FILENO, pipe->second.get(), 0});
  ASSERT_TRUE(child);
  pipe->second.reset();
  ASSERT_TRUE(child->wait(soon()));
  char buffer[8] = {};
  EXPECT_EQ(::read(pipe->first.get(), buffer, sizeof buffer), 2);
}

TEST(Child, OurDescriptorsAreNotInherited) {
  Fd ours(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 200));
  ASSERT_TRUE(ours);
  auto output = run_program({"/bin/ls", "/proc/self/fd"}, soon());
  ASSERT_TRUE(output);
  EXPECT_EQ(("\n" + output->out).find("\n" + std::to_string(ours.get()) + "\n"), std::string::npos);
  EXPECT_NE(("\n" + output->out).find("\n2\n"), std::string::npos);
}

TEST(RunProgramWith, InputAndVariables) {
  std::string input(200'000, 'x');
  auto output = run_program_with({"/bin/sh", "-c", "wc -c; echo $QF_TEST; cat </dev/stdin"}, input,
                                 {"QF_TEST=here"}, soon(), 1000);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->status, 0);
  EXPECT_EQ(output->out.substr(0, 13), "200000\nhere\nx");
}

TEST(Child, HandsDescriptorsOnUnderTheirNumbers) {
  // two that stand where the others are to go, in the wrong order
  auto first = make_pipe(), second = make_pipe();
  ASSERT_TRUE(first && second);
  auto out = make_pipe();
  ASSERT_TRUE(out);
  SpawnOptions options;
  options.stdout_fd = out->second.get();
  options.handed = {{second->second.get(), "two"}, {first->second.get(), "one"}};
  auto child = Child::spawn({"/bin/sh", "-c",
                             "echo to-second >&3; echo to-first >&4; [ $LISTEN_PID = $$ ] && echo "
                             "$LISTEN_FDS $LISTEN_FDNAMES"},
                            options);
  ASSERT_TRUE(child);
  ASSERT_TRUE(child->wait(soon()));
  auto line = [](int fd) {
    char text[100] = {};
    EXPECT_GT(::read(fd, text, sizeof text - 1), 0);
    return std::string(text);
  };
  EXPECT_EQ(line(second->first.get()), "to-second\n");
  EXPECT_EQ(line(first->first.get()), "to-first\n");
  EXPECT_EQ(line(out->first.get()), "2 two:one\n");
}

TEST(Child, HandingOnLeavesTheErrorOfTheExec) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  SpawnOptions options;
  for (int i = 0; i < 20; ++i) options.handed.push_back({pipe->first.get(), "x"});
  auto child = Child::spawn({"/qf/nowhere"}, options);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().sys, ENOENT);
}

}  // namespace
}  // namespace qf
