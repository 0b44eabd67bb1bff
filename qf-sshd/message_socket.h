// SPDX-License-Identifier: Apache-2.0
// Typed, bounded messages between the roles of qf-sshd over a SOCK_SEQPACKET pair: the kernel keeps message
// borders, so there are no half messages to wait for. Descriptors travel with the message (SCM_RIGHTS). What
// a message may hold is in messages.h; anything else (unknown type, too long, wrong number of descriptors,
// trailing bytes) is kPeer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/codec.h"
#include "libqf/fd.h"
#include "libqf/secret.h"

namespace qf {

inline constexpr size_t kMostMessageBytes = 160 * 1024;
inline constexpr size_t kMostMessageFds = 6;

// Bodies may hold tokens and passwords. They are wiped: what a process gives back, those that it forks later
// would still have, and the most exposed of them all, net, is forked for each connection.
struct Message {
  Message() = default;
  Message(Message&&) = default;
  Message& operator=(Message&&) = default;
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message() { wipe(body); }

  uint32_t type = 0;
  std::string body;
  std::vector<Fd> fds;
};

class MessageSocket {
 public:
  MessageSocket() = default;
  explicit MessageSocket(Fd fd) : fd_(std::move(fd)) {}
  // Both ends, with buffers that hold the longest message.
  [[nodiscard]] static Result<std::pair<MessageSocket, MessageSocket>> pair();

  template <class T>
  [[nodiscard]] Status send(const T& message, const std::vector<int>& fds = {}) {
    std::string body = encode(message);
    Status sent = send_raw(static_cast<uint32_t>(T::kType), body, fds);
    wipe(body);
    return sent;
  }
  // Waits for the next message until the deadline. kNotFound: the other side has closed.
  [[nodiscard]] Result<Message> receive(Deadline deadline = Deadline::max());
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(fd_); }
  void close() { fd_.reset(); }

 private:
  [[nodiscard]] Status send_raw(uint32_t type, std::string& body, const std::vector<int>& fds);
  Fd fd_;
};

template <class T>
[[nodiscard]] bool is_a(const Message& message) {
  return message.type == static_cast<uint32_t>(T::kType);
}

// The message as T; kPeer when it is another type, longer than T::kMostBytes, has another number of
// descriptors than T::kFds, or its body does not decode to the last byte.
template <class T>
[[nodiscard]] Result<T> open_message(const Message& message) {
  if (!is_a<T>(message)) return peer_error("unexpected message type");
  if (message.body.size() > T::kMostBytes) return peer_error("message too long");
  if (message.fds.size() != T::kFds) return peer_error("wrong number of descriptors in a message");
  return decode<T>(message.body);
}

}  // namespace qf
