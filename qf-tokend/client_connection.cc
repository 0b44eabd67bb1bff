// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/client_connection.h"

#include <poll.h>

#include "libqf/secret.h"
#include "libqf/tokend_client.h"

namespace qf {

namespace {

constexpr int kReadsPerTurn = 20;  // of 16 KiB: the longest line and a little more

}  // namespace

ClientConnection::~ClientConnection() {
  wipe(in_);
  wipe(out_);
}

Status ClientConnection::receive() {
  char buffer[16384];
  // not more in one turn: others wait, and one that never stops would keep us here
  for (int i = 0; i < kReadsPerTurn && takes_input(); ++i) {
    ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) return system_error("cannot read from a client");
    if (n == 0) {
      input_ended_ = true;
      break;
    }
    if (closing_) continue;  // whatever it still says is not read
    in_.erase(0, taken_);
    taken_ = 0;
    in_.append(buffer, static_cast<size_t>(n));
  }
  size_t end = in_.find('\n', taken_);
  if ((end == std::string::npos ? in_.size() : end + 1) - taken_ > kMostTokendLine) {
    return peer_error("a line of more than " + std::to_string(kMostTokendLine) + " bytes");
  }
  return Done{};
}

std::optional<std::string> ClientConnection::next_line(Deadline now) {
  if (busy || closing_) return std::nullopt;
  size_t end = in_.find('\n', taken_);
  if (end == std::string::npos) return std::nullopt;
  std::string line = in_.substr(taken_, end - taken_);
  taken_ = end + 1;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  last_request_ = now;
  return line;
}

void ClientConnection::send(std::string_view line, Deadline now) {
  if (out_.size() + line.size() + 1 > kMostUnsentBytes) abandoned_ = true;
  if (abandoned_) return;
  if (out_.empty()) unread_until_ = now + kUnreadTime;
  // growing would leave copies of tokens behind in freed memory
  if (out_.capacity() < out_.size() + line.size() + 1) {
    std::string larger;
    larger.reserve(2 * (out_.size() + line.size() + 1));
    larger = out_;
    wipe(out_);
    out_ = std::move(larger);
  }
  out_ += line;
  out_ += '\n';
}

Status ClientConnection::flush(Deadline now) {
  size_t sent = 0;
  while (sent < out_.size()) {
    ssize_t n = ::send(fd_.get(), out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) return system_error("cannot write to a client");
    sent += static_cast<size_t>(n);
  }
  if (sent > 0 && sent == out_.size()) {
    wipe(out_);
    unread_until_ = Deadline::max();
  } else if (sent > 0) {
    out_.erase(0, sent);
    unread_until_ = now + kUnreadTime;
  }
  if (closing_ && out_.empty() && !shut_down_) {
    shut_down_ = true;
    ::shutdown(fd_.get(), SHUT_WR);
    unread_until_ = now + kFarewellTime;
  }
  return Done{};
}

short ClientConnection::events() const {
  return static_cast<short>((takes_input() ? POLLIN : 0) | (out_.empty() ? 0 : POLLOUT));
}

}  // namespace qf
