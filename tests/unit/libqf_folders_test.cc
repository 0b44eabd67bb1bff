// SPDX-License-Identifier: Apache-2.0
#include "libqf/folders.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "libqf/fd.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

// Each test starts without our variables.
class FoldersTest : public testing::Test {
 protected:
  FoldersTest() { clear(); }
  ~FoldersTest() override { clear(); }
  static void clear() {
    for (const char* name : {"QF_CONFIG_DIR", "QF_STATE_DIR", "QF_RUNTIME_DIR"}) ::unsetenv(name);
  }
  test::Scratch scratch_;
};

TEST_F(FoldersTest, Defaults) {
  Folders folders = find_folders("", "", "");
  EXPECT_EQ(folders.config, "/etc/qufabric");
  EXPECT_EQ(folders.state, "/var/lib/qufabric");
  EXPECT_FALSE(folders.runtime_named());
  EXPECT_EQ(system_runtime(folders), "/run/qufabric");
  EXPECT_EQ(folders.fabric_json(), "/etc/qufabric/fabric.json");
  EXPECT_EQ(folders.peers_mdb(), "/var/lib/qufabric/peers.mdb");
  EXPECT_EQ(folders.policy_mdb(), "/var/lib/qufabric/policy.mdb");
  EXPECT_EQ(folder_arguments(folders),
            (std::vector<std::string>{"--config-dir", "/etc/qufabric", "--state-dir", "/var/lib/qufabric"}));
}

TEST_F(FoldersTest, FlagBeforeEnvironmentBeforeDefault) {
  ::setenv("QF_CONFIG_DIR", "/env/config", 1);
  ::setenv("QF_RUNTIME_DIR", "/env/run", 1);
  ::setenv("QF_STATE_DIR", "", 1);
  Folders folders = find_folders("/flag/config", "", "");
  EXPECT_EQ(folders.config, "/flag/config");
  EXPECT_EQ(folders.state, "/var/lib/qufabric") << "an empty variable is as good as none";
  EXPECT_EQ(folders.runtime, "/env/run");
  EXPECT_TRUE(folders.runtime_named());
  EXPECT_EQ(system_runtime(folders), "/env/run");
  EXPECT_EQ(folder_arguments(folders),
            (std::vector<std::string>{"--config-dir", "/flag/config", "--state-dir", "/var/lib/qufabric",
                                      "--runtime-dir", "/env/run"}));
}

TEST_F(FoldersTest, RelativePathsBecomeAbsolute) {
  char* here = ::getcwd(nullptr, 0);
  std::string cwd = here;
  ::free(here);
  Folders folders = find_folders("conf", "./a/../b/", "/x//y///");
  EXPECT_EQ(folders.config, cwd + "/conf");
  EXPECT_EQ(folders.state, cwd + "/b");
  EXPECT_EQ(folders.runtime, "/x/y");
  EXPECT_EQ(find_folders("/", "", "").config, "/");
}

TEST_F(FoldersTest, RuntimeFolderIsCreatedPrivate) {
  Folders folders = find_folders("", "", scratch_.path("run"));
  auto missing = user_runtime(folders, false);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().sys, ENOENT);
  auto path = user_runtime(folders, true);
  ASSERT_TRUE(path) << path.error().text();
  EXPECT_EQ(*path, scratch_.path("run"));
  struct stat st = {};
  ASSERT_EQ(::lstat(path->c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700U);
  EXPECT_TRUE(user_runtime(folders, false));
}

TEST_F(FoldersTest, OthersMustNotGetIn) {
  Folders folders = find_folders("", "", scratch_.path("run"));
  ASSERT_TRUE(user_runtime(folders, true));
  for (mode_t mode : {0701U, 0710U, 0755U, 01700U, 02700U, 0600U}) {
    ASSERT_EQ(::chmod(folders.runtime.c_str(), mode), 0);
    auto path = user_runtime(folders, true);
    ASSERT_FALSE(path) << std::oct << mode;
    EXPECT_NE(path.error().hint.find("chmod 0700 " + folders.runtime), std::string::npos)
        << path.error().text();
  }
}

