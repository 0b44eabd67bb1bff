// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/client_quirks.h"

#include <gtest/gtest.h>

#include <string>

namespace qf {
namespace {

std::string quirks(std::string_view line) {
  ClientQuirks found = quirks_of(line);
  return std::string(found.waits_for_answers ? "w" : "") + (found.hides_banners ? "h" : "") +
         (found.shows_banners ? "s" : "");
}

TEST(ClientQuirks, AreThoseOfTheClientThatSaysItsName) {
  EXPECT_EQ(quirks("SSH-2.0-libssh_0.10.6"), "w");
  EXPECT_EQ(quirks("SSH-2.0-libssh-0.5.2"), "w");
  EXPECT_EQ(quirks("SSH-2.0-PuTTY_Release_0.78"), "h");
  EXPECT_EQ(quirks("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"), "s");
}

TEST(ClientQuirks, OthersHaveNone) {
  for (const char* line :
       {"", "SSH-2.0-", "SSH-2.0-libssh2_1.11.0", "SSH-2.0-libsshx", "SSH-2.0-paramiko_2.12.0",
        "libssh_0.10.6", "SSH-2.0-Go", "SSH-2.0-AsyncSSH_2.14.0", "SSH-2.0-x OpenSSH"})
    EXPECT_EQ(quirks(line), "") << line;
}

}  // namespace
}  // namespace qf
