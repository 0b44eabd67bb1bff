// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/message_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <thread>

#include "qf-sshd/messages.h"

namespace qf::test {
namespace {

using std::chrono::milliseconds;

struct Ends {
  MessageSocket a, b;
};

Ends new_pair() {
  auto ends = MessageSocket::pair();
  if (!ends) std::abort();
  return {std::move(ends->first), std::move(ends->second)};
}

Deadline soon() {
  return Clock::now() + std::chrono::seconds(5);
}

std::set<std::string> open_descriptors() {
  std::set<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    all.insert(entry.path().filename());
  return all;
}

// Sends raw bytes and descriptors past MessageSocket, as a hostile process would.
ssize_t send_raw(int fd, std::string bytes, const std::vector<int>& fds = {}) {
  iovec part = {bytes.data(), bytes.size()};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  return ::sendmsg(fd, &header, MSG_NOSIGNAL);
}

TEST(MessageSocket, CarriesMessagesInOrder) {
  auto [a, b] = new_pair();
  ASSERT_TRUE(a.send(Hello{}));
  ASSERT_TRUE(a.send(SignalRequest{7, "INT"}));
  auto first = b.receive(soon()), second = b.receive(soon());
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(open_message<Hello>(*first));
  auto signal = open_message<SignalRequest>(*second);
  ASSERT_TRUE(signal);
  EXPECT_EQ(signal->name, "INT");
}

TEST(MessageSocket, TheLongestMessageFits) {
  auto [a, b] = new_pair();
  std::string bytes("\0\0\0\1", 4);
  bytes.resize(kMostMessageBytes, 'x');
  ASSERT_EQ(send_raw(a.fd(), bytes), static_cast<ssize_t>(kMostMessageBytes)) << std::strerror(errno);
  auto message = b.receive(soon());
  ASSERT_TRUE(message) << message.error().text();
  EXPECT_EQ(message->body.size(), kMostMessageBytes - 4);
}

TEST(MessageSocket, OneByteMoreDoesNot) {
  auto [a, b] = new_pair();
  ASSERT_EQ(send_raw(a.fd(), std::string(kMostMessageBytes + 1, '\0')),
            static_cast<ssize_t>(kMostMessageBytes + 1));
  auto message = b.receive(soon());
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().kind, ErrorKind::kPeer);
}

TEST(MessageSocket, TooShortForAType) {
  for (size_t n : {1U, 2U, 3U}) {
    auto [a, b] = new_pair();
    ASSERT_EQ(send_raw(a.fd(), std::string(n, '\0')), static_cast<ssize_t>(n));
    auto message = b.receive(soon());
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().kind, ErrorKind::kPeer);
  }
}

// The end of the socket is read the same way.
TEST(MessageSocket, AnEmptyPacketIsNoEnd) {
  auto [a, b] = new_pair();
  ASSERT_EQ(send_raw(a.fd(), ""), 0);
  auto message = b.receive(soon());
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().kind, ErrorKind::kPeer);
  a.close();
  message = b.receive(soon());
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().kind, ErrorKind::kNotFound);
}

TEST(MessageSocket, DescriptorsArriveCloseOnExec) {
  auto [a, b] = new_pair();
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  Fd null(::open("/dev/null", O_RDWR));
  ASSERT_TRUE(a.send(SessionReply{1, true, ""}, {pipe->first.get(), pipe->second.get(), null.get()}));
  auto message = b.receive(soon());
  ASSERT_TRUE(message);
  ASSERT_EQ(message->fds.size(), 3U);
  for (const auto& fd : message->fds) EXPECT_EQ(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  ASSERT_TRUE(write_all(message->fds[1].get(), "through"));
  char text[8] = {};
  EXPECT_EQ(::read(pipe->first.get(), text, sizeof text), 7);
}

TEST(MessageSocket, TooManyDescriptorsAreRefusedAndNoneLeaks) {
  auto [a, b] = new_pair();
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  auto before = open_descriptors();
  for (size_t count : {7U, 8U, 16U}) {
    ASSERT_GT(send_raw(a.fd(), std::string("\0\0\0\1\0\0\0\1", 8), std::vector<int>(count, null.get())), 0);
    auto message = b.receive(soon());
    ASSERT_FALSE(message) << count;
    EXPECT_EQ(message.error().kind, ErrorKind::kPeer);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(MessageSocket, DescriptorsOfARefusedMessageAreClosed) {
  auto [a, b] = new_pair();
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  auto before = open_descriptors();
  ASSERT_GT(send_raw(a.fd(), std::string("\0\0\0\1\0\0\0\1", 8), {null.get()}), 0);
  {
    auto message = b.receive(soon());
    ASSERT_TRUE(message);
    EXPECT_FALSE(open_message<Hello>(*message)) << "Hello has no descriptor";
  }
  // and of one that is too short to be a message
  ASSERT_GT(send_raw(a.fd(), "x", {null.get()}), 0);
  EXPECT_FALSE(b.receive(soon()));
  EXPECT_EQ(open_descriptors(), before);
}

TEST(MessageSocket, TheOtherSideCloses) {
  auto [a, b] = new_pair();
  ASSERT_TRUE(a.send(Hello{}));
  a.close();
  EXPECT_TRUE(b.receive(soon())) << "what was sent before still comes";
  auto message = b.receive(soon());
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(b.send(Hello{})) << "and sending raises no SIGPIPE";
}

TEST(MessageSocket, CloseWithUnreadMessagesIsAClose) {
  auto [a, b] = new_pair();
  ASSERT_TRUE(b.send(Hello{}));
  a.close();  // the kernel reports this as ECONNRESET
  auto message = b.receive(soon());
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().kind, ErrorKind::kNotFound);
}

TEST(MessageSocket, AnEmptyPacketIsNoEndlessLoop) {
  auto [a, b] = new_pair();
  ASSERT_EQ(send_raw(a.fd(), ""), 0);
  EXPECT_FALSE(b.receive(soon()));
}

TEST(MessageSocket, Deadline) {
  auto [a, b] = new_pair();
  auto start = Clock::now();
  auto message = b.receive(start + milliseconds(50));
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().kind, ErrorKind::kTimeout);
  EXPECT_GE(Clock::now() - start, milliseconds(50));
}

TEST(MessageSocket, SendingWaitsForRoomAndLosesNothing) {
  auto [a, b] = new_pair();
  constexpr uint32_t kCount = 2000;
  std::thread sender([&a = a] {
    for (uint32_t i = 0; i < kCount; ++i) {
      if (!a.send(AuthRequest{std::to_string(i), AuthMethod::kPassword, std::string(8192, 'x'), false}))
        return;
    }
  });
  for (uint32_t i = 0; i < kCount; ++i) {
    auto message = b.receive(soon());
    ASSERT_TRUE(message) << message.error().text();
    auto request = open_message<AuthRequest>(*message);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->user, std::to_string(i));
  }
  sender.join();
}

TEST(MessageSocketDeathTest, OurOwnMistakesAbort) {
  auto [a, b] = new_pair();
  EXPECT_DEATH(static_cast<void>(!a.send(Disconnect{std::string(kMostMessageBytes, 'x')})), "");
  EXPECT_DEATH(static_cast<void>(!a.send(Hello{}, {0, 0, 0, 0, 0, 0, 0})), "");
}

}  // namespace
}  // namespace qf::test
