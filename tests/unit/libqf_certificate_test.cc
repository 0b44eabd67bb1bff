// SPDX-License-Identifier: Apache-2.0
#include "libqf/certificate.h"

#include <gtest/gtest.h>

#include "libqf/fd.h"
#include "libqf/wire.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/libqf_vectors.h"

namespace qf {
namespace {

// The fields of vectors::kCertificate
Credential golden() {
  Credential credential;
  credential.serial = 42;
  credential.key_id = "corp auth0|61";
  for (int byte = 100; byte < 132; ++byte) credential.subject_key.push_back(static_cast<char>(byte));
  credential.valid_after = 1'700'000'000;
  credential.valid_before = 1'700'000'360;
  credential.peer = "db1";
  credential.peer_fingerprints = {"SHA256:one", "SHA256:two"};
  credential.token = "eyJh.eyJi.c2ln";
  credential.binding_salt.assign(32, '\7');
  credential.original_token = "old.tok.en";
  return credential;
}

std::string error_of(std::string_view blob) {
  auto credential = parse_credential(blob);
  if (credential) return "accepted";
  EXPECT_EQ(credential.error().kind, ErrorKind::kPeer);
  return credential.error().what;
}

std::string option(std::string_view name, std::string_view value) {
  return WireWriter().string(name).string(value).take();
}
std::string nested(std::initializer_list<std::string_view> values) {
  WireWriter writer;
  for (auto value : values) writer.string(value);
  return writer.take();
}

// A certificate with any content, properly signed: what a hostile holder of K could make.
struct Forge {
  std::string type{kCertificateType};
  std::string subject_key = golden().subject_key;
  uint32_t kind = 1;
  std::string principals;
  std::string critical = option(kPeerOption, nested({"db1", "SHA256:one"}));
  std::string extensions = option(kTokenExtension, nested({"a.b.c"}));
  std::string reserved;

