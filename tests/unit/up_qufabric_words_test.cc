// SPDX-License-Identifier: Apache-2.0
#include "qf-up/qufabric_words.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using Words = std::vector<std::string>;

Words with_ours(const char* program, const Words& words) {
  return with_config(read_client_words(*find_ssh_client(program), words).own, words, "OURS");
}

TEST(UpQufabricWords, OursStandsInFrontWhereThereIsNone) {
  for (const Words& words : {Words{"host"}, Words{"-l", "-F", "host"}, Words{"host", "command", "-F", "x"},
                             Words{"--", "host", "-F", "x"}, Words{"-v", "host", "-p", "22", "ls", "-Fx"},
                             Words{"host", "--", "-F", "x"}, Words{"-o", "-F", "-F"}, Words{"-lF", "host"},
                             Words{"-vlF", "host"}, Words{"-", "command", "-F", "x"}, Words{}}) {
    Words expected = {"-F", "OURS"};
    expected.insert(expected.end(), words.begin(), words.end());
    EXPECT_EQ(with_ours("ssh", words), expected);
  }
}

TEST(UpQufabricWords, TheLastOneIsReplaced) {
  EXPECT_EQ(with_ours("ssh", {"-F", "a", "host"}), (Words{"-F", "OURS", "host"}));
  EXPECT_EQ(with_ours("ssh", {"-Fa", "host", "-vF", "b", "ls", "-F"}),
            (Words{"-Fa", "host", "-vF", "OURS", "ls", "-F"}));
  EXPECT_EQ(with_ours("ssh", {"-vFa b", "host"}), (Words{"-vFOURS", "host"}));
  EXPECT_EQ(with_ours("ssh", {"-F", "", "host"}), (Words{"-F", "OURS", "host"}));
  EXPECT_EQ(with_ours("ssh", {"-p", "-F", "-F", "-p", "host"}), (Words{"-p", "-F", "-F", "OURS", "host"}));
}

TEST(UpQufabricWords, ScpAndSftpHaveOptionsOfTheirOwn) {
  EXPECT_EQ(with_ours("scp", {"-p", "-F", "a", "b", "-F", "c"}), (Words{"-p", "-F", "OURS", "b", "-F", "c"}));
  EXPECT_EQ(with_ours("scp", {"-P", "22", "b", "-F", "c"}),
            (Words{"-F", "OURS", "-P", "22", "b", "-F", "c"}));
  EXPECT_EQ(with_ours("sftp", {"-R", "-F", "-b", "-", "host"}),
            (Words{"-F", "OURS", "-R", "-F", "-b", "-", "host"}));
  EXPECT_EQ(find_ssh_client("ssh-keygen"), nullptr);
}

TEST(UpQufabricWords, AHostIsNamedOrNot) {
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

}  // namespace
}  // namespace qf
