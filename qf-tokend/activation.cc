// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/activation.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <optional>

#include "libqf/log.h"
#include "libqf/unix_socket.h"

namespace qf {

namespace {

int socket_option(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

// Empty: it has no name in the file system.
std::string path_of(int fd) {
  sockaddr_un address = {};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "";
  size_t most = length > offsetof(sockaddr_un, sun_path) ? length - offsetof(sockaddr_un, sun_path) : 0;
  return {address.sun_path, ::strnlen(address.sun_path, most)};
}

std::optional<struct stat> socket_at(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0 || !S_ISSOCK(st.st_mode)) return std::nullopt;
  return st;
}

// Clients know one path only; the unit may spell it otherwise (/var/run).
bool same_socket(const std::string& a, const std::string& b) {
  auto first = socket_at(a), second = socket_at(b);
  return first && second && first->st_dev == second->st_dev && first->st_ino == second->st_ino;
}

Status check_handed(int fd, const std::string& path) {
  if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM)
    return input_error("it is not a Unix stream socket");
  if (socket_option(fd, SO_ACCEPTCONN) != 1) return input_error("it does not listen (is it Accept=yes?)");
  std::string at = path_of(fd);
  if (same_socket(at, path)) return Done{};
  if (at == path) return input_error("it is no longer at " + path + ": restart the socket unit");
  return input_error("it listens at " + (at.empty() ? "no path" : printable(at)) + ", and clients look at " +
                     path);
}

}  // namespace

Result<Activation> Activation::take() {
  Activation out;
  auto names = handed_descriptors();
  if (!names) return names.error();
  for (size_t i = 0; i < names->size(); ++i) {
    out.sockets_.emplace_back(kFirstHandedFd + static_cast<int>(i));
  }
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(variable);
  out.notifier_ = Notifier::take();
  if (out.sockets_.size() > 1) {
    return input_error("systemd has handed in " + std::to_string(out.sockets_.size()) +
                       " sockets; this program listens at one");
  }
  return out;
}

Status Activation::check(const std::string& path) const {
  if (!handed()) return Done{};
  auto good = check_handed(sockets_.front().get(), path);
  if (good) return good;
  return input_error("cannot use the socket that systemd has handed in: " + good.error().text());
}

Result<Fd> Activation::listen(const std::string& path, mode_t mode) {
  if (!handed()) return listen_unix(path, mode);
  if (auto set = set_nonblocking(sockets_.front().get(), true); !set) return set.error();
  return std::move(sockets_.front());
}

}  // namespace qf
