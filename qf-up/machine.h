// SPDX-License-Identifier: Apache-2.0
// What qf-sshd needs of this machine before it can start: a host key of its own and, for root, two system
// users.
#pragma once

#include <string>

#include "libqf/folders.h"
#include "libqf/result.h"

namespace qf {

// Makes STATE/ssh_host_ed25519_key with ssh-keygen when it is missing (mode 0600) and returns its public
// half, "ssh-ed25519 AAAA…", without a comment: the line for the fabric document.
[[nodiscard]] Result<std::string> ensure_host_key(const Folders& folders);

// Makes the users `qufabric` and `qufabric-fetch` (no shell, no home) where missing; root only.
[[nodiscard]] Status ensure_system_users();

}  // namespace qf
