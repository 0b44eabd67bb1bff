// SPDX-License-Identifier: Apache-2.0
// Watches the part of an SSH connection that is still in plain text (RFC 4253) and lets no byte of the
// server's key exchange reply through unless the host key in it is one of the pinned ones. So a user's own
// "StrictHostKeyChecking no" gives no credential away.
//
// Fails closed: whatever is not the expected packet in the expected place, or is too large, is an error, and
// the caller hangs up. After the server's NEWKEYS everything is encrypted and the guard is done. It checks no
// signature: the client does, over the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/identification.h"
#include "libqf/result.h"

namespace qf {

inline constexpr size_t kMostPlainPacket = 64 * 1024;  // bytes; RFC 4253 section 6.1 asks for 35,000
inline constexpr size_t kMostPlainBytes = 256 * 1024;  // from one side, up to its last watched packet

// "ssh-ed25519 AAAA…" lines as the blobs that stand in the protocol; a malformed line is left out.
[[nodiscard]] std::vector<std::string> host_key_blobs(const std::vector<std::string>& lines);

// Cuts a plaintext stream into identification line and packets (RFC 4253 sections 4.2 and 6).
class PlainStream {
 public:
  enum class Event { kMore, kLine, kPacket };
  void add(std::string_view bytes) { buffer_ += bytes; }
  // The next whole line or packet: `raw` are its bytes on the wire, `payload` the packet's payload. Both are
  // copies. kPeer when the bytes cannot be that.
  [[nodiscard]] Result<Event> next(std::string& raw, std::string& payload);
  // What has come beyond the last event.
  [[nodiscard]] std::string take_rest() { return std::move(buffer_); }

 private:
  Result<Event> next_line(std::string& raw);
  Result<Event> next_packet(std::string& raw, std::string& payload);
  std::string buffer_;
  bool line_seen_ = false;
  size_t total_ = 0;
};

class HostKeyGuard {
 public:
  explicit HostKeyGuard(std::vector<std::string> pinned_blobs) : pinned_(std::move(pinned_blobs)) {}

  // Bytes of the server; those that may go on to the client are appended to `forward`. kRefused: a host key
  // that is not pinned. kPeer: the server broke the protocol.
  [[nodiscard]] Status from_server(std::string_view bytes, std::string& forward);
  // Bytes of the client, which go to the server in any case: nothing secret is among them before the server's
  // reply is accepted. Only its KEXINIT is of interest.
  [[nodiscard]] Status from_client(std::string_view bytes);
  // The server's NEWKEYS has passed.
  [[nodiscard]] bool done() const { return stage_ == Stage::kDone; }

 private:
  enum class Stage { kLine, kInit, kReply, kNewKeys, kDone };
  Status judge(std::string_view payload);
  Status judge_init(std::string_view payload);
  Status judge_reply(std::string_view payload);
  Status check_key(std::string_view payload);
  Result<bool> group_exchange() const;

  std::vector<std::string> pinned_;
  PlainStream server_, client_;
  Stage stage_ = Stage::kLine;
  bool group_seen_ = false;
  bool client_known_ = false;
  std::string client_methods_, server_methods_;  // kex_algorithms of the two KEXINITs
};

}  // namespace qf
