// SPDX-License-Identifier: Apache-2.0
// Addresses of a host that a person named: those of peers.mdb for a peer, else by the system's resolver.
// --match never comes here.
#pragma once

#include <string>
#include <vector>

#include "libqf/fd.h"
#include "libqf/folders.h"

namespace qf {

struct Target {
  std::string peer;  // its name when it is a peer
  std::vector<std::string> addresses;
};

// kNotFound: no such host. kTimeout: the resolver did not answer in time.
[[nodiscard]] Result<Target> resolve_target(const Folders& folders, const std::string& host,
                                            Deadline deadline);

}  // namespace qf
