// SPDX-License-Identifier: Apache-2.0
// fuzz-group: sshd
//
// What decides about forwarded connections: the first bytes of an X11 program against the session's cookie,
// and the patterns of "permit_open". An input is one of them, by its first byte. Aborts when a setup is good
// that does not hold the cookie, when more bytes change a verdict or a prefix of a good setup is bad, when
// more than 512 bytes are asked for, when a pattern matches outside of its ports, and when one that is no
// pattern matches.
#include <cstdint>

#include "libqf/forward_pattern.h"
#include "qf-sshd/x11_cookie.h"
#include "tests/fuzz/input.h"

namespace {

using qf::must;

constexpr std::string_view kProtocol = "MIT-MAGIC-COOKIE-1", kCookie = "00112233445566778899aabbccddeeff";
constexpr std::string_view kBytes("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);

void check_setup(std::string_view bytes) {
  using qf::X11Setup;
  must(qf::is_x11_request(kProtocol, kCookie));
  X11Setup verdict = qf::check_x11_setup(bytes, kProtocol, kCookie);
  if (verdict == X11Setup::kGood) must(bytes.find(kBytes) != std::string_view::npos);
  if (verdict == X11Setup::kIncomplete) must(bytes.size() < 512);
  for (size_t n = 0; n < bytes.size() && n < 512; ++n) {
    X11Setup before = qf::check_x11_setup(bytes.substr(0, n), kProtocol, kCookie);
    must(before == X11Setup::kIncomplete || before == verdict);
  }
  // as the request of a session: what is taken must be fit for a line of xauth's
  size_t half = bytes.size() / 2;
  std::string_view protocol = bytes.substr(0, half), cookie = bytes.substr(half);
  if (!qf::is_x11_request(protocol, cookie)) return;
  must(bytes.find_first_of(" \t\r\n\"\\#") == std::string_view::npos && cookie.size() % 2 == 0);
  must(qf::check_x11_setup(bytes, protocol, cookie) != X11Setup::kGood);
}

void check_pattern(std::string_view input) {
  std::string_view text = input.substr(0, input.find('\n'));
  std::string_view host = input.substr(std::min(text.size() + 1, input.size()));
  auto pattern = qf::parse_forward_pattern(text);
  for (uint32_t port : {0U, 1U, 22U, 8000U, 65535U, 65536U, 0xffffffffU}) {
    bool permitted = qf::forward_permitted({std::string(text)}, host, port);
    if (!pattern) must(!permitted);
    if (!pattern) continue;
    must(pattern->first_port <= pattern->last_port && pattern->last_port <= 65535 && !pattern->host.empty());
    must(permitted == pattern->matches(host, port));
    if (permitted) must(port >= pattern->first_port && port <= pattern->last_port);
    if (pattern->host.find('*') == std::string::npos && pattern->first_port <= port &&
        port <= pattern->last_port) {
      must(pattern->matches(pattern->host, port));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'x') check_setup(input);
  if (data[0] == 'p') check_pattern(input);
  return 0;
}
