// SPDX-License-Identifier: Apache-2.0
// IP addresses and TCP connections. No DNS here: peers are reached at the addresses in peers.mdb.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/fd.h"

namespace qf {

inline constexpr uint16_t kFabricPort = 22022;

// One canonical text per address: IPv4 dotted; IPv6 as RFC 5952; IPv4-mapped IPv6 (::ffff:a.b.c.d) becomes
// IPv4; a zone ("%eth0"), brackets or anything else is no address.
[[nodiscard]] std::optional<std::string> canonical_address(std::string_view text);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] std::string address() const;  // canonical
  [[nodiscard]] uint16_t port() const;
};
[[nodiscard]] std::optional<SocketAddress> make_socket_address(std::string_view address, uint16_t port);
[[nodiscard]] Result<SocketAddress> peer_address(int fd);   // getpeername
[[nodiscard]] Result<SocketAddress> local_address(int fd);  // getsockname

// Connects to the first address that answers, TCP_NODELAY and SO_KEEPALIVE set, the socket non-blocking.
// Addresses are tried in order, the next one 250 ms after the one before or at once when that failed (RFC
// 8305 section 5); the deadline covers all. kTimeout, or kSystem with the errno of the last address that
// failed.
[[nodiscard]] Result<Fd> dial(const std::vector<std::string>& addresses, uint16_t port, Deadline deadline);

}  // namespace qf
