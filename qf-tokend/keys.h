// SPDX-License-Identifier: Apache-2.0
// The two keys of a running qf-tokend. S, the subject key: ssh proves possession of it, so its private half
// is a file in the runtime folder and nowhere else. K, the user key: signs certificates and is what tokens
// are bound to; it never leaves this process.
#pragma once

#include <string>

#include "libqf/crypto.h"
#include "libqf/result.h"

namespace qf {

struct Keys {
  SigningKey user_key;      // K
  std::string user_blob;    // its SSH wire blob
  std::string subject_key;  // public half of S, 32 bytes
  std::string key_file;     // private half of S
};

// Makes both and writes the key file (0600, OpenSSH's format) into `ssh_folder`.
[[nodiscard]] Result<Keys> make_keys(const std::string& ssh_folder);

}  // namespace qf
