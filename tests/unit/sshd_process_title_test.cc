// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/process_title.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "tests/unit/sshd_in_child.h"

namespace qf {
namespace {

TEST(ProcessTitle, NamesUserAndRole) {
  EXPECT_EQ(role_title("net", "ann"), "ann [net]");
  EXPECT_EQ(role_title("net"), "[net]");
}

// In a child: where the space is, is settled once for a process.
TEST(ProcessTitle, IsWrittenOverTheArgumentsAndCutWhereTheyEnd) {
  EXPECT_TRUE(in_child([] {
    char space[] = "/usr/sbin/qf-sshd\0--self\0name\0AFTER";
    char* argv[] = {space, space + 18, space + 25, nullptr};
    char* none[] = {nullptr};
    ::environ = none;
    keep_title_space(3, argv);
    set_title("ann\033 [net]");
    bool short_one = std::strcmp(space, "qf-sshd: ann? [net]") == 0 && space[25] == '\0' && space[28] == '\0';
    set_title(std::string(1000, 'x'));
    return short_one && std::string(space) == "qf-sshd: " + std::string(20, 'x') &&
           std::strcmp(space + 30, "AFTER") == 0;
  }));
}

TEST(ProcessTitle, WithoutSpaceThereIsNone) {
  EXPECT_TRUE(in_child([] {
    set_title("nowhere");
    return true;
  }));
}

}  // namespace
}  // namespace qf
