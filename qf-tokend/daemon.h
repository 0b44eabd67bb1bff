// SPDX-License-Identifier: Apache-2.0
// qf-tokend as the user's token daemon. Runs as the user; files: RUNTIME/tokend.sock, tokend.lock and ssh/;
// talks to the user's own programs over the socket, to issuers over HTTPS, to the machine issuer. Runs
// nothing but the commands of the fabric document's "command" flows, and never writes a token to anything but
// the certificate files and its clients.
#pragma once

#include <cstdint>
#include <optional>

#include "libqf/folders.h"

namespace qf {

struct DaemonOptions {
  Folders folders;
  std::optional<int64_t> ttl;  // seconds
  bool foreground = false;
};

// Returns the exit code.
int run_daemon(const DaemonOptions& options);

}  // namespace qf
