// SPDX-License-Identifier: Apache-2.0
// The answer of a probe that a person asked for: a sentence, JSON, exit code.
#pragma once

#include <string>

#include "libqf/probe.h"

namespace qf {

struct Report {
  std::string host;
  std::string peer;  // its name when it is a peer
  ProbeResult result;
  std::string other_reason;  // what the other of the two ports gave, when two were asked
};

// 0 our server with JWT, 1 without, 2 another SSH server, 3 nothing
[[nodiscard]] int detection_exit_code(Detection detection);
[[nodiscard]] std::string report_text(const Report& report);
[[nodiscard]] std::string report_json(const Report& report);

}  // namespace qf
