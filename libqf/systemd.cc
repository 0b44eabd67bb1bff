// SPDX-License-Identifier: Apache-2.0
#include "libqf/systemd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "libqf/text.h"

namespace qf {

namespace {

constexpr uint64_t kMostHanded = 256;
constexpr size_t kMostNotifyBytes = 4096;
constexpr int kMostMessagesAtOnce = 64;

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

struct NotifyAddress {
  sockaddr_un address = {};
  socklen_t length = 0;
};

// Absolute path, or "@" and an abstract name; anything else is no address.
std::optional<NotifyAddress> notify_address(const std::string& path) {
  NotifyAddress out;
  out.address.sun_family = AF_UNIX;
  if (path.size() < 2 || path.size() >= sizeof out.address.sun_path || (path[0] != '/' && path[0] != '@'))
    return std::nullopt;
  std::copy(path.begin(), path.end(), out.address.sun_path);
  if (path[0] == '@') out.address.sun_path[0] = '\0';
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return out;
}

}  // namespace

Result<std::vector<std::string>> handed_descriptors() {
  std::string pid = variable("LISTEN_PID");
  if (pid.empty() || pid != std::to_string(::getpid())) return std::vector<std::string>{};
  auto count = parse_number(variable("LISTEN_FDS"), kMostHanded);
  if (!count) return input_error("LISTEN_FDS is not a number up to " + std::to_string(kMostHanded));
  std::vector<std::string> names;
  if (std::string all = variable("LISTEN_FDNAMES"); !all.empty()) names = split(all, ':');
  if (!names.empty() && names.size() != *count)
    return input_error("LISTEN_FDNAMES does not name as many descriptors as LISTEN_FDS says");
  names.resize(static_cast<size_t>(*count), "unknown");
  for (int fd = kFirstHandedFd; fd < kFirstHandedFd + static_cast<int>(*count); ++fd) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
      return system_error("descriptor " + std::to_string(fd) + ", which LISTEN_FDS promises");
  }
  return names;
}

Notifier Notifier::take() {
  std::string path = variable("NOTIFY_SOCKET");
  Notifier notifier(notify_address(path) ? path : "");
  // sd_watchdog_enabled(3)
  std::string pid = variable("WATCHDOG_PID");
  constexpr uint64_t kMostWatchdog = uint64_t{1'000'000} * 86'400 * 365;
  auto watchdog = parse_number(variable("WATCHDOG_USEC"), kMostWatchdog);
  if (watchdog && *watchdog > 0 && (pid.empty() || pid == std::to_string(::getpid())))
    notifier.watchdog_ = std::chrono::microseconds(static_cast<int64_t>(*watchdog));
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  return notifier;
}

void Notifier::reloading() const {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  auto microseconds = static_cast<int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

void Notifier::send(const std::string& message, int fd) const {
  auto to = notify_address(path_);
  if (!to) return;
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return;
  std::string text = message;
  iovec part = {text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr header = {};
  header.msg_name = &to->address;
  header.msg_namelen = to->length;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::copy_n(reinterpret_cast<const unsigned char*>(&fd), sizeof fd, CMSG_DATA(rights));
  }
  static_cast<void>(::sendmsg(socket.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT));
}

LifeSigns::LifeSigns(Notifier notifier) : notifier_(std::move(notifier)) {
  if (!notifier_ || !notifier_.watchdog()) return;
  interval_ = *notifier_.watchdog() / 3;
  next_ = Clock::now();
}

void LifeSigns::give(Deadline now) {
  if (now < next_) return;
  notifier_.alive();
  next_ = now + interval_;
}

Result<NotifyReceiver> NotifyReceiver::open(const std::string& folder) {
  std::string path = folder + "/notify." + std::to_string(::getpid());
  auto address = notify_address(path);
  if (!address) return input_error("the path " + path + " is no address of a socket");
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  int on = 1;
  constexpr mode_t kForUs = 0600;
  // of one that was killed
  ::unlink(path.c_str());
  // bind takes the mode from the socket
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      ::fchmod(fd.get(), kForUs) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address->address), address->length) != 0) {
    return system_error("cannot make the socket " + path);
  }
  return NotifyReceiver(std::move(fd), std::move(path));
}

NotifyReceiver::~NotifyReceiver() {
  if (!name_.empty()) ::unlink(name_.c_str());
}

std::vector<std::string> NotifyReceiver::receive(pid_t sender) const {
  std::vector<std::string> lines;
  for (int i = 0; i < kMostMessagesAtOnce; ++i) {
    char text[kMostNotifyBytes];
    iovec part = {text, sizeof text};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(64)] = {};
    msghdr header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t n = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
    if (n < 0) return lines;
    bool theirs = false;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET) continue;
      ucred who = {};
      if (c->cmsg_type == SCM_CREDENTIALS) {
        std::copy_n(CMSG_DATA(c), sizeof who, reinterpret_cast<unsigned char*>(&who));
        theirs = who.pid == sender;
      } else if (c->cmsg_type == SCM_RIGHTS) {
        // nobody has asked for descriptors
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t k = 0; k < count; ++k) {
          int fd = -1;
          std::copy_n(CMSG_DATA(c) + k * sizeof fd, sizeof fd, reinterpret_cast<unsigned char*>(&fd));
          ::close(fd);
        }
      }
    }
    if (!theirs) continue;
    for (auto& line : split(std::string_view(text, static_cast<size_t>(n)), '\n')) {
      if (!line.empty()) lines.push_back(std::move(line));
    }
  }
  return lines;
}

}  // namespace qf