TEST_F(FoldersTest, NoSymlinkAndNoFile) {
  ASSERT_TRUE(make_folder(scratch_.path("real"), 0700));
  ASSERT_EQ(::symlink("real", scratch_.path("link").c_str()), 0);
  EXPECT_FALSE(user_runtime(find_folders("", "", scratch_.path("link")), true));
  ASSERT_TRUE(replace_file(scratch_.path("file"), "", 0700));
  EXPECT_FALSE(user_runtime(find_folders("", "", scratch_.path("file")), true));
}

TEST_F(FoldersTest, SomebodyElsesFolderIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  Folders folders = find_folders("", "", scratch_.path("run"));
  ASSERT_TRUE(user_runtime(folders, true));
  ASSERT_EQ(::chown(folders.runtime.c_str(), 65534, 65534), 0);
  auto path = user_runtime(folders, true);
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().text().find("belongs to uid 65534, not to uid 0"), std::string::npos)
      << path.error().text();
}

// The default below the home folder: every part that we make there.
TEST_F(FoldersTest, BelowHomeEveryPartIsOurs) {
  auto made = home_runtime(scratch_.path(), true);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_TRUE(made->starts_with(scratch_.path(".qufabric/run/"))) << *made;
  EXPECT_TRUE(home_runtime(scratch_.path(), false));
  for (const auto& part : {scratch_.path(".qufabric"), scratch_.path(".qufabric/run")}) {
    for (mode_t mode : {0720U, 0702U, 01777U}) {
      ASSERT_EQ(::chmod(part.c_str(), mode), 0);
      for (bool create : {false, true}) {
        auto path = home_runtime(scratch_.path(), create);
        ASSERT_FALSE(path) << part << " " << std::oct << mode;
        EXPECT_NE(path.error().hint.find("run: chmod go-w " + part), std::string::npos)
            << path.error().text();
      }
    }
    ASSERT_EQ(::chmod(part.c_str(), 0755), 0);
    EXPECT_TRUE(home_runtime(scratch_.path(), false)) << "others may look";
  }
}

TEST_F(FoldersTest, BelowHomeNoPartIsASymlink) {
  ASSERT_TRUE(make_folder(scratch_.path("real"), 0700));
  ASSERT_EQ(::symlink("real", scratch_.path(".qufabric").c_str()), 0);
  EXPECT_FALSE(home_runtime(scratch_.path(), true));
  EXPECT_NE(::access(scratch_.path("real/run").c_str(), F_OK), 0) << "nothing is made through it";
  ASSERT_EQ(::unlink(scratch_.path(".qufabric").c_str()), 0);
  ASSERT_TRUE(make_folder(scratch_.path(".qufabric"), 0700));
  ASSERT_EQ(::symlink("../real", scratch_.path(".qufabric/run").c_str()), 0);
  EXPECT_FALSE(home_runtime(scratch_.path(), true));
}

TEST_F(FoldersTest, BelowHomeNoPartIsSomebodyElses) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  ASSERT_TRUE(home_runtime(scratch_.path(), true));
  for (const auto& part : {scratch_.path(".qufabric"), scratch_.path(".qufabric/run")}) {
    ASSERT_EQ(::chown(part.c_str(), 65534, 65534), 0);
    auto path = home_runtime(scratch_.path(), true);
    ASSERT_FALSE(path);
    EXPECT_NE(path.error().text().find(part + " belongs to uid 65534"), std::string::npos)
        << path.error().text();
    ASSERT_EQ(::chown(part.c_str(), 0, 0), 0);
  }
}

