// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/warm_up.h"

#include <grp.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <memory>
#include <string>

#include "libqf/crypto.h"
#include "qf-sshd/settings.h"

namespace qf {

namespace {

// libssh's cipher and key exchange for OpenSSH's usual choices.
void warm_up_transport() {
  unsigned char key[64] = {};
  unsigned char iv[16] = {};
  for (const EVP_CIPHER* cipher :
       {EVP_aes_128_gcm(), EVP_aes_256_gcm(), EVP_aes_128_ctr(), EVP_aes_256_ctr(), EVP_chacha20()}) {
    std::unique_ptr<EVP_CIPHER_CTX, decltype(&::EVP_CIPHER_CTX_free)> context(::EVP_CIPHER_CTX_new(),
                                                                              &::EVP_CIPHER_CTX_free);
    if (context != nullptr) ::EVP_CipherInit_ex(context.get(), cipher, nullptr, key, iv, 1);
  }
  for (const char* mac : {"HMAC", "POLY1305"}) ::EVP_MAC_free(::EVP_MAC_fetch(nullptr, mac, nullptr));
  ::EVP_KDF_free(::EVP_KDF_fetch(nullptr, "SSHKDF", nullptr));
  // a generator that a fork copies is seeded anew before its first byte (EVP_RAND(7))
  static_cast<void>(::RAND_bytes(iv, sizeof iv));
  EvpKey ours(::EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  EvpKey theirs(::EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  std::unique_ptr<EVP_PKEY_CTX, decltype(&::EVP_PKEY_CTX_free)> context(
      ::EVP_PKEY_CTX_new(ours.get(), nullptr), &::EVP_PKEY_CTX_free);
  size_t length = sizeof key;
  if (context != nullptr && ::EVP_PKEY_derive_init(context.get()) == 1 &&
      ::EVP_PKEY_derive_set_peer(context.get(), theirs.get()) == 1) {
    ::EVP_PKEY_derive(context.get(), key, &length);
  }
}

// Certificates and tokens.
void warm_up_signatures() {
  for (KeyType type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    auto key = SigningKey::generate(type);
    if (!key) continue;
    std::string signature = key->ssh_sign("");
    static_cast<void>(ssh_verify(key->ssh_public_blob(), "", signature));
  }
  static_cast<void>(sha256(""));
  for (const char* digest : {"SHA384", "SHA512"}) ::EVP_MD_free(::EVP_MD_fetch(nullptr, digest, nullptr));
}

}  // namespace

void warm_up() {
  warm_up_transport();
  warm_up_signatures();
  gid_t groups[64];
  int count = 64;
  // a user who is not root: NSS modules have an answer of their own for root
  ::getgrouplist(kNetUser, static_cast<gid_t>(-1), groups, &count);
}

}  // namespace qf
