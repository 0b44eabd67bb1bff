// SPDX-License-Identifier: Apache-2.0
#include "libqf/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

using namespace std::chrono_literals;

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}
bool close_on_exec(int fd) {
  return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}
size_t files_in(const std::string& folder) {
  auto begin = std::filesystem::directory_iterator(folder);
  return static_cast<size_t>(std::distance(begin, std::filesystem::directory_iterator()));
}
mode_t mode_of(const std::string& path) {
  struct stat st = {};
  return ::lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

TEST(Fd, HasOneOwner) {
  auto pair = make_pipe();
  ASSERT_TRUE(pair);
  int reading = pair->first.get(), writing = pair->second.get();
  Fd moved = std::move(pair->first);
  EXPECT_FALSE(pair->first);
  EXPECT_EQ(moved.get(), reading);
  moved = std::move(pair->second);
  EXPECT_FALSE(is_open(reading)) << "assigning closes what was there";
  EXPECT_TRUE(is_open(writing));
  Fd& same = moved;
  moved = std::move(same);
  EXPECT_EQ(moved.get(), writing);
  int released = moved.release();
  EXPECT_TRUE(is_open(released));
  EXPECT_FALSE(moved);
  { Fd owner(released); }
  EXPECT_FALSE(is_open(released));
}

TEST(Fd, EverythingIsCloseOnExec) {
  auto pipe = make_pipe();
  auto sockets = make_socketpair(SOCK_SEQPACKET);
  auto file = open_file("/dev/null", O_RDONLY);
  ASSERT_TRUE(pipe && sockets && file);
  auto copy = duplicate(file->get());
  ASSERT_TRUE(copy);
  for (int fd : {pipe->first.get(), pipe->second.get(), sockets->first.get(), sockets->second.get(),
                 file->get(), copy->get()}) {
    EXPECT_TRUE(close_on_exec(fd));
  }
}

TEST(Fd, ErrorsNameThePathAndKeepErrno) {
  auto fd = open_file("/no/such/file", O_RDONLY);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().kind, ErrorKind::kSystem);
  EXPECT_EQ(fd.error().sys, ENOENT);
  EXPECT_EQ(fd.error().text(), "cannot open /no/such/file: No such file or directory");
  EXPECT_EQ(duplicate(-1).error().sys, EBADF);
  EXPECT_EQ(set_nonblocking(-1, true).error().sys, EBADF);
}

TEST(Fd, Nonblocking) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  ASSERT_TRUE(set_nonblocking(pipe->first.get(), true));
  char c = 0;
  EXPECT_EQ(::read(pipe->first.get(), &c, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
  ASSERT_TRUE(set_nonblocking(pipe->first.get(), false));
  EXPECT_EQ(::fcntl(pipe->first.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(Fd, PollTimeout) {
  EXPECT_EQ(poll_timeout(Deadline::max()), -1);
  EXPECT_EQ(poll_timeout(Clock::now() - 1h), 0);
  EXPECT_EQ(poll_timeout(Deadline::min()), 0);
  int left = poll_timeout(Clock::now() + 10s);
  EXPECT_GT(left, 5'000);
  EXPECT_LE(left, 10'000);
  // on a slow machine the deadline may have passed already, but not a thousand times
  int rounded = 0;
  for (int i = 0; i < 1000 && rounded == 0; ++i) rounded = poll_timeout(Clock::now() + 50us);
  EXPECT_EQ(rounded, 1) << "rounded up, so that poll does not spin";
  EXPECT_EQ(poll_timeout(Clock::now() + 24h * 365), 1'000'000'000);
}

TEST(Fd, WaitForHasADeadline) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  auto waited = wait_for(pipe->first.get(), POLLIN, Clock::now() + 10ms);
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().kind, ErrorKind::kTimeout);
  ASSERT_TRUE(write_all(pipe->second.get(), "x"));
  EXPECT_TRUE(wait_for(pipe->first.get(), POLLIN, Clock::now() + 10s));
}

TEST(Fd, WriteAllWaitsForASlowReader) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  ASSERT_TRUE(set_nonblocking(pipe->second.get(), true));
  std::string data(1 << 20, 'd'), got;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(pipe->first.get(), buffer, sizeof buffer)) > 0;)
      got.append(buffer, static_cast<size_t>(n));
  });
  EXPECT_TRUE(write_all(pipe->second.get(), data, Clock::now() + 30s));
  pipe->second.reset();
  reader.join();
  EXPECT_EQ(got, data);
}

