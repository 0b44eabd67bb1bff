// SPDX-License-Identifier: Apache-2.0
// qf-up audit: reads the audit log of qf-sshd. uid: the caller's, who must be able to read it (root's, 0600).
// Changes nothing.
#pragma once

namespace qf {

// argv[0] is "audit". Returns the exit code: 1 when the log is not what was written.
[[nodiscard]] int audit_main(int argc, char** argv);

}  // namespace qf
