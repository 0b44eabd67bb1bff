// SPDX-License-Identifier: Apache-2.0
// What the server counts for qufabric-sshd.prom: the one list of its counters, with the family and the labels
// of each. No label comes from outside, so nobody can make more of them.
#pragma once

#include <array>
#include <cstdint>
#include <iterator>

namespace qf {

enum class Count : uint32_t {
  // the listener's own
  kAccepted,
  kRefusedPolicy,
  kRefusedDocument,
  kRefusedConnections,
  kRefusedSource,
  kRefusedStartups,
  kRefusedSourceStartups,
  // the monitors' from here on
  kLoginCertificate,
  kLoginPassword,
  kLoginDevice,
  kLoginTunnel,
  kLoginNone,
  kNoLoginCertificate,
  kNoLoginPassword,
  kNoLoginDevice,
  kNoLoginTunnel,
  kNoLoginNone,
  kBecauseToken,
  kBecausePolicy,
  kBecauseAccount,
  kBecauseCredential,
  kBecauseAttempts,
  kBecauseDocument,
  kBecauseAudit,
  kBecauseProtocol,
  kShell,
  kExec,
  kSftp,
  kNoSession,
  kConnect,
  kListen,
  kAgent,
  kX11,
  kNoConnect,
  kNoListen,
  kNoAgent,
  kNoX11,
  kBytesIn,
  kBytesOut,
  kRevoked,
  kViolation,
  kLast = kViolation,
};
inline constexpr size_t kCounts = static_cast<size_t>(Count::kLast) + 1;
inline constexpr Count kFirstOfMonitors = Count::kLoginCertificate;

struct CountLine {
  Count count;
  const char* family;  // those of one are together
  const char* label;   // name; null: none
  const char* value;
  const char* label2 = nullptr;
  const char* value2 = nullptr;
};

inline constexpr const char* kConnectionsFamily = "qufabric_sshd_connections_total";
inline constexpr const char* kRefusalsFamily = "qufabric_sshd_connections_refused_total";
inline constexpr const char* kLoginsFamily = "qufabric_sshd_logins_total";
inline constexpr const char* kNoLoginsFamily = "qufabric_sshd_logins_refused_total";
inline constexpr const char* kSessionsFamily = "qufabric_sshd_sessions_total";
inline constexpr const char* kNoSessionsFamily = "qufabric_sshd_sessions_refused_total";
inline constexpr const char* kForwardsFamily = "qufabric_sshd_forwards_total";
inline constexpr const char* kBytesFamily = "qufabric_sshd_bytes_total";
inline constexpr const char* kRevokedFamily = "qufabric_sshd_revocations_total";
inline constexpr const char* kViolationsFamily = "qufabric_sshd_violations_total";

// In the order of Count.
inline constexpr CountLine kCountLines[] = {
    {Count::kAccepted, kConnectionsFamily, nullptr, nullptr},
    {Count::kRefusedPolicy, kRefusalsFamily, "reason", "policy"},
    {Count::kRefusedDocument, kRefusalsFamily, "reason", "document"},
    {Count::kRefusedConnections, kRefusalsFamily, "reason", "max_connections"},
    {Count::kRefusedSource, kRefusalsFamily, "reason", "per_source_max_connections"},
    {Count::kRefusedStartups, kRefusalsFamily, "reason", "max_startups"},
    {Count::kRefusedSourceStartups, kRefusalsFamily, "reason", "per_source_max_startups"},
    {Count::kLoginCertificate, kLoginsFamily, "result", "allowed", "method", "certificate"},
    {Count::kLoginPassword, kLoginsFamily, "result", "allowed", "method", "password"},
    {Count::kLoginDevice, kLoginsFamily, "result", "allowed", "method", "device"},
    {Count::kLoginTunnel, kLoginsFamily, "result", "allowed", "method", "tunnel"},
    {Count::kLoginNone, kLoginsFamily, "result", "allowed", "method", "none"},
    {Count::kNoLoginCertificate, kLoginsFamily, "result", "refused", "method", "certificate"},
    {Count::kNoLoginPassword, kLoginsFamily, "result", "refused", "method", "password"},
    {Count::kNoLoginDevice, kLoginsFamily, "result", "refused", "method", "device"},
    {Count::kNoLoginTunnel, kLoginsFamily, "result", "refused", "method", "tunnel"},
    {Count::kNoLoginNone, kLoginsFamily, "result", "refused", "method", "none"},
    {Count::kBecauseToken, kNoLoginsFamily, "reason", "token"},
    {Count::kBecausePolicy, kNoLoginsFamily, "reason", "policy"},
    {Count::kBecauseAccount, kNoLoginsFamily, "reason", "account"},
    {Count::kBecauseCredential, kNoLoginsFamily, "reason", "no_credential"},
    {Count::kBecauseAttempts, kNoLoginsFamily, "reason", "attempts"},
    {Count::kBecauseDocument, kNoLoginsFamily, "reason", "document"},
    {Count::kBecauseAudit, kNoLoginsFamily, "reason", "audit"},
    {Count::kBecauseProtocol, kNoLoginsFamily, "reason", "protocol"},
    {Count::kShell, kSessionsFamily, "kind", "shell"},
    {Count::kExec, kSessionsFamily, "kind", "exec"},
    {Count::kSftp, kSessionsFamily, "kind", "sftp"},
    {Count::kNoSession, kNoSessionsFamily, nullptr, nullptr},
    {Count::kConnect, kForwardsFamily, "result", "opened", "kind", "connect"},
    {Count::kListen, kForwardsFamily, "result", "opened", "kind", "listen"},
    {Count::kAgent, kForwardsFamily, "result", "opened", "kind", "agent"},
    {Count::kX11, kForwardsFamily, "result", "opened", "kind", "x11"},
    {Count::kNoConnect, kForwardsFamily, "result", "refused", "kind", "connect"},
    {Count::kNoListen, kForwardsFamily, "result", "refused", "kind", "listen"},
    {Count::kNoAgent, kForwardsFamily, "result", "refused", "kind", "agent"},
    {Count::kNoX11, kForwardsFamily, "result", "refused", "kind", "x11"},
    {Count::kBytesIn, kBytesFamily, "direction", "in"},
    {Count::kBytesOut, kBytesFamily, "direction", "out"},
    {Count::kRevoked, kRevokedFamily, nullptr, nullptr},
    {Count::kViolation, kViolationsFamily, nullptr, nullptr},
};
static_assert(std::size(kCountLines) == kCounts);
static_assert([] {
  for (size_t i = 0; i < kCounts; ++i) {
    if (static_cast<size_t>(kCountLines[i].count) != i) return false;
  }
  return true;
}());

// The one that is so many places after another, for families whose members are in the same order.
[[nodiscard]] constexpr Count count_after(Count first, size_t places) {
  return static_cast<Count>(static_cast<size_t>(first) + places);
}

class Counts {
 public:
  // Stops at the top instead of going round.
  void add(Count count, uint64_t amount = 1) {
    uint64_t& value = values_[static_cast<size_t>(count)];
    value = amount > UINT64_MAX - value ? UINT64_MAX : value + amount;
  }
  [[nodiscard]] uint64_t operator[](Count count) const { return values_[static_cast<size_t>(count)]; }

 private:
  std::array<uint64_t, kCounts> values_ = {};
};

}  // namespace qf
