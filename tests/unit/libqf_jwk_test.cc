// SPDX-License-Identifier: Apache-2.0
#include "libqf/jwk.h"

#include <gtest/gtest.h>

#include "libqf/json.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/libqf_vectors.h"

namespace qf {
namespace {

std::string set_of(std::string_view keys) {
  return "{\"keys\":[" + std::string(keys) + "]}";
}

// The reason for which the only key of a set was skipped; empty when it was taken.
std::string skip_reason(std::string_view key) {
  std::vector<std::string> skipped;
  auto keys = parse_key_set(set_of(key), &skipped);
  if (!keys) return "error: " + keys.error().what;
  EXPECT_EQ(keys->size() + skipped.size(), 1U);
  return skipped.empty() ? "" : skipped[0];
}

std::string rsa_of(const std::string& n, const std::string& e = "\x03") {
  return R"({"kty":"RSA","n":")" + base64url(n) + R"(","e":")" + base64url(e) + "\"}";
}

// RFC 8037 appendix A.3
TEST(KeySets, HaveThumbprints) {
  auto keys = parse_key_set(
      R"({"keys":[{"kid":"any","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})");
  ASSERT_TRUE(keys) << keys.error().text();
  EXPECT_EQ(keys->front().thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

TEST(Jwk, ReadsEveryKind) {
  auto keys =
      parse_key_set(set_of(std::string(vectors::kKeyRs256) + "," + std::string(vectors::kKeyEs256) + "," +
                           test::IssuerKey::ec("P-384").jwk() + "," + std::string(vectors::kKeyEs512) + "," +
                           std::string(vectors::kKeyEdDsa) + "," + std::string(vectors::kKeyThumbprint)));
  ASSERT_TRUE(keys) << keys.error().what;
  ASSERT_EQ(keys->size(), 6U);
  EXPECT_EQ((*keys)[0].kty, "RSA");
  EXPECT_EQ((*keys)[0].crv, "");
  EXPECT_EQ((*keys)[1].crv, "P-256");
  EXPECT_EQ((*keys)[2].crv, "P-384");
  EXPECT_EQ((*keys)[3].crv, "P-521");
  EXPECT_EQ((*keys)[4].kty, "OKP");
  EXPECT_EQ((*keys)[4].kid, "");
  EXPECT_EQ((*keys)[5].kid, "2011-04-29");
  EXPECT_EQ((*keys)[5].alg, "RS256");
  for (const auto& key : *keys) EXPECT_NE(key.key, nullptr);
}

TEST(Jwk, UnknownMembersAreIgnored) {
  EXPECT_EQ(
      skip_reason(test::IssuerKey::rsa().jwk(R"(,"x5c":["MII"],"x5t":"a","use":"sig","key_ops":["verify"])")),
      "");
  auto keys = parse_key_set(R"({"keys":[],"more":1})");
  ASSERT_TRUE(keys);
  EXPECT_TRUE(keys->empty());
}

TEST(Jwk, SkipsWhatCannotVerify) {
  std::string modulus(256, '\xff');
  struct Case {
    std::string key, reason;
  };
  const auto& rsa = test::IssuerKey::rsa();
  for (
      const auto& c : {
          Case{R"({"kty":"oct","k":"AAAA"})", "unknown type"},
          {R"({"k":"AAAA"})", "is no string"},
          {R"("RSA")", "is no string"},
          {rsa.jwk(R"(,"use":"enc")"), "use"},
          {rsa.jwk(R"(,"key_ops":["encrypt"])"), "key_ops"},
          {rsa.jwk(R"(,"key_ops":"verify")"), "key_ops"},
          {rsa.jwk(R"(,"d":"AAAA")"), "private"},
          {rsa.jwk(R"(,"d":null)"), "private"},
          {rsa.jwk(R"(,"p":"AAAA")"), "private"},
          {rsa.jwk(R"(,"use":"SIG")"), "use"},
          {rsa.jwk(R"(,"use":null)"), "is no string"},
          {rsa.jwk(R"(,"key_ops":[])"), "key_ops"},
          {rsa.jwk(R"(,"key_ops":["sign"])"), "key_ops"},
          {rsa.jwk(R"(,"key_ops":["verify",7])"), "key_ops"},
          {rsa.jwk(R"(,"key_ops":null)"), "key_ops"},
          {rsa.jwk(R"(,"kid":["a"])"), "is no string"},
          {rsa.jwk(R"(,"kid":7)"), "is no string"},
          {rsa.jwk(R"(,"alg":["RS256"])"), "is no string"},
          {rsa_of(std::string(128, '\xff')), "1024 bits"},
          {rsa_of(std::string(255, '\xff')), "2040 bits"},
          {rsa_of("\x01" + std::string(1024, '\xff')), "8193 bits"},
          {rsa_of(std::string(5000, '\xff')), "too long"},
          {rsa_of(modulus, "\x01"), "not that of an RSA key"},
          {rsa_of(modulus, "\x02"), "not that of an RSA key"},
          {rsa_of(modulus.substr(1) + "\xfe"), "not that of an RSA key"},
          {rsa_of(modulus, std::string(9, '\x01')), "too long"},
          {rsa_of(modulus, ""), "missing"},
          {rsa_of("", "\x03"), "missing"},
          {R"({"kty":"RSA","n":"+/==","e":"AQAB"})", "no base64url"},
          {R"({"kty":"EC","crv":"secp256k1","x":"Ss6na3mcci8Ud4lQrjaB_T40sfKApEcl2RLIWOJdjow",)"
           R"("y":"7l9qIKtKPW6oEiOYBt7r22Sm0mtFJU-yBkkvMvpscd8"})",
           "unknown curve"},
          {R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"})", "wrong length"},
          {R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
           R"("y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"})",
           "not a valid public key"},
          {R"({"kty":"rsa","n":"AQAB","e":"AQAB"})", "unknown type"},
          {R"({"kty":"OKP","crv":"Ed448","x":"X9dEm1m0Yf0s54fsYWrUah2hNCSFpw4fig6nXYDpZ3jt8SR2m0bHBhvWeD3x5Q9s0fo)"
           R"(avq_oJWGA"})",
           "unknown curve"},
          {R"({"kty":"EC","crv":"P-256K","x":"AA","y":"AA"})", "unknown curve"},
          {R"({"kty":"EC","crv":"prime256v1","x":"AA","y":"AA"})", "unknown curve"},
          {R"({"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})", "curve"},
          {R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"})", "length"},
      }) {
    EXPECT_NE(skip_reason(c.key).find(c.reason), std::string::npos) << c.key << "\n" << skip_reason(c.key);
  }
  EXPECT_EQ(skip_reason(rsa_of(std::string(1, '\0') + modulus)), "")
      << "a leading zero is common and harmless";
  EXPECT_EQ(skip_reason(rsa_of(std::string(1024, '\xff'))), "");
}

