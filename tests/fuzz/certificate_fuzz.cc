// SPDX-License-Identifier: Apache-2.0
//
// The credential. The input is tried as it is; then as the principals, critical options and extensions of a
// certificate that is properly signed, since no chance gets past the signature; and as public key and
// signature. Aborts when an accepted credential does not survive being written and read again.
#include <cstdint>
#include <cstdlib>

#include "libqf/certificate.h"
#include "libqf/wire.h"

namespace {

const qf::SigningKey& user_key() {
  static const qf::SigningKey key = [] {
    auto made = qf::SigningKey::from_pem(
        qf::Secret("-----BEGIN PRIVATE KEY-----\n"
                   "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                   "-----END PRIVATE KEY-----\n"));
    if (!made) std::abort();
    return std::move(*made);
  }();
  return key;
}

void check(std::string_view blob) {
  auto read = qf::parse_credential(blob);
  if (!read) {
    if (read.error().kind != qf::ErrorKind::kPeer || read.error().what.empty()) std::abort();
    return;
  }
  if (read->peer.empty() || read->token.empty() || read->subject_key.size() != 32) std::abort();
  std::string written = qf::sign_credential(*read, user_key());
  if (written.size() > qf::kMostCertificateBytes) return;
  auto again = qf::parse_credential(written);
  if (!again || again->peer != read->peer || again->peer_fingerprints != read->peer_fingerprints ||
      again->token != read->token || again->original_token != read->original_token ||
      again->principals != read->principals) {
    std::abort();
  }
}

// The input as three strings: where they end is its own first bytes.
std::string signed_around(std::string_view input) {
  qf::WireReader reader(input);
  size_t first = reader.byte(), second = reader.byte();
  std::string_view rest = reader.rest();
  std::string_view principals = rest.substr(0, first);
  rest.remove_prefix(principals.size());
  std::string_view critical = rest.substr(0, second);
  rest.remove_prefix(critical.size());
  qf::WireWriter writer;
  writer.string(qf::kCertificateType).string("nonce").string(std::string(32, 's')).uint64(1).uint32(1);
  writer.string("id").string(principals).uint64(0).uint64(1).string(critical).string(rest).string("");
  writer.string(user_key().ssh_public_blob());
  return writer.string(user_key().ssh_sign(writer.bytes())).take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  check(input);
  check(signed_around(input));
  qf::WireReader reader(input);
  std::string_view key = reader.string();
  if (qf::ssh_verify(key, "data", reader.rest()) && !qf::ssh_blob_to_jwk(key)) std::abort();
  return 0;
}
