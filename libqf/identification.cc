// SPDX-License-Identifier: Apache-2.0
#include "libqf/identification.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr std::string_view kStart = "SSH-";
constexpr std::string_view kOurStart = "SSH-2.0-QuFabric-SSH-Server-";

bool plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// SSH-protoversion-softwareversion SP comments
Identification understand(const std::string& line) {
  Identification out;
  out.line = line;
  size_t dash = line.find('-', kStart.size());
  std::string_view rest = dash == std::string::npos ? "" : std::string_view(line).substr(dash + 1);
  size_t space = rest.find(' ');
  out.software = printable(rest.substr(0, space));
  // A name of ours with stray bytes behind it is somebody else's: the line goes on to clients as it is.
  if (!line.starts_with(kOurStart) || out.software.size() == kServerSoftware.size() || !plain(line))
    return out;
  out.kind = ServerKind::kQufabricNoJwt;
  if (space == std::string_view::npos) return out;
  for (const auto& word : split(rest.substr(space + 1), ' ')) {
    if (word == kJwtRequired) out.kind = ServerKind::kQufabricJwt;
  }
  return out;
}

// Makes poll(2) sleep until there are at least `bytes` (or the end): peeked bytes stay in the socket, so it
// would report them again and again.
Status wake_at(int fd, size_t bytes) {
  int least = static_cast<int>(bytes);
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least) != 0)
    return system_error("cannot set SO_RCVLOWAT");
  return Done{};
}

Result<Identification> peek_until_found(int fd, Deadline deadline) {
  std::vector<char> buffer(kMostPreludeBytes + kMostIdentificationBytes + 1);
  size_t seen = 0;
  IdentificationReader reader;
  for (;;) {
    if (auto woken = wake_at(fd, seen + 1); !woken) return woken.error();
    if (auto ready = wait_for(fd, POLLIN, deadline); !ready) {
      if (ready.error().kind != ErrorKind::kTimeout) return ready.error();
      return timeout_error(seen == 0 ? "it sent nothing" : "it did not finish its identification line");
    }
    ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0 && errno != ECONNRESET) return system_error("the connection broke");
    auto count = static_cast<size_t>(std::max<ssize_t>(n, 0));
    // woken without a new byte: that was the end
    if (count <= seen && seen > 0) return peer_error("it closed the connection in the middle of a line");
    if (count == 0) return refused("it closed the connection without a byte");
    size_t used = 0;
    auto state = reader.feed({buffer.data() + seen, count - seen}, used);
    seen = count;
    if (state == IdentificationReader::State::kFound) return reader.result();
    if (state == IdentificationReader::State::kNotSsh) return peer_error("what it sent is not SSH");
  }
}

}  // namespace

std::string server_identification(bool jwt_required) {
  std::string text = std::string(kServerSoftware) + QF_VERSION;
  if (jwt_required) text += " " + std::string(kJwtRequired);
  return text;
}

IdentificationReader::State IdentificationReader::feed(std::string_view input, size_t& used) {
  used = 0;
  while (state_ == State::kMore && used < input.size()) state_ = take(input[used++]);
  return state_;
}

IdentificationReader::State IdentificationReader::take(char c) {
  ++total_;
  if (c == '\n') return end_line();
  bool ours = std::string_view(line_).starts_with(kStart);
  if (ours && line_.size() + 1 >= kMostIdentificationBytes) return State::kNotSsh;
  if (!ours && total_ > kMostPreludeBytes) return State::kNotSsh;
  // of any other line the start is enough to know that it is one
  if (ours || line_.size() <= kStart.size()) line_.push_back(c);
  return State::kMore;
}

IdentificationReader::State IdentificationReader::end_line() {
  if (line_.ends_with('\r')) line_.pop_back();
  if (line_.starts_with(kStart)) {
    result_ = understand(line_);
    return State::kFound;
  }
  line_.clear();
  return total_ > kMostPreludeBytes ? State::kNotSsh : State::kMore;
}

Result<Identification> peek_identification(int fd, Deadline deadline) {
  auto found = peek_until_found(fd, deadline);
  if (auto reset = wake_at(fd, 1); !reset && found) return reset.error();
  return found;
}

}  // namespace qf
