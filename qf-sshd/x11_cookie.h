// SPDX-License-Identifier: Apache-2.0
// The cookie of a forwarded X11 display: the client made it for this session, xauth(1) gives it to the user's
// programs, and a program that does not show it first is none of the user's: it is turned away before the
// client hears of it. (OpenSSH's client checks it once more and puts the real one in its place.)
#pragma once

#include <string>
#include <string_view>

namespace qf {

// Whether an x11-req's protocol name and cookie (hexadecimal) are fit for xauth's command language.
[[nodiscard]] bool is_x11_request(std::string_view protocol, std::string_view cookie);

enum class X11Setup {
  kIncomplete,  // more bytes are needed
  kGood,
  kBad,
};

// What an X11 program sends first (X Window System Protocol, section 8, connection setup), against the cookie
// of the session; constant time in the cookie. At most 512 bytes are asked for.
[[nodiscard]] X11Setup check_x11_setup(std::string_view bytes, std::string_view protocol,
                                       std::string_view cookie);

}  // namespace qf
