// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/keys.h"

#include "libqf/fd.h"
#include "libqf/wire.h"

namespace qf {

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
