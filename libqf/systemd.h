// SPDX-License-Identifier: Apache-2.0
// What systemd and a service tell each other: sockets handed in (sd_listen_fds(3)) and how the service is
// doing (sd_notify(3)). A few lines of our own in place of libsystemd. Without systemd all of it does
// nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libqf/fd.h"

namespace qf {

inline constexpr int kFirstHandedFd = 3;  // SD_LISTEN_FDS_START

// The names of the descriptors that are handed to this process, from kFirstHandedFd on; empty when none are
// (LISTEN_PID is another's). A descriptor without a name is called "unknown". They become close-on-exec.
// kInput: the variables are there, and wrong.
[[nodiscard]] Result<std::vector<std::string>> handed_descriptors();

// Messages to NOTIFY_SOCKET. One that cannot be sent is lost: a service runs as well without.
class Notifier {
 public:
  Notifier() = default;  // to nobody
  // Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that no child speaks in
  // our name.
  [[nodiscard]] static Notifier take();
  [[nodiscard]] explicit operator bool() const { return !path_.empty(); }
  // How long this process may give no sign of life (WatchdogSec=); nothing: nobody waits for one.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }

  void ready() const { send("READY=1"); }
  void stopping() const { send("STOPPING=1"); }
  void alive() const { send("WATCHDOG=1"); }
  // ready() ends it
  void reloading() const;
  // systemd keeps a copy of the descriptor and hands it in again when it starts the service the next time,
  // under this name, unless the service was stopped (FDSTORE=1). A socket that ends is let go.
  void keep(int fd, const std::string& name) const { send("FDSTORE=1\nFDNAME=" + name, fd); }
  // A line for `systemctl status`; no control characters.
  void status(std::string_view text) const { send("STATUS=" + std::string(text)); }

 private:
  explicit Notifier(std::string path) : path_(std::move(path)) {}
  void send(const std::string& message, int fd = -1) const;
  std::string path_;  // "@" first: abstract; empty: nobody listens
  std::optional<std::chrono::microseconds> watchdog_;
};

// Signs of life of a loop: three within the time that they are waited for. Give one at each turn that is due.
class LifeSigns {
 public:
  LifeSigns() = default;  // never due
  explicit LifeSigns(Notifier notifier);
  [[nodiscard]] Deadline next() const { return next_; }
  void give(Deadline now);

 private:
  Notifier notifier_;
  Clock::duration interval_{};
  Deadline next_ = Deadline::max();
};

// The other side: a socket for one child, whose messages are believed, and nobody else's. Its queue is short,
// so others must not even be able to fill it: it is a file that its owner alone may write to. In `folder`,
// which nobody else may change, until this ends.
class NotifyReceiver {
 public:
  [[nodiscard]] static Result<NotifyReceiver> open(const std::string& folder);
  NotifyReceiver(NotifyReceiver&& other) noexcept
      : fd_(std::move(other.fd_)), name_(std::exchange(other.name_, "")) {}
  NotifyReceiver& operator=(NotifyReceiver&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(name_, other.name_);
    return *this;
  }
  ~NotifyReceiver();
  // For NOTIFY_SOCKET of the child.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // The lines ("READY=1") of the messages that have come from process `sender`.
  [[nodiscard]] std::vector<std::string> receive(pid_t sender) const;

 private:
  NotifyReceiver(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Fd fd_;
  std::string name_;
};

}  // namespace qf
