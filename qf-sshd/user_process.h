// SPDX-License-Identifier: Apache-2.0
// What a child of the monitor does on its way to become the OS user's own process: session and helper. All of
// it runs after fork(2), where only execve(2) or _exit(2) leads out.
#pragma once

#include <string>

#include "libqf/result.h"

namespace qf {

// Says what went wrong, with errno, on standard error (the user's) and ends the child with status 255.
[[noreturn]] void fail_child(const std::string& what);
[[noreturn]] void fail_child(const Error& error);

// Until execve(2) the child is a copy of the monitor, host key included, and soon it belongs to the user, who
// may stop and look at processes of that uid. What is not dumpable cannot be looked at; execve makes it
// dumpable again.
void hide_memory();

// Dispositions and mask as a fresh process has them.
void reset_signals();

}  // namespace qf
