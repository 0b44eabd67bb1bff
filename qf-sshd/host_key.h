// SPDX-License-Identifier: Apache-2.0
// The server's host key. Its own, never /etc/ssh's, since net holds it.
#pragma once

#include <string>
#include <vector>

#include "libqf/folders.h"
#include "libqf/result.h"
#include "qf-sshd/ssh_handles.h"

namespace qf {

struct HostKey {
  SshPtr<ssh_key> key;
  std::string fingerprint;  // "SHA256:…"
};

// From this private key file. kRefused when the file can be read by others, kInput when it is no Ed25519 key.
[[nodiscard]] Result<HostKey> load_host_key(const std::string& path);
// The host key in use; the next one when the document lists that and not the one in use (`listed`:
// fingerprints), so that a change of keys locks nobody out in whichever order an admin does it. The error is
// that of the key in use.
[[nodiscard]] Result<HostKey> choose_host_key(const Folders& folders, const std::vector<std::string>& listed);
// What to do about such an error.
[[nodiscard]] std::string host_key_hint(const Error& error, const std::string& path);

}  // namespace qf
