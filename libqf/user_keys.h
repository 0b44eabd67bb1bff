// SPDX-License-Identifier: Apache-2.0
// K, the user key of a running qf-tokend: signs certificates, proves possession to issuers (RFC 9449) and is
// what tokens are bound to. ECDSA P-256; there is a second one, Ed25519, for issuers whose DPoP knows only
// EdDSA.
#pragma once

#include <string>

#include "libqf/crypto.h"
#include "libqf/result.h"

namespace qf {

// OpenSSH's client verifies the signature of a certificate when it reads one. With its own Ed25519 that is a
// tenth of a login, with the P-256 of its libcrypto a hundredth.
inline constexpr KeyType kUsualUserKey = KeyType::kEcdsaP256;

struct UserKey {
  SigningKey key;
  std::string blob;  // SSH wire blob of its public half
};

struct UserKeys {
  UserKey p256, ed25519;

  [[nodiscard]] static Result<UserKeys> make();
  [[nodiscard]] const UserKey& of(KeyType type) const { return type == KeyType::kEd25519 ? ed25519 : p256; }
};

}  // namespace qf
