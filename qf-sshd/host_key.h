// SPDX-License-Identifier: Apache-2.0
// The server's host key. Its own, never /etc/ssh's, since net holds it.
#pragma once

#include <string>
#include <vector>

#include "libqf/folders.h"
#include "libqf/policy_db.h"
#include "libqf/result.h"
#include "qf-sshd/settings.h"
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
// This server's peer in the policy that is in force, whether it lists a key, and the error when it does not.
[[nodiscard]] Result<PeerPolicyRecord> own_record(const Settings& settings);
[[nodiscard]] bool lists_key(const PeerPolicyRecord& self, const std::string& fingerprint);
[[nodiscard]] Error not_pinned(const Settings& settings, const std::string& fingerprint);
// choose_host_key() by that record, or without one.
[[nodiscard]] Result<HostKey> own_host_key(const Settings& settings, const Result<PeerPolicyRecord>& self);
// What to do about such an error.
[[nodiscard]] std::string host_key_hint(const Error& error, const std::string& path);

}  // namespace qf
