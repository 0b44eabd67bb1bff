// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/connection_owner.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libqf/fd.h"

namespace qf {
namespace {

// As proc(5) shows them, one row each: established by uid 1000, the other way round, and closed by its
// process.
constexpr const char* kTable =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 1 1\n"
    "   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1001        0 2 1\n"
    "   2: 0100007F:9C41 0100007F:1F90 05 00000000:00000000 00:00000000 00000000     0        0 0 1\n";

TEST(FindOwner, OfTheRightEndAndOnlyWhileItIsOpen) {
  EXPECT_EQ(find_owner(kTable, "0100007F:9C40", "0100007F:1F90"), 1000U);
  EXPECT_EQ(find_owner(kTable, "0100007F:1F90", "0100007F:9C40"), 1001U);
  EXPECT_EQ(find_owner(kTable, "0100007F:9C41", "0100007F:1F90"), std::nullopt) << "closed: nobody's";
  EXPECT_EQ(find_owner(kTable, "0100007F:9C42", "0100007F:1F90"), std::nullopt);
  EXPECT_EQ(find_owner("", "", ""), std::nullopt);
  EXPECT_EQ(find_owner("0: a b 01 x x x -1\n0: a b 01\n", "a", "b"), std::nullopt);
}

struct Connected {
  Fd listener, accepted, client;
};

Connected connect_over(int family) {
  sockaddr_storage address = {};
  socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  address.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    reinterpret_cast<sockaddr_in6&>(address).sin6_addr = in6addr_loopback;
  }
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  Connected out{Fd(::socket(family, SOCK_STREAM, 0)), Fd(), Fd(::socket(family, SOCK_STREAM, 0))};
  if (::bind(out.listener.get(), generic, length) != 0 || ::listen(out.listener.get(), 1) != 0) return {};
  if (::getsockname(out.listener.get(), generic, &length) != 0) return {};
  if (::connect(out.client.get(), generic, length) != 0) return {};
  out.accepted = Fd(::accept(out.listener.get(), nullptr, nullptr));
  return out;
}

TEST(ConnectionOwner, OverIPv4AndIPv6) {
  for (int family : {AF_INET, AF_INET6}) {
    Connected connected = connect_over(family);
    if (!connected.accepted && family == AF_INET6) continue;  // this machine has no IPv6
    ASSERT_TRUE(connected.accepted);
    EXPECT_EQ(connection_owner(connected.accepted.get()), ::geteuid());
    connected.client.reset();
    EXPECT_EQ(connection_owner(connected.accepted.get()), std::nullopt) << "closed by its process";
  }
}

TEST(ConnectionOwner, OfWhatIsNoConnection) {
  EXPECT_EQ(connection_owner(-1), std::nullopt);
  Fd unconnected(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(connection_owner(unconnected.get()), std::nullopt);
}

}  // namespace
}  // namespace qf
