// SPDX-License-Identifier: Apache-2.0
#include "libqf/ssh_words.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using Words = std::vector<std::string>;

Words with_ours(const char* program, const Words& words) {
  return with_config(read_client_words(*find_ssh_client(program), words).own, words, "OURS");
}

TEST(SshWords, OursStandsInFrontWhereThereIsNone) {
  for (const Words& words : {Words{"host"}, Words{"-l", "-F", "host"}, Words{"host", "command", "-F", "x"},
                             Words{"--", "host", "-F", "x"}, Words{"-v", "host", "-p", "22", "ls", "-Fx"},
                             Words{"host", "--", "-F", "x"}, Words{"-o", "-F", "-F"}, Words{"-lF", "host"},
                             Words{"-vlF", "host"}, Words{"-", "command", "-F", "x"}, Words{}}) {
    Words expected = {"-F", "OURS"};
    expected.insert(expected.end(), words.begin(), words.end());
    EXPECT_EQ(with_ours("ssh", words), expected);
  }
}

TEST(SshWords, TheLastOneIsReplaced) {
  EXPECT_EQ(with_ours("ssh", {"-F", "a", "host"}), (Words{"-F", "OURS", "host"}));
  EXPECT_EQ(with_ours("ssh", {"-Fa", "host", "-vF", "b", "ls", "-F"}),
            (Words{"-Fa", "host", "-vF", "OURS", "ls", "-F"}));
  EXPECT_EQ(with_ours("ssh", {"-vFa b", "host"}), (Words{"-vFOURS", "host"}));
  EXPECT_EQ(with_ours("ssh", {"-F", "", "host"}), (Words{"-F", "OURS", "host"}));
  EXPECT_EQ(with_ours("ssh", {"-p", "-F", "-F", "-p", "host"}), (Words{"-p", "-F", "-F", "OURS", "host"}));
}

TEST(SshWords, ScpAndSftpHaveOptionsOfTheirOwn) {
  EXPECT_EQ(with_ours("scp", {"-p", "-F", "a", "b", "-F", "c"}), (Words{"-p", "-F", "OURS", "b", "-F", "c"}));
  EXPECT_EQ(with_ours("scp", {"-P", "22", "b", "-F", "c"}),
            (Words{"-F", "OURS", "-P", "22", "b", "-F", "c"}));
  EXPECT_EQ(with_ours("sftp", {"-R", "-F", "-b", "-", "host"}),
            (Words{"-F", "OURS", "-R", "-F", "-b", "-", "host"}));
  EXPECT_EQ(find_ssh_client("ssh-keygen"), nullptr);
}

TEST(SshWords, AHostIsNamedOrNot) {
  auto host = [](const char* program, const Words& words) {
    return read_client_words(*find_ssh_client(program), words).host;
  };
  for (const Words& words : {Words{"a"}, Words{"-v", "a"}, Words{"--", "a"}, Words{"-l", "a", "b"},
                             Words{"a", "-F", "b"}, Words{"-F", "a", "b", "c"}, Words{"a", "--"}})
    EXPECT_TRUE(host("ssh", words));
  for (const Words& words :
       {Words{}, Words{"-V"}, Words{"-Q", "cipher"}, Words{"--"}, Words{"-l", "a"}, Words{"-F", "a"}})
    EXPECT_FALSE(host("ssh", words));
  EXPECT_TRUE(host("scp", {"-p", "a", "b:"}));
  EXPECT_FALSE(host("sftp", {"-b", "a"}));
}

TEST(SshWords, WhatWasSaidWithO) {
  auto batch = [](const Words& words) {
    return option_value(read_client_words(*find_ssh_client("ssh"), words), "batchmode");
  };
  for (const char* said : {"BatchMode=yes", "batchmode yes", "Batchmode  =  yes", " BATCHMODE\tyes ",
                           "BatchMode=\"yes\"", "BatchMode==yes"})
    EXPECT_EQ(batch({"-o", said, "host"}), "yes") << said;
  EXPECT_EQ(batch({"-oBatchMode=yes", "host"}), "yes");
  EXPECT_EQ(batch({"-vxoBatchMode=yes", "host"}), "yes");
  EXPECT_EQ(batch({"-xo", "BatchMode=yes", "host"}), "yes");
  EXPECT_EQ(batch({"host", "-oBatchMode=yes", "command"}), "yes");
  EXPECT_EQ(batch({"-o", "BatchMode=no", "-o", "BatchMode=yes", "host"}), "no") << "the first counts";
  EXPECT_EQ(batch({"-o", "BatchMode=\"yes", "host"}), "yes");
  EXPECT_EQ(batch({"-o", "BatchMode", "host"}), "");
  EXPECT_EQ(batch({"-o", "BatchMode=", "host"}), "");
  for (const Words& words :
       {Words{"host"}, Words{"host", "command", "-o", "BatchMode=yes"},
        Words{"--", "host", "-oBatchMode=yes"}, Words{"-o"}, Words{"-l", "-oBatchMode=yes", "host"},
        Words{"-o", "BatchModes=yes", "host"}, Words{"-o", "", "host"}, Words{"-o", "  ", "host"},
        Words{"-o", "User=BatchMode=yes", "host"}, Words{}})
    EXPECT_EQ(batch(words), std::nullopt);
}

}  // namespace
}  // namespace qf
