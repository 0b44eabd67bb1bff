// SPDX-License-Identifier: Apache-2.0
// qf-up enroll --publish: this machine's entry in the document that is in etcd, added or brought up to date.
#pragma once

#include <string>
#include <vector>

#include "libqf/folders.h"
#include "libqf/json.h"
#include "libqf/result.h"
#include "qf-up/publish.h"

namespace qf {

struct OwnEntry {
  std::string name;
  std::vector<std::string> addresses;
  bool ssh = true;
  std::vector<std::string> host_keys;  // the one in use first, then the next one
};

// The entry as a person writes it, a member a line.
[[nodiscard]] JsonPtr entry_json(const OwnEntry& own);
[[nodiscard]] std::string entry_text(const cJSON* entry);

// The document with the entry in it and the next serial, without a signature, in as many keys as it is in.
// What else an admin has written in an entry of this name stays; as it was when there is nothing to change.
// kRefused: the entry is another machine's (none of its host keys is ours; without host keys: none of its
// addresses), unless `replace`.
[[nodiscard]] Result<KeptDocument> with_own_entry(const KeptDocument& document, const OwnEntry& own,
                                                  bool replace);

// Exit code; what was done has been said.
[[nodiscard]] int publish_entry(const Folders& folders, const PublishOptions& options, const OwnEntry& own,
                                bool replace);

}  // namespace qf
