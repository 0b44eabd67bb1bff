// SPDX-License-Identifier: Apache-2.0
#include "qf-up/ssh_include.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using Words = std::vector<std::string>;

TEST(UpSshInclude, IncludeIsFound) {
  std::string path = "/etc/ssh/ssh_config.d/99-qufabric.conf";
  for (const char* good :
       {"Include /etc/ssh/ssh_config.d/*.conf\n", "  include\tssh_config.d/*\n",
        "Host x\n  Port 1\nHost *\nInclude \"/etc/ssh/ssh_config.d/*.conf\"",
        "Include=/etc/ssh/ssh_config.d/99-qufabric.conf", "Include /a/b /etc/ssh/ssh_config.d/*.conf"})
    EXPECT_TRUE(includes_file(good, path)) << good;
  for (const char* bad :
       {"", "#Include /etc/ssh/ssh_config.d/*.conf\n", "Host x\nInclude /etc/ssh/ssh_config.d/*.conf",
        "Match user a\nInclude ssh_config.d/*.conf", "Include /etc/ssh/other.d/*.conf", "Include /etc/ssh/*",
        "Include /a # /etc/ssh/ssh_config.d/*.conf"})
    EXPECT_FALSE(includes_file(bad, path)) << bad;
}

TEST(UpSshInclude, PatternsAreAbsolute) {
  EXPECT_EQ(include_patterns("Include a \"b c\" ~/d /e\nHost x\nInclude f\nMatch ALL\ninclude \"g\"",
                             "/h/.ssh", "/h"),
            (Words{"/h/.ssh/a", "/h/.ssh/b c", "/h/d", "/e", "/h/.ssh/g"}));
  EXPECT_EQ(include_patterns("Include ~/d", "/etc/ssh"), Words{"~/d"});
}

TEST(UpSshInclude, LineIsQuoted) {
  EXPECT_EQ(include_line("/a/b"), "Include \"/a/b\"");
  EXPECT_EQ(include_line("/a b/[c]*?{}"), "Include \"/a b/\\[c\\]\\*\\?\\{\\}\"");
  for (const char* none : {"", "a", "~/a", "/a\"", "/a\\b", "/a%b", "/a$b", "/a\nb"})
    EXPECT_FALSE(include_line(none)) << none;
}

TEST(UpSshInclude, OnlyRelativeIncludesChange) {
  EXPECT_EQ(with_absolute_includes("# x\n  Include  a ~/b \"/c d\"\nHost y\n\tPort 1", "/etc/ssh"),
            "# x\nInclude \"/etc/ssh/a\" \"~/b\" \"/c d\"\nHost y\n\tPort 1\n");
  EXPECT_EQ(with_absolute_includes("  Include  /a ~/b\nIncluded z", "/etc/ssh"),
            "  Include  /a ~/b\nIncluded z\n");
}

}  // namespace
}  // namespace qf
