// SPDX-License-Identifier: Apache-2.0
// For the tests of qf-proxy: the plaintext start of an SSH connection, as real servers and clients send it,
// and what waiting costs.
#pragma once

#include <time.h>

#include <chrono>
#include <string>
#include <string_view>

#include "libqf/wire.h"

namespace qf::test {

// RFC 4253 section 6, cipher "none".
inline std::string packet(std::string_view payload, size_t more_padding = 0) {
  size_t padding = 8 - (5 + payload.size()) % 8;
  if (padding < 4) padding += 8;
  padding += more_padding;
  WireWriter writer;
  writer.uint32(static_cast<uint32_t>(1 + payload.size() + padding)).byte(static_cast<uint8_t>(padding));
  return writer.raw(payload).raw(std::string(padding, 'p')).bytes();
}

inline std::string kexinit(std::string_view methods, bool guess = false,
                           std::string_view host_keys = "ssh-ed25519") {
  WireWriter writer;
  writer.byte(20).raw(std::string(16, 'c')).string(methods).string(host_keys);
  for (const auto* list :
       {"aes128-ctr", "aes128-ctr", "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""})
    writer.string(list);
  return packet(writer.byte(guess ? 1 : 0).uint32(0).bytes());
}

inline std::string reply(uint8_t type, std::string_view key) {
  return packet(WireWriter().byte(type).string(key).string("server's part").string("signature").bytes());
}
inline std::string group() {
  return packet(WireWriter().byte(31).string(std::string(257, 'p')).string("\2").bytes());
}
inline std::string newkeys() {
  return packet("\x15");
}

inline std::string host_key(char fill) {
  return WireWriter().string("ssh-ed25519").string(std::string(32, fill)).bytes();
}

inline constexpr const char* kServerLine = "SSH-2.0-QuFabric-SSH-Server-0.61.0\r\n";
inline constexpr const char* kClientLine = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
inline constexpr const char* kCurve = "curve25519-sha256";
inline constexpr const char* kGroupExchange = "diffie-hellman-group-exchange-sha256";

// Of this thread or process: CLOCK_THREAD_CPUTIME_ID, CLOCK_PROCESS_CPUTIME_ID.
inline std::chrono::nanoseconds processor_time(clockid_t whose) {
  timespec used = {};
  ::clock_gettime(whose, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace qf::test
