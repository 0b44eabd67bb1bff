// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/process_title.h"

#include <bsd/unistd.h>

#include "libqf/log.h"

namespace qf {

void set_title(const std::string& title) {
  ::setproctitle("%s", printable(title).c_str());
}

std::string role_title(const std::string& role, const std::string& user) {
  return user.empty() ? "[" + role + "]" : user + " [" + role + "]";
}

}  // namespace qf
