// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/keys.h"

#include "libqf/fd.h"
#include "libqf/wire.h"

namespace qf {

Result<UserKeys> UserKeys::make() {
  auto ed25519 = SigningKey::generate(KeyType::kEd25519);
  if (!ed25519) return ed25519.error();
  auto p256 = SigningKey::generate(KeyType::kEcdsaP256);
  if (!p256) return p256.error();
  std::string first = ed25519->ssh_public_blob(), second = p256->ssh_public_blob();
  return UserKeys{{std::move(*ed25519), std::move(first)}, {std::move(*p256), std::move(second)}};
}

Result<Keys> make_keys(const std::string& ssh_folder) {
  auto subject = SigningKey::generate(KeyType::kEd25519);
  if (!subject) return subject.error();
  auto user = UserKeys::make();
  if (!user) return user.error();
  std::string path = ssh_folder + "/subject";
  Secret file = subject->openssh_private_key_file("qufabric");
  if (auto written = replace_file(path, file.reveal(), 0600); !written) return written.error();
  std::string blob = subject->ssh_public_blob();
  WireReader whole(blob);
  (void)whole.string();  // "ssh-ed25519"
  std::string public_half(whole.string());
  return Keys{std::move(*user), std::move(public_half), std::move(path)};
}

}  // namespace qf
