// SPDX-License-Identifier: Apache-2.0
// The signature half of libqf/jwt.h: what is accepted as signed, and by which key.
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "libqf/jwt.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/libqf_vectors.h"

namespace qf {

// so that failed expectations name the fault
void PrintTo(TokenFault fault, std::ostream* out) {
  *out << fault_text(fault);
}

namespace {

using test::compact;
using test::IssuerKey;

KeySet keys_of(std::string_view keys) {
  auto set = parse_key_set("{\"keys\":[" + std::string(keys) + "]}");
  EXPECT_TRUE(set);
  return set ? std::move(*set) : KeySet{};
}

std::optional<TokenFault> fault_of(std::string_view token, const KeySet& keys) {
  auto payload = verify_jws(token, keys);
  return payload ? std::nullopt : std::optional(payload.error().fault);
}

struct Example {
  std::string_view name, token, key, payload;
};
constexpr std::string_view kFrodo =
    "It\xe2\x80\x99s a dangerous business, Frodo, going out your door. You step onto the road, and if you "
    "don't "
    "keep your feet, there\xe2\x80\x99s no knowing where you might be swept off to.";
constexpr std::string_view kJoe =
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
const Example kExamples[] = {
    {"RFC 7515 A.2 RS256", vectors::kTokenRs256, vectors::kKeyRs256, kJoe},
    {"RFC 7515 A.3 ES256", vectors::kTokenEs256, vectors::kKeyEs256, kJoe},
    {"RFC 7515 A.4 ES512", vectors::kTokenEs512, vectors::kKeyEs512, "Payload"},
    {"RFC 7520 4.1 RS256", vectors::kTokenCookbookRs256, vectors::kKeyCookbookRs256, kFrodo},
    {"RFC 7520 4.2 PS384", vectors::kTokenCookbookPs384, vectors::kKeyCookbookPs384, kFrodo},
    {"RFC 7520 4.3 ES512", vectors::kTokenCookbookEs512, vectors::kKeyCookbookEs512, kFrodo},
    {"OpenID Connect Core A.2 RS256", vectors::kTokenOidc, vectors::kKeyOidc,
     "{\n \"iss\": \"https://server.example.com\",\n \"sub\": \"248289761001\",\n \"aud\": \"s6BhdRkqt3\",\n "
     "\"nonce\": \"n-0S6_WzA2Mj\",\n \"exp\": 1311281970,\n \"iat\": 1311280970,\n \"name\": \"Jane Doe\",\n "
     "\"given_name\": \"Jane\",\n \"family_name\": \"Doe\",\n \"gender\": \"female\",\n \"birthdate\": "
     "\"0000-10-31\",\n \"email\": \"janedoe@example.com\",\n \"picture\": "
     "\"http://example.com/janedoe/me.jpg\"\n}"},
    {"RFC 8037 A.4 EdDSA", vectors::kTokenEdDsa, vectors::kKeyEdDsa, "Example of Ed25519 signing"},
};

TEST(Jws, PublishedExamplesVerify) {
  for (const auto& example : kExamples) {
    auto payload = verify_jws(example.token, keys_of(example.key));
    ASSERT_TRUE(payload) << example.name << ": " << payload.error().text();
    EXPECT_EQ(*payload, example.payload) << example.name;
  }
}

TEST(Jws, AChangeAnywhereIsRefused) {
  for (const auto& example : kExamples) {
    KeySet keys = keys_of(example.key);
    for (size_t i = 0; i < example.token.size(); ++i) {
      std::string changed(example.token);
      changed[i] = changed[i] == 'A' ? 'B' : 'A';
      EXPECT_TRUE(fault_of(changed, keys)) << example.name << " at " << i;
      EXPECT_TRUE(fault_of(example.token.substr(0, i), keys)) << example.name << " cut at " << i;
    }
    EXPECT_TRUE(fault_of(std::string(example.token) + "A", keys)) << example.name;
    EXPECT_TRUE(fault_of(std::string(example.token) + "=", keys)) << example.name;
    EXPECT_TRUE(fault_of(std::string(example.token) + "\n", keys)) << example.name;
    EXPECT_TRUE(fault_of(" " + std::string(example.token), keys)) << example.name;
  }
}

// RFC 7515 appendix A.5, and RFC 7520 sections 4.4 and 4.5: no signature, an HMAC, a payload that is
// elsewhere
TEST(Jws, PublishedExamplesThatAreRefused) {
  KeySet keys = keys_of(vectors::kKeyRs256);
  EXPECT_EQ(fault_of(vectors::kTokenNone, keys), TokenFault::kAlgorithm);
  EXPECT_EQ(fault_of(vectors::kTokenCookbookHs256, keys), TokenFault::kAlgorithm);
  std::string detached(vectors::kTokenCookbookRs256);
  size_t first = detached.find('.'), second = detached.rfind('.');
  detached.erase(first + 1, second - first - 1);
  EXPECT_EQ(fault_of(detached, keys_of(vectors::kKeyCookbookRs256)), TokenFault::kBadSignature);
}

TEST(Jws, AnotherKeyOfTheKindIsABadSignature) {
  EXPECT_EQ(fault_of(vectors::kTokenRs256, IssuerKey::rsa().set()), TokenFault::kBadSignature);
  EXPECT_EQ(fault_of(vectors::kTokenEs256, IssuerKey::ec("P-256").set()), TokenFault::kBadSignature);
}

TEST(Jws, EveryAlgorithm) {
  for (std::string alg : {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}) {
    EXPECT_EQ(fault_of(IssuerKey::rsa().token(alg), IssuerKey::rsa().set()), std::nullopt) << alg;
    EXPECT_EQ(fault_of(IssuerKey::rsa().token(alg), IssuerKey::rsa().set(R"(,"alg":")" + alg + "\"")),
              std::nullopt)
        << alg;
  }
  for (auto [alg, curve] : {std::pair("ES256", "P-256"), {"ES384", "P-384"}, {"ES512", "P-521"}}) {
    EXPECT_EQ(fault_of(IssuerKey::ec(curve).token(alg), IssuerKey::ec(curve).set()), std::nullopt) << alg;
  }
}

// A signature made with one algorithm never passes for another of the same key.
TEST(Jws, TheHeadersAlgorithmIsTheOneThatIsChecked) {
  const char* algs[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"};
  for (std::string made : algs) {
    for (std::string said : algs) {
      auto fault =
          fault_of(IssuerKey::rsa().token(made, R"({"alg":")" + said + "\"}", "{}"), IssuerKey::rsa().set());
      EXPECT_EQ(fault, made == said ? std::nullopt : std::optional(TokenFault::kBadSignature))
          << made << said;
    }
  }
}

TEST(Jws, PssSaltIsAsLongAsTheDigest) {
  std::string message = base64url(R"({"alg":"PS256"})") + "." + base64url("{}");
  for (int salt : {0, 20, 31, 33}) {
    std::string token = message + "." + base64url(IssuerKey::rsa().sign("PS256", message, salt));
    EXPECT_EQ(fault_of(token, IssuerKey::rsa().set()), TokenFault::kBadSignature) << salt;
  }
  std::string token = message + "." + base64url(IssuerKey::rsa().sign("PS256", message, 32));
  EXPECT_EQ(fault_of(token, IssuerKey::rsa().set()), std::nullopt);
}

// RFC 8017 sections 8.1.2 and 8.2.2: a signature is as long as the modulus; without its leading zeros, or
// with more of them, it would be a second text for the same one.
TEST(Jws, RsaSignaturesHaveOneLength) {
  const auto& key = IssuerKey::rsa();
  for (std::string alg : {"RS256", "PS256"}) {
    std::string message, signature;
    for (int i = 0; i < 10'000 && (signature.empty() || signature[0] != '\0'); ++i) {
      message = base64url(R"({"alg":")" + alg + "\"}") + "." + base64url(std::to_string(i));
      signature = key.sign(alg, message);
    }
    ASSERT_EQ(signature[0], '\0') << "none of 10,000 signatures begins with a zero";
    auto fault = [&](const std::string& bytes) {
      return fault_of(message + "." + base64url(bytes), key.set());
    };
    EXPECT_EQ(fault(signature), std::nullopt) << alg;
    EXPECT_EQ(fault(signature.substr(1)), TokenFault::kBadSignature) << alg;
    EXPECT_EQ(fault('\0' + signature), TokenFault::kBadSignature) << alg;
    EXPECT_EQ(fault(signature + '\0'), TokenFault::kBadSignature) << alg;
    EXPECT_EQ(fault(std::string(256, '\0')), TokenFault::kBadSignature) << alg;
    EXPECT_EQ(fault(std::string(256, '\xff')), TokenFault::kBadSignature) << alg;
  }
}

