// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_read_ahead.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace qf {

namespace {

struct Ahead {
  int fd = -1;
  size_t from = 0;
  size_t to = 0;
  bool writer_told = false;  // that it may write, and not that it may read
  std::array<char, 256 * 1024> bytes;
};

Ahead& ahead() {
  static Ahead only;  // one process, one thread
  return only;
}

int ask_kernel(pollfd* fds, nfds_t count, int timeout) {
  timespec patience = {timeout / 1000, static_cast<long>(timeout % 1000) * 1'000'000};
  return ::ppoll(fds, count, timeout < 0 ? nullptr : &patience, nullptr);
}

// libssh, told that it may read and write, goes on to ask whether it may write: the kernel for each 4 KiB. So
// it hears of writing first, which it then does not ask any more; of both the next time, however much it
// writes.
void tell_of_writing_first(pollfd& reader) {
  constexpr short kBoth = POLLIN | POLLOUT;
  bool both = (reader.revents & kBoth) == kBoth;
  ahead().writer_told = both && !ahead().writer_told;
  if (ahead().writer_told) reader.revents &= ~POLLIN;
}

}  // namespace

void read_ahead_of(int fd) {
  ahead().fd = fd;
}

size_t bytes_ahead() {
  return ahead().to - ahead().from;
}

// ---- by these names libssh finds them ---------------------------------------------------------------------

extern "C" int poll_ahead(pollfd* fds, nfds_t count, int timeout) __asm__("poll");
extern "C" ssize_t recv_ahead(int fd, void* data, size_t length, int flags) __asm__("recv");

extern "C" int poll_ahead(pollfd* fds, nfds_t count, int timeout) {
  auto is_reader = [](const pollfd& entry) { return entry.fd == ahead().fd && (entry.events & POLLIN) != 0; };
  pollfd* reader = std::find_if(fds, fds + count, is_reader);
  if (reader == fds + count) return ask_kernel(fds, count, timeout);
  if (bytes_ahead() > 0 && reader->events == POLLIN) {
    // the others have their turn when all of it is taken
    std::for_each(fds, fds + count, [](pollfd& entry) { entry.revents = 0; });
    reader->revents = POLLIN;
    return 1;
  }
  int ready = ask_kernel(fds, count, bytes_ahead() > 0 ? 0 : timeout);
  if (ready < 0) return ready;
  if (bytes_ahead() > 0) {
    if (reader->revents == 0) ++ready;
    reader->revents |= POLLIN;
  }
  tell_of_writing_first(*reader);
  return ready;
}

extern "C" ssize_t recv_ahead(int fd, void* data, size_t length, int flags) {
  Ahead& own = ahead();
  if (fd != own.fd || flags != 0) return ::recvfrom(fd, data, length, flags, nullptr, nullptr);
  if (bytes_ahead() == 0) {
    ssize_t n = ::recvfrom(fd, own.bytes.data(), own.bytes.size(), 0, nullptr, nullptr);
    if (n <= 0) return n;
    own.from = 0;
    own.to = static_cast<size_t>(n);
  }
  size_t taken = std::min(length, own.to - own.from);
  std::memcpy(data, own.bytes.data() + own.from, taken);
  own.from += taken;
  return static_cast<ssize_t>(taken);
}

}  // namespace qf
