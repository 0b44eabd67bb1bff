// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/audit_chain.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "libqf/text.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/sshd_in_child.h"

namespace qf::test {
namespace {

constexpr std::string_view kEvent = R"({"time":"2024-05-01T12:34:56.789Z","event":"x"})";

class AuditChainTest : public ::testing::Test {
 protected:
  AuditChain open() {
    AuditChain chain(path_);
    if (!chain.reopen()) std::abort();
    return chain;
  }
  static void write(AuditChain& chain, int count = 1) {
    for (int i = 0; i < count; ++i) {
      auto line = chain.append(kEvent);
      ASSERT_TRUE(line) << line.error().text();
    }
  }
  std::string content(const std::string& path) {
    auto text = read_file(path, 1 << 28);
    return text ? *text : "";
  }
  std::vector<std::string> lines(const std::string& path) {
    auto all = split(content(path), '\n');
    EXPECT_EQ(all.back(), "") << "the last line has no end";
    all.pop_back();
    return all;
  }
  void put(const std::string& path, const std::string& text, int flags) {
    auto fd = open_file(path, O_WRONLY | O_CREAT | flags, 0600);
    ASSERT_TRUE(fd && write_all(fd->get(), text));
  }
  // That these lines are links 1, 2, … of one chain.
  static void expect_chain(const std::vector<std::string>& all, uint64_t first = 1,
                           std::string previous = std::string(kNoAuditLine)) {
    for (const auto& line : all) {
      auto place = audit_place(line);
      ASSERT_TRUE(place) << line;
      ASSERT_EQ(place->n, first++) << line;
      ASSERT_EQ(place->previous, previous) << line;
      previous = audit_hash(line);
    }
  }
  Scratch scratch_;
  std::string path_ = scratch_.path("audit.log"), tail_ = scratch_.path("audit.tail");
};

TEST_F(AuditChainTest, LinesFollowEachOther) {
  auto chain = open();
  write(chain, 5);
  auto again = open();
  write(again, 2);
  write(chain, 1);
  expect_chain(lines(path_));
  EXPECT_EQ(lines(path_).size(), 8U);
  auto tail = parse_audit_tail(content(tail_));
  ASSERT_TRUE(tail);
  EXPECT_EQ(tail->n, 8U);
  EXPECT_EQ(tail->hash, audit_hash(lines(path_).back()));
  EXPECT_EQ(tail->first, 1U);
}

TEST_F(AuditChainTest, BothFilesAreForTheirOwnerAlone) {
  ::umask(0);
  auto chain = open();
  write(chain);
  for (const auto& path : {path_, tail_}) {
    struct stat st = {};
    ASSERT_EQ(::stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0600U) << path;
  }
}

// As the monitors do: each process has the descriptors of the one that it comes from.
TEST_F(AuditChainTest, ManyProcessesMakeOneChain) {
  constexpr int kWriters = 8, kEach = 150;
  auto chain = open();
  write(chain);
  std::vector<pid_t> children;
  for (int i = 0; i < kWriters; ++i) {
    pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      // some rotate meanwhile
      for (int n = 0; n < kEach; ++n) {
        if (i == 0 && n % 50 == 25)
          std::rename(path_.c_str(), (path_ + "." + std::to_string(9 - n / 50)).c_str());
        if (!chain.append(kEvent)) ::_exit(1);
      }
      ::_exit(0);
    }
    children.push_back(pid);
  }
  for (pid_t pid : children) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  std::vector<std::string> all;
  for (const auto& path : {path_ + ".9", path_ + ".8", path_ + ".7", path_}) {
    for (auto& line : lines(path)) all.push_back(std::move(line));
  }
  EXPECT_EQ(all.size(), static_cast<size_t>(kWriters * kEach) + 1);
  expect_chain(all);
}

TEST_F(AuditChainTest, ProcessesThatAreKilledLeaveAChain) {
  auto chain = open();
  for (int i = 0; i < 40; ++i) {
    pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      for (;;) static_cast<void>(chain.append(kEvent));
    }
    ::usleep(static_cast<useconds_t>(500 + 97 * i));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    write(chain);
  }
  expect_chain(lines(path_));
}

