// SPDX-License-Identifier: Apache-2.0
#include "libqf/dpop.h"

#include <algorithm>
#include <cstdlib>

#include "libqf/base64.h"
#include "libqf/json.h"

namespace qf {

namespace {

constexpr size_t kProofIdBytes = 16;  // RFC 9449 section 4.2 wants at least 96 bits

}  // namespace

std::optional<KeyType> dpop_key_type(const std::vector<std::string>& algorithms) {
  auto offers = [&](std::string_view name) {
    return std::find(algorithms.begin(), algorithms.end(), name) != algorithms.end();
  };
  if (offers("ES256")) return KeyType::kEcdsaP256;
  if (offers("EdDSA")) return KeyType::kEd25519;
  return std::nullopt;
}

std::string dpop_proof(const SigningKey& key, std::string_view url, std::string_view nonce,
                       int64_t wall_time) {
  auto jwk = parse_json(key.public_jwk());
  if (!jwk) std::abort();  // our own
  JsonWriter header;
  header.set("typ", "dpop+jwt").set("alg", key.jws_algorithm()).set("jwk", std::move(*jwk));
  JsonWriter claims;
  claims.set("jti", base64url(random_bytes(kProofIdBytes))).set("htm", "POST");
  claims.set("htu", url.substr(0, url.find_first_of("?#"))).set("iat", wall_time);
  if (!nonce.empty()) claims.set("nonce", nonce);
  std::string signed_part = base64url(header.text()) + "." + base64url(claims.text());
  return signed_part + "." + base64url(key.jws_sign(signed_part));
}

}  // namespace qf
