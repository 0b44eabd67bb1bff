// SPDX-License-Identifier: Apache-2.0
// The keys of a running qf-tokend. S, the subject key: ssh proves possession of it, so its private half is a
// file in the runtime folder and nowhere else. K, the user key: signs certificates, proves possession to
// issuers (RFC 9449) and is what tokens are bound to; it never leaves this process. K is Ed25519; there is a
// second one, P-256, for issuers whose DPoP knows only ES256.
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

struct Keys {
  UserKeys user;            // K
  std::string subject_key;  // public half of S, 32 bytes
  std::string key_file;     // private half of S
};

// Makes all of them and writes the key file (0600, OpenSSH's format) into `ssh_folder`.
[[nodiscard]] Result<Keys> make_keys(const std::string& ssh_folder);

}  // namespace qf
