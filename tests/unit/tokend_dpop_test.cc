// SPDX-License-Identifier: Apache-2.0
#include "libqf/dpop.h"

#include "libqf/base64.h"
#include "libqf/json.h"
#include "libqf/jwt.h"
#include "libqf/text.h"
#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

// A part of a proof as JSON: 0 is its header, 1 its claims.
JsonPtr proof_part(const std::string& proof, size_t index) {
  auto parts = split(proof, '.');
  EXPECT_EQ(parts.size(), 3U);
  auto text = base64url_decode(parts.at(index));
  EXPECT_TRUE(text);
  auto json = parse_json(text.value_or(""));
  EXPECT_TRUE(json);
  return json ? std::move(*json) : nullptr;
}

std::vector<std::string> members(const cJSON* object) {
  std::vector<std::string> names;
  for (const cJSON* item = object->child; item != nullptr; item = item->next)
    names.emplace_back(item->string);
  return names;
}

TEST(Dpop, KeyOfTheAlgorithmsThatTheProviderTakes) {
  EXPECT_EQ(dpop_key_type({"EdDSA"}), KeyType::kEd25519);
  EXPECT_EQ(dpop_key_type({"ES256"}), KeyType::kEcdsaP256);
  EXPECT_EQ(dpop_key_type({"RS256", "ES256", "EdDSA"}), KeyType::kEcdsaP256) << "the usual one first";
  EXPECT_EQ(dpop_key_type({"RS256", "PS256", "ES384", "eddsa", "es256", ""}), std::nullopt);
  EXPECT_EQ(dpop_key_type({}), std::nullopt);
}

// RFC 9449 section 4.2
TEST(Dpop, Proof) {
  for (KeyType type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    const SigningKey& key = test_user_keys().of(type).key;
    std::string proof = dpop_proof(key, "https://idp.example/token", "", kNow);
    auto header = proof_part(proof, 0);
    EXPECT_EQ(members(header.get()), (std::vector<std::string>{"typ", "alg", "jwk"}));
    EXPECT_EQ(json_string(header.get(), "typ"), "dpop+jwt");
    EXPECT_EQ(json_string(header.get(), "alg"), type == KeyType::kEd25519 ? "EdDSA" : "ES256");
    const cJSON* jwk = json_member(header.get(), "jwk");
    EXPECT_EQ(json_text(jwk), key.public_jwk());
    EXPECT_EQ(json_member(jwk, "d"), nullptr) << "the private key must not be in it";

    auto keys = parse_key_set("{\"keys\":[" + json_text(jwk) + "]}");
    ASSERT_TRUE(keys);
    auto payload = verify_jws(proof, *keys);
    ASSERT_TRUE(payload) << payload.error().text();

    auto claims = proof_part(proof, 1);
    EXPECT_EQ(members(claims.get()), (std::vector<std::string>{"jti", "htm", "htu", "iat"}));
    EXPECT_EQ(json_string(claims.get(), "htm"), "POST");
    EXPECT_EQ(json_string(claims.get(), "htu"), "https://idp.example/token");
    EXPECT_EQ(json_integer(claims.get(), "iat"), kNow);
  }
}

TEST(Dpop, TheNonceOfTheProviderGoesAlong) {
  auto claims =
      proof_part(dpop_proof(test_user_keys().ed25519.key, "https://idp.example/token", "n\"1", kNow), 1);
  EXPECT_EQ(json_string(claims.get(), "nonce"), "n\"1");
}

TEST(Dpop, TheUrlIsWithoutQueryAndFragment) {
  for (const char* url : {"https://idp.example/t", "https://idp.example/t?a=b", "https://idp.example/t#f",
                          "https://idp.example/t?a=b#f", "https://idp.example/t#f?a"}) {
    auto claims = proof_part(dpop_proof(test_user_keys().ed25519.key, url, "", kNow), 1);
    EXPECT_EQ(json_string(claims.get(), "htu"), "https://idp.example/t") << url;
  }
}

TEST(Dpop, EveryProofIsAnother) {
  const SigningKey& key = test_user_keys().ed25519.key;
  auto id = [&] { return json_string(proof_part(dpop_proof(key, "https://i/t", "", kNow), 1).get(), "jti"); };
  auto first = id();
  ASSERT_TRUE(first);
  EXPECT_GE(base64url_decode(*first).value_or("").size(), 12U) << "96 bits, RFC 9449 section 4.2";
  EXPECT_NE(first, id());
}

}  // namespace
}  // namespace qf
