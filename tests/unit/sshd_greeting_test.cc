// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/greeting.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "libqf/fd.h"

namespace qf {
namespace {

namespace fs = std::filesystem;

// A home folder of its own, which is also the working folder, as a session has it.
class Greeting : public ::testing::Test {
 protected:
  Greeting() : before_(fs::current_path()) {
    EXPECT_NE(::mkdtemp(folder_), nullptr);
    fs::current_path(folder_);
    account_.home = folder_;
  }
  ~Greeting() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  static void write(const std::string& path, const std::string& text) {
    if (fs::path(path).has_parent_path()) fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }
  bool run(const std::string& input = "", bool subsystem = false) {
    char path[] = "PATH=/usr/bin:/bin";
    char own[] = "OWN=value";
    std::vector<char*> environment = {path, own, nullptr};
    return run_rc_file({account_, subsystem, input, environment, "system-rc"});
  }
  static std::string text(const std::string& path) {
    auto read = read_file(path, 4096);
    return read ? *read : "(missing)";
  }
  char folder_[32] = "/tmp/qf-greeting.XXXXXX";
  fs::path before_;
  Account account_{"ann", 1000, 1000, "", "/bin/sh"};
};

TEST_F(Greeting, MotdIsBoundedAndMayBeMissing) {
  EXPECT_EQ(motd_text("motd"), "");
  write("motd", "hello\n");
  EXPECT_EQ(motd_text("motd"), "hello\n");
  write("motd", std::string(65536, 'x'));
  EXPECT_EQ(motd_text("motd").size(), 65536U);
  write("motd", std::string(65537, 'x'));
  EXPECT_EQ(motd_text("motd"), "");
}

TEST_F(Greeting, HushloginInTheHomeFolder) {
  EXPECT_FALSE(wants_silence(account_));
  write(".hushlogin", "");
  EXPECT_TRUE(wants_silence(account_));
}

TEST_F(Greeting, NoRcFileRunsNothing) {
  EXPECT_FALSE(run("cookie\n"));
}

TEST_F(Greeting, RcGetsInputAndEnvironmentAndNothingElse) {
  write(".ssh/rc", "cat >in; echo \"$OWN $HOME\" >environment");
  EXPECT_TRUE(run("MIT-MAGIC-COOKIE-1 abcd\n"));
  EXPECT_EQ(text("in"), "MIT-MAGIC-COOKIE-1 abcd\n");
  EXPECT_EQ(text("environment"), "value \n");
}

TEST_F(Greeting, RcRunsThroughTheUsersShell) {
  write("shell", "#!/bin/sh\necho \"$@\" >arguments\n");
  fs::permissions("shell", fs::perms::owner_all);
  account_.shell = std::string(folder_) + "/shell";
  write(".ssh/rc", "touch ran");
  EXPECT_TRUE(run());
  EXPECT_EQ(text("arguments"), "-c /bin/sh .ssh/rc\n");
  EXPECT_FALSE(fs::exists("ran"));
}

TEST_F(Greeting, UsersRcGoesBeforeTheSystems) {
  write("system-rc", "touch system-ran");
  write(".ssh/rc", "touch user-ran");
  EXPECT_TRUE(run());
  EXPECT_TRUE(fs::exists("user-ran"));
  EXPECT_FALSE(fs::exists("system-ran"));
}

TEST_F(Greeting, SubsystemsRunTheSystemsRcOnly) {
  write(".ssh/rc", "touch user-ran");
  EXPECT_FALSE(run("", true));
  EXPECT_FALSE(fs::exists("user-ran"));
  write("system-rc", "touch system-ran");
  EXPECT_TRUE(run("", true));
  EXPECT_TRUE(fs::exists("system-ran"));
}

TEST_F(Greeting, RcThatReadsNothingOrFailsIsNoTrouble) {
  write(".ssh/rc", "exec <&-; exit 9");
  EXPECT_TRUE(run(std::string(1000, 'c')));
}

}  // namespace
}  // namespace qf