TEST(Jws, AlgorithmNone) {
  for (std::string alg : {"none", "None", "NONE", "nOnE", ""}) {
    std::string header = R"({"alg":")" + alg + "\"}";
    EXPECT_EQ(fault_of(compact(header, "{}", ""), IssuerKey::rsa().set()), TokenFault::kAlgorithm) << alg;
    EXPECT_EQ(fault_of(compact(header, "{}", "x"), IssuerKey::rsa().set()), TokenFault::kAlgorithm) << alg;
  }
}

// RFC 8725 section 2.1: the public key, in any of its spellings, taken for an HMAC secret
TEST(Jws, HmacWithThePublicKey) {
  std::string jwk = IssuerKey::rsa().jwk(R"(,"kid":"a")");
  KeySet keys = keys_of(jwk);
  BIO* bio = ::BIO_new(::BIO_s_mem());
  ASSERT_EQ(::PEM_write_bio_PUBKEY(bio, keys[0].key.get()), 1);
  char* pem = nullptr;
  auto length = static_cast<size_t>(::BIO_get_mem_data(bio, &pem));
  std::string message = base64url(R"({"alg":"HS256","kid":"a"})") + "." + base64url("{}");
  for (const std::string& secret :
       {jwk, std::string(pem, length), std::string(pem, length - 1), std::string()}) {
    std::string token = message + "." + base64url(test::hmac_sha256(secret, message));
    EXPECT_EQ(fault_of(token, keys), TokenFault::kAlgorithm);
  }
  ::BIO_free(bio);
  EXPECT_EQ(fault_of(vectors::kTokenCookbookHs256, keys), TokenFault::kAlgorithm);
}

