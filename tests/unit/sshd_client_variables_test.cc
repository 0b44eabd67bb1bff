// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/client_variables.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

TEST(ClientVariables, AcceptsOnlyHarmlessVariables) {
  for (const char* name : {"LANG", "LC_ALL", "LC_CTYPE", "COLORTERM", "NO_COLOR"}) {
    EXPECT_TRUE(accepted_variable(name)) << name;
  }
  for (const char* name : {"", "PATH", "LD_PRELOAD", "LC_", "LC_a", "LC_ALL=x", "LC_A\n", "BASH_ENV", "ENV",
                           "HOME", "LANGUAGE"}) {
    EXPECT_FALSE(accepted_variable(name)) << name;
  }
  EXPECT_FALSE(accepted_variable("LC_" + std::string(100, 'A')));
}

}  // namespace
}  // namespace qf
