// SPDX-License-Identifier: Apache-2.0
// What ps(1) shows of our processes: "qf-sshd: ann [net]". Everybody on the machine can read it, so it names
// the role and the OS user and nothing else: no command, no identity, no token.
#pragma once

#include <string>

namespace qf {

// "qf-sshd: TITLE", cut where the space of arguments and environment ends. Makes no system call.
void set_title(const std::string& title);
// "USER [ROLE]", or "[ROLE]" before a login.
[[nodiscard]] std::string role_title(const std::string& role, const std::string& user = "");

}  // namespace qf
