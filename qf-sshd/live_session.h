// SPDX-License-Identifier: Apache-2.0
// A session that was started, as the monitor keeps it: the process, how it ended, its login record. And the
// names of signals, which the protocol has in place of numbers.
#pragma once

#include <optional>
#include <string>

#include "libqf/fd.h"
#include "qf-sshd/audit.h"
#include "qf-sshd/login_records.h"
#include "qf-sshd/messages.h"

namespace qf {

struct LiveSession {
  uint32_t channel = 0;
  std::string kind;  // as in the audit log
  pid_t pid = -1;
  Fd pidfd;
  Deadline started;
  bool ended = false;        // reaped; `exit` says how
  bool channel_open = true;  // net still has the channel
  SessionExit exit;
  uint64_t bytes_in = 0, bytes_out = 0;
  std::optional<UtmpRecord> record;  // its logout is to be entered

  // With our own rights, to its process group: the end of a session that may not go on, whatever it has
  // started there.
  void signal_group(int number) const;
  // Everything that descends from its process at this moment, also in groups of their own (the background
  // jobs of an interactive shell).
  [[nodiscard]] std::vector<Fd> descendants() const;
  // Takes the exit status when the process has ended, and enters the logout; false when it still runs.
  bool reap(std::chrono::milliseconds patience);
  // In a process of its own, which is waited for for `patience` at most: anybody may hold a lock on utmp and
  // wtmp.
  void enter_logout(std::chrono::milliseconds patience);
  [[nodiscard]] AuditEnd audit_end(AuditUser user) const;
};

// RFC 4254 section 6.10 names some without SIG; others get OpenSSH's suffix.
[[nodiscard]] std::string signal_name(int signal);
// The signals that a client may send, 0 for any other.
[[nodiscard]] int signal_number(const std::string& name);

}  // namespace qf
