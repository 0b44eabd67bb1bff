// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/client_variables.h"

namespace qf {

bool accepted_variable(const std::string& name) {
  if (name == "LANG" || name == "COLORTERM" || name == "NO_COLOR") return true;
  if (name.size() < 4 || name.compare(0, 3, "LC_") != 0 || name.size() > 64) return false;
  return name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == std::string::npos;
}

}  // namespace qf
