// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/message_socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace qf {

namespace {

// The longest message must fit the kernel's buffer or sending it fails; root may pass the machine's limit.
void grow_buffers(int fd) {
  int bytes = static_cast<int>(2 * kMostMessageBytes);
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
    // rootless: the kernel cuts this to net.core.wmem_max (212992 by default), which still holds a message
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
}

constexpr size_t kControlBytes = CMSG_SPACE(kMostMessageFds * sizeof(int));

// A packet may be empty, which is read as the end is: only then the other side is still there.
bool has_hung_up(int fd) {
  pollfd polled = {fd, POLLRDHUP, 0};
  return ::poll(&polled, 1, 0) != 0;
}

std::vector<Fd> take_fds(msghdr& header) {
  std::vector<Fd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

Result<std::pair<MessageSocket, MessageSocket>> MessageSocket::pair() {
  auto ends = make_socketpair(SOCK_SEQPACKET);
  if (!ends) return ends.error();
  grow_buffers(ends->first.get());
  grow_buffers(ends->second.get());
  return std::pair(MessageSocket(std::move(ends->first)), MessageSocket(std::move(ends->second)));
}

Status MessageSocket::send_raw(uint32_t type, std::string& body, const std::vector<int>& fds) {
  if (body.size() + sizeof type > kMostMessageBytes || fds.size() > kMostMessageFds) std::abort();
  unsigned char head[4] = {static_cast<unsigned char>(type >> 24), static_cast<unsigned char>(type >> 16),
                           static_cast<unsigned char>(type >> 8), static_cast<unsigned char>(type)};
  iovec parts[2] = {{head, sizeof head}, {body.data(), body.size()}};
  alignas(cmsghdr) char control[kControlBytes] = {};
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  for (;;) {
    if (::sendmsg(fd_.get(), &header, MSG_NOSIGNAL) >= 0) return Done{};
    if (errno != EINTR) return system_error("cannot send a message");
  }
}

Result<Message> MessageSocket::receive(Deadline deadline) {
  if (deadline != Deadline::max()) {
    if (auto ready = wait_for(fd_.get(), POLLIN, deadline); !ready) return ready.error();
  }
  // A buffer for the longest message would cost more to clear than all that is done with a short one. One
  // byte more than the longest shows one that is too long.
  ssize_t length = 0;
  do {
    length = ::recv(fd_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
  } while (length < 0 && errno == EINTR);
  if (length < 0 && errno == ECONNRESET) return not_found("the other side has closed");
  if (length < 0) return system_error("cannot receive a message");
  std::string buffer(std::min(static_cast<size_t>(length), kMostMessageBytes + 1), '\0');
  iovec part = {buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[kControlBytes] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == ECONNRESET) return not_found("the other side has closed");
  if (n < 0) return system_error("cannot receive a message");
  Message message;
  message.fds = take_fds(header);
  if (n == 0 && has_hung_up(fd_.get())) return not_found("the other side has closed");
  // Alignment leaves the control buffer room for one descriptor more than we take.
  bool too_much = static_cast<size_t>(n) > kMostMessageBytes || message.fds.size() > kMostMessageFds ||
                  (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  if (n < 4 || too_much) return peer_error("malformed message");
  for (size_t i = 0; i < 4; ++i) message.type = message.type << 8 | static_cast<unsigned char>(buffer[i]);
  buffer.resize(static_cast<size_t>(n));
  buffer.erase(0, 4);
  message.body = std::move(buffer);
  return message;
}

}  // namespace qf
