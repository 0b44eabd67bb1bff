// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/machine_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "libqf/fd.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

class MachineKey : public ::testing::Test {
 protected:
  // The public key, or "kind: text" and the hint.
  [[nodiscard]] std::string get() const {
    auto key = load_or_make_machine_key(path_);
    if (key) return key->public_jwk();
    return (key.error().kind == ErrorKind::kInput ? "input: " : "system: ") + key.error().text() + "; " +
           key.error().hint;
  }
  void expect_refused(const std::string& why) const {
    std::string said = get();
    EXPECT_TRUE(said.starts_with("input: ")) << said;
    EXPECT_NE(said.find(path_), std::string::npos) << said;
    EXPECT_NE(said.find(why), std::string::npos) << said;
    EXPECT_FALSE(said.ends_with("; ")) << "no hint";
  }
  test::Scratch scratch_;
  std::string folder_ = scratch_.path();
  std::string path_ = folder_ + "/state/key.pem";
};

TEST_F(MachineKey, MadeOnceAndPrivate) {
  ::umask(0);
  std::string first = get();
  EXPECT_NE(first.find("Ed25519"), std::string::npos) << first;
  struct stat st = {};
  ASSERT_EQ(::lstat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, static_cast<mode_t>(S_IFREG | 0600));
  EXPECT_EQ(get(), first);
  // nothing else of it lies about
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/state")) {
    EXPECT_TRUE(entry.path() == path_ || std::filesystem::file_size(entry) == 0) << entry.path();
  }
}

TEST_F(MachineKey, ManyStartsAtOnceHaveTheSame) {
  std::vector<std::string> keys(8);
  std::vector<std::thread> threads;
  for (auto& key : keys) threads.emplace_back([this, &key] { key = get(); });
  for (auto& thread : threads) thread.join();
  for (const auto& key : keys) EXPECT_EQ(key, keys[0]);
  EXPECT_NE(keys[0].find("Ed25519"), std::string::npos) << keys[0];
}

TEST_F(MachineKey, ThatOthersMayUseIsRefused) {
  std::string first = get();
  for (mode_t mode : {0644U, 0640U, 0660U, 0602U}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    expect_refused("mode 0600");
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  EXPECT_EQ(get(), first);
}

TEST_F(MachineKey, OfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "wants root: it gives a file away";
  ASSERT_FALSE(get().starts_with("system"));
  ASSERT_EQ(::chown(path_.c_str(), 4242, 4242), 0);
  expect_refused("belongs to uid 4242");
}

TEST_F(MachineKey, ThatIsNoFileIsRefused) {
  ASSERT_FALSE(get().starts_with("system"));
  std::filesystem::rename(path_, folder_ + "/elsewhere");
  std::filesystem::create_symlink(folder_ + "/elsewhere", path_);
  expect_refused("is a symlink");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(folder_ + "/nothing", path_);
  expect_refused("is a symlink");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/nothing"));
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  expect_refused("is not a file");
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  expect_refused("is not a file");
}

TEST_F(MachineKey, ThatIsNoKeyIsRefusedAndLeft) {
  ASSERT_TRUE(make_folder(folder_ + "/state", 0700));
  for (const auto& text : {std::string(), std::string("no key\n"), std::string(20'000, 'k')}) {
    ASSERT_TRUE(replace_file(path_, text, 0600));
    expect_refused(text.size() > 16'384 ? "longer than" : "is of no use");
    EXPECT_EQ(read_file(path_, 65'536) ? *read_file(path_, 65'536) : "gone", text);
  }
}

TEST_F(MachineKey, WithoutAFolderToPutItIn) {
  path_ = folder_ + "/a/b/key.pem";
  EXPECT_TRUE(get().starts_with("system: ")) << get();
}

}  // namespace
}  // namespace qf
