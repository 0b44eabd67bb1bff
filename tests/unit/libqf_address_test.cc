// SPDX-License-Identifier: Apache-2.0
#include "libqf/address.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

namespace qf {
namespace {

using namespace std::chrono_literals;

TEST(Address, OneTextForEach) {
  struct Case {
    std::string_view written, canonical;
  };
  for (const auto& c : {Case{"100.119.4.2", "100.119.4.2"},
                        {"FD00::68", "fd00::68"},
                        {"fd00:0:0:0:0:0:0:68", "fd00::68"},
                        {"fd00:0000::0068", "fd00::68"},
                        {"2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"},
                        {"::", "::"},
                        {"::1", "::1"},
                        {"::ffff:100.119.4.2", "100.119.4.2"},
                        {"::FFFF:6477:402", "100.119.4.2"}}) {
    EXPECT_EQ(canonical_address(c.written), c.canonical) << c.written;
  }
}

TEST(Address, AnythingElseIsNone) {
  for (std::string_view text : {"", "db1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "0x1.2.3.4",
                                "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/32", "fe80::1%eth0", "[::1]",
                                "::1::", ":::", "fd00::68/64", "1.2.3.4:22", "localhost", "16909060"}) {
    EXPECT_EQ(canonical_address(text), std::nullopt) << text;
    EXPECT_EQ(make_socket_address(text, 22), std::nullopt) << text;
  }
  EXPECT_EQ(canonical_address(std::string_view("1.2.3.4\0.5", 10)), std::nullopt);
}

TEST(Address, SocketAddresses) {
  for (std::string text : {"100.119.4.2", "fd00::68"}) {
    auto address = make_socket_address(text, 22022);
    ASSERT_TRUE(address);
    EXPECT_EQ(address->address(), text);
    EXPECT_EQ(address->port(), 22022);
  }
  EXPECT_EQ(SocketAddress{}.address(), "");
  EXPECT_EQ(SocketAddress{}.port(), 0);
  // as a dual-stack listener reports an IPv4 client
  SocketAddress mapped;
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&mapped.storage);
  v6->sin6_family = AF_INET6;
  v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
  v6->sin6_addr.s6_addr[12] = 10;
  EXPECT_EQ(mapped.address(), "10.0.0.0");
}

struct Listener {
  Fd fd;
  uint16_t port = 0;
};

// A listening socket on a free port of 127.0.0.1
Listener listen_on_loopback() {
  Listener listener;
  listener.fd = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto address = make_socket_address("127.0.0.1", 0);
  EXPECT_EQ(::bind(listener.fd.get(), address->get(), address->length), 0);
  EXPECT_EQ(::listen(listener.fd.get(), 5), 0);
  auto bound = local_address(listener.fd.get());
  EXPECT_TRUE(bound);
  listener.port = bound ? bound->port() : 0;
  return listener;
}

// A port of 127.0.0.1 that nobody listens on, but that is taken while this lives.
Listener dead_port() {
  Listener listener;
  listener.fd = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto address = make_socket_address("127.0.0.1", 0);
  EXPECT_EQ(::bind(listener.fd.get(), address->get(), address->length), 0);
  auto bound = local_address(listener.fd.get());
  listener.port = bound ? bound->port() : 0;
  return listener;
}

int option_of(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  ::getsockopt(fd, level, name, &value, &length);
  return value;
}

TEST(Address, DialConnects) {
  Listener listener = listen_on_loopback();
  auto fd = dial({"127.0.0.1"}, listener.port, Clock::now() + 10s);
  ASSERT_TRUE(fd) << fd.error().text();
  auto peer = peer_address(fd->get());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->address(), "127.0.0.1");
  EXPECT_EQ(peer->port(), listener.port);
  EXPECT_NE(option_of(fd->get(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(option_of(fd->get(), SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_NE(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Address, DialGoesOnToTheNextAtOnce) {
  Listener listener = listen_on_loopback();
  // 127.0.0.2 refuses: the listener is bound to 127.0.0.1 alone
  auto start = Clock::now();
  auto fd = dial({"127.0.0.2", "not an address", "127.0.0.1"}, listener.port, start + 10s);
  ASSERT_TRUE(fd) << fd.error().text();
  EXPECT_EQ(peer_address(fd->get())->address(), "127.0.0.1");
}

TEST(Address, DialSaysWhyTheLastOneFailed) {
  Listener dead = dead_port();
  auto fd = dial({"127.0.0.1"}, dead.port, Clock::now() + 10s);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().sys, ECONNREFUSED);
  EXPECT_EQ(fd.error().what, "cannot connect to 127.0.0.1 port " + std::to_string(dead.port));
  EXPECT_EQ(dial({}, 22, Clock::now() + 10s).error().kind, ErrorKind::kInput);
  EXPECT_EQ(dial({"db1"}, 22, Clock::now() + 10s).error().kind, ErrorKind::kInput);
}

// A listener whose queue is full drops further connections, so that they hang.
TEST(Address, DialKeepsItsDeadline) {
  Listener listener;
  listener.fd = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto address = make_socket_address("127.0.0.1", 0);
  ASSERT_EQ(::bind(listener.fd.get(), address->get(), address->length), 0);
  ASSERT_EQ(::listen(listener.fd.get(), 0), 0);
  listener.port = local_address(listener.fd.get())->port();
  std::vector<Fd> filling;
  bool hung = false;
  for (int i = 0; i < 16 && !hung; ++i) {
    auto start = Clock::now();
    auto fd = dial({"127.0.0.1"}, listener.port, start + 200ms);
    if (fd) {
      filling.push_back(std::move(*fd));
      continue;
    }
    hung = true;
    EXPECT_EQ(fd.error().kind, ErrorKind::kTimeout);
    EXPECT_LT(Clock::now() - start, 5s);
  }
  if (!hung) GTEST_SKIP() << "this kernel does not drop connections to a full queue";
  // an address that answers is reached past one that hangs (RFC 8305)
  Fd second(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto beside = make_socket_address("127.0.0.2", listener.port);
  ASSERT_EQ(::bind(second.get(), beside->get(), beside->length), 0);
  ASSERT_EQ(::listen(second.get(), 5), 0);
  auto fd = dial({"127.0.0.1", "127.0.0.2"}, listener.port, Clock::now() + 10s);
  ASSERT_TRUE(fd) << fd.error().text();
  EXPECT_EQ(peer_address(fd->get())->address(), "127.0.0.2");
}

}  // namespace
}  // namespace qf
