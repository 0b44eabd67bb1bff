// SPDX-License-Identifier: Apache-2.0
// JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037) as issuers publish them. Public keys only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libqf/crypto.h"
#include "libqf/result.h"

namespace qf {

struct Jwk {
  EvpKey key;
  std::string kty;         // RSA, EC, OKP
  std::string crv;         // of EC and OKP
  std::string kid;         // empty: none
  std::string use;         // empty: none
  std::string alg;         // empty: none
  std::string thumbprint;  // RFC 7638: the same for the same key, whatever its kid
};

using KeySet = std::vector<Jwk>;

inline constexpr size_t kMostKeySetBytes = 1 << 20;
inline constexpr size_t kMostKeys = 200;

// Keys that we cannot use (other types, curves, RSA below 2048 or above 8192 bits, "use":"enc", private or
// broken ones) are left out, and reason given in `skipped` when not null; a set whose JSON or "keys" is
// broken is an error. Unknown members, x5c among them, are ignored. More than kMostKeys is an error.
[[nodiscard]] Result<KeySet> parse_key_set(std::string_view json,
                                           std::vector<std::string>* skipped = nullptr);

// base64url(SHA-256) of the required members (RFC 7638), of a public JWK given as JSON.
[[nodiscard]] Result<std::string> jwk_thumbprint(std::string_view jwk_json);

// {"keys":[…]} with one key: kty, crv, x(, y), kid, use "sig", alg.
[[nodiscard]] std::string key_set_json(const SigningKey& key, std::string_view kid);

}  // namespace qf
