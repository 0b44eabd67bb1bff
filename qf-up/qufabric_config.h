// SPDX-License-Identifier: Apache-2.0
// The configuration that qufabric(1) gives to ssh, scp and sftp. -F FILE turns off the person's file and the
// system's, so the one made here reads them first, in ssh's order (the first value of an option wins), and
// then qf-up's. It is a real file, since ssh hands its name on to the ssh of a ProxyJump, and scp and sftp to
// theirs; it holds no secret.
#pragma once

#include <optional>
#include <string>

#include "libqf/folders.h"
#include "libqf/result.h"

namespace qf {

// kInput, with a hint, unless qf-up's ssh_config file is there and may be read.
[[nodiscard]] Status check_applied(const Folders& folders);

// The text. `own` is the person's -F FILE, readable, in place of ~/.ssh/config and the system's; "none" for
// neither.
[[nodiscard]] Result<std::string> client_config(const Folders& folders,
                                                const std::optional<std::string>& own);

// Puts it into the runtime folder and returns its path. Each text has a file of its own, so that what another
// ssh is about to read never changes; those that nobody has used for a day go.
[[nodiscard]] Result<std::string> keep_client_config(const Folders& folders, const std::string& text);

// What `qufabric ssh-config` prints, for the end of a person's own ~/.ssh/config.
[[nodiscard]] Result<std::string> config_block(const Folders& folders);

// Where ssh reads qf-up's file already, without us: the file that includes it; empty: nowhere.
[[nodiscard]] std::string includes_ours(const Folders& folders);

}  // namespace qf
