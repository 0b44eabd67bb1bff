// SPDX-License-Identifier: Apache-2.0
// The listening socket of an address of the fabric.
#pragma once

#include <string>

#include "libqf/fd.h"

namespace qf {

// The name (LISTEN_FDNAMES) of a socket that qf-up holds for qf-sshd, in contrast to systemd's.
inline constexpr const char* kHeldSocketName = "qf-up";

// At this address, which may come up later, port 22022; non-blocking. kInput: it is no address.
[[nodiscard]] Result<Fd> listen_on(const std::string& address);

// Whether it still listens: whoever else has it may have ended that by shutdown(2).
[[nodiscard]] bool still_listens(int fd);

}  // namespace qf