TEST(Fd, WriteAllGivesUpAtTheDeadline) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  ASSERT_TRUE(set_nonblocking(pipe->second.get(), true));
  auto written = write_all(pipe->second.get(), std::string(1 << 20, 'd'), Clock::now() + 10ms);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::kTimeout);
}

TEST(Fd, ReadFileIsBounded) {
  test::Scratch scratch;
  std::string path = scratch.path("f");
  ASSERT_TRUE(replace_file(path, std::string(50'000, 'x'), 0600));
  EXPECT_EQ(read_file(path, 50'000)->size(), 50'000U);
  auto longer = read_file(path, 49'999);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().kind, ErrorKind::kInput);
  EXPECT_EQ(longer.error().text(), path + " is longer than 49999 bytes");
  // all hole: to read it would take the time, and the memory, of 8 TiB
  ASSERT_EQ(::truncate(path.c_str(), int64_t{1} << 43), 0);
  EXPECT_EQ(read_file(path, size_t{1} << 42).error().kind, ErrorKind::kInput);
  EXPECT_FALSE(read_file("/dev/zero", 100'000)) << "must not read for ever";
  EXPECT_EQ(read_file(scratch.path(), 10).error().sys, EISDIR);
}

TEST(Fd, FilesAreReplacedWhole) {
  test::Scratch scratch;
  std::string path = scratch.path("f");
  mode_t old = ::umask(077);
  for (auto* write : {&write_file_atomically, &replace_file}) {
    ASSERT_TRUE(write(path, "old", 0600));
    auto before = open_file(path, O_RDONLY);
    ASSERT_TRUE(before);
    ASSERT_TRUE(write(path, "new", 0644));
    EXPECT_EQ(*read_file(path, 10), "new");
    EXPECT_EQ(mode_of(path), 0644U) << "the umask takes nothing away";
    char buffer[8] = {};
    EXPECT_EQ(::read(before->get(), buffer, sizeof buffer), 3);
    EXPECT_STREQ(buffer, "old") << "who has the old file open keeps it";
    EXPECT_EQ(files_in(scratch.path()), 1U);
  }
  ::umask(old);
}

TEST(Fd, AFailedReplacementLeavesNothingBehind) {
  test::Scratch scratch;
  ASSERT_TRUE(make_folder(scratch.path("f"), 0700));
  ASSERT_TRUE(replace_file(scratch.path("f/inside"), "", 0600));
  EXPECT_FALSE(replace_file(scratch.path("f"), "x", 0600)) << "a folder is in the way";
  EXPECT_EQ(files_in(scratch.path()), 1U);
  EXPECT_FALSE(replace_file(scratch.path("none/f"), "x", 0600));
}

TEST(Fd, AReplacementDoesNotFollowASymlink) {
  test::Scratch scratch;
  ASSERT_TRUE(replace_file(scratch.path("target"), "kept", 0600));
  ASSERT_EQ(::symlink("target", scratch.path("link").c_str()), 0);
  ASSERT_TRUE(replace_file(scratch.path("link"), "new", 0600));
  EXPECT_EQ(*read_file(scratch.path("target"), 10), "kept");
  EXPECT_EQ(*read_file(scratch.path("link"), 10), "new");
}

TEST(Fd, MakeFolder) {
  test::Scratch scratch;
  std::string path = scratch.path("d");
  mode_t old = ::umask(077);
  ASSERT_TRUE(make_folder(path, 0755));
  ::umask(old);
  EXPECT_EQ(mode_of(path), 0755U);
  ASSERT_TRUE(make_folder(path, 0700));
  EXPECT_EQ(mode_of(path), 0755U) << "an existing one is left as it is";
  ASSERT_TRUE(replace_file(scratch.path("f"), "", 0600));
  EXPECT_EQ(make_folder(scratch.path("f"), 0700).error().sys, ENOTDIR);
  EXPECT_EQ(make_folder(scratch.path("a/b"), 0700).error().sys, ENOENT);
}

}  // namespace
}  // namespace qf
