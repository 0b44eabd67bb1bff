// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/client_connection.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

#include "libqf/tokend_client.h"

namespace qf {
namespace {

class Connection : public ::testing::Test {
 protected:
  Connection() {
    auto pair = make_socketpair(SOCK_STREAM);
    ours_ = std::move(pair->first);
    EXPECT_TRUE(set_nonblocking(pair->second.get(), true));
    client_.emplace(7, std::move(pair->second), ucred{1, 2, 3}, now_);
  }
  void type(const std::string& text) { EXPECT_TRUE(write_all(ours_.get(), text)); }
  std::string seen() {
    char buffer[65536];
    ssize_t n = ::recv(ours_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return n <= 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }

  Deadline now_ = Clock::now();
  Fd ours_;
  std::optional<ClientConnection> client_;
};

TEST_F(Connection, HalfLinesWait) {
  type("{\"op\":");
  EXPECT_TRUE(client_->receive());
  EXPECT_FALSE(client_->next_line(now_));
  type("1}\r\nrest");
  EXPECT_TRUE(client_->receive());
  EXPECT_EQ(client_->next_line(now_), "{\"op\":1}");
  EXPECT_FALSE(client_->next_line(now_));
}

TEST_F(Connection, LaterLinesWaitForTheAnswer) {
  type("a\nb\n");
  EXPECT_TRUE(client_->receive());
  EXPECT_EQ(client_->next_line(now_), "a");
  client_->busy = true;
  EXPECT_FALSE(client_->next_line(now_));
  client_->busy = false;
  EXPECT_EQ(client_->next_line(now_), "b");
}

TEST_F(Connection, TooLongALine) {
  std::string chunk(kMostTokendLine / 16, 'x');
  for (int i = 0; i < 16; ++i) {
    type(chunk);
    ASSERT_TRUE(client_->receive()) << i;
  }
  type("y");
  auto received = client_->receive();
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().kind, ErrorKind::kPeer);
}

TEST_F(Connection, TheLongestLine) {
  std::thread writer([this] { type(std::string(kMostTokendLine - 1, 'x') + "\n"); });
  Deadline until = Clock::now() + std::chrono::seconds(5);
  std::optional<std::string> line;
  while (!line && Clock::now() < until) {
    ASSERT_TRUE(client_->receive());
    line = client_->next_line(now_);
  }
  writer.join();
  ASSERT_TRUE(line);
  EXPECT_EQ(line->size(), kMostTokendLine - 1);
}

TEST_F(Connection, AByteTooManyWithItsNewline) {
  std::thread writer([this] { type(std::string(kMostTokendLine, 'x') + "\n"); });
  Deadline until = Clock::now() + std::chrono::seconds(5);
  Status received = Done{};
  while (received && Clock::now() < until) received = client_->receive();
  writer.join();
  EXPECT_FALSE(received);
}

TEST_F(Connection, AskingFarAheadIsHeldBack) {
  ASSERT_TRUE(set_nonblocking(ours_.get(), true));
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += std::string(99, 'x') + "\n";
  size_t sent = 0, taken = 0;
  for (int i = 0; i < 100; ++i) {
    ssize_t n = ::send(ours_.get(), lines.data(), lines.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
    ASSERT_TRUE(client_->receive());
  }
  EXPECT_LT(sent, 100 * lines.size()) << "read without bound";
  EXPECT_EQ(client_->events() & POLLIN, 0);
  while (client_->next_line(now_)) ++taken;
  EXPECT_GE(taken, kMostTokendLine / 100);
  EXPECT_NE(client_->events() & POLLIN, 0);
}

TEST_F(Connection, AnswersAfterTheClientHasSaidEverything) {
  type("a\n");
  ASSERT_EQ(::shutdown(ours_.get(), SHUT_WR), 0);
  EXPECT_TRUE(client_->receive());
  EXPECT_EQ(client_->next_line(now_), "a");
  client_->busy = true;
  EXPECT_FALSE(client_->finished());
  EXPECT_EQ(client_->events() & POLLIN, 0);  // an ended input is always readable: the loop would spin
  client_->busy = false;
  client_->send("answer", now_);
  EXPECT_FALSE(client_->finished());
  EXPECT_TRUE(client_->flush(now_));
  EXPECT_EQ(seen(), "answer\n");
  EXPECT_TRUE(client_->finished());
}

TEST_F(Connection, GoneClient) {
  ours_.reset();
  client_->send("answer", now_);
  EXPECT_FALSE(client_->flush(now_));
}

TEST_F(Connection, UnreadAnswersArePatientlyKeptForAWhile) {
  EXPECT_FALSE(client_->stuck(now_));
  client_->send(std::string(900'000, 'x'), now_);
  ASSERT_TRUE(client_->flush(now_));
  EXPECT_FALSE(client_->finished());
  EXPECT_FALSE(client_->stuck(now_));
  EXPECT_TRUE(client_->stuck(now_ + kUnreadTime));
}

TEST_F(Connection, UnreadAnswersDoNotPileUp) {
  std::string line(100'000, 'x');
  for (int i = 0; i < 1000 && !client_->finished(); ++i) {
    client_->send(line, now_);
    ASSERT_TRUE(client_->flush(now_));
  }
  EXPECT_TRUE(client_->finished());
}

TEST_F(Connection, TheLastAnswerIsReadBeforeTheEnd) {
  client_->close_after_answer();
  client_->send("no", now_);
  EXPECT_TRUE(client_->flush(now_));
  type("more that nobody reads\n");
  EXPECT_TRUE(client_->receive());
  EXPECT_FALSE(client_->next_line(now_));
  EXPECT_EQ(seen(), "no\n");
  EXPECT_FALSE(client_->finished()) << "it has not closed yet";
  EXPECT_TRUE(client_->stuck(now_ + kFarewellTime));
  ours_.reset();
  EXPECT_TRUE(client_->receive());
  EXPECT_TRUE(client_->finished());
}

TEST_F(Connection, WhatWasSentIsNotKept) {
  client_->send("secret", now_);
  EXPECT_NE(client_->events() & POLLOUT, 0);
  EXPECT_TRUE(client_->flush(now_));
  EXPECT_EQ(client_->events() & POLLOUT, 0);
  EXPECT_FALSE(client_->stuck(now_ + kUnreadTime));
}

}  // namespace
}  // namespace qf
