// SPDX-License-Identifier: Apache-2.0
// Lines of an audit log as a person reads them: who did what, in columns. A file may come from anywhere, so
// control characters are removed again.
#pragma once

#include <cJSON.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qf {

// Empty: any.
struct AuditFilter {
  std::string user;   // identity, or its part after the issuer's name
  std::string login;  // OS user
  std::string from;   // peer or address of the source
  std::string event;
  std::string connection;    // its beginning is enough
  std::string since, until;  // as in "time"; since counts itself, until does not
  bool refused = false;      // only what was refused, by a policy or the server; what failed was not
  [[nodiscard]] bool takes(const cJSON* line) const;
};

[[nodiscard]] std::string audit_columns_head();
// No newline at the end.
[[nodiscard]] std::string audit_columns(const cJSON* line);

// A moment in the form of "time", from what a person gives: RFC 3339 ("2024-05-01T12:34:56Z", with an offset
// or a fraction too), a day ("2024-05-01", its beginning in UTC), or so long before `now` (milliseconds since
// the epoch): "90s", "30m", "2h", "3d", "1w".
[[nodiscard]] std::optional<std::string> audit_moment(std::string_view text, int64_t now);

}  // namespace qf
