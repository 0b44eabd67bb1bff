// SPDX-License-Identifier: Apache-2.0
// Signals of a program with a poll(2) loop, read from a descriptor as signalfd(2) gives it.
#pragma once

#include <signal.h>

#include <initializer_list>

#include "libqf/fd.h"
#include "libqf/result.h"

namespace qf {

// Blocks them from now on, in this process and in its children unless these get `before`, the mask of until
// now. The descriptor is closed on exec and never blocks. A signal that is ignored never comes there.
[[nodiscard]] Result<Fd> watch_signals(std::initializer_list<int> numbers, sigset_t* before = nullptr);
// The number of the next one; 0: none waits.
[[nodiscard]] int next_signal(const Fd& signals);

}  // namespace qf
