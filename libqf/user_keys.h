// SPDX-License-Identifier: Apache-2.0
// K, the user key of a running qf-tokend: signs certificates, proves possession to issuers (RFC 9449) and is
// what tokens are bound to. Ed25519; there is a second one, P-256, for issuers whose DPoP knows only ES256.
#pragma once

#include <string>

#include "libqf/crypto.h"
#include "libqf/result.h"

namespace qf {

struct UserKey {
  SigningKey key;
  std::string blob;  // SSH wire blob of its public half
};

struct UserKeys {
  UserKey ed25519, p256;

  [[nodiscard]] static Result<UserKeys> make();
  [[nodiscard]] const UserKey& of(KeyType type) const { return type == KeyType::kEd25519 ? ed25519 : p256; }
};

}  // namespace qf
