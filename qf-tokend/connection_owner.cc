// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/connection_owner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "libqf/fd.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostTable = size_t{16} << 20;  // bytes; a row has 150
constexpr std::string_view kEstablished = "01";

// As the kernel prints an address: 32 bits at a time, each as a number of this machine.
std::string hex_words(const void* address, size_t bytes) {
  std::string out;
  for (size_t at = 0; at < bytes; at += 4) {
    uint32_t word = 0;
    std::memcpy(&word, static_cast<const char*>(address) + at, sizeof word);
    char text[9];
    std::snprintf(text, sizeof text, "%08X", word);
    out += text;
  }
  return out;
}

std::string with_port(const std::string& address, in_port_t port) {
  char text[6];
  std::snprintf(text, sizeof text, ":%04X", ntohs(port));
  return address + text;
}

struct Ends {
  std::string v4, v6;  // in the two tables; v4 is empty for IPv6
};

Ends ends_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    std::string words = hex_words(&in.sin_addr, sizeof in.sin_addr);
    // a program with an IPv6 socket may use IPv4 with it (RFC 4291 section 2.5.5.2)
    in6_addr mapped = {};
    mapped.s6_addr[10] = mapped.s6_addr[11] = 0xff;
    std::string prefix = hex_words(&mapped, 12);
    return {with_port(words, in.sin_port), with_port(prefix + words, in.sin_port)};
  }
  const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
  return {"", with_port(hex_words(&in.sin6_addr, sizeof in.sin6_addr), in.sin6_port)};
}

}  // namespace

std::optional<uid_t> find_owner(std::string_view table, std::string_view local, std::string_view remote) {
  for (const auto& line : split(table, '\n')) {
    std::vector<std::string> words;
    for (auto& word : split(line, ' ')) {
      if (!word.empty()) words.push_back(std::move(word));
    }
    // sl, local_address, rem_address, st, tx_queue:rx_queue, tr:tm->when, retrnsmt, uid
    if (words.size() < 8 || words[1] != local || words[2] != remote || words[3] != kEstablished) continue;
    auto uid = parse_number(words[7], UINT32_MAX);
    if (uid) return static_cast<uid_t>(*uid);
  }
  return std::nullopt;
}

std::optional<uid_t> connection_owner(int fd) {
  sockaddr_storage ours = {}, theirs = {};
  socklen_t our_length = sizeof ours, their_length = sizeof theirs;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&ours), &our_length) != 0 ||
      ::getpeername(fd, reinterpret_cast<sockaddr*>(&theirs), &their_length) != 0) {
    return std::nullopt;
  }
  Ends local = ends_of(theirs), remote = ends_of(ours);  // seen from the other end
  for (const auto& [path, from, to] : {std::tuple("/proc/net/tcp", &local.v4, &remote.v4),
                                       std::tuple("/proc/net/tcp6", &local.v6, &remote.v6)}) {
    if (from->empty()) continue;
    auto table = read_file(path, kMostTable);
    if (!table) continue;
    if (auto owner = find_owner(*table, *from, *to)) return owner;
  }
  return std::nullopt;
}

}  // namespace qf
