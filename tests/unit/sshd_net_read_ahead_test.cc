// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_read_ahead.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "libqf/fd.h"

namespace qf {
namespace {

// As libssh asks: by the C library's names.
std::string take(int fd, size_t most) {
  std::string out(most, '\0');
  ssize_t n = ::recv(fd, out.data(), out.size(), 0);
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

short ready(int fd, short events) {
  pollfd asked = {fd, events, 0};
  return ::poll(&asked, 1, 0) == 1 ? asked.revents : short{0};
}

// What the kernel has by itself.
int queued(int fd) {
  char byte = 0;
  return static_cast<int>(::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT));
}

class ReadAhead : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = make_socketpair(SOCK_STREAM);
    auto beside = make_socketpair(SOCK_STREAM);
    ASSERT_TRUE(pair && beside);
    ends_ = std::move(*pair);
    beside_ = std::move(*beside);
    read_ahead_of(ends_.first.get());
  }
  void TearDown() override { read_ahead_of(-1); }
  void say(const FdPair& pair, const std::string& text) {
    ASSERT_EQ(::write(pair.second.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  FdPair ends_;
  FdPair beside_;
};

TEST_F(ReadAhead, SmallPiecesComeInOrderAndOnlyTheFirstFromTheKernel) {
  say(ends_, "one two three");
  EXPECT_EQ(bytes_ahead(), 0U);
  EXPECT_EQ(take(ends_.first.get(), 4), "one ");
  EXPECT_EQ(bytes_ahead(), 9U);
  EXPECT_EQ(queued(ends_.first.get()), -1) << "all of it was read";
  EXPECT_EQ(ready(ends_.first.get(), POLLIN), POLLIN);
  say(ends_, " four");
  EXPECT_EQ(take(ends_.first.get(), 100), "two three") << "what came later is behind";
  EXPECT_EQ(bytes_ahead(), 0U);
  EXPECT_EQ(ready(ends_.first.get(), POLLIN), POLLIN) << "the kernel's own answer";
  EXPECT_EQ(take(ends_.first.get(), 100), " four");
  EXPECT_EQ(ready(ends_.first.get(), POLLIN), 0);
}

TEST_F(ReadAhead, TheEndComesAfterWhatWasReadAhead) {
  say(ends_, "last");
  EXPECT_EQ(take(ends_.first.get(), 1), "l");
  ends_.second.reset();
  EXPECT_EQ(take(ends_.first.get(), 100), "ast");
  EXPECT_EQ(take(ends_.first.get(), 100), "");
  EXPECT_EQ(bytes_ahead(), 0U);
}

TEST_F(ReadAhead, WhoWaitsToWriteHearsOfThatFirstAndThenOfBoth) {
  constexpr short kBoth = POLLIN | POLLOUT;
  say(ends_, "both");
  EXPECT_EQ(ready(ends_.first.get(), kBoth), POLLOUT) << "what the kernel has may wait, too";
  EXPECT_EQ(take(ends_.first.get(), 1), "b");
  EXPECT_EQ(ready(ends_.first.get(), kBoth), kBoth)
      << "whoever always has something to write reads all the same";
  EXPECT_EQ(ready(ends_.first.get(), kBoth), POLLOUT);
  EXPECT_EQ(ready(ends_.first.get(), POLLOUT), POLLOUT);
  EXPECT_EQ(ready(ends_.first.get(), POLLIN), POLLIN);
  EXPECT_EQ(take(ends_.first.get(), 100), "oth");
  EXPECT_EQ(ready(ends_.first.get(), kBoth), POLLOUT);
  say(beside_, "beside");
  EXPECT_EQ(ready(beside_.first.get(), kBoth), kBoth);
}

TEST_F(ReadAhead, OtherDescriptorsAreAsTheyWere) {
  say(beside_, "beside");
  EXPECT_EQ(take(beside_.first.get(), 3), "bes");
  EXPECT_EQ(bytes_ahead(), 0U);
  EXPECT_EQ(queued(beside_.first.get()), 1);
  say(ends_, "here");
  EXPECT_EQ(take(ends_.first.get(), 1), "h");
  // while there is something ahead, they wait for the next call
  pollfd asked[] = {{beside_.first.get(), POLLIN, 0}, {ends_.first.get(), POLLIN, 0}};
  EXPECT_EQ(::poll(asked, 2, -1), 1);
  EXPECT_EQ(asked[0].revents, 0);
  EXPECT_EQ(take(ends_.first.get(), 100), "ere");
  EXPECT_EQ(::poll(asked, 2, -1), 1);
  EXPECT_EQ(asked[0].revents, POLLIN);
  EXPECT_EQ(asked[1].revents, 0);
}

TEST_F(ReadAhead, AFailureIsTheKernels) {
  EXPECT_EQ(::recv(-1, nullptr, 0, 0), -1);
  EXPECT_EQ(errno, EBADF);
  ASSERT_TRUE(set_nonblocking(ends_.first.get(), true));
  char byte = 0;
  EXPECT_EQ(::recv(ends_.first.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, EAGAIN);
}

}  // namespace
}  // namespace qf
