// SPDX-License-Identifier: Apache-2.0
// The two files that make plain ssh go through the fabric: 99-qufabric.conf (ssh_config(5)) and known_hosts
// (sshd(8)). Text only; qf-up/apply.cc puts them into place. Every name that enters has passed the whitelists
// of qf-up/names.h; folder names are checked here.
#pragma once

#include <string>
#include <vector>

#include "libqf/folders.h"
#include "qf-up/document.h"

namespace qf {

inline constexpr size_t kMostListedPeers = 5000;  // above: patterns and KnownHostsCommand
inline constexpr size_t kMostConfigLine = 900;    // bytes; libssh's parser breaks at 1,023
inline constexpr const char* kSshConfigName = "99-qufabric.conf";

// The version in "OpenSSH_9.2p1 Debian-2+deb12u7, …" (ssh -V); 0.0 when there is none.
struct SshVersion {
  unsigned major = 0, minor = 0;
  bool operator==(const SshVersion&) const = default;
  [[nodiscard]] bool at_least(const SshVersion& other) const {
    return major != other.major ? major > other.major : minor >= other.minor;
  }
};
[[nodiscard]] SshVersion parse_ssh_version(std::string_view text);
// Absolute; empty when there is no ssh on this machine.
[[nodiscard]] std::string installed_ssh();
// Runs ssh -V; 0.0 when there is no ssh on this machine.
[[nodiscard]] SshVersion installed_ssh_version();

struct SshConfigSettings {
  Folders folders;
  std::string detect_program;  // absolute
  std::string proxy_program;   // absolute
  // The runtime folder of this very instance is written into the file; otherwise ~/.qufabric/ssh is, which
  // each user's own qf-tokend sets.
  bool own_runtime = false;
  bool no_pq_warning = false;
  SshVersion ssh;
};

// kInput when a folder's name cannot stand in an ssh_config line.
[[nodiscard]] Result<std::string> render_ssh_config(const Document& document,
                                                    const SshConfigSettings& settings);
[[nodiscard]] std::string render_known_hosts(const Document& document, const SshConfigSettings& settings);

}  // namespace qf
