// SPDX-License-Identifier: Apache-2.0
// A key that cannot be used is skipped with its reason, so that one odd key in an issuer's set locks nobody
// out; only a set that is no set at all is an error.
#include "libqf/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <array>

#include "libqf/base64.h"
#include "libqf/json.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr int kLeastRsaBits = 2048;  // RFC 7518 section 3.3
constexpr int kMostRsaBits = 8192;   // checking a signature stays below some milliseconds
constexpr size_t kMostExponentBytes = 8;

struct Curve {
  std::string_view name;  // also OpenSSL's name of the group
  size_t bytes;           // of a coordinate, RFC 7518 section 6.2.1.2
};
constexpr std::array<Curve, 3> kCurves = {{{"P-256", 32}, {"P-384", 48}, {"P-521", 66}}};

using Builder = std::unique_ptr<OSSL_PARAM_BLD, Free<&::OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Free<&::OSSL_PARAM_free>>;

Number number(const std::string& big_endian) {
  return Number(::BN_bin2bn(reinterpret_cast<const unsigned char*>(big_endian.data()),
                            static_cast<int>(big_endian.size()), nullptr));
}

EvpKey build_rsa(const BIGNUM* modulus, const BIGNUM* exponent) {
  Builder builder(::OSSL_PARAM_BLD_new());
  KeyContext context(::EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  if (builder == nullptr || context == nullptr ||
      ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus) != 1 ||
      ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent) != 1) {
    return nullptr;
  }
  Parameters parameters(::OSSL_PARAM_BLD_to_param(builder.get()));
  EVP_PKEY* key = nullptr;
  bool made = parameters != nullptr && ::EVP_PKEY_fromdata_init(context.get()) == 1 &&
              ::EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  EvpKey owner(key);
  ::ERR_clear_error();
  return made ? std::move(owner) : nullptr;
}

// The bytes of a member in base64url; an empty one is as good as none.
std::optional<std::string> bytes_of(const cJSON* jwk, const char* member) {
  auto text = json_string(jwk, member);
  return text && !text->empty() ? base64url_decode(*text) : std::nullopt;
}

Result<EvpKey> read_rsa(const cJSON* jwk) {
  auto modulus = bytes_of(jwk, "n");
  auto exponent = bytes_of(jwk, "e");
  if (!modulus || !exponent) return peer_error("n or e is missing or no base64url");
  // before any arithmetic: a number may be as long as the whole set
  if (modulus->size() > kMostRsaBits / 8 + 1 || exponent->size() > kMostExponentBytes)
    return peer_error("n or e is too long");
  Number n = number(*modulus);
  Number e = number(*exponent);
  if (n == nullptr || e == nullptr) return peer_error("n or e cannot be read");
  int bits = ::BN_num_bits(n.get());
  if (bits < kLeastRsaBits || bits > kMostRsaBits)
    return peer_error("RSA with " + std::to_string(bits) + " bits");
  if (::BN_is_odd(n.get()) == 0 || ::BN_is_odd(e.get()) == 0 || ::BN_is_one(e.get()) != 0)
    return peer_error("n or e is not that of an RSA key");
  return build_rsa(n.get(), e.get());
}

Result<EvpKey> read_ec(const cJSON* jwk, const std::string& crv) {
  const auto* curve = std::find_if(kCurves.begin(), kCurves.end(), [&](auto& c) { return c.name == crv; });
  if (curve == kCurves.end()) return peer_error("an unknown curve");
  auto x = bytes_of(jwk, "x");
  auto y = bytes_of(jwk, "y");
  if (!x || !y || x->size() != curve->bytes || y->size() != curve->bytes)
    return peer_error("x or y is missing or has the wrong length");
  return ec_key(crv.c_str(), *x, *y);
}

Result<EvpKey> read_okp(const cJSON* jwk, const std::string& crv) {
  if (crv != "Ed25519") return peer_error("an unknown curve");
  auto x = bytes_of(jwk, "x");
  if (!x || x->size() != 32) return peer_error("x is missing or has the wrong length");
  return ed25519_key(*x);
}

// An optional string member: empty when it is missing, nothing when it has another type.
std::optional<std::string> optional_string(const cJSON* jwk, const char* member) {
  return json_member(jwk, member) == nullptr ? std::string() : json_string(jwk, member);
}

