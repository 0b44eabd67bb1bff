// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/listening_sockets.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "libqf/address.h"
#include "libqf/listen.h"

namespace qf {
namespace {

// An address of this test alone: port 22022 of others is in use by whoever runs beside it.
std::string own(unsigned last) {
  auto pid = static_cast<unsigned>(::getpid());
  return "127." + std::to_string(200 + (pid >> 14) % 50) + "." + std::to_string((pid >> 6) & 255) + "." +
         std::to_string((pid & 63) * 4 + last);
}

Fd bound(const std::string& address, uint16_t port, bool listening = true) {
  auto to = make_socket_address(address, port);
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(fd.get(), to->get(), to->length) != 0) std::abort();
  if (listening && ::listen(fd.get(), 1) != 0) std::abort();
  return fd;
}

std::vector<HandedSocket> one(Fd fd) {
  std::vector<HandedSocket> handed;
  handed.push_back({std::move(fd), "ssh"});
  return handed;
}

TEST(ListeningSockets, FollowTheDocument) {
  ListeningSockets sockets;
  EXPECT_TRUE(sockets.follow({own(1), own(2)}).empty());
  EXPECT_EQ(sockets.addresses(), (std::vector<std::string>{own(1), own(2)}));
  EXPECT_TRUE(sockets.follow({own(2), own(3)}).empty());
  EXPECT_EQ(sockets.addresses(), (std::vector<std::string>{own(2), own(3)}));
  // the one that is gone is free
  Fd again = bound(own(1), kFabricPort);
  EXPECT_TRUE(again);
}

TEST(ListeningSockets, OneThatCannotBeBoundKeepsTheOthers) {
  Fd taken = bound(own(1), kFabricPort);
  ListeningSockets sockets;
  auto errors = sockets.follow({own(1), own(2), "no address"});
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_EQ(errors[0].text(), "cannot listen on " + own(1) + " port 22022: Address already in use");
  EXPECT_EQ(sockets.addresses(), std::vector<std::string>{own(2)});
  taken.reset();
  EXPECT_EQ(sockets.follow({own(1), own(2)}).size(), 0U);
}

TEST(ListeningSockets, HandedOnesAreUsedAndKept) {
  ListeningSockets sockets;
  ASSERT_TRUE(sockets.adopt(one(bound(own(1), kFabricPort)), {own(1)}));
  EXPECT_TRUE(sockets.follow({own(1)}).empty());
  ASSERT_EQ(sockets.all().size(), 1U);
  EXPECT_TRUE(sockets.all()[0].handed);
  // not an address of ours for a while: not accepted on, and there again afterwards
  EXPECT_TRUE(sockets.follow({own(2)}).empty());
  EXPECT_EQ(sockets.addresses(), std::vector<std::string>{own(2)});
  EXPECT_TRUE(sockets.follow({own(1)}).empty());
  EXPECT_EQ(sockets.addresses(), std::vector<std::string>{own(1)});
}

TEST(ListeningSockets, WhatIsHandedInMustBeRight) {
  auto refused = [](Fd fd, const std::string& why) {
    ListeningSockets sockets;
    auto adopted = sockets.adopt(one(std::move(fd)), {own(1)});
    ASSERT_FALSE(adopted);
    EXPECT_EQ(adopted.error().kind, ErrorKind::kInput);
    EXPECT_NE(adopted.error().text().find("(\"ssh\"), handed in by systemd: " + why), std::string::npos)
        << adopted.error().text();
  };
  refused(bound(own(2), kFabricPort), "it listens on " + own(2) + ", which is no address of this peer");
  refused(bound(own(1), 22023), "it listens on port 22023");
  refused(bound(own(1), kFabricPort, false), "it does not listen");
  refused(Fd(::socket(AF_INET, SOCK_DGRAM, 0)), "it is not a TCP socket");
  refused(Fd(::socket(AF_UNIX, SOCK_STREAM, 0)), "it is not a TCP socket");
  refused(Fd(::open("/dev/null", 0)), "it is not a TCP socket");
}

std::vector<HandedSocket> held(Fd fd) {
  auto handed = one(std::move(fd));
  handed[0].name = "qf-up";
  return handed;
}

TEST(ListeningSockets, OneThatQfUpHoldsEndsForBoth) {
  auto socket = listen_on(own(1));
  ASSERT_TRUE(socket);
  auto other = duplicate(socket->get());
  ASSERT_TRUE(other);
  ListeningSockets sockets;
  ASSERT_TRUE(sockets.adopt(held(std::move(*socket)), {own(1)}));
  EXPECT_TRUE(sockets.follow({own(1)}).empty());
  EXPECT_TRUE(still_listens(other->get()));
  EXPECT_TRUE(sockets.follow({own(2)}).empty());
  EXPECT_FALSE(still_listens(other->get()));
  // the other side still has it, and the address can be listened on again
  EXPECT_TRUE(sockets.follow({own(1)}).empty());
  EXPECT_EQ(sockets.addresses(), std::vector<std::string>{own(1)});
}

TEST(ListeningSockets, OneThatQfUpHoldsAndIsNotOursIsPassedOver) {
  ListeningSockets sockets;
  ASSERT_TRUE(sockets.adopt(held(bound(own(1), kFabricPort)), {own(2)}));
  EXPECT_TRUE(sockets.addresses().empty());
}

}  // namespace
}  // namespace qf