TEST(Jws, UnknownAlgorithms) {
  for (std::string alg :
       {"HS256", "HS384", "HS512", "ES256K", "Ed25519", "EdDSA ", "rs256", "RSA-OAEP", "dir"}) {
    EXPECT_EQ(fault_of(compact(R"({"alg":")" + alg + "\"}", "{}", "x"), IssuerKey::rsa().set()),
              TokenFault::kAlgorithm)
        << alg;
  }
}

TEST(Jws, KeyMustAgreeWithTheHeader) {
  std::string kid = R"("kid":"a")";
  auto with = [&](const IssuerKey& key, const std::string& alg, const std::string& said,
                  const std::string& more) {
    return fault_of(key.token(alg, R"({"alg":")" + said + "\"," + kid + "}", "{}"),
                    key.set("," + kid + more));
  };
  const auto& rsa = IssuerKey::rsa();
  EXPECT_EQ(with(rsa, "RS256", "RS256", ""), std::nullopt);
  EXPECT_EQ(with(rsa, "RS256", "RS256", R"(,"alg":"RS256")"), std::nullopt);
  EXPECT_EQ(with(rsa, "RS256", "RS256", R"(,"alg":"PS256")"), TokenFault::kAlgorithm);
  EXPECT_EQ(with(rsa, "RS256", "RS256", R"(,"alg":"RSA-OAEP")"), TokenFault::kAlgorithm);
  EXPECT_EQ(with(rsa, "RS256", "ES256", ""), TokenFault::kAlgorithm);
  EXPECT_EQ(with(rsa, "RS256", "EdDSA", ""), TokenFault::kAlgorithm);
  EXPECT_EQ(with(IssuerKey::ec("P-256"), "ES256", "ES384", ""), TokenFault::kAlgorithm);
  EXPECT_EQ(with(IssuerKey::ec("P-384"), "ES256", "ES256", ""), TokenFault::kAlgorithm);
  EXPECT_EQ(with(IssuerKey::ec("P-256"), "ES256", "EdDSA", ""), TokenFault::kAlgorithm);
  // a key for encryption is not even in the set
  EXPECT_EQ(with(rsa, "RS256", "RS256", R"(,"use":"enc")"), TokenFault::kUnknownKey);
}