// A named one: whoever may write above it could put another in its place.
TEST_F(FoldersTest, OthersMustNotWriteAboveANamedFolder) {
  ASSERT_TRUE(make_folder(scratch_.path("a"), 0755));
  ASSERT_TRUE(make_folder(scratch_.path("a/b"), 0755));
  Folders folders = find_folders("", "", scratch_.path("a/b/run"));
  ASSERT_TRUE(user_runtime(folders, true));
  for (mode_t mode : {0775U, 0757U}) {
    ASSERT_EQ(::chmod(scratch_.path("a").c_str(), mode), 0);
    auto path = user_runtime(folders, false);
    ASSERT_FALSE(path) << std::oct << mode;
    EXPECT_NE(path.error().hint.find("run: chmod go-w " + scratch_.path("a")), std::string::npos)
        << path.error().text();
  }
  ASSERT_EQ(::chmod(scratch_.path("a").c_str(), 01777), 0);
  EXPECT_TRUE(user_runtime(folders, false)) << "sticky, as /tmp is";
}

TEST_F(FoldersTest, FoldersAboveANamedOneAreRootsOrOurs) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  ASSERT_TRUE(make_folder(scratch_.path("a"), 0755));
  Folders folders = find_folders("", "", scratch_.path("a/run"));
  ASSERT_TRUE(user_runtime(folders, true));
  ASSERT_EQ(::chown(scratch_.path("a").c_str(), 65534, 65534), 0);
  auto path = user_runtime(folders, false);
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().text().find(scratch_.path("a") + " belongs to uid 65534"), std::string::npos)
      << path.error().text();
}

// /var/run is one; where it leads to is looked at like the rest of the path.
TEST_F(FoldersTest, SymlinksAboveANamedFolderAreFollowedWithCare) {
  ASSERT_TRUE(make_folder(scratch_.path("open"), 0755));
  ASSERT_TRUE(make_folder(scratch_.path("open/real"), 0755));
  ASSERT_EQ(::symlink("./open/../open/real", scratch_.path("link").c_str()), 0);
  ASSERT_EQ(::symlink(scratch_.path("link").c_str(), scratch_.path("far").c_str()), 0);
  Folders folders = find_folders("", "", scratch_.path("far/run"));
  auto path = user_runtime(folders, true);
  ASSERT_TRUE(path) << path.error().text();
  ASSERT_EQ(::chmod(scratch_.path("open").c_str(), 0777), 0);
  EXPECT_FALSE(user_runtime(folders, false));
  ASSERT_EQ(::chmod(scratch_.path("open").c_str(), 0755), 0);
  ASSERT_EQ(::symlink("round", scratch_.path("round").c_str()), 0);
  EXPECT_FALSE(user_runtime(find_folders("", "", scratch_.path("round/run")), true));
  if (::geteuid() != 0) return;
  ASSERT_EQ(::lchown(scratch_.path("link").c_str(), 65534, 65534), 0);
  EXPECT_FALSE(user_runtime(folders, false)) << "its owner can lead it elsewhere";
}

TEST_F(FoldersTest, HomeComesFromPasswdNotFromTheEnvironment) {
  auto before = home_folder();
  ASSERT_TRUE(before) << before.error().text();
  const char* home = ::getenv("HOME");
  std::string saved = home == nullptr ? "" : home;
  ::setenv("HOME", "/tmp/evil", 1);
  EXPECT_EQ(*home_folder(), *before);
  if (home == nullptr) {
    ::unsetenv("HOME");
  } else {
    ::setenv("HOME", saved.c_str(), 1);
  }
}

TEST_F(FoldersTest, SiblingsLieBesideTheProgram) {
  std::string folder = program_folder();
  EXPECT_EQ(folder[0], '/');
  EXPECT_EQ(::access((folder + "/unit-libqf").c_str(), X_OK), 0) << folder;
  EXPECT_EQ(sibling_program("unit-libqf"), folder + "/unit-libqf");
  EXPECT_EQ(sibling_program("no-such-program"), folder + "/no-such-program");
}

}  // namespace
}  // namespace qf
