// SPDX-License-Identifier: Apache-2.0
// What qf-sshd needs of this machine before it can start: a host key of its own and, for root, two system
// users.
#pragma once

#include <string>
#include <vector>

#include "libqf/folders.h"
#include "libqf/result.h"

namespace qf {

// Makes STATE/ssh_host_ed25519_key with ssh-keygen when it is missing (mode 0600) and returns its public
// half, "ssh-ed25519 AAAA…", without a comment: the line for the fabric document.
[[nodiscard]] Result<std::string> ensure_host_key(const Folders& folders);

// The same, and after it the line of the next host key when `qf-up rotate-host-key` has made one: all that
// the document may list. The one in use is made when it is missing.
[[nodiscard]] Result<std::vector<std::string>> host_key_lines(const Folders& folders);
// Makes the next host key beside the one in use, unless there is one.
[[nodiscard]] Status make_next_host_key(const Folders& folders);
// The next one takes the place of the one in use, in one step. kNotFound: there is no next one.
[[nodiscard]] Status take_next_host_key(const Folders& folders);
// The .pub file beside the host key as it must be: a kill may have left it behind. For people alone.
[[nodiscard]] Status write_public_half(const Folders& folders);

// Absolute path of ssh-keygen(1).
[[nodiscard]] std::string keygen_program();

// Makes the users `qufabric` and `qufabric-fetch` (no shell, no home) where missing; root only.
[[nodiscard]] Status ensure_system_users();

}  // namespace qf
