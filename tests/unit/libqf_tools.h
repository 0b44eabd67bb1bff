// SPDX-License-Identifier: Apache-2.0
// For the tests of libqf: a scratch folder, keys of every kind that an issuer may have, and forged tokens.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "libqf/base64.h"
#include "libqf/crypto.h"
#include "libqf/jwk.h"
#include "tests/unit/libqf_vectors.h"

namespace qf::test {

// A folder of its own, removed at the end.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "qf-test.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? path_ : path_ + "/" + name;
  }

 private:
  std::string path_;
};

inline std::string unhex(std::string_view text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

// header.payload.signature of parts that are already what they should be
inline std::string compact(std::string_view header_json, std::string_view payload,
                           std::string_view signature) {
  return base64url(header_json) + "." + base64url(payload) + "." + base64url(signature);
}

// An issuer's key, RSA or EC, with its private half: what libqf itself never has.
class IssuerKey {
 public:
  static const IssuerKey& rsa() {
    static const IssuerKey key("RSA", "", ::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048}));
    return key;
  }
  static const IssuerKey& other_rsa() {
    static const IssuerKey key("RSA", "", ::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048}));
    return key;
  }
  static const IssuerKey& ec(const char* curve) {
    static const IssuerKey p256("EC", "P-256", ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    static const IssuerKey p384("EC", "P-384", ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
    static const IssuerKey p521("EC", "P-521", ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-521"));
    std::string_view name = curve;
    return name == "P-256" ? p256 : name == "P-384" ? p384 : p521;
  }

  // The public JWK; `more` is put in before the closing brace: ,"kid":"a"
  [[nodiscard]] std::string jwk(const std::string& more = "") const {
    if (kty_ == "RSA")
      return R"({"kty":"RSA","n":")" + base64url(number("n")) + R"(","e":")" + base64url(number("e")) + "\"" +
             more + "}";
    return R"({"kty":"EC","crv":")" + crv_ + R"(","x":")" + base64url(number("qx", width())) + R"(","y":")" +
           base64url(number("qy", width())) + "\"" + more + "}";
  }
  [[nodiscard]] KeySet set(const std::string& more = "") const {
    auto keys = parse_key_set("{\"keys\":[" + jwk(more) + "]}");
    return keys ? std::move(*keys) : KeySet{};
  }

  // A token whose signature is made as `alg` says, whatever the header says.
  [[nodiscard]] std::string token(const std::string& alg, const std::string& header_json,
                                  std::string_view payload) const {
    std::string message = base64url(header_json) + "." + base64url(payload);
    return message + "." + base64url(sign(alg, message));
  }
  [[nodiscard]] std::string token(const std::string& alg, std::string_view payload = "{}") const {
    return token(alg, R"({"alg":")" + alg + "\"}", payload);
  }

  // `salt`: of RSASSA-PSS
  [[nodiscard]] std::string sign(const std::string& alg, std::string_view message,
                                 int salt = RSA_PSS_SALTLEN_DIGEST) const {
    EVP_MD_CTX* context = ::EVP_MD_CTX_new();
    EVP_PKEY_CTX* key_context = nullptr;
    std::string digest = "SHA" + alg.substr(2);
    EXPECT_EQ(
        ::EVP_DigestSignInit_ex(context, &key_context, digest.c_str(), nullptr, nullptr, key_.get(), nullptr),
        1);
    if (alg[0] == 'P') {
      ::EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
      ::EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, salt);
    }
    auto* data = reinterpret_cast<const unsigned char*>(message.data());
    size_t length = 0;
    ::EVP_DigestSign(context, nullptr, &length, data, message.size());
    std::string out(length, '\0');
    EXPECT_EQ(::EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &length, data,
                               message.size()),
              1);
    out.resize(length);
    ::EVP_MD_CTX_free(context);
    return kty_ == "RSA" ? out : raw(out);
  }

 private:
  IssuerKey(std::string kty, std::string crv, EVP_PKEY* key)
      : kty_(std::move(kty)), crv_(std::move(crv)), key_(key) {}
  [[nodiscard]] size_t width() const { return crv_ == "P-256" ? 32 : crv_ == "P-384" ? 48 : 66; }
  [[nodiscard]] std::string number(const char* name, size_t bytes = 0) const {
    BIGNUM* value = nullptr;
    EXPECT_EQ(::EVP_PKEY_get_bn_param(key_.get(), name, &value), 1);
    std::string out = padded(value, bytes);
    ::BN_free(value);
    return out;
  }
  static std::string padded(const BIGNUM* value, size_t bytes) {
    if (bytes == 0) bytes = static_cast<size_t>(BN_num_bytes(value));
    std::string out(bytes, '\0');
    ::BN_bn2binpad(value, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(bytes));
    return out;
  }
  [[nodiscard]] std::string raw(const std::string& der) const {
    auto* at = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* signature = ::d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
    std::string out =
        padded(::ECDSA_SIG_get0_r(signature), width()) + padded(::ECDSA_SIG_get0_s(signature), width());
    ::ECDSA_SIG_free(signature);
    return out;
  }

  std::string kty_, crv_;
  EvpKey key_;
};

inline std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::string out(32, '\0');
  unsigned int length = 0;
  ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(message.data()), message.size(),
         reinterpret_cast<unsigned char*>(out.data()), &length);
  return out;
}

// The key of RFC 8037 appendix A.
inline SigningKey rfc8037_key() {
  auto key = SigningKey::from_pem(Secret(vectors::kPemEdDsa));
  if (!key) std::abort();
  return std::move(*key);
}

}  // namespace qf::test