// OpenSSL takes DER; a JWS has the two numbers, each at its full width.
TEST(Jws, EcdsaSignaturesHaveOneLength) {
  const auto& key = IssuerKey::ec("P-256");
  std::string message = base64url(R"({"alg":"ES256"})") + "." + base64url("{}");
  std::string raw = key.sign("ES256", message);
  auto fault = [&](const std::string& signature) {
    return fault_of(message + "." + base64url(signature), key.set());
  };
  std::string r = raw.substr(0, 32), s = raw.substr(32);
  EXPECT_EQ(fault(raw), std::nullopt);
  EXPECT_EQ(fault(ecdsa_der(r, s)), TokenFault::kBadSignature);
  EXPECT_EQ(fault(raw + '\0'), TokenFault::kBadSignature);
  EXPECT_EQ(fault('\0' + r + '\0' + s), TokenFault::kBadSignature);
  EXPECT_EQ(fault(std::string(64, '\0')), TokenFault::kBadSignature);
  EXPECT_EQ(fault(std::string(32, '\0') + s), TokenFault::kBadSignature);
  EXPECT_EQ(fault(""), TokenFault::kBadSignature);
  EXPECT_EQ(fault(raw.substr(1)), TokenFault::kBadSignature);
  EXPECT_EQ(fault(s + r), TokenFault::kBadSignature);
  EXPECT_EQ(fault(r + std::string(32, '\0')), TokenFault::kBadSignature);
}

// The order of P-256 (SEC 2 section 2.4.2): from there on a number is another name for a smaller one.
TEST(Jws, EcdsaNumbersAreBelowTheOrder) {
  const std::string order = test::unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  const auto& key = IssuerKey::ec("P-256");
  std::string message = base64url(R"({"alg":"ES256"})") + "." + base64url("{}");
  std::string raw = key.sign("ES256", message), r = raw.substr(0, 32), s = raw.substr(32);
  for (const std::string& bad : {order, std::string(32, '\xff')}) {
    for (const std::string& signature : {bad + s, r + bad, bad + bad}) {
      EXPECT_EQ(fault_of(message + "." + base64url(signature), key.set()), TokenFault::kBadSignature);
    }
  }
}

// RFC 8032 section 5.1.7: S at or above the order of the group would be a second signature of the same text
TEST(Jws, Ed25519SignaturesHaveOneForm) {
  size_t dot = vectors::kTokenEdDsa.rfind('.');
  std::string message(vectors::kTokenEdDsa.substr(0, dot));
  std::string signature = *base64url_decode(vectors::kTokenEdDsa.substr(dot + 1));
  std::string order = test::unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  int carry = 0;
  for (size_t i = 0; i < order.size(); ++i) {  // little-endian
    int sum = carry + static_cast<unsigned char>(signature[32 + i]) + static_cast<unsigned char>(order[i]);
    signature[32 + i] = static_cast<char>(sum);
    carry = sum >> 8;
  }
  EXPECT_EQ(fault_of(message + "." + base64url(signature), keys_of(vectors::kKeyEdDsa)),
            TokenFault::kBadSignature);
}

TEST(Jws, KidSelects) {
  const auto& mine = IssuerKey::rsa();
  const auto& other = IssuerKey::other_rsa();
  auto token = [&](const std::string& header) { return mine.token("RS256", header, "{}"); };
  std::string a = mine.jwk(R"(,"kid":"a")"), b = other.jwk(R"(,"kid":"b")");
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"a"})"), keys_of(b + "," + a)), std::nullopt);
  // the right key under another name does not count
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"b"})"), keys_of(a + "," + b)), TokenFault::kBadSignature);
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"c"})"), keys_of(a + "," + b)), TokenFault::kUnknownKey);
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"A"})"), keys_of(a)), TokenFault::kUnknownKey);
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"a"})"), keys_of(mine.jwk())), TokenFault::kUnknownKey);
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"a"})"), KeySet{}), TokenFault::kUnknownKey);
  // several keys of one name: each is tried
  std::string twin = other.jwk(R"(,"kid":"a")"), odd = IssuerKey::ec("P-256").jwk(R"(,"kid":"a")");
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"a"})"), keys_of(twin + "," + odd + "," + a)),
            std::nullopt);
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"a"})"), keys_of(odd + "," + twin)),
            TokenFault::kBadSignature);
  // the last of as many twins as a set may have
  std::string many;
  for (size_t i = 1; i < kMostKeys; ++i) many += twin + ",";
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"a"})"), keys_of(many + a)), std::nullopt);
  // a key without a name serves no token that names one, though it would fit: RFC 7515 section 4.1.4 lets the
  // issuer say which key it was, and another one it was not
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":"a"})"), keys_of(mine.jwk() + "," + b)),
            TokenFault::kUnknownKey);
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256"})"), keys_of(mine.jwk() + "," + b)), std::nullopt);
  // an empty name is none
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256","kid":""})"), keys_of(mine.jwk(R"(,"kid":"")"))), std::nullopt);
  // no name in the header: every key that fits
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256"})"), keys_of(odd + "," + b + "," + a)), std::nullopt);
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256"})"), keys_of(b)), TokenFault::kBadSignature);
  EXPECT_EQ(fault_of(token(R"({"alg":"RS256"})"), keys_of(odd)), TokenFault::kUnknownKey);
}

