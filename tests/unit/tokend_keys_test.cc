// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "libqf/fd.h"

namespace qf {
namespace {

TEST(UserKeysTest, OneOfEachKind) {
  auto keys = UserKeys::make();
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->ed25519.key.type(), KeyType::kEd25519);
  EXPECT_EQ(keys->p256.key.type(), KeyType::kEcdsaP256);
  for (KeyType type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    const UserKey& key = keys->of(type);
    EXPECT_EQ(key.key.type(), type);
    EXPECT_EQ(key.blob, key.key.ssh_public_blob());
    EXPECT_EQ(ssh_blob_to_jwk(key.blob), key.key.public_jwk());
    EXPECT_TRUE(ssh_verify(key.blob, "data", key.key.ssh_sign("data")));
  }
  auto others = UserKeys::make();
  ASSERT_TRUE(others);
  EXPECT_NE(others->ed25519.blob, keys->ed25519.blob);
  EXPECT_NE(others->p256.blob, keys->p256.blob);
}

TEST(KeysTest, TheSubjectKeyIsAFileOfItsOwn) {
  char name[] = "/tmp/qf-keys-XXXXXX";
  std::string folder = ::mkdtemp(name);
  auto keys = make_keys(folder);
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->subject_key.size(), 32U);
  EXPECT_EQ(keys->user.ed25519.blob.find(keys->subject_key), std::string::npos)
      << "the key that ssh holds is not the one that tokens are bound to";
  EXPECT_EQ(keys->key_file, folder + "/subject");
  struct stat st = {};
  ASSERT_EQ(::stat(keys->key_file.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600U);
  std::filesystem::remove_all(folder);
  auto nowhere = make_keys(folder);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().sys, ENOENT);
}

TEST(KeysTest, LockedMemoryTwiceIsOnce) {
  keep_private_keys_locked();
  keep_private_keys_locked();
  auto keys = UserKeys::make();
  ASSERT_TRUE(keys);
  EXPECT_TRUE(ssh_verify(keys->ed25519.blob, "data", keys->ed25519.key.ssh_sign("data")));
}

}  // namespace
}  // namespace qf
