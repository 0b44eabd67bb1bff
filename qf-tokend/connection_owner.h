// SPDX-License-Identifier: Apache-2.0
// Whose process is at the other end of a TCP connection over loopback: TCP itself does not say, proc(5) does.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string_view>

namespace qf {

// The uid that holds the other end of `fd`, an established connection between two addresses of this machine.
// Nothing when it cannot be found: the other end has been closed already, say.
[[nodiscard]] std::optional<uid_t> connection_owner(int fd);

// The same in the text of /proc/net/tcp or /proc/net/tcp6: the row whose local and remote ends
// ("0100007F:1F90") are these and whose state is established. A socket that its process has closed has no
// owner any more, and is shown as root's.
[[nodiscard]] std::optional<uid_t> find_owner(std::string_view table, std::string_view local,
                                              std::string_view remote);

}  // namespace qf
