// SPDX-License-Identifier: Apache-2.0
// One client of the line protocol: its socket, the lines it sends and the answers that wait to be read.
// Bounded both ways: a client that sends a longer line than kMostTokendLine, or reads nothing while answers
// pile up, is dropped. What was sent is wiped: answers hold tokens.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "libqf/fd.h"
#include "libqf/tokend_client.h"

namespace qf {

inline constexpr size_t kMostUnsentBytes = 1 << 20;
inline constexpr auto kUnreadTime = std::chrono::seconds(30);  // answers may wait this long to be read
inline constexpr auto kFarewellTime =
    std::chrono::seconds(2);  // for the client to close after its last answer

class ClientConnection {
 public:
  // `fd` non-blocking
  ClientConnection(uint64_t id, Fd fd, ucred who, Deadline now)
      : id_(id), fd_(std::move(fd)), who_(who), last_request_(now) {}
  ClientConnection(ClientConnection&&) = default;
  ClientConnection& operator=(ClientConnection&&) = default;
  ~ClientConnection();

  [[nodiscard]] uint64_t id() const { return id_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const ucred& who() const { return who_; }

  // Reads what is there. kPeer when the client breaks the rules, kSystem when it is gone.
  Status receive();
  // The next whole line, without its newline; nothing while a request is being answered.
  std::optional<std::string> next_line(Deadline now);
  // Queues a line (newline added). With too much unsent the client is abandoned: finished() from then on.
  void send(std::string_view line, Deadline now);
  Status flush(Deadline now);

  [[nodiscard]] short events() const;  // for poll(2)
  // Nothing more will come from it and nothing more goes to it.
  [[nodiscard]] bool finished() const {
    return abandoned_ || (input_ended_ && !busy && out_.empty() && !has_line());
  }
  // It does not read its answers, or does not close after the last one.
  [[nodiscard]] bool stuck(Deadline now) const { return now >= unread_until_; }
  [[nodiscard]] bool has_line() const {
    return !busy && !closing_ && in_.find('\n', taken_) != std::string::npos;
  }
  [[nodiscard]] Deadline last_request() const { return last_request_; }
  [[nodiscard]] Deadline unread_until() const { return unread_until_; }
  // No further request. The answer is sent, then our sending side is shut down; what the client still says is
  // read and dropped, since closing with unread bytes would take the answer away from it.
  void close_after_answer() { closing_ = true; }

  bool busy = false;     // a request is being answered; later ones wait
  bool greeted = false;  // a line with a good version was seen

 private:
  // What a client sends ahead stays in its socket once this much of it waits here.
  [[nodiscard]] bool takes_input() const { return !input_ended_ && in_.size() - taken_ <= kMostTokendLine; }

  uint64_t id_;
  Fd fd_;
  ucred who_;
  std::string in_, out_;
  size_t taken_ = 0;  // bytes of in_ that have been handed out
  Deadline last_request_;
  Deadline unread_until_ = Deadline::max();
  bool input_ended_ = false;  // the client has shut down its sending side; it may still read
  bool closing_ = false;
  bool shut_down_ = false;
  bool abandoned_ = false;
};

}  // namespace qf