// RFC 7517 appendix A.1: a key for encryption and one for signatures
TEST(Jwk, ThePublishedSet) {
  std::vector<std::string> skipped;
  auto keys = parse_key_set(vectors::kKeySetRfc7517, &skipped);
  ASSERT_TRUE(keys);
  ASSERT_EQ(keys->size(), 1U);
  EXPECT_EQ((*keys)[0].kid, "2011-04-29");
  ASSERT_EQ(skipped.size(), 1U);
  EXPECT_EQ(skipped[0], "key 0 (kid \"1\"): not for signatures (use)");
}

// RFC 7517 section 4.7: x5c holds a certificate of the same key. Ours is the key in the JWK; what the
// certificate says, even when it is broken or of another key, changes nothing.
TEST(Jwk, CertificatesInASetAreNeverLookedAt) {
  const auto& key = test::IssuerKey::rsa();
  for (const char* more :
       {R"(,"x5c":["MIIB"])", R"(,"x5c":"no list")", R"(,"x5c":[])", R"(,"x5u":"https://evil.example/")",
        R"(,"x5t":7)", R"(,"x5t#S256":"AAAA","x5c":[7])", R"(,"ext":true,"unheard":{"of":[1,2]})"}) {
    EXPECT_EQ(skip_reason(key.jwk(more)), "") << more;
  }
  // a certificate alone is no key
  EXPECT_NE(skip_reason(R"({"kty":"RSA","use":"sig","x5c":["MIIB"]})").find("n or e is missing"),
            std::string::npos);
}

// One text for each number, so that a key cannot be in a set twice and look different; and no number that is
// not the key's (RFC 7518 section 6.2.1.2: the full width).
TEST(Jwk, NumbersHaveOneForm) {
  auto ec = parse_json(vectors::kKeyEs256);
  ASSERT_TRUE(ec);
  std::string x = *json_string(ec->get(), "x"), y = *json_string(ec->get(), "y");
  auto with = [&](const std::string& first, const std::string& second) {
    return skip_reason(R"({"kty":"EC","crv":"P-256","x":")" + first + R"(","y":")" + second + "\"}");
  };
  EXPECT_EQ(with(x, y), "");
  auto padded = [](const std::string& text) { return base64url('\0' + *base64url_decode(text)); };
  EXPECT_NE(with(padded(x), padded(y)).find("wrong length"), std::string::npos);
  EXPECT_NE(with(x, padded(y)).find("wrong length"), std::string::npos);
  // 32 bytes are 43 characters, of whose last one two bits are no part of them
  EXPECT_NE(with(x.substr(0, 42) + "V", y), "") << "bits that mean nothing";
  EXPECT_NE(with(x + "=", y), "");
  EXPECT_NE(with(x + "\\n", y), "");
  EXPECT_NE(with(" " + x, y), "");
  // not below the prime of the field: another name for a smaller number
  EXPECT_NE(with(base64url(std::string(32, '\xff')), y), "");
  EXPECT_NE(with(base64url(std::string(32, '\0')), base64url(std::string(32, '\0'))), "")
      << "no point at infinity";
}

