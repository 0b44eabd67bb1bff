// SPDX-License-Identifier: Apache-2.0
// What a kill leaves is tested in tests/bats/up_apply_killed.bats, with real kills.
#include "qf-up/applied_set.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "libqf/fd.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

class UpAppliedSet : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_folder(state_, 0755));
    ASSERT_TRUE(make_folder(scratch_.path("etc"), 0755));
  }
  Result<NewSet> begin() { return NewSet::begin(state_, {inside_, outside_}); }
  Status apply(const std::string& content) {
    auto set = begin();
    if (!set) return set.error();
    if (auto added = set->add_text(inside_.name, content, 0644); !added) return added;
    if (auto added = set->add_text(outside_.name, content, 0644); !added) return added;
    return set->put_into_force();
  }
  void put(const std::string& path, const std::string& content) {
    ASSERT_TRUE(write_file_atomically(path, content, 0600));
  }
  std::string shown(const std::string& path) {
    auto text = read_file(path, 1000);
    return text ? *text : "none";
  }
  std::string both() { return shown(inside_.path) + " " + shown(outside_.path); }
  std::string in_set(int number) {
    std::string set = state_ + "/applied." + std::to_string(number);
    return shown(set + "/a") + " " + shown(set + "/b");
  }
  std::string link(const std::string& path) {
    std::error_code none;
    return std::filesystem::read_symlink(path, none);
  }
  std::map<std::string, std::string> listing() {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch_.path()))
      all[entry.path()] = link(entry.path());
    return all;
  }

  test::Scratch scratch_;
  std::string state_ = scratch_.path("state");
  SetPlace inside_ = {state_ + "/a", "a"};
  SetPlace outside_ = {scratch_.path("etc/b.conf"), "b"};
};

TEST_F(UpAppliedSet, PlacesLeadIntoTheSetInForce) {
  ASSERT_TRUE(apply("one"));
  EXPECT_EQ(both(), "one one");
  EXPECT_EQ(link(state_ + "/current"), "applied.1");
  EXPECT_EQ(link(inside_.path), "current/a") << "relative, so that a copy of the folder is whole";
  EXPECT_EQ(link(outside_.path), state_ + "/current/b");
  EXPECT_TRUE(is_set_link(state_, outside_));
  EXPECT_FALSE(is_set_link(scratch_.path("other"), outside_));
}

TEST_F(UpAppliedSet, OthersMayEnterWhateverTheUmask) {
  mode_t before = ::umask(077);
  auto done = apply("one");
  ::umask(before);
  ASSERT_TRUE(done);
  struct stat st = {};
  ASSERT_EQ(::stat((state_ + "/current").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755U);
}

TEST_F(UpAppliedSet, TheOneBeforeStaysUntilTheNext) {
  for (const char* content : {"one", "two", "three"}) ASSERT_TRUE(apply(content));
  EXPECT_EQ(both(), "three three");
  EXPECT_EQ(link(state_ + "/current"), "applied.3");
  EXPECT_EQ(set_folders(state_).size(), 2U);
  EXPECT_EQ(in_set(2), "two two");
}

TEST_F(UpAppliedSet, OneThatIsNotPutIntoForceLeavesNothing) {
  ASSERT_TRUE(apply("one"));
  auto before = listing();
  {
    auto set = begin();
    ASSERT_TRUE(set);
    ASSERT_TRUE(set->add_text("a", "two", 0644));
  }
  EXPECT_EQ(listing(), before);
}

// As a version without sets left them.
TEST_F(UpAppliedSet, FilesOfBeforeBecomeASetFirst) {
  put(inside_.path, "old");
  put(outside_.path, "older");
  put(outside_.path + ".qf-up-new.99", "left");
  {
    auto set = begin();
    ASSERT_TRUE(set);
    EXPECT_EQ(both(), "old older");
    ASSERT_TRUE(set->put_into_force());
  }
  EXPECT_EQ(both(), "none none") << "the new set has no file";
  EXPECT_EQ(in_set(2), "old older");
  struct stat st = {};
  ASSERT_EQ(::stat((state_ + "/applied.2/a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600U);
  EXPECT_FALSE(std::filesystem::exists(outside_.path + ".qf-up-new.99"));
  ASSERT_TRUE(apply("new"));
  EXPECT_EQ(both(), "new new");
}

// An editor that renames, and a symlink of somebody's.
TEST_F(UpAppliedSet, WhatWasPutInsteadOfASymlinkIsReplaced) {
  ASSERT_TRUE(apply("one"));
  put(inside_.path, "edited");
  put(scratch_.path("dotfiles"), "theirs");
  std::filesystem::remove(outside_.path);
  std::filesystem::create_symlink("../dotfiles", outside_.path);
  ASSERT_TRUE(apply("two"));
  EXPECT_EQ(both(), "two two");
  EXPECT_EQ(in_set(1), "edited theirs");
  EXPECT_EQ(shown(scratch_.path("dotfiles")), "theirs");
}

// What was removed was not in force, so it must not come back while the places are made.
TEST_F(UpAppliedSet, WhatWasRemovedStaysAwayUntilTheNewSet) {
  ASSERT_TRUE(apply("one"));
  ASSERT_EQ(::unlink(outside_.path.c_str()), 0);
  ASSERT_TRUE(apply("two"));
  EXPECT_EQ(in_set(1), "one none");
  EXPECT_EQ(both(), "two two");
}

TEST_F(UpAppliedSet, WhatCannotBeIsSaidBeforeAnythingChanges) {
  ASSERT_TRUE(apply("one"));
  auto refused = [&](const std::string& part) {
    auto before = listing();
    auto set = begin();
    ASSERT_FALSE(set);
    EXPECT_NE(set.error().text().find(part), std::string::npos) << set.error().text();
    EXPECT_EQ(listing(), before);
  };
  outside_.path = scratch_.path("missing/b.conf");
  refused("cannot write to " + scratch_.path("missing") + ": No such file or directory");
  outside_.path = scratch_.path("etc");
  refused(outside_.path + " is a folder");
  outside_.path = scratch_.path("etc/b.conf");
  std::filesystem::remove(state_ + "/current");
  put(state_ + "/current", "no link");
  refused(state_ + "/current is not a symlink");
}

TEST_F(UpAppliedSet, OnlySetsAreRemoved) {
  const std::vector<std::string> others = {"applied", "applied.", "applied.x", "applied.-1", "backup"};
  for (const auto& name : others) std::filesystem::create_directory(state_ + "/" + name);
  std::filesystem::create_directories(state_ + "/applied.77/deep");
  ASSERT_TRUE(apply("one"));
  EXPECT_EQ(link(state_ + "/current"), "applied.78");
  EXPECT_EQ(set_folders(state_).size(), 1U);
  for (const auto& name : others) EXPECT_TRUE(std::filesystem::exists(state_ + "/" + name)) << name;
}

}  // namespace
}  // namespace qf
