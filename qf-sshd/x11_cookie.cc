// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/x11_cookie.h"

#include <algorithm>
#include <cctype>

#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kHeader = 12;
constexpr size_t kMostProtocolBytes = 64;
constexpr size_t kMostCookieBytes = 128;  // 16 in practice

size_t padded(size_t length) {
  return (length + 3) / 4 * 4;
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string from_hex(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<char>(nibble(text[i]) << 4 | nibble(text[i + 1])));
  }
  return bytes;
}

}  // namespace

bool is_x11_request(std::string_view protocol, std::string_view cookie) {
  bool named = !protocol.empty() && protocol.size() <= kMostProtocolBytes &&
               std::all_of(protocol.begin(), protocol.end(),
                           [](unsigned char c) { return c < 0x80 && (std::isalnum(c) != 0 || c == '-'); });
  return named && !cookie.empty() && cookie.size() <= 2 * kMostCookieBytes && cookie.size() % 2 == 0 &&
         std::all_of(cookie.begin(), cookie.end(), [](char c) { return nibble(c) >= 0; });
}

X11Setup check_x11_setup(std::string_view bytes, std::string_view protocol, std::string_view cookie) {
  if (bytes.empty()) return X11Setup::kIncomplete;
  bool big = bytes[0] == 'B';  // MSB first
  if (!big && bytes[0] != 'l') return X11Setup::kBad;
  if (bytes.size() < kHeader) return X11Setup::kIncomplete;
  auto number = [&](size_t at) {
    auto first = static_cast<unsigned char>(bytes[at]), second = static_cast<unsigned char>(bytes[at + 1]);
    return static_cast<size_t>(big ? first << 8 | second : second << 8 | first);
  };
  size_t name_length = number(6), data_length = number(8);
  if (name_length > kMostProtocolBytes || data_length > kMostCookieBytes) return X11Setup::kBad;
  if (bytes.size() < kHeader + padded(name_length) + padded(data_length)) return X11Setup::kIncomplete;
  auto name = bytes.substr(kHeader, name_length);
  auto data = bytes.substr(kHeader + padded(name_length), data_length);
  return name == protocol && equal_secrets(data, from_hex(cookie)) ? X11Setup::kGood : X11Setup::kBad;
}

}  // namespace qf
