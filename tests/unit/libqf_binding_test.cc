// SPDX-License-Identifier: Apache-2.0
#include "libqf/binding.h"

#include <gtest/gtest.h>

#include "libqf/base64.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/libqf_vectors.h"

namespace qf {
namespace {

const std::string kSalt(kBindingSaltBytes, 's');

std::string blob_of_rfc8037() {
  auto key = SigningKey::from_pem(Secret(vectors::kPemEdDsa));
  return key ? key->ssh_public_blob() : "";
}

Claims claims_of(const std::string& nonce, const std::string& cnf = "") {
  std::string payload = R"({"iss":"i","sub":"s","aud":"a","exp":1,"iat":1)";
  if (!nonce.empty()) payload += R"(,"nonce":")" + nonce + "\"";
  if (!cnf.empty()) payload += R"(,"cnf":)" + cnf;
  auto claims = parse_claims(payload + "}");
  EXPECT_TRUE(claims);
  return claims ? std::move(*claims) : Claims{};
}

std::string jkt(const std::string& value) {
  return R"({"jkt":")" + value + "\"}";
}

// Computed with Python's hashlib
TEST(Binding, NonceIsGolden) {
  EXPECT_EQ(binding_nonce(kSalt, blob_of_rfc8037()), "qf1.iCawQvwhoef1OiNxsFjETaN-KycQc1t2k5bM0TXukA0");
}

TEST(Binding, NonceOfThisKey) {
  std::string blob = blob_of_rfc8037();
  Claims claims = claims_of(binding_nonce(kSalt, blob));
  EXPECT_TRUE(is_key_bound(claims));
  EXPECT_EQ(check_binding(claims, kSalt, blob), Binding::kBound);
}

TEST(Binding, AnythingElseIsForeign) {
  std::string blob = blob_of_rfc8037();
  auto other = SigningKey::generate(KeyType::kEd25519);
  ASSERT_TRUE(other);
  Claims claims = claims_of(binding_nonce(kSalt, blob));
  EXPECT_EQ(check_binding(claims, kSalt, other->ssh_public_blob()), Binding::kForeign);
  EXPECT_EQ(check_binding(claims, "", blob), Binding::kForeign) << "the salt is missing";
  EXPECT_EQ(check_binding(claims, std::string(32, 't'), blob), Binding::kForeign);
  EXPECT_EQ(check_binding(claims, kSalt, ""), Binding::kForeign);
  for (const char* nonce : {"qf1.", "qf1.AAAA", "qf1.x y"}) {
    EXPECT_TRUE(is_key_bound(claims_of(nonce))) << nonce;
    EXPECT_EQ(check_binding(claims_of(nonce), kSalt, blob), Binding::kForeign) << nonce;
  }
  std::string longer = binding_nonce(kSalt, blob) + "A";
  EXPECT_EQ(check_binding(claims_of(longer), kSalt, blob), Binding::kForeign);
}

// The salt and the key are hashed one after the other: their border must not move.
TEST(Binding, SaltHasOneLength) {
  std::string blob = blob_of_rfc8037();
  Claims claims = claims_of(binding_nonce(kSalt, blob));
  EXPECT_EQ(check_binding(claims, kSalt.substr(0, 31), kSalt.substr(31) + blob), Binding::kForeign);
  EXPECT_EQ(check_binding(claims, kSalt + blob.substr(0, 1), blob.substr(1)), Binding::kForeign);
}

TEST(Binding, BearerTokensAreNotBound) {
  for (const char* nonce : {"", "abc", "QF1.abc", "qf1", "qf2.abc", " qf1.abc"}) {
    EXPECT_FALSE(is_key_bound(claims_of(nonce))) << nonce;
    EXPECT_EQ(check_binding(claims_of(nonce), kSalt, blob_of_rfc8037()), Binding::kNone) << nonce;
  }
}

TEST(Binding, ConfirmationByThumbprint) {
  Claims claims = claims_of("", jkt(std::string(vectors::kThumbprintEdDsa)));
  EXPECT_TRUE(is_key_bound(claims));
  EXPECT_EQ(check_binding(claims, "", blob_of_rfc8037()), Binding::kBound) << "needs no salt";
  auto ecdsa = SigningKey::generate(KeyType::kEcdsaP256);
  ASSERT_TRUE(ecdsa);
  EXPECT_EQ(check_binding(claims, "", ecdsa->ssh_public_blob()), Binding::kForeign);
  EXPECT_EQ(check_binding(claims, "", "garbage"), Binding::kForeign);
  Claims theirs = claims_of("", jkt(*jwk_thumbprint(ecdsa->public_jwk())));
  EXPECT_EQ(check_binding(theirs, "", ecdsa->ssh_public_blob()), Binding::kBound);
}

TEST(Binding, OtherConfirmationsAreForeign) {
  for (const std::string& cnf : {std::string("{}"), jkt(""), jkt("kPrK"),
                                 std::string(R"({"x5t#S256":"abc"})"), std::string(R"({"kid":"a"})")}) {
    EXPECT_TRUE(is_key_bound(claims_of("", cnf))) << cnf;
    EXPECT_EQ(check_binding(claims_of("", cnf), kSalt, blob_of_rfc8037()), Binding::kForeign) << cnf;
  }
}

TEST(Binding, WithBothKindsBothMustHold) {
  std::string blob = blob_of_rfc8037();
  std::string nonce = binding_nonce(kSalt, blob), thumbprint(vectors::kThumbprintEdDsa);
  EXPECT_EQ(check_binding(claims_of(nonce, jkt(thumbprint)), kSalt, blob), Binding::kBound);
  EXPECT_EQ(check_binding(claims_of(nonce, jkt("x")), kSalt, blob), Binding::kForeign);
  EXPECT_EQ(check_binding(claims_of("qf1.x", jkt(thumbprint)), kSalt, blob), Binding::kForeign);
  EXPECT_EQ(check_binding(claims_of("plain", jkt(thumbprint)), kSalt, blob), Binding::kBound);
}

}  // namespace
}  // namespace qf
