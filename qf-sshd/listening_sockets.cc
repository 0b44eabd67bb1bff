// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/listening_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "libqf/address.h"
#include "libqf/listen.h"
#include "libqf/log.h"

namespace qf {

namespace {

std::string place(const std::string& address) {
  return address + " port " + std::to_string(kFabricPort);
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
    bool held = socket.name == kHeldSocketName;
    std::string which =
        "descriptor " + std::to_string(socket.fd.get()) + " (\"" + socket.name + "\"), handed in by systemd";
    auto address = check_handed(socket.fd.get(), wanted);
    // the document may have changed since qf-up made it, which needs no person
    if (!address && held) {
      log_info("a socket that qf-up holds is not used: " + address.error().text());
      continue;
    }
    if (!address) return input_error("cannot use " + which + ": " + address.error().text());
    if (contains(addresses(), *address))
      return input_error("cannot use " + which + ": another one is at the same address");
    // a client that goes away before it is accepted must not hold up the others
    if (auto set = set_nonblocking(socket.fd.get(), true); !set) return set;
    log_info("listening on " + place(*address) + ", by the socket that " +
             (held ? "qf-up holds" : "systemd has handed in"));
    sockets_.push_back({*address, std::move(socket.fd), !held, held});
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
    // for qf-up too, which would have connections wait for nobody
    if (socket->held && !keep) ::shutdown(socket->fd.get(), SHUT_RDWR);
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
    sockets_.push_back({address, std::move(*fd)});
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
