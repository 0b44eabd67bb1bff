// SPDX-License-Identifier: Apache-2.0
// The few primitives that we need of OpenSSL, and our own Ed25519 and P-256 keys. Private key bytes never
// leave a SigningKey except through openssh_private_key_file().
#pragma once

#include <openssl/bn.h>
#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "libqf/result.h"
#include "libqf/secret.h"

namespace qf {

// Owners of OpenSSL's handles.
template <auto kFree>
struct Free {
  void operator()(auto* handle) const { kFree(handle); }
};
using EvpKey = std::unique_ptr<EVP_PKEY, Free<&::EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<&::EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Free<&::BN_clear_free>>;

[[nodiscard]] std::string sha256(std::string_view bytes);  // 32 bytes
[[nodiscard]] std::string hex(std::string_view bytes);
[[nodiscard]] std::string random_bytes(size_t count);  // aborts when the machine has none
// Public keys from their numbers (big-endian); null when the point is not on the curve or has another length.
[[nodiscard]] EvpKey ed25519_key(std::string_view x);
[[nodiscard]] EvpKey ec_key(const char* group, std::string_view x, std::string_view y);  // "P-256", …
// The DER form of an ECDSA signature, which OpenSSL wants, from its two numbers (big-endian).
[[nodiscard]] std::string ecdsa_der(std::string_view r, std::string_view s);
// digest: "SHA256", … or null where the algorithm has its own (Ed25519). pss: RSASSA-PSS with a salt as long
// as the digest (RFC 7518 section 3.5).
[[nodiscard]] bool verify_signature(EVP_PKEY* key, const char* digest, bool pss, std::string_view message,
                                    std::string_view signature);
[[nodiscard]] bool verify_ed25519(std::string_view public_key, std::string_view message,
                                  std::string_view signature);

enum class KeyType { kEd25519, kEcdsaP256 };

// From now on private keys are made in memory that is locked, left out of core dumps and between guard pages
// (OPENSSL_secure_malloc(3)). Once, and after the last fork: a child does not inherit locks. Where memory
// cannot be locked (RLIMIT_MEMLOCK) all else holds.
void keep_private_keys_locked();

class SigningKey {
 public:
  [[nodiscard]] static Result<SigningKey> generate(KeyType type);
  // PKCS#8 PEM, as private_pem() writes it (for keys kept on disk by us, mode 0600)
  [[nodiscard]] static Result<SigningKey> from_pem(const Secret& pem);
  [[nodiscard]] Secret private_pem() const;

  [[nodiscard]] KeyType type() const { return type_; }
  // SSH wire blob (RFC 8709 section 4; RFC 5656 section 3.1)
  [[nodiscard]] std::string ssh_public_blob() const;
  // Public JWK with kty, crv, x (and y) only, members in the order of RFC 7638 section 3.2
  [[nodiscard]] std::string public_jwk() const;
  // SSH signature blob: string name, string signature (RFC 8709 section 6; RFC 5656 section 3.1.2)
  [[nodiscard]] std::string ssh_sign(std::string_view data) const;
  // JWS signature octets (RFC 8037 EdDSA; RFC 7518 section 3.4 ES256: r and s, 32 bytes each)
  [[nodiscard]] std::string jws_sign(std::string_view data) const;
  [[nodiscard]] const char* jws_algorithm() const;  // "EdDSA", "ES256"
  // OpenSSH's own format (PROTOCOL.key), unencrypted: OpenSSH 9.2 reads no Ed25519 in PKCS#8
  [[nodiscard]] Secret openssh_private_key_file(std::string_view comment) const;

 private:
  SigningKey(EvpKey key, KeyType type) : key_(std::move(key)), type_(type) {}
  EvpKey key_;
  KeyType type_;
};

// Verifies an SSH signature blob over data with the key of an SSH wire blob; ssh-ed25519 and
// ecdsa-sha2-nistp256 only.
[[nodiscard]] bool ssh_verify(std::string_view public_blob, std::string_view data,
                              std::string_view signature);

// The key of an SSH wire blob as public_jwk() writes it; nothing for other types and malformed blobs.
[[nodiscard]] std::optional<std::string> ssh_blob_to_jwk(std::string_view public_blob);

// "SHA256:…" as ssh-keygen -l prints it (base64 without padding), of an SSH wire blob.
[[nodiscard]] std::string fingerprint(std::string_view public_blob);

}  // namespace qf
