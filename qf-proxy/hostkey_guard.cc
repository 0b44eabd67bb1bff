// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/hostkey_guard.h"

#include <algorithm>
#include <optional>

#include "libqf/base64.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "libqf/wire.h"
#include "qf-proxy/plain_packet.h"

namespace qf {

namespace {

// RFC 4250 section 4.1.2; 30 to 49 belong to the key exchange method (RFC 4253 section 8, RFC 4419 section 5,
// RFC 5656 section 7.1)
enum Message : uint8_t {
  kIgnore = 2,
  kDebug = 4,
  kKexInit = 20,
  kNewKeys = 21,
  kReply = 31,  // KEXDH_REPLY, KEX_ECDH_REPLY, and KEX_DH_GEX_GROUP of a group exchange
  kGroup = 31,
  kGroupReply = 33,
};

constexpr size_t kNameLists = 10;

struct KexInit {
  std::string methods;
  bool guess_follows = false;
};

// RFC 4253 section 7.1
std::optional<KexInit> read_init(std::string_view payload) {
  WireReader reader(payload);
  KexInit init;
  reader.byte();
  reader.uint64();  // cookie, 16 bytes
  reader.uint64();
  init.methods = reader.string();
  for (size_t i = 1; i < kNameLists; ++i) reader.string();
  init.guess_follows = reader.byte() != 0;
  reader.uint32();  // reserved
  if (!reader.done()) return std::nullopt;
  return init;
}

// Names in the list that are signals to the other side and no methods.
bool is_marker(std::string_view method) {
  return method.starts_with("ext-info-") || method.starts_with("kex-strict-");
}

std::string describe_key(std::string_view blob) {
  WireReader reader(blob);
  std::string type(reader.string().substr(0, 64));
  return (reader.ok() ? printable(type) : "a malformed key") + " " + base64(blob.substr(0, 600));
}

bool carries_nothing(uint8_t type) {
  return type == kDisconnect || type == kIgnore || type == kDebug;
}

Error unexpected(uint8_t type, const char* stage) {
  return peer_error("it sent message " + std::to_string(type) + " " + stage);
}

}  // namespace

std::vector<std::string> host_key_blobs(const std::vector<std::string>& lines) {
  std::vector<std::string> blobs;
  for (const auto& line : lines) {
    auto words = split(line, ' ');
    auto blob = words.size() >= 2 ? base64_decode(words[1]) : std::nullopt;
    if (blob && !blob->empty()) blobs.push_back(*blob);
  }
  return blobs;
}

Result<PlainStream::Event> PlainStream::next(std::string& raw, std::string& payload) {
  auto event = line_seen_ ? next_packet(raw, payload) : next_line(raw);
  if (!event || *event == Event::kMore) return event;
  total_ += raw.size();
  if (total_ > kMostPlainBytes) return peer_error("it sends without end before the keys are exchanged");
  return event;
}

// Stricter than the RFC: no lines before it, no control characters in it. Two programs that disagree on where
// a line ends would also disagree on where the packets start, and the guard would look at the wrong bytes.
Result<PlainStream::Event> PlainStream::next_line(std::string& raw) {
  size_t end = buffer_.find('\n');
  std::string_view line = std::string_view(buffer_).substr(0, end);
  constexpr std::string_view kStart = "SSH-2.0-";
  bool fits = line.size() < kMostIdentificationBytes &&
              line.substr(0, kStart.size()) == kStart.substr(0, line.size());
  if (!fits) return peer_error("it does not start with an SSH 2.0 identification line");
  if (end == std::string::npos) return Event::kMore;
  if (line.ends_with('\r')) line.remove_suffix(1);
  bool plain = std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (line.size() < kStart.size() || !plain) return peer_error("its identification line is malformed");
  line_seen_ = true;
  raw = buffer_.substr(0, end + 1);
  buffer_.erase(0, end + 1);
  return Event::kLine;
}

Result<PlainStream::Event> PlainStream::next_packet(std::string& raw, std::string& payload) {
  WireReader reader(buffer_);
  size_t length = reader.uint32();
  if (!reader.ok()) return Event::kMore;
  size_t whole = 4 + length;
  if (whole < kLeastPacket || whole > kMostPlainPacket || whole % kPlainBlock != 0)
    return peer_error("it sent a packet of " + std::to_string(length) + " bytes during the key exchange");
  if (buffer_.size() < whole) return Event::kMore;
  size_t padding = reader.byte();
  if (padding < kLeastPadding || padding + 2 > length)
    return peer_error("it sent a packet with wrong padding");
  raw = buffer_.substr(0, whole);
  payload = buffer_.substr(5, length - 1 - padding);
  buffer_.erase(0, whole);
  return Event::kPacket;
}

Status HostKeyGuard::from_client(std::string_view bytes) {
  if (client_known_) return Done{};
  client_.add(bytes);
  std::string raw, payload;
  while (!client_known_) {
    auto event = client_.next(raw, payload);
    if (!event) return event.error();
    if (*event == PlainStream::Event::kMore) return Done{};
    if (*event == PlainStream::Event::kLine) continue;
    auto type = static_cast<uint8_t>(payload[0]);
    if (carries_nothing(type)) continue;
    auto init = type == kKexInit ? read_init(payload) : std::nullopt;
    if (!init) return peer_error("the client's key exchange does not start with a KEXINIT");
    client_methods_ = init->methods;
    client_known_ = true;
  }
  return Done{};
}

Status HostKeyGuard::from_server(std::string_view bytes, std::string& forward) {
  if (done()) {
    forward += bytes;
    return Done{};
  }
  server_.add(bytes);
  std::string raw, payload;
  while (!done()) {
    auto event = server_.next(raw, payload);
    if (!event) return event.error();
    if (*event == PlainStream::Event::kMore) return Done{};
    if (*event == PlainStream::Event::kLine) {
      stage_ = Stage::kInit;
    } else if (auto judged = judge(payload); !judged) {
      return judged;
    }
    forward += raw;
  }
  forward += server_.take_rest();
  return Done{};
}

Status HostKeyGuard::judge(std::string_view payload) {
  auto type = static_cast<uint8_t>(payload[0]);
  if (carries_nothing(type)) return Done{};
  switch (stage_) {
    case Stage::kInit:
      return judge_init(payload);
    case Stage::kReply:
      return judge_reply(payload);
    case Stage::kNewKeys:
      if (type != kNewKeys || payload.size() != 1) return unexpected(type, "in place of NEWKEYS");
      stage_ = Stage::kDone;
      return Done{};
    case Stage::kLine:
    case Stage::kDone:
      break;
  }
  std::abort();
}

Status HostKeyGuard::judge_init(std::string_view payload) {
  auto type = static_cast<uint8_t>(payload[0]);
  if (type != kKexInit) return unexpected(type, "before its KEXINIT");
  auto init = read_init(payload);
  if (!init) return peer_error("its KEXINIT is malformed");
  // A client skips the packet after a wrong guess, so that the guard and the client would look at two
  // replies.
  if (init->guess_follows) return peer_error("it announces a guessed packet, which no server of ours does");
  server_methods_ = init->methods;
  stage_ = Stage::kReply;
  return Done{};
}

// RFC 4253 section 7.1: the first method of the client that the server has too.
Result<bool> HostKeyGuard::group_exchange() const {
  if (!client_known_) return peer_error("it answers a key exchange that the client has not started");
  auto offered = split(server_methods_, ',');
  for (const auto& method : split(client_methods_, ',')) {
    if (is_marker(method) || std::find(offered.begin(), offered.end(), method) == offered.end()) continue;
    // GSSAPI key exchange (RFC 4462) authenticates without a host key
    if (method.starts_with("gss-")) return peer_error("it chooses the key exchange " + method);
    return method.starts_with("diffie-hellman-group-exchange-");
  }
  return peer_error("it has no key exchange method in common with the client");
}

Status HostKeyGuard::judge_reply(std::string_view payload) {
  auto type = static_cast<uint8_t>(payload[0]);
  auto group = group_exchange();
  if (!group) return group.error();
  if (!*group)
    return type == kReply ? check_key(payload)
                          : Status(unexpected(type, "in place of its key exchange reply"));
  if (type == kGroupReply && group_seen_) return check_key(payload);
  WireReader reader(payload.substr(1));
  reader.string();  // p
  reader.string();  // g
  if (type != kGroup || group_seen_ || !reader.done()) return unexpected(type, "in a group exchange");
  group_seen_ = true;
  return Done{};
}

// In all three replies: host key, the server's part of the exchange, signature.
Status HostKeyGuard::check_key(std::string_view payload) {
  WireReader reader(payload.substr(1));
  std::string_view key = reader.string();
  reader.string();
  reader.string();
  if (!reader.done()) return peer_error("its key exchange reply is malformed");
  if (std::find(pinned_.begin(), pinned_.end(), key) == pinned_.end()) return refused(describe_key(key));
  stage_ = Stage::kNewKeys;
  return Done{};
}

}  // namespace qf
