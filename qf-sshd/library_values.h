// SPDX-License-Identifier: Apache-2.0
// What libssh's messages hand out, in our types.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

namespace qf {

// libssh gives null for a text that the client has left out.
inline std::string text_of(const char* text) {
  return text == nullptr ? "" : text;
}

// A uint32 of the protocol, which libssh gives as an int: what is too large for that is 0.
inline uint32_t number_of(int value) {
  return static_cast<uint32_t>(std::max(value, 0));
}

}  // namespace qf