// Ended after the line and before the tail.
TEST_F(AuditChainTest, ALineThatTheTailHasNotCounts) {
  auto chain = open();
  write(chain, 2);
  std::string before = content(tail_);
  write(chain);
  put(tail_, before, O_TRUNC);
  auto next = open();
  write(next);
  expect_chain(lines(path_));
  EXPECT_EQ(lines(path_).size(), 4U);
}

// And rotated at that moment: by the descriptor that is open still, and by the name.
TEST_F(AuditChainTest, ALineThatTheTailHasNotCountsAfterRotation) {
  for (bool new_process : {false, true}) {
    auto chain = open();
    write(chain, 2);
    std::string before = content(tail_);
    write(chain);
    put(tail_, before, O_TRUNC);
    ASSERT_EQ(std::rename(path_.c_str(), (path_ + ".1").c_str()), 0);
    auto rotated = lines(path_ + ".1");
    if (new_process) chain = open();
    write(chain);
    auto begun = lines(path_);
    auto first = audit_place(begun.at(0));
    ASSERT_TRUE(first);
    EXPECT_EQ(first->previous, audit_hash(rotated.back()));
    EXPECT_EQ(parse_audit_tail(content(tail_))->first, first->n);
    ASSERT_EQ(::unlink(path_.c_str()), 0);
    ASSERT_EQ(::unlink(tail_.c_str()), 0);
  }
}

// Ended within the line.
TEST_F(AuditChainTest, WhatIsThereOfACutLineIsCutOff) {
  auto chain = open();
  write(chain, 2);
  auto whole = lines(path_);
  std::string next = audit_line(3, audit_hash(whole.back()), kEvent);
  for (size_t i = 1; i < next.size(); i += 7) {
    put(path_, next.substr(0, i), O_APPEND);
    write(chain);
    auto all = lines(path_);
    ASSERT_EQ(all.size(), 3U) << i;
    expect_chain(all);
    ASSERT_EQ(::unlink(path_.c_str()), 0);
    ASSERT_EQ(::unlink(tail_.c_str()), 0);
    chain = open();
    write(chain, 2);
  }
}

TEST_F(AuditChainTest, AForeignTextStaysAndSpoilsNoLine) {
  auto chain = open();
  write(chain, 2);
  put(path_, "foreign", O_APPEND);
  write(chain);
  auto all = lines(path_);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[2], "foreign");
  all.erase(all.begin() + 2);
  expect_chain(all);
}

TEST_F(AuditChainTest, GoesOnInANewFileAfterRotation) {
  auto chain = open();
  write(chain, 3);
  ASSERT_EQ(std::rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  write(chain, 2);
  auto before = lines(path_ + ".1");
  expect_chain(before);
  expect_chain(lines(path_), 4, audit_hash(before.back()));
  EXPECT_EQ(parse_audit_tail(content(tail_))->first, 4U);
  // by a copy, and the file made empty
  ASSERT_EQ(::truncate(path_.c_str(), 0), 0);
  write(chain);
  EXPECT_EQ(audit_place(lines(path_).at(0))->n, 6U);
}

TEST_F(AuditChainTest, WithoutATailTheLogSaysWhereItEnds) {
  auto chain = open();
  write(chain, 3);
  for (const char* broken : {"", "nonsense\n"}) {
    put(tail_, broken, O_TRUNC);
    write(chain);
  }
  ASSERT_EQ(::unlink(tail_.c_str()), 0);
  testing::internal::CaptureStderr();
  write(chain);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("audit.tail was missing"), std::string::npos);
  expect_chain(lines(path_));
  EXPECT_EQ(lines(path_).size(), 6U);
  EXPECT_EQ(parse_audit_tail(content(tail_))->first, 1U);
  // and in a file that begins at the same time
  ASSERT_EQ(::unlink(tail_.c_str()), 0);
  ASSERT_EQ(std::rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  write(chain);
  EXPECT_EQ(audit_place(lines(path_).at(0))->n, 7U);
}

TEST_F(AuditChainTest, WhatWasRemovedStaysMissing) {
  auto chain = open();
  write(chain, 4);
  auto all = lines(path_);
  put(path_, all[0] + "\n" + all[1] + "\n", O_TRUNC);
  testing::internal::CaptureStderr();
  write(chain);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("does not end with line number 4"),
            std::string::npos);
  auto written = lines(path_);
  auto place = audit_place(written.back());
  ASSERT_TRUE(place);
  EXPECT_EQ(place->n, 5U);
  EXPECT_EQ(place->previous, audit_hash(all[3])) << "the chain goes on after what is gone";
  // the head, in a new file of the same name
  put(path_ + ".new", all[3] + "\n", O_TRUNC);
  ASSERT_EQ(std::rename((path_ + ".new").c_str(), path_.c_str()), 0);
  write(chain);
  EXPECT_EQ(parse_audit_tail(content(tail_))->first, 1U);
}

