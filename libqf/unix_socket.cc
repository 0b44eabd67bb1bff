// SPDX-License-Identifier: Apache-2.0
#include "libqf/unix_socket.h"

#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

namespace qf {

namespace {

constexpr time_t kConnectSeconds = 2;  // a stopped daemon whose queue is full must not hang ssh
constexpr int kBacklog = 4096;         // the kernel cuts it to net.core.somaxconn

Result<sockaddr_un> address_of(const std::string& path, size_t most) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() > most) {
    return input_error("the socket's path " + path + " is longer than " + std::to_string(most) + " bytes");
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  return address;
}

}  // namespace

Result<Fd> listen_unix(const std::string& path, mode_t mode, int type) {
  const std::string suffix = ".new";
  std::string temporary = path + suffix;
  if (auto fits = address_of(path, sizeof sockaddr_un::sun_path - suffix.size() - 1); !fits)
    return fits.error();
  auto at = address_of(temporary, sizeof sockaddr_un::sun_path - 1);
  if (!at) return at.error();
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  ::unlink(temporary.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*at), sizeof *at) != 0) {
    return system_error("cannot bind " + path);
  }
  if (::chmod(temporary.c_str(), mode) != 0 || ::listen(fd.get(), kBacklog) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0) {
    Error error = system_error("cannot listen at " + path);
    ::unlink(temporary.c_str());
    return error;
  }
  return fd;
}

Result<Fd> connect_unix(const std::string& path, uid_t owner, int type) {
  auto to = address_of(path, sizeof sockaddr_un::sun_path - 1);
  if (!to) return to.error();
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return system_error("cannot make a socket");
  struct timeval limit = {kConnectSeconds, 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
    return system_error("cannot set SO_SNDTIMEO");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*to), sizeof *to) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return not_found("no daemon listens at " + path);
    if (errno == EAGAIN) return timeout_error("the daemon at " + path + " does not answer");
    return system_error("cannot connect to " + path);
  }
  auto peer = peer_credentials(fd.get());
  if (!peer) return peer.error();
  if (owner != static_cast<uid_t>(-1) && peer->uid != owner) {
    return refused("the daemon at " + path + " runs under uid " + std::to_string(peer->uid) + ", not " +
                   std::to_string(owner));
  }
  return fd;
}

Result<ucred> peer_credentials(int fd) {
  ucred peer = {};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return system_error("SO_PEERCRED");
  return peer;
}

}  // namespace qf
