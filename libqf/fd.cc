// SPDX-License-Identifier: Apache-2.0
#include "libqf/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

namespace qf {

int poll_timeout(Deadline deadline) {
  if (deadline == Deadline::max()) return -1;
  auto now = Clock::now();
  if (deadline <= now) return 0;  // also where the difference would not fit
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<int>(std::min<long long>(left, 1'000'000'000));
}

Status complete_standard_descriptors() {
  for (;;) {
    int fd = ::open("/dev/null", O_RDWR);
    if (fd < 0) return system_error("/dev/null");
    if (fd > STDERR_FILENO) return ::close(fd), Done{};
  }
}

Result<Fd> open_file(const std::string& path, int flags, mode_t mode) {
  int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return system_error("cannot open " + path);
  return Fd(fd);
}

Result<Fd> open_lock_file(const std::string& path) {
  constexpr mode_t kMode = 0600;
  auto fd = open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, kMode);
  if (!fd) return fd;
  struct stat st = {};
  if (::fstat(fd->get(), &st) != 0) return system_error("cannot stat " + path);
  if (!S_ISREG(st.st_mode)) return input_error(path + " is not a file");
  if ((st.st_mode & 07777) != kMode && ::fchmod(fd->get(), kMode) != 0)
    return system_error("cannot set the mode of " + path);
  return fd;
}

Result<FdPair> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe");
  return FdPair{Fd(ends[0]), Fd(ends[1])};
}

Result<FdPair> make_socketpair(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0)
    return system_error("cannot make a socket pair");
  return FdPair{Fd(ends[0]), Fd(ends[1])};
}

Result<Fd> duplicate(int fd) {
  int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return system_error("cannot duplicate a descriptor");
  return Fd(copy);
}

Status set_nonblocking(int fd, bool on) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return system_error("cannot read descriptor flags");
  int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags && ::fcntl(fd, F_SETFL, wanted) != 0)
    return system_error("cannot set descriptor flags");
  return Done{};
}

Status wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    struct pollfd p = {fd, events, 0};
    int n = ::poll(&p, 1, poll_timeout(deadline));
    if (n > 0) return Done{};
    if (n == 0) return timeout_error("timed out");
    if (errno != EINTR) return system_error("poll");
  }
}

Status write_all(int fd, std::string_view data, Deadline deadline) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n > 0) {
      data.remove_prefix(static_cast<size_t>(n));
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (auto ready = wait_for(fd, POLLOUT, deadline); !ready) return ready.error();
    } else if (n < 0 && errno != EINTR) {
      return system_error("cannot write");
    }
  }
  return Done{};
}

Status write_all(int fd, std::string_view data) {
  return write_all(fd, data, Deadline::max());
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd) return fd.error();
  auto too_long = [&] { return input_error(path + " is longer than " + std::to_string(limit) + " bytes"); };
  std::string content;
  struct stat st = {};
  if (::fstat(fd->get(), &st) == 0 && S_ISREG(st.st_mode)) {
    // a large one is refused unread, and read into memory that need not grow
    auto size = static_cast<size_t>(st.st_size);
    if (size > limit) return too_long();
    content.reserve(size);
  }
  char buffer[65536];
  for (;;) {
    ssize_t n = ::read(fd->get(), buffer, sizeof buffer);
    if (n == 0) return content;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read " + path);
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > limit) return too_long();
  }
}

namespace {

Status replace(const std::string& path, std::string_view content, mode_t mode, bool durable) {
  std::string temporary = path + ".XXXXXX";
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return system_error("cannot create " + temporary);
  auto failed = [&](const std::string& what) {
    Error error = system_error(what);
    ::unlink(temporary.c_str());
    return error;
  };
  if (::fchmod(fd.get(), mode) != 0) return failed("cannot set the mode of " + temporary);
  if (auto written = write_all(fd.get(), content); !written) {
    errno = written.error().sys;
    return failed("cannot write " + temporary);
  }
  if (durable && ::fsync(fd.get()) != 0) return failed("cannot sync " + temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed("cannot replace " + path);
  return durable ? sync_folder_of(path) : Done{};
}

}  // namespace

Status write_file_atomically(const std::string& path, std::string_view content, mode_t mode) {
  return replace(path, content, mode, true);
}

Status replace_file(const std::string& path, std::string_view content, mode_t mode) {
  return replace(path, content, mode, false);
}

Status sync_folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  auto folder =
      open_file(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY);
  if (!folder) return folder.error();
  if (::fsync(folder->get()) != 0) return system_error("cannot sync the folder of " + path);
  return Done{};
}

Status make_folder(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) {
    // umask must not take away what the caller asked for
    if (::chmod(path.c_str(), mode) != 0) return system_error("cannot set the mode of " + path);
    return Done{};
  }
  if (errno != EEXIST) return system_error("cannot create folder " + path);
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return system_error("cannot stat " + path);
  if (!S_ISDIR(st.st_mode)) {
    errno = ENOTDIR;
    return system_error("cannot create folder " + path);
  }
  return Done{};
}

}  // namespace qf
