// SPDX-License-Identifier: Apache-2.0
// The keys of a running qf-tokend. S, the subject key: ssh proves possession of it, so its private half is a
// file in the runtime folder and nowhere else. K, the user key, never leaves this process.
#pragma once

#include <string>

#include "libqf/result.h"
#include "libqf/user_keys.h"

namespace qf {

struct Keys {
  UserKeys user;            // K
  std::string subject_key;  // public half of S, 32 bytes
  std::string key_file;     // private half of S
};

// Makes all of them and writes the key file (0600, OpenSSH's format) into `ssh_folder`.
[[nodiscard]] Result<Keys> make_keys(const std::string& ssh_folder);

}  // namespace qf