TEST(Jws, KeysInTheHeaderAreIgnored) {
  std::string header =
      R"({"alg":"RS256","jwk":)" + IssuerKey::other_rsa().jwk() +
      R"(,"jku":"https://evil.example/","x5u":"https://evil.example/","x5t":"AAAA","x5c":["MII"]})";
  EXPECT_EQ(fault_of(IssuerKey::other_rsa().token("RS256", header, "{}"), IssuerKey::rsa().set()),
            TokenFault::kBadSignature);
}

TEST(Jws, HeadersThatAreRefused) {
  struct Case {
    std::string header;
    TokenFault fault;
  };
  using enum TokenFault;
  for (const auto& c : {
           Case{"", kMalformed},
           {"null", kMalformed},
           {"[]", kMalformed},
           {"{}", kMalformed},
           {R"({"alg":1})", kMalformed},
           {R"({"alg":"RS256","alg":"RS256"})", kMalformed},
           {R"({"alg":"RS256","\u0061lg":"none"})", kMalformed},
           {R"({"alg":"RS256"}x)", kMalformed},
           {R"({"alg":"RS256"})" + std::string(1, '\0'), kMalformed},
           {R"({"alg":"RS256","kid":1})", kMalformed},
           {R"({"alg":"RS256","typ":{}})", kMalformed},
           {R"({"alg":"RS256","kid":"a\u0000b"})", kMalformed},
           {R"({"alg":"RS256","kid":"\ud800"})", kMalformed},
           {R"({"alg":"RS256","kid":null})", kMalformed},
           {R"({"alg":"RS256","kid":["a"]})", kMalformed},
           {R"({"alg":["RS256"]})", kMalformed},
           {R"({"alg":null})", kMalformed},
           {R"({"ALG":"RS256"})", kMalformed},
           {"\xef\xbb\xbf{\"alg\":\"RS256\"}", kMalformed},
           {R"({"alg":"RS256","x":)" + std::string(40, '[') + std::string(40, ']') + "}", kMalformed},
           {R"({"alg":"RS256","x":1e400})", kMalformed},
           {R"({"alg":"RS256","crit":null})", kType},
           {R"({"alg":"RS256","b64":false})", kType},
           {"{\"alg\":\"RS256\",\"kid\":\"\xff\"}", kMalformed},
           {R"({"alg":"RS256","crit":["exp"],"exp":1})", kType},
           {R"({"alg":"RS256","crit":[]})", kType},
           {R"({"alg":"RS256","crit":["b64"],"b64":false})", kType},
           {R"({"alg":"RS256","b64":true})", kType},
       }) {
    EXPECT_EQ(fault_of(IssuerKey::rsa().token("RS256", c.header, "{}"), IssuerKey::rsa().set()), c.fault)
        << c.header;
  }
}

TEST(Jws, HeaderIsReadAsWritten) {
  auto header = parse_jws_header(compact(R"({"typ":"at+JWT","kid":"k 1","alg":"ES256"})", "", ""));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->alg, "ES256");
  EXPECT_EQ(header->kid, "k 1");
  EXPECT_EQ(header->typ, "at+JWT");
}

