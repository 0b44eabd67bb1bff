// SPDX-License-Identifier: Apache-2.0
// libssh reads 4 KiB at a time, and asks poll(2) before each; an upload took more time for these two calls
// than for deciphering. So this program has a recv(2) and a poll(2) of its own, which libssh finds before the
// C library's: for one descriptor, what the kernel has is read in large pieces, and handed out in small ones
// without asking again. For all others they are the system calls as they are.
#pragma once

#include <cstddef>

namespace qf {

// From now on for this stream socket, whose reader is recv(2) without flags alone. One in a process, once.
void read_ahead_of(int fd);

// How much was read that nobody has taken yet.
[[nodiscard]] size_t bytes_ahead();

}  // namespace qf
