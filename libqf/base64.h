// SPDX-License-Identifier: Apache-2.0
// RFC 4648: base64 with padding (section 4) and base64url without (section 5, as JOSE uses it: RFC 7515
// section 2). Decoding is strict: no white space, no foreign characters, unused bits must be zero.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qf {

[[nodiscard]] std::string base64(std::string_view bytes);
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);
[[nodiscard]] std::string base64url(std::string_view bytes);
[[nodiscard]] std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace qf
