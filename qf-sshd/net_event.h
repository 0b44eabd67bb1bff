// SPDX-License-Identifier: Apache-2.0
// Descriptors in libssh's event loop whose interest changes with the flow of data.
#pragma once

#include <utility>

#include "libqf/fd.h"
#include "qf-sshd/ssh_handles.h"

namespace qf {

// Owns a non-blocking descriptor that takes part in an ssh_event. Being ready is only noted: inside libssh's
// loop no descriptor may leave it, so the work is done between two turns.
class Watched {
 public:
  Watched(ssh_event event, Fd fd) : event_(event), fd_(std::move(fd)) {}
  ~Watched() { want(0); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool take_ready() { return std::exchange(ready_, false); }
  // The descriptor, out of the loop; this object is done then.
  [[nodiscard]] Fd take() {
    want(0);
    return std::move(fd_);
  }
  // poll(2) events; 0 takes it out of the loop (where POLLHUP would otherwise spin). Not from inside a
  // callback.
  void want(short events) {
    if (events == events_) return;
    if (events_ != 0) ::ssh_event_remove_fd(event_, fd_.get());
    events_ = events;
    if (events_ != 0) ::ssh_event_add_fd(event_, fd_.get(), events_, &Watched::on_ready, this);
  }

 private:
  static int on_ready(socket_t, int, void* self) {
    static_cast<Watched*>(self)->ready_ = true;
    return 0;
  }
  ssh_event event_;
  Fd fd_;
  short events_ = 0;
  bool ready_ = false;
};

}  // namespace qf
