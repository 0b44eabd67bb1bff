// SPDX-License-Identifier: Apache-2.0
// The command lines of qf-proxy and qf-tunnel: folders, HOST PORT and nothing else.
#pragma once

#include <string>

#include "libqf/folders.h"

namespace qf {

struct ProxyOptions {
  Folders folders;
  std::string host, port;
  int fd = -1;  // qf-tunnel: the connected socket that qf-proxy hands over
};

// Dies with 64 on wrong usage; exits for --help and --version.
[[nodiscard]] ProxyOptions read_proxy_options(int argc, char** argv, const std::string& program,
                                              const char* usage);

}  // namespace qf
