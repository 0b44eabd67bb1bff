// SPDX-License-Identifier: Apache-2.0
// qf-detect HOST [PORT]: the question of a person. Port 22022 first, then the named one.
#pragma once

#include <cstdint>
#include <string>

#include "libqf/folders.h"
#include "qf-detect/report.h"

namespace qf {

// The deadline covers all: resolver, both ports. Never fails: trouble is a Detection::kNone with its reason.
[[nodiscard]] Report ask_host(const Folders& folders, const std::string& host, uint16_t port,
                              std::chrono::milliseconds timeout);

}  // namespace qf
