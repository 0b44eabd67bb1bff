// SPDX-License-Identifier: Apache-2.0
// Bytes that are too many for a message: a memfd, sealed so that who gets it can rely on its content staying
// as it is.
#pragma once

#include <string>
#include <string_view>

#include "libqf/fd.h"

namespace qf {

[[nodiscard]] Result<Fd> make_memory_file(std::string_view content);
// The content of such a file, whatever its offset; kPeer when it is longer than `limit` bytes, not sealed or
// no memfd.
[[nodiscard]] Result<std::string> read_memory_file(int fd, size_t limit);

}  // namespace qf
