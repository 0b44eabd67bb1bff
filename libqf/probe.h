// SPDX-License-Identifier: Apache-2.0
// What answers on a port: connects, reads the identification line, closes. Sends nothing. Bounded by the
// deadline and by the limits of libqf/identification.h, whatever the other side does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/fd.h"
#include "libqf/identification.h"

namespace qf {

// The words are those of the token protocol and of --json.
enum class Detection {
  kJwt,     // "jwt": our server, a JWT is wanted
  kNoJwt,   // "no-jwt": our server without
  kOther,   // "other": some other SSH server
  kClosed,  // "closed": accepted and closed without a byte; our server does so to a source that is not
            // allowed
  kNone,    // "none": nothing, or nothing that speaks SSH
};
[[nodiscard]] std::string_view detection_word(Detection detection);
[[nodiscard]] std::optional<Detection> parse_detection(std::string_view word);

struct ProbeResult {
  Detection detection = Detection::kNone;
  uint16_t port = 0;
  std::string address;  // that accepted the connection; empty when none did
  std::string source;   // ours, on that connection
  Identification identification;
  std::string reason;  // why there is no identification
  int sys = 0;         // errno, when no connection came about and the system said why
};

[[nodiscard]] ProbeResult probe(const std::vector<std::string>& addresses, uint16_t port, Deadline deadline);

}  // namespace qf