  [[nodiscard]] std::string blob() const {
    SigningKey key = test::rfc8037_key();
    WireWriter writer;
    writer.string(type).string("nonce").string(subject_key).uint64(1).uint32(kind).string("id");
    writer.string(principals).uint64(0).uint64(~0ULL).string(critical).string(extensions).string(reserved);
    writer.string(key.ssh_public_blob());
    return writer.string(key.ssh_sign(writer.bytes())).take();
  }
};

TEST(Certificate, ReadsTheGoldenBytes) {
  auto credential = parse_credential(test::unhex(vectors::kCertificate));
  ASSERT_TRUE(credential) << credential.error().what;
  Credential wanted = golden();
  EXPECT_EQ(credential->serial, wanted.serial);
  EXPECT_EQ(credential->key_id, wanted.key_id);
  EXPECT_EQ(credential->subject_key, wanted.subject_key);
  EXPECT_TRUE(credential->principals.empty());
  EXPECT_EQ(credential->valid_after, wanted.valid_after);
  EXPECT_EQ(credential->valid_before, wanted.valid_before);
  EXPECT_EQ(credential->peer, wanted.peer);
  EXPECT_EQ(credential->peer_fingerprints, wanted.peer_fingerprints);
  EXPECT_EQ(credential->token, wanted.token);
  EXPECT_EQ(credential->binding_salt, wanted.binding_salt);
  EXPECT_EQ(credential->original_token, wanted.original_token);
  EXPECT_EQ(credential->user_key, test::rfc8037_key().ssh_public_blob());
}

// Everything but the random nonce and the signature over it
TEST(Certificate, WritesTheGoldenBytes) {
  std::string blob = sign_credential(golden(), test::rfc8037_key());
  std::string wanted = test::unhex(vectors::kCertificate);
  ASSERT_EQ(blob.size(), wanted.size());
  size_t nonce = 4 + kCertificateType.size() + 4;
  size_t signature = wanted.size() - 64;
  EXPECT_EQ(hex(blob.substr(0, nonce)), hex(wanted.substr(0, nonce)));
  EXPECT_NE(blob.substr(nonce, 32), wanted.substr(nonce, 32));
  EXPECT_EQ(hex(blob.substr(nonce + 32, signature - nonce - 32)),
            hex(wanted.substr(nonce + 32, signature - nonce - 32)));
}

TEST(Certificate, EveryTruncationIsRefused) {
  std::string blob = test::unhex(vectors::kCertificate);
  for (size_t length = 0; length < blob.size(); ++length)
    EXPECT_NE(error_of(std::string_view(blob).substr(0, length)), "accepted") << length;
}

TEST(Certificate, OneByteTooManyIsRefused) {
  EXPECT_EQ(error_of(test::unhex(vectors::kCertificate) + '\0'), "bytes after the certificate");
}

TEST(Certificate, EveryChangedBitIsRefused) {
  std::string blob = test::unhex(vectors::kCertificate);
  for (size_t i = 0; i < blob.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = blob;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      ASSERT_NE(error_of(changed), "accepted") << i << " bit " << bit;
    }
  }
}

TEST(Certificate, SignedByAnotherKeyIsRefused) {
  auto other = SigningKey::generate(KeyType::kEd25519);
  ASSERT_TRUE(other);
  std::string blob = test::unhex(vectors::kCertificate);
  size_t signature = blob.size() - (4 + 4 + 11 + 4 + 64);
  std::string forged = blob.substr(0, signature);
  forged = WireWriter().raw(forged).string(other->ssh_sign(forged)).take();
  EXPECT_EQ(error_of(forged), "the certificate's signature is wrong");
}

TEST(Certificate, RoundTripWithBothKindsOfKey) {
  for (KeyType type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    auto key = SigningKey::generate(type);
    ASSERT_TRUE(key);
    for (bool bound : {true, false}) {
      Credential credential = golden();
      if (!bound) {
        credential.binding_salt.clear();
        credential.original_token.clear();
      }
      auto read = parse_credential(sign_credential(credential, *key));
      ASSERT_TRUE(read) << read.error().what;
      EXPECT_EQ(read->binding_salt, credential.binding_salt);
      EXPECT_EQ(read->original_token, credential.original_token);
      EXPECT_EQ(read->user_key, key->ssh_public_blob());
    }
  }
}

TEST(Certificate, TwoLargestTokensFit) {
  Credential credential = golden();
  credential.token.assign(16384, 't');
  credential.original_token.assign(16384, 'o');
  auto read = parse_credential(sign_credential(credential, test::rfc8037_key()));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(read->token, credential.token);
  EXPECT_EQ(read->original_token, credential.original_token);
}

TEST(Certificate, SizeIsBounded) {
  Credential credential = golden();
  size_t rest = sign_credential(credential, test::rfc8037_key()).size() - credential.token.size();
  credential.token.assign(kMostCertificateBytes - rest, 't');
  std::string blob = sign_credential(credential, test::rfc8037_key());
  ASSERT_EQ(blob.size(), kMostCertificateBytes);
  EXPECT_EQ(error_of(blob), "accepted");
  credential.token += 't';
  EXPECT_EQ(error_of(sign_credential(credential, test::rfc8037_key())),
            "the certificate is longer than 64 KiB");
}

TEST(Certificate, FormIsChecked) {
  EXPECT_EQ(error_of(Forge().blob()), "accepted");
  EXPECT_EQ(error_of(""), "the certificate is truncated");
  struct Case {
    void (*change)(Forge&);
    std::string_view error;
  };
  for (const auto& c : {
           Case{[](Forge& f) { f.type = "ssh-rsa-cert-v01@openssh.com"; },
                "not an ssh-ed25519-cert-v01@openssh.com"},
           {[](Forge& f) { f.type = "ssh-ed25519"; }, "not an ssh-ed25519-cert-v01@openssh.com"},
           {[](Forge& f) { f.kind = 2; }, "not a user certificate"},
           {[](Forge& f) { f.kind = 0; }, "not a user certificate"},
           {[](Forge& f) { f.subject_key.pop_back(); }, "the subject key has the wrong length"},
           {[](Forge& f) { f.subject_key += 'x'; }, "the subject key has the wrong length"},
           {[](Forge& f) { f.principals = "xxx"; }, "malformed principals"},
           {[](Forge& f) { f.critical.clear(); }, "the certificate names no peer"},
           {[](Forge& f) { f.critical += "x"; }, "malformed critical options"},
           {[](Forge& f) {
              f.critical += option(kPeerOption, nested({"db2", "SHA256:two"}));
            },
            "unsorted or doubled critical options"},
           {[](Forge& f) { f.critical += option("source-address", nested({"::1"})); },
            "unknown critical option \"source-address\""},
           {[](Forge& f) { f.critical = option("force-command", nested({"x"})) + f.critical; },
            "unknown critical option \"force-command\""},
           {[](Forge& f) { f.critical = option("a\x1b[2J", ""); }, "unknown critical option \"a?[2J\""},
           {[](Forge& f) { f.critical = option(kPeerOption, "db1"); }, "malformed peer@qufabric"},
           {[](Forge& f) { f.critical = option(kPeerOption, ""); }, "malformed peer@qufabric"},
           {[](Forge& f) {
              f.critical = option(kPeerOption, nested({"", "SHA256:one"}));
            },
            "malformed peer@qufabric"},
           {[](Forge& f) { f.critical = option(kPeerOption, nested({"db1"})); }, "malformed peer@qufabric"},
           {[](Forge& f) {
              f.critical = option(kPeerOption, nested({"db1", "SHA256:one"}) + "x");
            },
            "malformed peer@qufabric"},
           {[](Forge& f) { f.extensions.clear(); }, "the certificate carries no token"},
           {[](Forge& f) { f.extensions += "x"; }, "malformed extensions"},
           {[](Forge& f) { f.extensions += option(kTokenExtension, nested({"d.e.f"})); },
            "unsorted or doubled extensions"},
           {[](Forge& f) {
              f.extensions += option(kBindingExtension, nested({std::string(32, 's'), ""}));
            },
            "unsorted or doubled extensions"},
           {[](Forge& f) { f.extensions = option(kTokenExtension, "a.b.c"); }, "malformed jwt@qufabric"},
           {[](Forge& f) { f.extensions = option(kTokenExtension, nested({""})); }, "malformed jwt@qufabric"},
           {[](Forge& f) {
              f.extensions = option(kTokenExtension, nested({"a.b.c", "d"}));
            },
            "malformed jwt@qufabric"},
           {[](Forge& f) {
              f.extensions = option(kBindingExtension, nested({"short", ""})) + f.extensions;
            },
            "malformed binding@qufabric"},
           {[](Forge& f) {
              f.extensions = option(kBindingExtension, nested({std::string(32, 's')})) + f.extensions;
            },
            "malformed binding@qufabric"},
       }) {
    Forge forge;
    c.change(forge);
    EXPECT_EQ(error_of(forge.blob()), c.error);
  }
}

TEST(Certificate, UnknownExtensionsAndReservedAreIgnored) {
  Forge forge;
  forge.extensions = option("a@example.com", "x") + forge.extensions + option("permit-pty", "");
  forge.reserved = "future";
  EXPECT_EQ(error_of(forge.blob()), "accepted");
}

// Ours have none; the caller refuses others and says which.
TEST(Certificate, PrincipalsAreRead) {
  Forge forge;
  forge.principals = nested({"root", "ann"});
  auto read = parse_credential(forge.blob());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->principals, (std::vector<std::string>{"root", "ann"}));
}

