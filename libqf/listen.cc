// SPDX-License-Identifier: Apache-2.0
#include "libqf/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "libqf/address.h"

namespace qf {

namespace {

constexpr int kListenBacklog = 128;

}  // namespace

Result<Fd> listen_on(const std::string& text) {
  auto address = make_socket_address(text, kFabricPort);
  if (!address) return input_error("\"" + text + "\" is not an address");
  bool v6 = address->storage.ss_family == AF_INET6;
  Fd fd(::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  int on = 1;
  bool set = ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
             // the fabric's interface may come up later than we do
             ::setsockopt(fd.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on,
                          sizeof on) == 0 &&
             (!v6 || ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
  if (!set) return system_error("cannot set socket options");
  if (::bind(fd.get(), address->get(), address->length) != 0 || ::listen(fd.get(), kListenBacklog) != 0) {
    return system_error("cannot listen on " + text + " port " + std::to_string(kFabricPort));
  }
  return fd;
}

bool still_listens(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value == 1;
}

}  // namespace qf
