// SPDX-License-Identifier: Apache-2.0
// The private key of the machine issuer, a file. The fabric document names its public half, so it is made
// once and then stays.
#pragma once

#include <string>

#include "libqf/crypto.h"

namespace qf {

// The key in `path`, which is made (Ed25519, mode 0600, whole and on the disk before it is used) when it is
// missing, with the last folder of its path; when two start at once, both have the same. kInput, with what to
// do: it is no private key, or no file of ours that nobody else may use (a symlink, another's, mode 0644).
[[nodiscard]] Result<SigningKey> load_or_make_machine_key(const std::string& path);

}  // namespace qf
