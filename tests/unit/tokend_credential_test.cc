// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/credential.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "libqf/base64.h"
#include "libqf/certificate.h"
#include "libqf/text.h"
#include "tests/unit/tokend_time.h"

namespace qf {
namespace {

class CredentialTest : public ::testing::Test {
 protected:
  CredentialTest() {
    char folder[] = "/tmp/qf-credential-XXXXXX";
    folder_ = ::mkdtemp(folder);
    keys_ = std::make_unique<Keys>(std::move(*make_keys(folder_)));
    identity_.issuer_name = "corp";
    identity_.subject = "alice";
    identity_.expires = kNow + 3600;
    identity_.salt = std::string(32, 's');
    identity_.token = Secret("h.p.s");
    peer_.name = "db1";
    auto host = SigningKey::generate(KeyType::kEd25519);
    auto second = SigningKey::generate(KeyType::kEcdsaP256);
    for (const auto& blob : {host->ssh_public_blob(), second->ssh_public_blob(), host->ssh_public_blob()}) {
      peer_.ssh_host_keys.push_back("type " + base64(blob));
    }
  }
  ~CredentialTest() override { std::filesystem::remove_all(folder_); }

  Credential minted(int64_t now = kNow) {
    auto certificate = mint_certificate(identity_, peer_, *keys_, now);
    EXPECT_TRUE(certificate);
    auto parsed = parse_credential(*base64_decode(split(certificate->line, ' ')[1]));
    EXPECT_TRUE(parsed) << parsed.error().what;
    return *parsed;
  }
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string folder_;
  std::unique_ptr<Keys> keys_;
  Identity identity_;
  PeerRecord peer_;
};

TEST_F(CredentialTest, EveryOneHasASerialOfItsOwn) {
  EXPECT_NE(minted().serial, 0U);
  EXPECT_NE(minted().serial, minted().serial);
}

TEST_F(CredentialTest, WhatThePeerReads) {
  Credential credential = minted();
  EXPECT_EQ(credential.key_id, "corp alice");
  EXPECT_EQ(credential.peer, "db1");
  EXPECT_EQ(credential.token, "h.p.s");
  EXPECT_EQ(credential.binding_salt, std::string(32, 's'));
  EXPECT_EQ(credential.subject_key, keys_->subject_key);
  EXPECT_EQ(credential.user_key, keys_->user.p256.blob) << "which ssh verifies fast";
  EXPECT_TRUE(credential.principals.empty());
  EXPECT_EQ(credential.peer_fingerprints.size(), 2U) << "the doubled key must not count twice";
  EXPECT_TRUE(std::is_sorted(credential.peer_fingerprints.begin(), credential.peer_fingerprints.end()));
}

TEST_F(CredentialTest, FiveMinutesOrTheTokensEnd) {
  EXPECT_EQ(minted().valid_after, static_cast<uint64_t>(kNow - 60));
  EXPECT_EQ(minted().valid_before, static_cast<uint64_t>(kNow + 300));
  EXPECT_EQ(minted(kNow + 3500).valid_before, static_cast<uint64_t>(kNow + 3600));
}

TEST_F(CredentialTest, ASubjectCannotForgeTheKeyId) {
  identity_.subject = "alice\nroot";
  EXPECT_EQ(minted().key_id, "corp alice?root");
}

TEST_F(CredentialTest, BearerTokensCarryNoBinding) {
  identity_.salt.clear();
  EXPECT_TRUE(minted().binding_salt.empty());
}

TEST_F(CredentialTest, ATokenThatTheEd25519KeyProvedIsSignedWithIt) {
  identity_.key = KeyType::kEd25519;
  EXPECT_EQ(minted().user_key, keys_->user.ed25519.blob);
}

TEST_F(CredentialTest, TheOriginalTokenGoesAlong) {
  EXPECT_EQ(minted().original_token, "");
  identity_.original_token = Secret("o.p.s");
  EXPECT_EQ(minted().original_token, "o.p.s");
  EXPECT_EQ(minted().binding_salt, std::string(32, 's'));
}

TEST_F(CredentialTest, APeerWithoutHostKeys) {
  peer_.ssh_host_keys.clear();
  auto certificate = mint_certificate(identity_, peer_, *keys_, kNow);
  ASSERT_FALSE(certificate);
  EXPECT_EQ(certificate.error().code, "no_host_keys");
}

TEST_F(CredentialTest, KeyFileIsPrivateAndReadableByOpenSsh) {
  struct stat st = {};
  ASSERT_EQ(::stat(keys_->key_file.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600U);
  std::ifstream file(keys_->key_file);
  std::string first;
  std::getline(file, first);
  EXPECT_EQ(first, "-----BEGIN OPENSSH PRIVATE KEY-----");
}

TEST_F(CredentialTest, FilesAreWrittenAndRemoved) {
  CertificateFiles certificates(folder_);
  EXPECT_FALSE(certificates.first_expiry());
  ASSERT_TRUE(certificates.write("db1", "corp", {"line\n", kNow + 10}));
  ASSERT_TRUE(certificates.write("db1.fabric.example", "corp", {"line\n", kNow + 20}));
  ASSERT_TRUE(certificates.write("fd00::1", "other", {"line\n", kNow + 30}));
  EXPECT_EQ(files(), (std::vector<std::string>{"db1-cert.pub", "db1.fabric.example-cert.pub",
                                               "fd00::1-cert.pub", "subject"}));
  struct stat st = {};
  ASSERT_EQ(::stat((folder_ + "/db1-cert.pub").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600U);
  EXPECT_EQ(certificates.first_expiry(), kNow + 10);
  certificates.remove_expired(kNow + 10);
  EXPECT_EQ(files(),
            (std::vector<std::string>{"db1.fabric.example-cert.pub", "fd00::1-cert.pub", "subject"}));
  certificates.remove_of("corp");
  EXPECT_EQ(files(), (std::vector<std::string>{"fd00::1-cert.pub", "subject"}));
  certificates.remove_all();
  EXPECT_EQ(files(), (std::vector<std::string>{"subject"}));
}

TEST_F(CredentialTest, FilesGoWithTheirOwner) {
  { ASSERT_TRUE(CertificateFiles(folder_).write("db1", "corp", {"line\n", kNow + 10})); }
  EXPECT_EQ(files(), (std::vector<std::string>{"subject"}));
}

TEST_F(CredentialTest, LeftoversOfAKilledDaemon) {
  for (const char* name : {"/db1-cert.pub", "/db1-cert.pub.a1B2c3", "/subject.XyZ123"}) {
    std::ofstream(folder_ + name) << "old";
  }
  CertificateFiles(folder_).remove_leftovers();
  EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace qf
