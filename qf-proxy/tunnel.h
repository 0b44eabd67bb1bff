// SPDX-License-Identifier: Apache-2.0
// The tunnel (design section 2): the client's own SSH connection inside one of ours, for a user who must log
// in first and for clients that load no certificate file.
#pragma once

#include "libqf/fd.h"
#include "qf-proxy/options.h"

namespace qf {

// The exit code. `connection` is a fresh connection to the peer of which nothing has been read; stdin and
// stdout are the client.
[[nodiscard]] int run_tunnel(const ProxyOptions& options, Fd connection);

}  // namespace qf
