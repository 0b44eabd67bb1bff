// SPDX-License-Identifier: Apache-2.0
// Fails closed: whatever claims to be a binding and cannot be proved is foreign, never bearer.
#include "libqf/binding.h"

#include "libqf/base64.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr std::string_view kNoncePrefix = "qf1.";
constexpr std::string_view kContext("qufabric-key-binding-v1\0", 24);

bool has_bound_nonce(const Claims& claims) {
  return claims.nonce.starts_with(kNoncePrefix);
}

// RFC 9449 section 6.1; another kind of cnf proves nothing here
bool confirmed(const Claims& claims, std::string_view user_key_blob) {
  auto jwk = ssh_blob_to_jwk(user_key_blob);
  if (!jwk) return false;
  auto thumbprint = jwk_thumbprint(*jwk);
  return thumbprint && equal_secrets(*thumbprint, claims.confirmation_jkt);
}

}  // namespace

std::string binding_nonce(std::string_view salt, std::string_view user_key_blob) {
  return std::string(kNoncePrefix) +
         base64url(sha256(std::string(kContext) + std::string(salt) + std::string(user_key_blob)));
}

Binding check_binding(const Claims& claims, std::string_view salt, std::string_view user_key_blob) {
  if (!is_key_bound(claims)) return Binding::kNone;
  // A token with both kinds must satisfy both. The length of the salt is checked, since nothing else keeps
  // its end apart from the start of the key.
  if (has_bound_nonce(claims) && (salt.size() != kBindingSaltBytes ||
                                  !equal_secrets(claims.nonce, binding_nonce(salt, user_key_blob)))) {
    return Binding::kForeign;
  }
  if (claims.has_confirmation && !confirmed(claims, user_key_blob)) return Binding::kForeign;
  return Binding::kBound;
}

bool is_key_bound(const Claims& claims) {
  return claims.has_confirmation || has_bound_nonce(claims);
}

}  // namespace qf