// A coordinate below 2^248 is written with its leading zero; one key in 128 has one. Some issuers drop it.
TEST(Jwk, LeadingZerosOfCoordinatesStay) {
  for (int tries = 0; tries < 100'000; ++tries) {
    auto key = SigningKey::generate(KeyType::kEcdsaP256);
    ASSERT_TRUE(key);
    auto jwk = parse_json(key->public_jwk());
    ASSERT_TRUE(jwk);
    std::string x = *base64url_decode(*json_string(jwk->get(), "x"));
    if (x[0] != '\0') continue;
    EXPECT_EQ(skip_reason(key->public_jwk()), "");
    auto keys = parse_key_set(set_of(key->public_jwk()));
    ASSERT_TRUE(keys);
    EXPECT_TRUE(verify_signature((*keys)[0].key.get(), "SHA256", false, "m", [&] {
      std::string raw = key->jws_sign("m");
      return ecdsa_der(raw.substr(0, 32), raw.substr(32));
    }()));
    ::cJSON_ReplaceItemInObjectCaseSensitive(jwk->get(), "x",
                                             ::cJSON_CreateString(base64url(x.substr(1)).c_str()));
    EXPECT_NE(skip_reason(json_text(jwk->get())).find("wrong length"), std::string::npos);
    return;
  }
  FAIL() << "no key of 100,000 has a leading zero";
}

// Duplicates are an error of the whole set: what it says depends on who reads it.
TEST(Jwk, MembersAreThereOnce) {
  EXPECT_FALSE(parse_key_set(set_of(test::IssuerKey::rsa().jwk(R"(,"kid":"a","kid":"b")"))));
  EXPECT_FALSE(parse_key_set(set_of(test::IssuerKey::rsa().jwk(R"(,"kid":"a","\u006bid":"b")"))));
  EXPECT_FALSE(parse_key_set(R"({"keys":[],"x":[{"y":1,"y":1}]})"));
}

