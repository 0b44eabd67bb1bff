// SPDX-License-Identifier: Apache-2.0
// One direction of a relay: moves bytes from a source to a sink and says what it waits for.
#pragma once

#include <cstdint>
#include <string>

#include "libqf/fd.h"
#include "libqf/result.h"

namespace qf {

inline constexpr size_t kPumpBytes = size_t{1} << 20;  // of a pipe, and of one splice

class Pump {
 public:
  // Descriptors are borrowed. Pipes and sockets should be non-blocking.
  [[nodiscard]] static Result<Pump> make(int source, int sink);

  enum class State {
    kWaitSource,  // poll the source for POLLIN, then step()
    kWaitSink,    // poll the sink for POLLOUT, then step()
    kStalled,     // neither was to blame (memory pressure): step() again after some milliseconds
    kEnded,       // the source has ended and all is with the sink
  };
  // Moves what can be moved without waiting. An error of the source and one of the sink are kept apart.
  State step();
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] uint64_t taken() const { return taken_; }           // bytes, from the source
  [[nodiscard]] int source_error() const { return source_error_; }  // errno, 0: none
  [[nodiscard]] int sink_error() const { return sink_error_; }
  [[nodiscard]] bool failed() const { return source_error_ != 0 || sink_error_ != 0; }

 private:
  enum class Way { kSplice, kPipe, kCopy };
  enum class Moved { kSome, kBlocked, kEnd, kFailed };
  Pump(int source, int sink, Way way) : source_(source), sink_(sink), way_(way) {}
  void step_splice();
  void step_pipe();
  void step_copy();
  Moved fill();
  Moved drain();
  void blocked();
  void note_failure(bool by_source);
  [[nodiscard]] bool ready(int fd, short events) const;

  int source_, sink_;
  Way way_;
  State state_ = State::kWaitSource;
  FdPair pipe_;         // kPipe
  std::string buffer_;  // kCopy
  uint64_t taken_ = 0;
  size_t held_ = 0;     // bytes taken from the source that the sink has not got yet
  size_t start_ = 0;    // of them in buffer_
  bool ended_ = false;  // the source
  int source_error_ = 0, sink_error_ = 0;
};

// Makes a pipe as large as an unprivileged user may; a refusal does not matter.
void widen_pipe(int fd);

}  // namespace qf
