// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/listening_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "libqf/address.h"
#include "libqf/log.h"

namespace qf {

namespace {

constexpr int kBacklog = 128;

std::string place(const std::string& address) {
  return address + " port " + std::to_string(kFabricPort);
}

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
  if (::bind(fd.get(), address->get(), address->length) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return system_error("cannot listen on " + place(text));
  }
  return fd;
}

int socket_option(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

std::vector<std::string> canonical(const std::vector<std::string>& addresses) {
  std::vector<std::string> out;
  for (const auto& address : addresses) out.push_back(canonical_address(address).value_or(address));
  return out;
}

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// The address of a socket that was handed in, when it is what it must be.
Result<std::string> check_handed(int fd, const std::vector<std::string>& own) {
  if (socket_option(fd, SO_TYPE) != SOCK_STREAM || socket_option(fd, SO_PROTOCOL) != IPPROTO_TCP)
    return input_error("it is not a TCP socket");
  if (socket_option(fd, SO_ACCEPTCONN) != 1) return input_error("it does not listen (is it Accept=yes?)");
  auto local = local_address(fd);
  if (!local) return local.error();
  std::string address = local->address();
  if (local->port() != kFabricPort)
    return input_error("it listens on port " + std::to_string(local->port()) + " of " + address + ", not " +
                       std::to_string(kFabricPort));
  if (!contains(own, address))
    return input_error("it listens on " + address + ", which is no address of this peer");
  return address;
}

}  // namespace

Status ListeningSockets::adopt(std::vector<HandedSocket> handed, const std::vector<std::string>& own) {
  auto wanted = canonical(own);
  for (auto& socket : handed) {
    std::string which =
        "descriptor " + std::to_string(socket.fd.get()) + " (\"" + socket.name + "\"), handed in by systemd";
    auto address = check_handed(socket.fd.get(), wanted);
    if (!address) return input_error("cannot use " + which + ": " + address.error().text());
    if (contains(addresses(), *address))
      return input_error("cannot use " + which + ": another one is at the same address");
    // a client that goes away before it is accepted must not hold up the others
    if (auto set = set_nonblocking(socket.fd.get(), true); !set) return set;
    log_info("listening on " + place(*address) + ", by the socket that systemd has handed in");
    sockets_.push_back({*address, std::move(socket.fd), true, true});
  }
  return Done{};
}

std::vector<Error> ListeningSockets::follow(const std::vector<std::string>& own) {
  auto wanted = canonical(own);
  for (auto socket = sockets_.begin(); socket != sockets_.end();) {
    bool keep = contains(wanted, socket->address);
    if (socket->wanted && !keep) log_info("no longer listening on " + place(socket->address));
    if (socket->handed && socket->wanted && !keep) {
      log_warning("systemd still holds the socket on " + place(socket->address) +
                  ": take it out of its socket unit");
    }
    if (socket->handed && !socket->wanted && keep) log_info("listening on " + place(socket->address));
    socket->wanted = keep;
    socket = keep || socket->handed ? std::next(socket) : sockets_.erase(socket);
  }
  std::vector<Error> errors;
  for (const auto& address : wanted) {
    if (contains(addresses(), address)) continue;
    auto fd = listen_on(address);
    if (!fd) {
      errors.push_back(fd.error());
      continue;
    }
    sockets_.push_back({address, std::move(*fd), false, true});
    log_info("listening on " + place(address));
  }
  return errors;
}

std::vector<std::string> ListeningSockets::addresses() const {
  std::vector<std::string> all;
  for (const auto& socket : sockets_) {
    if (socket.wanted) all.push_back(socket.address);
  }
  return all;
}

}  // namespace qf
