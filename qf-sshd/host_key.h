// SPDX-License-Identifier: Apache-2.0
// The server's host key. Its own, never /etc/ssh's, since net holds it.
#pragma once

#include <string>

#include "libqf/result.h"

namespace qf {

// "SHA256:…" of the key in this private key file. kInput when the file can be read by others or is no Ed25519
// key.
[[nodiscard]] Result<std::string> host_key_fingerprint(const std::string& path);

}  // namespace qf
