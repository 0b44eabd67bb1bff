// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/x11_cookie.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

constexpr const char* kProtocol = "MIT-MAGIC-COOKIE-1";
constexpr const char* kCookie = "00112233445566778899aabbccddeeff";

// A connection setup with 18 bytes of name and 16 of data, as Xlib sends it.
std::string setup(bool big, const std::string& name, const std::string& data) {
  auto number = [big](size_t n) {
    std::string bytes{static_cast<char>(n >> 8), static_cast<char>(n)};
    return big ? bytes : std::string(bytes.rbegin(), bytes.rend());
  };
  auto pad = [](std::string text) {
    text.resize((text.size() + 3) / 4 * 4);
    return text;
  };
  return std::string(big ? "B" : "l") + '\0' + number(11) + number(0) + number(name.size()) +
         number(data.size()) + number(0) + pad(name) + pad(data);
}

std::string cookie_bytes() {
  std::string bytes;
  for (int i = 0; i < 16; ++i) bytes.push_back(static_cast<char>(i * 0x11));
  return bytes;
}

TEST(X11Cookie, TheRightOneIsGoodInBothByteOrders) {
  for (bool big : {true, false}) {
    std::string bytes = setup(big, kProtocol, cookie_bytes());
    EXPECT_EQ(check_x11_setup(bytes, kProtocol, kCookie), X11Setup::kGood);
    EXPECT_EQ(check_x11_setup(bytes + "more", kProtocol, kCookie), X11Setup::kGood);
    for (size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_EQ(check_x11_setup(bytes.substr(0, length), kProtocol, kCookie), X11Setup::kIncomplete)
          << length;
    }
  }
}

TEST(X11Cookie, AnyOtherIsBad) {
  auto other = cookie_bytes();
  other[15] ^= 1;
  EXPECT_EQ(check_x11_setup(setup(true, kProtocol, other), kProtocol, kCookie), X11Setup::kBad);
  EXPECT_EQ(check_x11_setup(setup(true, kProtocol, ""), kProtocol, kCookie), X11Setup::kBad);
  EXPECT_EQ(check_x11_setup(setup(true, "", ""), kProtocol, kCookie), X11Setup::kBad);
  EXPECT_EQ(check_x11_setup(setup(true, "XDM-AUTHORIZATION", cookie_bytes()), kProtocol, kCookie),
            X11Setup::kBad);
  EXPECT_EQ(check_x11_setup(setup(true, std::string(65, 'a'), cookie_bytes()), kProtocol, kCookie),
            X11Setup::kBad);
  EXPECT_EQ(check_x11_setup(setup(true, kProtocol, std::string(129, 'a')), kProtocol, kCookie),
            X11Setup::kBad);
  EXPECT_EQ(check_x11_setup("SSH-2.0", kProtocol, kCookie), X11Setup::kBad);
}

TEST(X11Cookie, OnlyPlainWordsReachXauth) {
  EXPECT_TRUE(is_x11_request(kProtocol, kCookie));
  EXPECT_TRUE(is_x11_request(kProtocol, std::string(256, 'f')));
  for (const char* protocol : {"", "A B", "A\nadd x", "\xc3\xa9"})
    EXPECT_FALSE(is_x11_request(protocol, kCookie));
  EXPECT_FALSE(is_x11_request(std::string(65, 'A'), kCookie));
  for (const char* cookie : {"", "0", "0g", "00 ", "00\n"}) EXPECT_FALSE(is_x11_request(kProtocol, cookie));
  EXPECT_FALSE(is_x11_request(kProtocol, std::string(258, 'f')));
}

}  // namespace
}  // namespace qf