TEST(Jwk, DepthIsBounded) {
  auto nested = [](size_t depth) {
    return R"({"keys":[],"x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(parse_key_set(nested(31)));
  EXPECT_FALSE(parse_key_set(nested(32)));
  EXPECT_FALSE(parse_key_set(nested(500'000)));
}

TEST(Jwk, OneOddKeyLosesNoOther) {
  std::vector<std::string> skipped;
  auto keys = parse_key_set(
      set_of(R"({"kty":"oct","kid":"secret","k":"AAAA"},)" + test::IssuerKey::rsa().jwk()), &skipped);
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->size(), 1U);
  ASSERT_EQ(skipped.size(), 1U);
  EXPECT_EQ(skipped[0], "key 0 (kid \"secret\"): an unknown type of key");
  EXPECT_EQ(parse_key_set(set_of(R"({"kty":"oct"})"))->size(), 0U) << "without a list for reasons";
}

TEST(Jwk, BrokenSetsAreErrors) {
  for (std::string_view text : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[],"keys":[]})",
                                R"({"keys":[]} x)", R"({"keys":null})", "<html>"}) {
    EXPECT_FALSE(parse_key_set(text)) << text;
  }
}

TEST(Jwk, SizeAndNumberAreBounded) {
  auto many = [](size_t count) {
    std::string keys;
    for (size_t i = 0; i < count; ++i) keys += (i == 0 ? "" : ",") + std::string(vectors::kKeyEdDsa);
    return set_of(keys);
  };
  EXPECT_TRUE(parse_key_set(many(kMostKeys)));
  EXPECT_FALSE(parse_key_set(many(kMostKeys + 1)));
  std::string large = R"({"keys":[],"x":")";
  large += std::string(kMostKeySetBytes - large.size() - 2, 'a') + "\"}";
  ASSERT_EQ(large.size(), kMostKeySetBytes);
  EXPECT_TRUE(parse_key_set(large));
  EXPECT_FALSE(parse_key_set(large + " "));
}

TEST(Jwk, Thumbprints) {
  auto rsa = jwk_thumbprint(vectors::kKeyThumbprint);
  ASSERT_TRUE(rsa);
  EXPECT_EQ(*rsa, vectors::kThumbprint);
  auto okp = jwk_thumbprint(vectors::kKeyEdDsa);
  ASSERT_TRUE(okp);
  EXPECT_EQ(*okp, vectors::kThumbprintEdDsa);
  // jwcrypto's value for the EC key of RFC 7517 appendix A.1
  auto ec = jwk_thumbprint(R"({"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",)"
                           R"("y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"})");
  ASSERT_TRUE(ec);
  EXPECT_EQ(*ec, "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
}

TEST(Jwk, ThumbprintsNeedTheirMembers) {
  for (std::string_view text :
       {"", "[]", "{}", R"({"kty":"oct","k":"a"})", R"({"kty":"RSA","n":"a"})",
        R"({"kty":"EC","crv":"P-256","x":"a"})", R"({"kty":"OKP","x":"a"})",
        R"({"kty":"OKP","crv":"Ed25519","x":""})", R"({"kty":"OKP","crv":1,"x":"a"})"}) {
    EXPECT_FALSE(jwk_thumbprint(text)) << text;
  }
}

TEST(Jwk, OwnKeySetIsReadBack) {
  for (KeyType type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    auto key = SigningKey::generate(type);
    ASSERT_TRUE(key);
    std::string json = key_set_json(*key, "host \"1\"");
    auto keys = parse_key_set(json);
    ASSERT_TRUE(keys);
    ASSERT_EQ(keys->size(), 1U);
    EXPECT_EQ((*keys)[0].kid, "host \"1\"");
    EXPECT_EQ((*keys)[0].use, "sig");
    EXPECT_EQ((*keys)[0].alg, key->jws_algorithm());
    EXPECT_EQ(json.find("\"d\""), std::string::npos) << "the private key must not be in it";
  }
}

}  // namespace
}  // namespace qf
