// SPDX-License-Identifier: Apache-2.0
// Putting a fabric document into force on this machine: policy.mdb, peers.mdb, known_hosts, choices.json and
// the ssh_config file, all in one step (qf-up/applied_set.h). A failure (no space, a bad name, no permission)
// and a kill at any moment leave all of the old state, or all of the new one.
#pragma once

#include <string>
#include <vector>

#include "libqf/fd.h"
#include "libqf/folders.h"
#include "qf-up/choices.h"
#include "qf-up/document.h"

namespace qf {

// Makes the folder when it is missing. Refused when it is another user's, or others may rename in it: root's
// qf-up would write where somebody else says.
[[nodiscard]] Status own_state_folder(const Folders& folders);

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
// /etc/ssh/ssh_config.d, when that is there and not on a read-only file system; else the state folder.
// Besides it is always at Folders::ssh_config(), for qufabric(1).
[[nodiscard]] std::string ssh_config_path(const Folders& folders, const Choices& choices);

struct Applied {
  std::string ssh_config;        // its path
  bool include_missing = false;  // /etc/ssh/ssh_config does not read it
  bool system_closed = false;    // it belongs into /etc/ssh/ssh_config.d, which cannot be written
};
// The caller holds the lock and has checked the serial. choices.self is a peer of the document, or empty.
// The ssh_config file of another place, where choices.json had it until now, goes away. An error without a
// hint has changed nothing.
[[nodiscard]] Result<Applied> apply_document(const Document& document, const Folders& folders,
                                             const Choices& choices);
// kInput for a file that we did not write. The caller holds the lock.
[[nodiscard]] Status remove_ssh_config(const Folders& folders, const Choices& choices);

// The peer of the document that `name` means, letter case aside; kInput when there is none.
[[nodiscard]] Result<std::string> find_self(const Document& document, const std::string& name);

}  // namespace qf
