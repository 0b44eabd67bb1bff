// SPDX-License-Identifier: Apache-2.0
#include "libqf/crypto.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <sys/wait.h>

#include <cstdio>

#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/wire.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/libqf_vectors.h"

namespace qf {
namespace {

using test::unhex;

// What a command prints; for asking ssh-keygen, which must agree with us.
std::string output_of(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) return "popen";
  std::string out;
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  int status = ::pclose(pipe);
  return status == 0 ? out : "exit " + std::to_string(status) + ": " + out;
}

TEST(Crypto, Sha256AndHex) {
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(std::string("\0\x7f\xff", 3)), "007fff");
}

TEST(Crypto, RandomBytes) {
  EXPECT_EQ(random_bytes(0), "");
  EXPECT_EQ(random_bytes(1000).size(), 1000U);
  EXPECT_NE(random_bytes(16), random_bytes(16));
}

// RFC 8032 section 7.1, test 2
TEST(Crypto, VerifiesEd25519) {
  std::string key = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  std::string signature = unhex(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  EXPECT_TRUE(verify_ed25519(key, "\x72", signature));
  EXPECT_FALSE(verify_ed25519(key, "\x73", signature));
  EXPECT_FALSE(verify_ed25519(key, "\x72", signature.substr(1)));
  EXPECT_FALSE(verify_ed25519(key, "\x72", signature + '\0'));
  EXPECT_FALSE(verify_ed25519(key, "\x72", ""));
  EXPECT_FALSE(verify_ed25519(key.substr(1), "\x72", signature));
  EXPECT_FALSE(verify_ed25519("", "\x72", signature));
  EXPECT_EQ(::ERR_peek_error(), 0U) << "an error is left for other users of the library";
}

// What does not fit together is a false, not an abort.
TEST(Crypto, SignaturesOfOtherKinds) {
  EvpKey ed25519 = ed25519_key(unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
  auto p256 = parse_key_set("{\"keys\":[" + std::string(vectors::kKeyEs256) + "]}");
  ASSERT_TRUE(p256);
  for (EVP_PKEY* key : {ed25519.get(), (*p256)[0].key.get()}) {
    for (const char* digest : {"SHA256", "SHA384", "SHA512", "MD5", "SHA1", "", "no such digest"}) {
      EXPECT_FALSE(verify_signature(key, digest, false, "m", std::string(64, 'x'))) << digest;
      EXPECT_FALSE(verify_signature(key, digest, true, "m", std::string(64, 'x'))) << digest;
    }
    EXPECT_FALSE(verify_signature(key, nullptr, false, "m", std::string(64, 'x')));
  }
  EXPECT_EQ(::ERR_peek_error(), 0U);
}

TEST(Crypto, EcKeysMustBeOnTheCurve) {
  auto jwk = parse_json(vectors::kKeyEs256);
  ASSERT_TRUE(jwk);
  std::string x = *base64url_decode(*json_string(jwk->get(), "x"));
  std::string y = *base64url_decode(*json_string(jwk->get(), "y"));
  EXPECT_NE(ec_key("P-256", x, y), nullptr);
  EXPECT_EQ(ec_key("P-384", x, y), nullptr);
  EXPECT_EQ(ec_key("P-256", y, x), nullptr);
  EXPECT_EQ(ec_key("P-256", x, y.substr(1)), nullptr);
  EXPECT_EQ(ec_key("P-256", "", ""), nullptr);
  EXPECT_EQ(ec_key("no such curve", x, y), nullptr);
  EXPECT_EQ(::ERR_peek_error(), 0U);
}

TEST(Crypto, ReadsThePemOfRfc8037) {
  SigningKey key = test::rfc8037_key();
  EXPECT_EQ(key.type(), KeyType::kEd25519);
  EXPECT_EQ(key.public_jwk(), vectors::kKeyEdDsaCanonical);
  EXPECT_EQ(key.private_pem().reveal(), vectors::kPemEdDsa);
  // RFC 8037 appendix A.4
  EXPECT_EQ(base64url(key.jws_sign("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")),
            vectors::kTokenEdDsa.substr(vectors::kTokenEdDsa.rfind('.') + 1));
}

TEST(Crypto, RefusesOtherPems) {
  EXPECT_FALSE(SigningKey::from_pem(Secret()));
  EXPECT_FALSE(
      SigningKey::from_pem(Secret("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")));
  test::Scratch scratch;
  std::string file = scratch.path("k");
  struct Case {
    const char* command;
    const char* error;
  };
  for (const Case& c :
       {Case{"openssl genpkey -quiet -algorithm X25519", "neither Ed25519 nor ECDSA P-256"},
        Case{"openssl ecparam -genkey -noout -name secp384r1", "neither"},
        // must not ask for the password on the terminal
        Case{"openssl genpkey -quiet -algorithm ED25519 -aes256 -pass pass:secret", "without a password"}}) {
    output_of(std::string(c.command) + " > " + file);
    auto pem = read_file(file, 10'000);
    ASSERT_TRUE(pem);
    ASSERT_NE(pem->find("PRIVATE KEY"), std::string::npos) << *pem;
    auto key = SigningKey::from_pem(Secret(*pem));
    ASSERT_FALSE(key);
    EXPECT_NE(key.error().what.find(c.error), std::string::npos) << key.error().what;
  }
}

class Keys : public testing::TestWithParam<KeyType> {};
INSTANTIATE_TEST_SUITE_P(Both, Keys, testing::Values(KeyType::kEd25519, KeyType::kEcdsaP256));

TEST_P(Keys, SignaturesVerifyAndTamperingShows) {
  auto key = SigningKey::generate(GetParam());
  ASSERT_TRUE(key);
  std::string blob = key->ssh_public_blob();
  // many, since the numbers of ECDSA differ in length
  for (int round = 0; round < 64; ++round) {
    std::string data = "data " + std::to_string(round);
    std::string signature = key->ssh_sign(data);
    ASSERT_TRUE(ssh_verify(blob, data, signature)) << round;
    ASSERT_FALSE(ssh_verify(blob, data + "x", signature)) << round;
  }
  std::string signature = key->ssh_sign("data");
  for (size_t i = 0; i < signature.size(); ++i) {
    std::string changed = signature;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(ssh_verify(blob, "data", changed)) << i;
    EXPECT_FALSE(ssh_verify(blob, "data", signature.substr(0, i))) << i;
  }
  for (size_t i = 0; i < blob.size(); ++i) {
    std::string changed = blob;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(ssh_verify(changed, "data", signature)) << i;
    EXPECT_FALSE(ssh_verify(blob.substr(0, i), "data", signature)) << i;
  }
  EXPECT_FALSE(ssh_verify(blob, "data", signature + '\0'));
  EXPECT_FALSE(ssh_verify(blob + '\0', "data", signature));
  EXPECT_EQ(::ERR_peek_error(), 0U);
}

TEST_P(Keys, SurvivePem) {
  auto key = SigningKey::generate(GetParam());
  ASSERT_TRUE(key);
  auto again = SigningKey::from_pem(key->private_pem());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->type(), GetParam());
  EXPECT_EQ(again->ssh_public_blob(), key->ssh_public_blob());
  EXPECT_TRUE(ssh_verify(key->ssh_public_blob(), "x", again->ssh_sign("x")));
}

TEST_P(Keys, JwsSignaturesHaveTheirFixedLength) {
  auto key = SigningKey::generate(GetParam());
  ASSERT_TRUE(key);
  for (int round = 0; round < 64; ++round) EXPECT_EQ(key->jws_sign(std::to_string(round)).size(), 64U);
}

TEST_P(Keys, SshKeygenReadsTheKeyFile) {
  test::Scratch scratch;
  std::string file = scratch.path("key");
  // several, since the private number of ECDSA differs in length and so does the padding
  for (std::string comment : {"", "a", "ab", "abcde", "corp ann"}) {
    auto key = SigningKey::generate(GetParam());
    ASSERT_TRUE(key);
    ASSERT_TRUE(replace_file(file, key->openssh_private_key_file(comment).reveal(), 0600));
    std::string type = GetParam() == KeyType::kEd25519 ? "ssh-ed25519" : "ecdsa-sha2-nistp256";
    std::string line = type + " " + base64(key->ssh_public_blob()) + (comment.empty() ? "" : " " + comment);
    EXPECT_EQ(output_of("ssh-keygen -y -f " + file), line + "\n");
    EXPECT_NE(output_of("ssh-keygen -l -f " + file).find(" " + fingerprint(key->ssh_public_blob()) + " "),
              std::string::npos);
  }
}

// A key of one kind never verifies what says to be of the other.
TEST(Crypto, KindsOfKeysDoNotMix) {
  auto ed25519 = SigningKey::generate(KeyType::kEd25519);
  auto ecdsa = SigningKey::generate(KeyType::kEcdsaP256);
  ASSERT_TRUE(ed25519 && ecdsa);
  EXPECT_FALSE(ssh_verify(ed25519->ssh_public_blob(), "x", ecdsa->ssh_sign("x")));
  EXPECT_FALSE(ssh_verify(ecdsa->ssh_public_blob(), "x", ed25519->ssh_sign("x")));
  EXPECT_FALSE(
      ssh_verify(WireWriter().string("ssh-rsa").string("a").string("b").take(), "x", ed25519->ssh_sign("x")));
}

// Numbers in another form than RFC 4251's would make a second signature out of one.
TEST(Crypto, EcdsaNumbersHaveOneForm) {
  auto key = SigningKey::generate(KeyType::kEcdsaP256);
  ASSERT_TRUE(key);
  std::string signature = key->ssh_sign("x");
  WireReader outer(signature);
  std::string name(outer.string());
  WireReader numbers(outer.string());
  std::string r(numbers.string()), s(numbers.string());
  auto with = [&](const std::string& first, const std::string& second, const std::string& more = "") {
    std::string both = WireWriter().string(first).string(second).raw(more).take();
    return ssh_verify(key->ssh_public_blob(), "x", WireWriter().string(name).string(both).take());
  };
  std::string zero(1, '\0');
  EXPECT_TRUE(with(r, s));
  EXPECT_FALSE(with(zero + r, s));
  EXPECT_FALSE(with(r, zero + s));
  EXPECT_FALSE(with("", s));
  EXPECT_FALSE(with(zero, s));
  EXPECT_FALSE(with(r, ""));
  EXPECT_FALSE(with("\x80" + r, s));
  EXPECT_FALSE(with(r, std::string(33, '\x01')));
  EXPECT_FALSE(with(r, s, "x"));
}

TEST(Crypto, DerSignatureIsGolden) {
  EXPECT_EQ(hex(ecdsa_der(unhex("0001"), unhex("80"))),
            "30070201010202"
            "0080");
}

TEST(Crypto, JwkOfABlob) {
  auto key = SigningKey::generate(KeyType::kEcdsaP256);
  ASSERT_TRUE(key);
  EXPECT_EQ(ssh_blob_to_jwk(key->ssh_public_blob()), key->public_jwk());
  EXPECT_TRUE(key->public_jwk().starts_with(R"({"crv":"P-256","kty":"EC","x":")"));
  EXPECT_FALSE(ssh_blob_to_jwk(""));
  EXPECT_FALSE(ssh_blob_to_jwk("garbage"));
  EXPECT_FALSE(ssh_blob_to_jwk(key->ssh_public_blob() + "x"));
}

}  // namespace
}  // namespace qf
