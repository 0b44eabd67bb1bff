// SPDX-License-Identifier: Apache-2.0
// Key binding: a token that names the user key K is of no use to who does not hold K.
//   nonce = "qf1." base64url(SHA-256("qufabric-key-binding-v1\0" || salt || SSH wire blob of K)), salt of 32
//   bytes; or cnf.jkt = JWK thumbprint of K (RFC 9449 section 6.1, RFC 7638).
#pragma once

#include <string>
#include <string_view>

#include "libqf/jwt.h"

namespace qf {

inline constexpr size_t kBindingSaltBytes = 32;
[[nodiscard]] std::string binding_nonce(std::string_view salt, std::string_view user_key_blob);

enum class Binding {
  kNone,     // a bearer token: neither such a nonce nor cnf
  kBound,    // bound to exactly this key
  kForeign,  // bound to another key, or the salt is missing: never acceptable, also not as bearer
};
[[nodiscard]] Binding check_binding(const Claims& claims, std::string_view salt,
                                    std::string_view user_key_blob);
// True when the token is bound to any key at all.
[[nodiscard]] bool is_key_bound(const Claims& claims);

}  // namespace qf
