// SPDX-License-Identifier: Apache-2.0
// qf-proxy HOST PORT: chooses between the direct path and the tunnel (design section 2) and runs it.
#pragma once

#include <string>

#include "libqf/folders.h"

namespace qf {

// The exit code. Does not return when the tunnel takes over (exec).
[[nodiscard]] int run_proxy(const Folders& folders, const std::string& host, const std::string& port);

}  // namespace qf
