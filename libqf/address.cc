// SPDX-License-Identifier: Apache-2.0
#include "libqf/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>

namespace qf {

namespace {

constexpr auto kAttemptDelay =
    std::chrono::milliseconds(250);  // RFC 8305 section 5: Connection Attempt Delay

std::string text_of(int family, const void* bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family, bytes, text, sizeof text);
  return text;
}

std::string canonical(const in6_addr& a) {
  if (IN6_IS_ADDR_V4MAPPED(&a)) return text_of(AF_INET, &a.s6_addr[12]);
  return text_of(AF_INET6, &a);
}

struct Attempt {
  Fd fd;
  std::string address;
};

// A connection under way; nothing is lost when it fails at once.
Result<Fd> start_connecting(const std::string& address, uint16_t port) {
  auto to = make_socket_address(address, port);
  if (!to) return input_error("\"" + address + "\" is not an address");
  Fd fd(::socket(to->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  int on = 1;
  if (::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0) {
    return system_error("cannot set socket options");
  }
  if (::connect(fd.get(), to->get(), to->length) != 0 && errno != EINPROGRESS) {
    return system_error("cannot connect to " + address + " port " + std::to_string(port));
  }
  return fd;
}

// errno of a connection attempt that poll(2) has reported; 0 when it stands
int connect_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

// Waits for one of the attempts; drops those that failed, noting the last failure.
std::optional<Fd> first_connected(std::vector<Attempt>& attempts, uint16_t port, Deadline until,
                                  Error& last) {
  std::vector<pollfd> polled;
  for (const auto& attempt : attempts) polled.push_back({attempt.fd.get(), POLLOUT, 0});
  if (::poll(polled.data(), polled.size(), poll_timeout(until)) <= 0) return std::nullopt;
  for (size_t i = polled.size(); i-- > 0;) {
    if (polled[i].revents == 0) continue;
    errno = connect_error(attempts[i].fd.get());
    if (errno == 0) return std::move(attempts[i].fd);
    last = system_error("cannot connect to " + attempts[i].address + " port " + std::to_string(port));
    attempts.erase(attempts.begin() + static_cast<ptrdiff_t>(i));
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> canonical_address(std::string_view text) {
  std::string copy(text);
  if (copy.size() != std::char_traits<char>::length(copy.c_str())) return std::nullopt;
  in_addr v4{};
  if (::inet_pton(AF_INET, copy.c_str(), &v4) == 1) return text_of(AF_INET, &v4);
  in6_addr v6{};
  if (::inet_pton(AF_INET6, copy.c_str(), &v6) == 1) return canonical(v6);
  return std::nullopt;
}

std::string SocketAddress::address() const {
  if (storage.ss_family == AF_INET)
    return text_of(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr);
  if (storage.ss_family == AF_INET6)
    return canonical(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
  return "";
}

uint16_t SocketAddress::port() const {
  if (storage.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  return 0;
}

std::optional<SocketAddress> make_socket_address(std::string_view address, uint16_t port) {
  auto text = canonical_address(address);
  if (!text) return std::nullopt;
  SocketAddress out;
  if (text->find(':') == std::string::npos) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    ::inet_pton(AF_INET, text->c_str(), &v4->sin_addr);
    out.length = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    ::inet_pton(AF_INET6, text->c_str(), &v6->sin6_addr);
    out.length = sizeof *v6;
  }
  return out;
}

Result<SocketAddress> peer_address(int fd) {
  SocketAddress out;
  out.length = sizeof out.storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.length) != 0)
    return system_error("getpeername");
  return out;
}

Result<SocketAddress> local_address(int fd) {
  SocketAddress out;
  out.length = sizeof out.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.length) != 0)
    return system_error("getsockname");
  return out;
}

Result<Fd> dial(const std::vector<std::string>& addresses, uint16_t port, Deadline deadline) {
  Error last = input_error("no address to connect to");
  std::vector<Attempt> attempts;
  size_t next = 0;
  while (next < addresses.size() || !attempts.empty()) {
    if (Clock::now() >= deadline)
      return timeout_error("no answer from port " + std::to_string(port) + " in time");
    if (next < addresses.size()) {
      auto fd = start_connecting(addresses[next], port);
      if (fd) {
        attempts.push_back({std::move(*fd), addresses[next]});
      } else {
        last = fd.error();
      }
      ++next;
    }
    Deadline until = next < addresses.size() ? std::min(deadline, Clock::now() + kAttemptDelay) : deadline;
    if (attempts.empty()) continue;
    if (auto fd = first_connected(attempts, port, until, last)) return std::move(*fd);
  }
  return last;
}

}  // namespace qf
