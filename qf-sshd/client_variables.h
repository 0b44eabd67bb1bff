// SPDX-License-Identifier: Apache-2.0
// Environment variables that a client may send. net leaves out all others, and the monitor does not believe
// net.
#pragma once

#include <string>

namespace qf {

// LANG, LC_*, COLORTERM and NO_COLOR.
[[nodiscard]] bool accepted_variable(const std::string& name);

}  // namespace qf