TEST(Jws, ThreePartsInBase64url) {
  KeySet keys = IssuerKey::rsa().set();
  std::string good = IssuerKey::rsa().token("RS256");
  for (std::string token : {std::string(), std::string("."), std::string(".."), std::string("a.b"),
                            good + ".", good + ".x", "." + good, std::string("....")}) {
    EXPECT_EQ(fault_of(token, keys), TokenFault::kMalformed) << token;
  }
  size_t first = good.find('.'), second = good.rfind('.');
  EXPECT_EQ(fault_of(good.substr(0, first) + "=" + good.substr(first), keys), TokenFault::kMalformed);
  EXPECT_EQ(fault_of(good.substr(0, second + 1) + "+/", keys), TokenFault::kMalformed);
}

// The payload is looked at only once the signature holds.
TEST(Jws, PayloadIsNotDecodedBefore) {
  std::string head = base64url(R"({"alg":"RS256"})");
  std::string message = head + ".not base64url!";
  KeySet keys = IssuerKey::rsa().set();
  EXPECT_EQ(fault_of(message + "." + base64url("forged"), keys), TokenFault::kBadSignature);
  EXPECT_EQ(fault_of(message + "." + base64url(IssuerKey::rsa().sign("RS256", message)), keys),
            TokenFault::kMalformed);
}

TEST(Jws, SixteenKibibytesAndNotAByteMore) {
  auto key = SigningKey::generate(KeyType::kEd25519);
  ASSERT_TRUE(key);
  auto keys = parse_key_set(key_set_json(*key, "a"));
  ASSERT_TRUE(keys);
  std::string empty = sign_jwt(*key, "", "", "");
  // base64url grows in steps of 4 and less: some pair of lengths hits the mark
  for (size_t extra = 0; extra < 2; ++extra) {
    std::string token, payload;
    for (size_t pad = 0; pad < 100 && token.size() != kMostTokenBytes + extra; ++pad) {
      payload.assign((kMostTokenBytes - empty.size()) / 4 * 3 - pad, 'p');
      for (size_t typ = 1; typ < 12 && token.size() != kMostTokenBytes + extra; ++typ)
        token = sign_jwt(*key, "a", payload, std::string(typ, 't'));
    }
    ASSERT_EQ(token.size(), kMostTokenBytes + extra);
    EXPECT_EQ(fault_of(token, *keys), extra == 0 ? std::nullopt : std::optional(TokenFault::kTooLarge));
    EXPECT_EQ(static_cast<bool>(unverified_payload(token)), extra == 0);
    EXPECT_EQ(static_cast<bool>(parse_jws_header(token)), extra == 0);
  }
  EXPECT_EQ(fault_of(std::string(100'000'000, '.'), *keys), TokenFault::kTooLarge);
}

TEST(Jws, OwnTokensVerify) {
  for (KeyType type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    auto key = SigningKey::generate(type);
    ASSERT_TRUE(key);
    auto keys = parse_key_set(key_set_json(*key, "host-1"));
    ASSERT_TRUE(keys);
    std::string token = sign_jwt(*key, "host-1", R"({"sub":"ann"})");
    auto payload = verify_jws(token, *keys);
    ASSERT_TRUE(payload) << payload.error().text();
    EXPECT_EQ(*payload, R"({"sub":"ann"})");
    auto header = parse_jws_header(token);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->kid, "host-1");
    EXPECT_EQ(header->typ, "JWT");
    EXPECT_EQ(parse_jws_header(sign_jwt(*key, "", "{}", "at+jwt"))->typ, "at+jwt");
    EXPECT_EQ(fault_of(sign_jwt(*key, "", "{}", ""), *keys), std::nullopt);
  }
}

TEST(Jws, DetailsNeverHoldATokenAndAreClean) {
  std::string kid(5000, 'k');
  auto payload = verify_jws(IssuerKey::rsa().token("RS256", R"({"alg":"RS256","kid":")" + kid + "\"}", "{}"),
                            IssuerKey::rsa().set(R"(,"kid":"a")"));
  ASSERT_FALSE(payload);
  EXPECT_LT(payload.error().text().size(), 250U);
  payload = verify_jws(compact(R"({"alg":"\u001b[2J\n"})", "{}", ""), KeySet{});
  ASSERT_FALSE(payload);
  EXPECT_EQ(payload.error().text(), "the token's algorithm is not accepted (\"?[2J?\")");
}

}  // namespace
}  // namespace qf