// Why a key must not verify signatures, whatever its numbers are; empty when it may.
std::string unfit(const cJSON* jwk, const Jwk& key) {
  // a key whose secret half is published, or part of it (RFC 7518 sections 6.2.2 and 6.3.2), is anybody's
  for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "oth"}) {
    if (json_member(jwk, secret) != nullptr) return "a private key";
  }
  if (!key.use.empty() && key.use != "sig") return "not for signatures (use)";
  if (json_member(jwk, "key_ops") == nullptr) return "";
  auto operations = json_strings(jwk, "key_ops");
  bool verifies =
      operations && std::find(operations->begin(), operations->end(), "verify") != operations->end();
  return verifies ? "" : "not for verifying (key_ops)";
}

Result<std::string> thumbprint_of(const cJSON* jwk) {
  auto kty = json_string(jwk, "kty");
  std::vector<const char*> members;  // RFC 7638 section 3.2, RFC 8037 section 2; sorted
  if (kty == "RSA") members = {"e", "kty", "n"};
  if (kty == "EC") members = {"crv", "kty", "x", "y"};
  if (kty == "OKP") members = {"crv", "kty", "x"};
  if (members.empty()) return peer_error("the key has no kty that we know");
  JsonWriter required;  // keeps the order
  for (const char* member : members) {
    auto value = json_string(jwk, member);
    if (!value || value->empty()) return peer_error("the key has no " + std::string(member));
    required.set(member, *value);
  }
  return base64url(sha256(required.text()));
}

Result<Jwk> read_key(const cJSON* jwk) {
  auto kty = json_string(jwk, "kty");
  auto crv = optional_string(jwk, "crv");
  auto kid = optional_string(jwk, "kid");
  auto use = optional_string(jwk, "use");
  auto alg = optional_string(jwk, "alg");
  if (!kty || !crv || !kid || !use || !alg) return peer_error("kty, crv, kid, use or alg is no string");
  Jwk key{nullptr, *kty, *kty == "RSA" ? "" : *crv, *kid, *use, *alg, ""};
  if (auto reason = unfit(jwk, key); !reason.empty()) return peer_error(reason);
  Result<EvpKey> evp = peer_error("an unknown type of key");
  if (*kty == "RSA") evp = read_rsa(jwk);
  if (*kty == "EC") evp = read_ec(jwk, *crv);
  if (*kty == "OKP") evp = read_okp(jwk, *crv);
  if (!evp) return evp.error();
  if (*evp == nullptr) return peer_error("not a valid public key");
  key.key = std::move(*evp);
  auto thumbprint = thumbprint_of(jwk);
  if (!thumbprint) return thumbprint.error();
  key.thumbprint = std::move(*thumbprint);
  return key;
}

}  // namespace

Result<KeySet> parse_key_set(std::string_view json, std::vector<std::string>* skipped) {
  if (json.size() > kMostKeySetBytes) return peer_error("the key set is longer than 1 MiB");
  auto document = parse_json(json);
  if (!document) return peer_error("the key set is not JSON: " + document.error().what);
  const cJSON* list = json_member(document->get(), "keys");
  if (::cJSON_IsArray(list) == 0) return peer_error("the key set has no list \"keys\"");
  KeySet keys;
  size_t index = 0;
  for (const cJSON* item = list->child; item != nullptr; item = item->next, ++index) {
    if (index == kMostKeys) return peer_error("the key set has more than 200 keys");
    auto key = read_key(item);
    if (key) {
      keys.push_back(std::move(*key));
    } else if (skipped != nullptr) {
      skipped->push_back("key " + std::to_string(index) + " (kid \"" +
                         json_string(item, "kid").value_or("").substr(0, 100) + "\"): " + key.error().what);
    }
  }
  return keys;
}

Result<std::string> jwk_thumbprint(std::string_view jwk_json) {
  auto document = parse_json(jwk_json);
  if (!document) return peer_error("the key is not JSON: " + document.error().what);
  return thumbprint_of(document->get());
}

std::string key_set_json(const SigningKey& key, std::string_view kid) {
  auto jwk = parse_json(key.public_jwk());
  if (!jwk) std::abort();
  for (auto [member, value] :
       {std::pair<const char*, std::string_view>{"kid", kid}, {"use", "sig"}, {"alg", key.jws_algorithm()}}) {
    ::cJSON_AddStringToObject(jwk->get(), member, std::string(value).c_str());
  }
  JsonPtr list(::cJSON_CreateArray());
  ::cJSON_AddItemToArray(list.get(), jwk->release());
  return JsonWriter().set("keys", std::move(list)).text();
}

}  // namespace qf
