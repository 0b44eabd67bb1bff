// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/connection_status.h"
#include "qf-sshd/listener_messages.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using std::chrono::seconds;

SessionRequest exec(const std::string& command) {
  SessionRequest request;
  request.kind = SessionKind::kExec;
  request.command = command;
  return request;
}

TEST(CommandName, IsTheBaseNameOfTheFirstWord) {
  EXPECT_EQ(command_name("ls"), "ls");
  EXPECT_EQ(command_name("  /usr/bin/rsync --server -e . secret"), "rsync");
  EXPECT_EQ(command_name("git-upload-pack '/srv/x.git'"), "git-upload-pack");
  EXPECT_EQ(command_name("cat;echo x"), "cat");
  EXPECT_EQ(command_name("cat</etc/x"), "cat");
  EXPECT_EQ(command_name("g++ x\nrm y"), "g++");
  EXPECT_EQ(command_name(std::string(500, 'a')), std::string(kMostCommandName, 'a'));
}

TEST(CommandName, WhatCouldHoldMoreThanANameIsNotShown) {
  for (const char* command :
       {"", "   ", "PASSWORD=secret ls", "'se cret' x", "\"a b\"", "$(echo secret)", "( umask 77 )",
        "x\\ secret", "caf\xc3\xa9", "a\x1b[2Jb", "{", "/home/a=b/ls"}) {
    EXPECT_EQ(command_name(command), "") << command;
  }
}

TEST(ConnectionStatus, WithoutANetThatCanTellTheAnswerIsDueAtOnce) {
  ConnectionStatus status;
  EXPECT_EQ(status.deadline(), Deadline::max());
  Deadline now = Clock::now();
  EXPECT_FALSE(status.asked(3, false, now));
  auto report = status.take_due(now);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->number, 3U);
  EXPECT_TRUE(report->counted);
  EXPECT_FALSE(status.take_due(now)) << "once";
}

TEST(ConnectionStatus, NetsCountsAreWaitedForAndAdded) {
  ConnectionStatus status;
  status.session_started(1, exec("cat"), 10);
  status.session_started(2, exec("ls"), 11);
  status.session_closed({1, 100, 200});
  Deadline now = Clock::now();
  EXPECT_TRUE(status.asked(3, true, now));
  EXPECT_FALSE(status.take_due(now));
  EXPECT_TRUE(status.counted({3, {{2, 5, 6}, {9, 7, 7}}}));
  auto report = status.take_due(now);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->counted);
  EXPECT_EQ(report->bytes_in, 105U);
  EXPECT_EQ(report->bytes_out, 206U);
  ASSERT_EQ(report->sessions.size(), 1U);
  EXPECT_EQ(report->sessions[0].command, "ls");
  EXPECT_EQ(report->sessions[0].pid, 11U);
}

TEST(ConnectionStatus, AStuckNetIsNotWaitedForTwice) {
  ConnectionStatus status;
  Deadline now = Clock::now();
  EXPECT_TRUE(status.asked(3, true, now));
  auto report = status.take_due(now + seconds(2));
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->counted);
  // it still owes the answer, so it is not asked again, and a late one counts
  EXPECT_FALSE(status.asked(4, true, now));
  EXPECT_TRUE(status.counted({3, {}}));
  report = status.take_due(now);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->number, 4U);
  EXPECT_TRUE(report->counted);
}

TEST(ConnectionStatus, AnAnswerThatNobodyAskedForIsSaid) {
  ConnectionStatus status;
  EXPECT_FALSE(status.counted({0, {}}));
  EXPECT_TRUE(status.asked(3, true, Clock::now()));
  EXPECT_FALSE(status.counted({2, {}}));
  EXPECT_TRUE(status.counted({3, {}}));
  EXPECT_FALSE(status.counted({3, {}}));
}

TEST(ConnectionStatus, ManySessionsAreCutAndCounted) {
  ConnectionStatus status;
  for (uint32_t i = 0; i < kMostSessionsTold + 7; ++i) status.session_started(i, exec("ls"), 1);
  EXPECT_FALSE(status.asked(1, false, Clock::now()));
  auto report = status.take_due(Clock::now());
  ASSERT_TRUE(report);
  EXPECT_EQ(report->sessions.size(), kMostSessionsTold);
  EXPECT_EQ(report->more_sessions, 7U);
}

}  // namespace
}  // namespace qf
