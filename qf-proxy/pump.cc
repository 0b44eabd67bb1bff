// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/pump.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

namespace qf {

namespace {

constexpr size_t kCopyBytes = 64 * 1024;
constexpr size_t kCopyChunk = 4096;  // PIPE_BUF: what a blocking sink takes at once when poll(2) says so

mode_t type_of(int fd) {
  struct stat st = {};
  return ::fstat(fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

}  // namespace

void widen_pipe(int fd) {
  if (::fcntl(fd, F_SETPIPE_SZ, static_cast<int>(kPumpBytes)) < 0) return;
}

Result<Pump> Pump::make(int source, int sink) {
  mode_t from = type_of(source), to = type_of(sink);
  if (from == S_IFIFO) widen_pipe(source);
  if (to == S_IFIFO) widen_pipe(sink);
  bool streams = (from == S_IFIFO || from == S_IFSOCK) && (to == S_IFIFO || to == S_IFSOCK);
  if (!streams) return Pump(source, sink, Way::kCopy);
  if (from == S_IFIFO || to == S_IFIFO) return Pump(source, sink, Way::kSplice);
  // splice(2) needs a pipe at one of its ends
  auto pipe = make_pipe();
  if (!pipe) return pipe.error();
  widen_pipe(pipe->first.get());
  Pump pump(source, sink, Way::kPipe);
  pump.pipe_ = std::move(*pipe);
  return pump;
}

bool Pump::ready(int fd, short events) const {
  struct pollfd p = {fd, events, 0};
  return ::poll(&p, 1, 0) > 0;
}

void Pump::note_failure(bool by_source) {
  (by_source ? source_error_ : sink_error_) = errno;
}

// splice(2) does not say which end it would have to wait for; and at the urgent mark of a socket, which a
// peer sets as it likes, it never takes anything again. Others who read do.
void Pump::blocked() {
  if (held_ == 0 && !ready(source_, POLLIN)) {
    state_ = State::kWaitSource;
  } else if (held_ == 0 && ::sockatmark(source_) == 1) {
    way_ = Way::kCopy;
    state_ = State::kWaitSource;
  } else if (!ready(sink_, POLLOUT)) {
    state_ = State::kWaitSink;
  } else {
    state_ = State::kStalled;
  }
}

Pump::State Pump::step() {
  if (state_ == State::kEnded || failed()) return state_;
  switch (way_) {
    case Way::kSplice:
      step_splice();
      break;
    case Way::kPipe:
      step_pipe();
      break;
    case Way::kCopy:
      step_copy();
      break;
  }
  return state_;
}

void Pump::step_splice() {
  ssize_t n = ::splice(source_, nullptr, sink_, nullptr, kPumpBytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) {
    taken_ += static_cast<size_t>(n);
    state_ = State::kWaitSource;
  } else if (n == 0) {
    state_ = State::kEnded;
  } else if (errno == EAGAIN) {
    blocked();
  } else if (errno == EINVAL) {
    way_ = Way::kCopy;  // a socket that cannot splice; nothing is lost, nothing was taken
  } else if (errno != EINTR) {
    // a pipe that is read from has no errors, and one that is written to only this one
    note_failure(type_of(source_) != S_IFIFO && errno != EPIPE);
  }
}

Pump::Moved Pump::fill() {
  ssize_t n =
      ::splice(source_, nullptr, pipe_.second.get(), nullptr, kPumpBytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) {
    taken_ += static_cast<size_t>(n);
    held_ += static_cast<size_t>(n);
    return Moved::kSome;
  }
  if (n == 0) return Moved::kEnd;
  if (errno == EAGAIN || errno == EINTR) return Moved::kBlocked;
  if (errno == EINVAL && held_ == 0) {
    way_ = Way::kCopy;
    return Moved::kBlocked;
  }
  note_failure(true);
  return Moved::kFailed;
}

Pump::Moved Pump::drain() {
  ssize_t n = ::splice(pipe_.first.get(), nullptr, sink_, nullptr, held_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) {
    held_ -= static_cast<size_t>(n);
    return Moved::kSome;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return Moved::kBlocked;
  note_failure(false);
  return Moved::kFailed;
}

void Pump::step_pipe() {
  if (held_ == 0 && !ended_) {
    Moved moved = fill();
    if (moved == Moved::kEnd) ended_ = true;
    if (moved == Moved::kBlocked) return blocked();
    if (moved == Moved::kFailed) return;
  }
  if (held_ > 0) {
    Moved moved = drain();
    if (moved == Moved::kBlocked) blocked();
    if (moved != Moved::kSome) return;
  }
  state_ = held_ > 0 ? State::kWaitSink : ended_ ? State::kEnded : State::kWaitSource;
}

void Pump::step_copy() {
  if (held_ == 0) {
    buffer_.resize(kCopyBytes);
    ssize_t n = ::read(source_, buffer_.data(), buffer_.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      state_ = State::kWaitSource;
      return;
    }
    if (n < 0) return note_failure(true);
    if (n == 0) {
      state_ = State::kEnded;
      return;
    }
    taken_ += static_cast<size_t>(n);
    held_ = static_cast<size_t>(n);
    start_ = 0;
  }
  state_ = State::kWaitSink;
  while (held_ > 0 && ready(sink_, POLLOUT)) {
    ssize_t n = ::write(sink_, buffer_.data() + start_, std::min(held_, kCopyChunk));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) return note_failure(false);
    start_ += static_cast<size_t>(n);
    held_ -= static_cast<size_t>(n);
  }
  if (held_ == 0) state_ = State::kWaitSource;
}

}  // namespace qf
