// SPDX-License-Identifier: Apache-2.0
// File descriptors with one owner. Every descriptor made here is close-on-exec from birth.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "libqf/result.h"

namespace qf {

// Owns one descriptor. Taking an Fd by value takes ownership; an int borrows.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    int old = std::exchange(fd_, fd);
    if (old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

struct FdPair {
  Fd first, second;
};

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;
// What poll(2) wants: milliseconds left until the deadline, rounded up, never negative.
[[nodiscard]] int poll_timeout(Deadline deadline);

// Opens /dev/null for each of standard input, output and error that is closed: the next file would get its
// number, and what is meant for a person would be written there. First in a main.
[[nodiscard]] Status complete_standard_descriptors();
[[nodiscard]] Result<Fd> open_file(const std::string& path, int flags, mode_t mode = 0);
// A file that only serves to be locked, made when missing: mode 0600, also when it had another, because who
// may read a file may also lock it and keep us out. No symlink.
[[nodiscard]] Result<Fd> open_lock_file(const std::string& path);
// first is the reading end, second the writing end
[[nodiscard]] Result<FdPair> make_pipe();
// type: SOCK_STREAM, SOCK_SEQPACKET
[[nodiscard]] Result<FdPair> make_socketpair(int type);
[[nodiscard]] Result<Fd> duplicate(int fd);
[[nodiscard]] Status set_nonblocking(int fd, bool on);

// Waits until fd is ready for `events` (poll(2)); kTimeout when the deadline passes first.
[[nodiscard]] Status wait_for(int fd, short events, Deadline deadline);
// Writes all of data, also to a non-blocking descriptor.
[[nodiscard]] Status write_all(int fd, std::string_view data, Deadline deadline);
[[nodiscard]] Status write_all(int fd, std::string_view data);
// The whole file; kInput when it is longer than `limit` bytes.
[[nodiscard]] Result<std::string> read_file(const std::string& path, size_t limit);
// Replaces path by rename: readers see the old or the new content, never a part. fsyncs file and folder.
[[nodiscard]] Status write_file_atomically(const std::string& path, std::string_view content, mode_t mode);
// As above without fsync, for files in a runtime folder that need not survive a crash of the machine.
[[nodiscard]] Status replace_file(const std::string& path, std::string_view content, mode_t mode);
// Makes a rename in the folder of `path` survive a crash of the machine.
[[nodiscard]] Status sync_folder_of(const std::string& path);
// mkdir -p of the last component only when missing; the existing one is left as it is.
[[nodiscard]] Status make_folder(const std::string& path, mode_t mode);

}  // namespace qf
