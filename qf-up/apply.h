// SPDX-License-Identifier: Apache-2.0
// Putting a fabric document into force on this machine: policy.mdb, peers.mdb, known_hosts, choices.json and
// the ssh_config file. Everything is written beside its place first and renamed at the end, so a failure (no
// space, a bad name, no permission) leaves all of the old state.
//
// A kill between two renames leaves a mixture of two documents that is safe, and the next apply of the same
// document mends it: policy.mdb goes first, so that what a document forbids is forbidden from then on; then
// peers.mdb and known_hosts, which at worst disagree about a host key, and then ssh refuses the peer; the
// ssh_config file goes last, since it needs all the others.
#pragma once

#include <string>
#include <vector>

#include "libqf/fd.h"
#include "libqf/folders.h"
#include "qf-up/choices.h"
#include "qf-up/document.h"

namespace qf {

// One qf-up at a time changes a state folder; held until the Fd closes. Waits for another one, saying so.
[[nodiscard]] Result<Fd> lock_state(const Folders& folders);

// What is in force now; nothing when no document was applied.
struct InForce {
  uint64_t serial = 0;
  std::string hash;
};
// Refused (kRefused): a lower serial than the one in force, or the same one with other bytes.
[[nodiscard]] Status check_serial(const Folders& folders, const Document& document);

// kInput unless the file at `path` is missing, empty, or one that qf-up wrote: --ssh-config-file must not eat
// somebody's own configuration.
[[nodiscard]] Status check_ours(const std::string& path);

// Where the ssh_config file of these choices lies: as chosen; for root with the default state folder
// /etc/ssh/ssh_config.d; else the state folder.
[[nodiscard]] std::string ssh_config_path(const Folders& folders, const Choices& choices);

struct Applied {
  std::string ssh_config;        // its path
  bool include_missing = false;  // /etc/ssh/ssh_config does not read it
};
// The caller holds the lock and has checked the serial. choices.self is a peer of the document, or empty.
[[nodiscard]] Result<Applied> apply_document(const Document& document, const Folders& folders,
                                             const Choices& choices);

// The peer of the document that `name` means, letter case aside; kInput when there is none.
[[nodiscard]] Result<std::string> find_self(const Document& document, const std::string& name);

}  // namespace qf
