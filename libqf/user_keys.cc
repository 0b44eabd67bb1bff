// SPDX-License-Identifier: Apache-2.0
#include "libqf/user_keys.h"

#include <utility>

namespace qf {

Result<UserKeys> UserKeys::make() {
  auto ed25519 = SigningKey::generate(KeyType::kEd25519);
  if (!ed25519) return ed25519.error();
  auto p256 = SigningKey::generate(KeyType::kEcdsaP256);
  if (!p256) return p256.error();
  std::string first = ed25519->ssh_public_blob(), second = p256->ssh_public_blob();
  return UserKeys{{std::move(*p256), std::move(second)}, {std::move(*ed25519), std::move(first)}};
}

}  // namespace qf
