// SPDX-License-Identifier: Apache-2.0
// Sockets in the file system between programs of ours on one machine. Who is at the other end, the kernel
// says.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <string>

#include "libqf/fd.h"

namespace qf {

// A non-blocking listening socket at `path` with this mode, in place of what was there (rename, so that there
// is never one with another mode). type: SOCK_STREAM, SOCK_SEQPACKET. kInput when the path is too long.
[[nodiscard]] Result<Fd> listen_unix(const std::string& path, mode_t mode, int type = SOCK_STREAM);

// A connected socket, the uid at its other end checked: `owner`, or -1 for any. Waits 2 s at most when the
// other side's queue is full; with SOCK_NONBLOCK in `type` not at all. kNotFound: nobody listens.
[[nodiscard]] Result<Fd> connect_unix(const std::string& path, uid_t owner, int type = SOCK_STREAM);

// Pid, uid and gid of who has made the other end of a connected socket.
[[nodiscard]] Result<ucred> peer_credentials(int fd);

}  // namespace qf
