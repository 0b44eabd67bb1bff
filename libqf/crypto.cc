// SPDX-License-Identifier: Apache-2.0
// What OpenSSL refuses (a bad point, a bad signature) is a plain false or null; what it cannot fail at with
// keys of our own making (signing, hashing) aborts. Its error queue is left empty, since other users of the
// library in this process read it.
#include "libqf/crypto.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/random.h>

#include <cstdlib>

#include "libqf/base64.h"
#include "libqf/wire.h"

namespace qf {

namespace {

constexpr std::string_view kEd25519Name = "ssh-ed25519";
constexpr std::string_view kEcdsaName = "ecdsa-sha2-nistp256";
constexpr std::string_view kCurveName = "nistp256";
constexpr size_t kEd25519Bytes = 32;  // of the public key and of the private seed (RFC 8032)
constexpr size_t kP256Bytes = 32;     // of a coordinate and of a scalar

using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Free<&::ECDSA_SIG_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free<&::EVP_MD_CTX_free>>;
using Bio = std::unique_ptr<BIO, Free<&::BIO_free_all>>;

const unsigned char* octets(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* octets(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

void must(bool done) {
  if (!done) std::abort();
}

Number number(std::string_view big_endian) {
  return Number(::BN_bin2bn(octets(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

// Fixed width, big-endian; `bytes` must be wide enough.
std::string fixed_width(const BIGNUM* value, size_t bytes) {
  std::string out(bytes, '\0');
  must(::BN_bn2binpad(value, octets(out), static_cast<int>(bytes)) == static_cast<int>(bytes));
  return out;
}

std::string key_number(const EVP_PKEY* key, const char* parameter) {
  BIGNUM* value = nullptr;
  must(::EVP_PKEY_get_bn_param(key, parameter, &value) == 1);
  Number owner(value);
  return fixed_width(value, kP256Bytes);
}

std::string ed25519_public(const EVP_PKEY* key) {
  std::string out(kEd25519Bytes, '\0');
  size_t length = out.size();
  must(::EVP_PKEY_get_raw_public_key(key, octets(out), &length) == 1 && length == out.size());
  return out;
}

// An uncompressed point (SEC 1 section 2.3.3)
std::string p256_point(const EVP_PKEY* key) {
  return "\x04" + key_number(key, OSSL_PKEY_PARAM_EC_PUB_X) + key_number(key, OSSL_PKEY_PARAM_EC_PUB_Y);
}

bool is_p256(const EVP_PKEY* key) {
  char group[32] = {};
  size_t length = 0;
  return ::EVP_PKEY_is_a(key, "EC") == 1 &&
         ::EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
         std::string_view(group, length) == SN_X9_62_prime256v1;
}

// The key in the form of OpenSSL: a raw Ed25519 signature, or DER of ECDSA with SHA-256.
std::string sign(EVP_PKEY* key, KeyType type, std::string_view data) {
  DigestContext context(::EVP_MD_CTX_new());
  const char* digest = type == KeyType::kEd25519 ? nullptr : "SHA256";
  size_t length = 0;
  must(context != nullptr &&
       ::EVP_DigestSignInit_ex(context.get(), nullptr, digest, nullptr, nullptr, key, nullptr) == 1);
  must(::EVP_DigestSign(context.get(), nullptr, &length, octets(data), data.size()) == 1);
  std::string out(length, '\0');
  must(::EVP_DigestSign(context.get(), octets(out), &length, octets(data), data.size()) == 1);
  out.resize(length);
  return out;
}

struct RawEcdsa {
  std::string r, s;  // 32 bytes each
};

RawEcdsa raw_ecdsa(std::string_view der) {
  const unsigned char* at = octets(der);
  EcdsaSignature signature(::d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  must(signature != nullptr);
  return {fixed_width(::ECDSA_SIG_get0_r(signature.get()), kP256Bytes),
          fixed_width(::ECDSA_SIG_get0_s(signature.get()), kP256Bytes)};
}

// A positive mpint in its only form (RFC 4251 section 5), at most 32 bytes; empty when it is not.
std::string_view positive_mpint(std::string_view bytes) {
  if (bytes.empty() || (static_cast<unsigned char>(bytes[0]) & 0x80) != 0) return {};
  if (bytes[0] == '\0') {
    if (bytes.size() < 2 || (static_cast<unsigned char>(bytes[1]) & 0x80) == 0) return {};
    bytes.remove_prefix(1);
  }
  return bytes.size() > kP256Bytes ? std::string_view{} : bytes;
}

// A public key as SSH writes it: Ed25519 has x alone.
struct SshKey {
  KeyType type = KeyType::kEd25519;
  std::string_view x, y;
};

std::optional<SshKey> read_ssh_key(std::string_view blob) {
  WireReader reader(blob);
  std::string_view name = reader.string();
  if (name == kEd25519Name) {
    std::string_view x = reader.string();
    if (!reader.done() || x.size() != kEd25519Bytes) return std::nullopt;
    return SshKey{KeyType::kEd25519, x, {}};
  }
  if (name != kEcdsaName || reader.string() != kCurveName) return std::nullopt;
  std::string_view point = reader.string();
  if (!reader.done() || point.size() != 1 + 2 * kP256Bytes || point[0] != '\x04') return std::nullopt;
  return SshKey{KeyType::kEcdsaP256, point.substr(1, kP256Bytes), point.substr(1 + kP256Bytes)};
}

// Looked up once: by name at each signature it would take a twentieth of the time of ECDSA. Null: not one of
// ours.
const EVP_MD* found_digest(std::string_view name) {
  static const EVP_MD* const sha256 = ::EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha384 = ::EVP_MD_fetch(nullptr, "SHA384", nullptr);
  static const EVP_MD* const sha512 = ::EVP_MD_fetch(nullptr, "SHA512", nullptr);
  return name == "SHA256" ? sha256 : name == "SHA384" ? sha384 : name == "SHA512" ? sha512 : nullptr;
}

// Of an algorithm that hashes by itself.
bool verify_whole(EVP_PKEY* key, std::string_view message, std::string_view signature) {
  DigestContext context(::EVP_MD_CTX_new());
  return context != nullptr &&
         ::EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key, nullptr) == 1 &&
         ::EVP_DigestVerify(context.get(), octets(signature), signature.size(), octets(message),
                            message.size()) == 1;
}

bool verify_hashed(EVP_PKEY* key, const EVP_MD* digest, bool pss, std::string_view message,
                   std::string_view signature) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  KeyContext context(::EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (digest == nullptr || context == nullptr || ::EVP_PKEY_verify_init(context.get()) != 1 ||
      ::EVP_Digest(message.data(), message.size(), hash, &length, digest, nullptr) != 1) {
    return false;
  }
  if (pss && (::EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) != 1 ||
              ::EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return false;
  }
  return ::EVP_PKEY_CTX_set_signature_md(context.get(), digest) == 1 &&
         ::EVP_PKEY_verify(context.get(), octets(signature), signature.size(), hash, length) == 1;
}

// Without it OpenSSL would ask for the password of an encrypted file on the terminal.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) {
  return -1;
}

}  // namespace

std::string sha256(std::string_view bytes) {
  std::string out(32, '\0');
  size_t length = 0;
  must(::EVP_Q_digest(nullptr, "SHA256", nullptr, bytes.data(), bytes.size(), octets(out), &length) == 1);
  return out;
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (char c : bytes) {
    out.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

std::string random_bytes(size_t count) {
  std::string out(count, '\0');
  size_t done = 0;
  while (done < count) {
    ssize_t n = ::getrandom(out.data() + done, count - done, 0);
    if (n < 0 && errno == EINTR) continue;
    must(n > 0);
    done += static_cast<size_t>(n);
  }
  return out;
}

EvpKey ed25519_key(std::string_view x) {
  EvpKey key;
  if (x.size() == kEd25519Bytes)
    key.reset(::EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, octets(x), x.size()));
  ::ERR_clear_error();
  return key;
}

EvpKey ec_key(const char* group, std::string_view x, std::string_view y) {
  if (x.size() != y.size()) return nullptr;
  std::string point = "\x04" + std::string(x) + std::string(y);
  OSSL_PARAM parameters[] = {
      ::OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>(group), 0),
      ::OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      ::OSSL_PARAM_construct_end(),
  };
  KeyContext context(::EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  // this refuses points that are not on the curve
  bool made = context != nullptr && ::EVP_PKEY_fromdata_init(context.get()) == 1 &&
              ::EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) == 1;
  EvpKey owner(key);
  ::ERR_clear_error();
  return made ? std::move(owner) : nullptr;
}

std::string ecdsa_der(std::string_view r, std::string_view s) {
  EcdsaSignature signature(::ECDSA_SIG_new());
  must(signature != nullptr);
  Number first = number(r);
  Number second = number(s);
  must(first != nullptr && second != nullptr);
  must(::ECDSA_SIG_set0(signature.get(), first.release(), second.release()) == 1);
  unsigned char* der = nullptr;
  int length = ::i2d_ECDSA_SIG(signature.get(), &der);
  must(length > 0);
  std::string out(reinterpret_cast<const char*>(der), static_cast<size_t>(length));
  ::OPENSSL_free(der);
  return out;
}

bool verify_signature(EVP_PKEY* key, const char* digest, bool pss, std::string_view message,
                      std::string_view signature) {
  // RFC 8017 section 8.1.2: OpenSSL takes RSASSA-PSS signatures without their leading zeros
  bool rsa = ::EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
  if (rsa && signature.size() != static_cast<size_t>(::EVP_PKEY_get_size(key))) return false;
  bool good = digest == nullptr ? verify_whole(key, message, signature)
                                : verify_hashed(key, found_digest(digest), pss, message, signature);
  ::ERR_clear_error();
  return good;
}

bool verify_ed25519(std::string_view public_key, std::string_view message, std::string_view signature) {
  EvpKey key = ed25519_key(public_key);
  return key != nullptr && verify_signature(key.get(), nullptr, false, message, signature);
}

void keep_private_keys_locked() {
  constexpr size_t kArena = 32 * 1024;  // bytes; a key takes some dozens
  constexpr size_t kLeast = 32;         // of one piece
  if (::CRYPTO_secure_malloc_initialized() == 0) must(::CRYPTO_secure_malloc_init(kArena, kLeast) != 0);
}

Result<SigningKey> SigningKey::generate(KeyType type) {
  EvpKey key(type == KeyType::kEd25519 ? ::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                       : ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  if (key == nullptr) {
    ::ERR_clear_error();
    return Error{ErrorKind::kSystem, 0, "cannot make a key"};
  }
  return SigningKey(std::move(key), type);
}

Result<SigningKey> SigningKey::from_pem(const Secret& pem) {
  Bio bio(::BIO_new_mem_buf(pem.reveal().data(), static_cast<int>(pem.size())));
  EvpKey key(bio == nullptr ? nullptr : ::PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_password, nullptr));
  ::ERR_clear_error();
  if (key == nullptr) return input_error("not a private key in PEM without a password");
  if (::EVP_PKEY_is_a(key.get(), "ED25519") == 1) return SigningKey(std::move(key), KeyType::kEd25519);
  if (is_p256(key.get())) return SigningKey(std::move(key), KeyType::kEcdsaP256);
  return input_error("the private key is neither Ed25519 nor ECDSA P-256");
}

Secret SigningKey::private_pem() const {
  Bio bio(::BIO_new(::BIO_s_secmem()));  // zeroed when freed
  must(bio != nullptr &&
       ::PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* data = nullptr;
  long length = ::BIO_get_mem_data(bio.get(), &data);
  must(length > 0);
  return Secret(std::string_view(data, static_cast<size_t>(length)));
}

std::string SigningKey::ssh_public_blob() const {
  if (type_ == KeyType::kEd25519)
    return WireWriter().string(kEd25519Name).string(ed25519_public(key_.get())).take();
  return WireWriter().string(kEcdsaName).string(kCurveName).string(p256_point(key_.get())).take();
}

std::string SigningKey::public_jwk() const {
  auto jwk = ssh_blob_to_jwk(ssh_public_blob());
  must(jwk.has_value());
  return *jwk;
}

std::string SigningKey::ssh_sign(std::string_view data) const {
  std::string signature = sign(key_.get(), type_, data);
  if (type_ == KeyType::kEd25519) return WireWriter().string(kEd25519Name).string(signature).take();
  RawEcdsa raw = raw_ecdsa(signature);
  std::string numbers = WireWriter().mpint(raw.r).mpint(raw.s).take();
  return WireWriter().string(kEcdsaName).string(numbers).take();
}

std::string SigningKey::jws_sign(std::string_view data) const {
  std::string signature = sign(key_.get(), type_, data);
  if (type_ == KeyType::kEd25519) return signature;
  RawEcdsa raw = raw_ecdsa(signature);
  return raw.r + raw.s;
}

const char* SigningKey::jws_algorithm() const {
  return type_ == KeyType::kEd25519 ? "EdDSA" : "ES256";
}

namespace {

// The type-specific fields of a private key (PROTOCOL.key section 3; draft-ietf-sshm-ssh-agent section 3.2)
void put_private_fields(WireWriter& writer, const EVP_PKEY* key, KeyType type) {
  if (type == KeyType::kEd25519) {
    std::string public_key = ed25519_public(key);
    std::string both(kEd25519Bytes, '\0');
    both.reserve(2 * kEd25519Bytes);
    size_t length = kEd25519Bytes;
    must(::EVP_PKEY_get_raw_private_key(key, octets(both), &length) == 1 && length == kEd25519Bytes);
    both += public_key;
    writer.string(kEd25519Name).string(public_key).string(both);
    wipe(both);
  } else {
    std::string scalar = key_number(key, OSSL_PKEY_PARAM_PRIV_KEY);
    writer.string(kEcdsaName).string(kCurveName).string(p256_point(key)).mpint(scalar);
    wipe(scalar);
  }
}

}  // namespace

Secret SigningKey::openssh_private_key_file(std::string_view comment) const {
  constexpr size_t kBlock = 8;     // of cipher "none"
  constexpr size_t kColumns = 70;  // as ssh-keygen writes
  std::string check = random_bytes(4);
  size_t room = 1024 + comment.size();
  WireWriter inner;
  inner.reserve(room).raw(check).raw(check);
  put_private_fields(inner, key_.get(), type_);
  inner.string(comment);
  for (uint8_t pad = 1; inner.bytes().size() % kBlock != 0; ++pad) inner.byte(pad);
  std::string private_part = inner.take();

  using namespace std::string_view_literals;
  WireWriter outer;
  outer.reserve(2 * room).raw("openssh-key-v1\0"sv).string("none").string("none").string("").uint32(1);
  outer.string(ssh_public_blob()).string(private_part);
  std::string bytes = outer.take();
  std::string encoded = base64(bytes);
  std::string file;
  file.reserve(encoded.size() + encoded.size() / kColumns + 128);
  file = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
  for (size_t at = 0; at < encoded.size(); at += kColumns) {
    file.append(encoded, at, kColumns).push_back('\n');
  }
  file += "-----END OPENSSH PRIVATE KEY-----\n";
  Secret secret(file);
  for (std::string* text : {&private_part, &bytes, &encoded, &file}) wipe(*text);
  return secret;
}

bool ssh_verify(std::string_view public_blob, std::string_view data, std::string_view signature) {
  auto key = read_ssh_key(public_blob);
  WireReader reader(signature);
  std::string_view name = reader.string();
  std::string_view bytes = reader.string();
  if (!key || !reader.done()) return false;
  if (key->type == KeyType::kEd25519) return name == kEd25519Name && verify_ed25519(key->x, data, bytes);
  WireReader numbers(bytes);
  std::string_view r = positive_mpint(numbers.string());
  std::string_view s = positive_mpint(numbers.string());
  if (name != kEcdsaName || !numbers.done() || r.empty() || s.empty()) return false;
  EvpKey evp = ec_key("P-256", key->x, key->y);
  return evp != nullptr && verify_signature(evp.get(), "SHA256", false, data, ecdsa_der(r, s));
}

std::optional<std::string> ssh_blob_to_jwk(std::string_view public_blob) {
  auto key = read_ssh_key(public_blob);
  if (!key) return std::nullopt;
  // base64url needs no escaping in JSON
  if (key->type == KeyType::kEd25519)
    return R"({"crv":"Ed25519","kty":"OKP","x":")" + base64url(key->x) + "\"}";
  return R"({"crv":"P-256","kty":"EC","x":")" + base64url(key->x) + R"(","y":")" + base64url(key->y) + "\"}";
}

std::string fingerprint(std::string_view public_blob) {
  std::string text = base64(sha256(public_blob));
  text.erase(text.find('='));  // 32 bytes always leave one
  return "SHA256:" + text;
}

}  // namespace qf
