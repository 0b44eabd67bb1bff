// SPDX-License-Identifier: Apache-2.0
// What a process hands down to those that it starts, besides descriptors: resource limits, file mode creation
// mask, niceness.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>

#include "libqf/result.h"

namespace qf {

struct ProcessLimits {
  std::array<rlimit, RLIM_NLIMITS> limits = {};
  mode_t mask = 022;
  int niceness = 0;
};

// Those of this process.
[[nodiscard]] Result<ProcessLimits> own_limits();
// Sets those of this process; what is so already is not touched. Raising wants to be root.
[[nodiscard]] Status apply_limits(const ProcessLimits& wanted);
// The same, as far as it goes: root without CAP_SYS_RESOURCE, in a container, cannot raise what was lowered,
// and lives with that.
void restore_limits(const ProcessLimits& wanted);

}  // namespace qf