TEST(Certificate, SshKeygenReadsTheLine) {
  test::Scratch scratch;
  for (KeyType type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    auto key = SigningKey::generate(type);
    ASSERT_TRUE(key);
    std::string line = certificate_line(sign_credential(golden(), *key), "db1 of corp");
    EXPECT_TRUE(line.starts_with("ssh-ed25519-cert-v01@openssh.com AAAA")) << line;
    EXPECT_TRUE(line.ends_with(" db1 of corp\n")) << line;
    std::string file = scratch.path("x-cert.pub");
    ASSERT_TRUE(replace_file(file, line, 0644));
    std::string out = scratch.path("out");
    ASSERT_EQ(std::system(("ssh-keygen -L -f " + file + " > " + out + " 2>&1").c_str()), 0);
    auto text = read_file(out, 100'000);
    ASSERT_TRUE(text);
    for (const std::string& wanted :
         {std::string("ssh-ed25519-cert-v01@openssh.com user certificate"),
          fingerprint(key->ssh_public_blob()), std::string("Key ID: \"corp auth0|61\""),
          std::string("Serial: 42"), std::string("Principals: (none)"), std::string("peer@qufabric"),
          std::string("jwt@qufabric"), std::string("binding@qufabric")}) {
      EXPECT_NE(text->find(wanted), std::string::npos) << wanted << " is not in\n" << *text;
    }
  }
}

TEST(Certificate, CommentCannotAddALine) {
  EXPECT_EQ(certificate_line("abc", "x\ny\r\x1b"), "ssh-ed25519-cert-v01@openssh.com YWJj x?y??\n");
}

}  // namespace
}  // namespace qf
