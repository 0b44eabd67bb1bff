// SPDX-License-Identifier: Apache-2.0
// The line protocol of qf-tokend and of the machine issuer (qf-tokend-protocol(7)): reading requests, and
// what a refusal looks like. Reading never fails halfway: a request is whole and checked, or it is a refusal
// that says which member is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libqf/refusal.h"
#include "libqf/result.h"

namespace qf {

enum class Operation {
  kMatch,
  kDetected,
  kConfirm,
  kCredential,
  kLogin,
  kShow,
  kStatus,
  kLogout,
  kStop,
  kIssue,  // this and kJwks: the machine issuer's
  kJwks,
};

struct Request {
  std::optional<int64_t> version;
  Operation operation = Operation::kStatus;
  std::string peer;       // name in peers.mdb
  std::string host;       // as used on the command line, names in lower case; may become part of a file name
  std::string detection;  // one of kDetections
  int64_t pid = 0;        // of the ssh that asks; 0: not given
  std::string start;      // its start time, field 22 of /proc/PID/stat
  bool interactive = false;
  bool browser = false;  // the client can open a browser for the person
  bool renew = false;    // log in anew, whatever is cached
  std::string issuer;    // a name; for the machine issuer the iss; empty: not given
  std::string audience;  // machine issuer
  std::string nonce;     // machine issuer
};

inline constexpr std::string_view kDetections[] = {"jwt", "no-jwt", "other", "closed", "none"};

// `line` without its newline. Codes: "malformed" (no JSON object, or a member is missing or wrong) and
// "unknown_op".
[[nodiscard]] Result<Request, Refusal> parse_request(std::string_view line);

// Refuses versions that we do not speak: the first line of a connection must have one, later lines may.
[[nodiscard]] std::optional<Refusal> check_version(const Request& request, bool first);

// "error", "message" and "hint" of the answer
[[nodiscard]] std::string refusal_line(const Refusal& refusal);

}  // namespace qf