TEST_F(AuditChainTest, LinesOfAVersionWithoutAChainStay) {
  put(path_, "{\"time\":\"2024-01-01T00:00:00.000Z\",\"event\":\"old\"}\n", O_TRUNC);
  auto chain = open();
  write(chain, 2);
  auto all = lines(path_);
  ASSERT_EQ(all.size(), 3U);
  all.erase(all.begin());
  expect_chain(all);
}

// Part of the line fits, the rest does not.
TEST_F(AuditChainTest, HalfALineIsTakenBack) {
  auto chain = open();
  write(chain, 2);
  std::string before = content(path_), tail = content(tail_);
  EXPECT_TRUE(in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = {before.size() + 30, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    auto line = chain.append(kEvent);
    return !line && line.error().sys == EFBIG;
  }));
  EXPECT_EQ(content(path_), before);
  EXPECT_EQ(content(tail_), tail);
  write(chain);
  expect_chain(lines(path_));
}

// The line fits, and the tail does not.
TEST_F(AuditChainTest, ALineWithoutItsTailIsTakenBack) {
  EXPECT_TRUE(in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = {kAuditTailBytes - 1, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    AuditChain chain(path_);
    auto line = chain.append("{}");  // shorter than a tail
    return !line && line.error().text().find("audit.tail") != std::string::npos;
  }));
  EXPECT_EQ(content(path_), "");
  auto chain = open();
  write(chain);
  expect_chain(lines(path_));
}

TEST_F(AuditChainTest, WhoHoldsTheLockHoldsNobodyForever) {
  auto chain = open();
  write(chain);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  pid_t holder = ::fork();
  ASSERT_GE(holder, 0);
  if (holder == 0) {
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    int fd = ::open(tail_.c_str(), O_RDWR);
    if (::fcntl(fd, F_SETLK, &whole) != 0 || ::write(ends[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  for (int i = 0; i < 3; ++i) {
    auto line = chain.append(kEvent);
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().kind, ErrorKind::kTimeout);
    EXPECT_NE(line.error().text().find("process " + std::to_string(holder)), std::string::npos)
        << line.error().text();
  }
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  write(chain);
  expect_chain(lines(path_));
  ::close(ends[0]);
  ::close(ends[1]);
}

// Only the one line that may have been written without its tail is taken for one.
TEST_F(AuditChainTest, ALineOfAnotherThatDoesNotFollowIsNotAdopted) {
  AuditChain chain(path_);
  write(chain, 2);
  auto good = lines(path_);
  put(path_, audit_line(9, audit_hash("x"), kEvent) + "\n", O_APPEND);
  write(chain);
  auto all = lines(path_);
  auto place = audit_place(all.back());
  ASSERT_TRUE(place);
  EXPECT_EQ(place->n, 3U);
  EXPECT_EQ(place->previous, audit_hash(good.back()));
}

TEST_F(AuditChainTest, AFifoIsNoLog) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(AuditChain(path_).append(kEvent)) << "nobody reads it, and nobody ever would";
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  AuditChain chain(path_);
  write(chain);
  expect_chain(lines(path_));
}

TEST_F(AuditChainTest, NoSymlinkIsFollowed) {
  ASSERT_EQ(::symlink("/etc/passwd", path_.c_str()), 0);
  EXPECT_FALSE(AuditChain(path_).reopen());
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::symlink("/etc/passwd", tail_.c_str()), 0);
  EXPECT_FALSE(AuditChain(path_).append(kEvent));
}

}  // namespace
}  // namespace qf::test
