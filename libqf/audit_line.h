// SPDX-License-Identifier: Apache-2.0
// The form of a line of the audit log, and of STATE/audit.tail beside it: what qf-sshd writes and qf-up reads
// again.
//
// A line is one JSON object whose first two members put it into a chain:
//   {"n":17,"previous":"<64 hex digits>","time":"2024-05-01T12:34:56.789Z","event":"login",…}
// n is the number of the line, from 1, through all rotations and restarts; previous the SHA-256 of the line
// before it (without its newline), 64 zeros for the first. So no line can be changed, removed or inserted
// without another one telling of it. The chain has no key: who may write the file may make a whole new one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qf {

// No line that is written is longer: a dozen texts of 1 KiB each, in JSON.
inline constexpr size_t kMostAuditLineBytes = 65536;
inline constexpr std::string_view kNoAuditLine =
    "0000000000000000000000000000000000000000000000000000000000000000";

// What "event" may be.
inline constexpr std::array<std::string_view, 10> kAuditEvents = {"connection",      "connections-refused",
                                                                  "login",           "session-start",
                                                                  "session-refused", "session-end",
                                                                  "forward",         "revoked",
                                                                  "violation",       "policy"};

struct AuditPlace {
  uint64_t n = 0;
  std::string_view previous;  // of the line
  std::string_view time;      // empty: it has none where it should be
};

// `body`: the JSON object of an event, on one line. No newline at the end.
[[nodiscard]] std::string audit_line(uint64_t n, std::string_view previous, std::string_view body);
// Where a line says that it belongs; nothing when it has not the form above to the byte. That the rest is
// JSON is not looked at: the hash of the next line vouches for it.
[[nodiscard]] std::optional<AuditPlace> audit_place(std::string_view line);
// Whether this is how a line begins, or a part of that: all that is there of a line that was cut off.
[[nodiscard]] bool begins_audit_line(std::string_view text);
// SHA-256 of a line without its newline, 64 hex digits in lower case.
[[nodiscard]] std::string audit_hash(std::string_view line);

// The end of the chain, beside the log: lines that are cut off the end are missed.
struct AuditTail {
  uint64_t n = 0;  // of the last line; 0: there is none yet
  std::string hash = std::string(kNoAuditLine);
  uint64_t first = 0;              // n of the first line of the file; 0: not known
  uint64_t device = 0, inode = 0;  // of the file that has the last line
  uint64_t size = 0;               // of that file, with the last line
};
inline constexpr size_t kAuditTailBytes = 256;  // always, so that it can be written in place on a full disk
[[nodiscard]] std::string audit_tail_text(const AuditTail& tail);
// Nothing when it is not what audit_tail_text() writes.
[[nodiscard]] std::optional<AuditTail> parse_audit_tail(std::string_view text);
// "audit.tail" beside "audit.log"
[[nodiscard]] std::string audit_tail_path(const std::string& log);

// "2024-05-01T12:34:56.789Z", from milliseconds since the epoch. Sorts as the times do, until the year 9999.
[[nodiscard]] std::string rfc3339(int64_t milliseconds);

}  // namespace qf
