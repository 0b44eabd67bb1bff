// SPDX-License-Identifier: Apache-2.0
// What ps(1) shows of our processes: "qf-sshd: ann [net]". Everybody on the machine can read it, so it names
// the role and the OS user and nothing else: no command, no identity, no token.
#pragma once

#include <string>

namespace qf {

// Once, first in main: titles are written over the arguments and the environment that the kernel has put
// there; the environment moves. Without this call there are no titles.
void keep_title_space(int argc, char** argv);
// "qf-sshd: TITLE", cut where that space ends. Makes no system call, so that net can do it.
void set_title(const std::string& title);
// "USER [ROLE]", or "[ROLE]" before a login.
[[nodiscard]] std::string role_title(const std::string& role, const std::string& user = "");

}  // namespace qf
