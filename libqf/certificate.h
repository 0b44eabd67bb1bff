// SPDX-License-Identifier: Apache-2.0
// The credential: an OpenSSH user certificate that carries a JWT (format: OpenSSH's PROTOCOL.certkeys; our
// options: man/qf-tokend-protocol.7). qf-tokend writes it, qf-sshd reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/crypto.h"
#include "libqf/result.h"
#include "libqf/secret.h"

namespace qf {

inline constexpr std::string_view kCertificateType = "ssh-ed25519-cert-v01@openssh.com";
inline constexpr std::string_view kPeerOption = "peer@qufabric";  // critical
inline constexpr std::string_view kTokenExtension = "jwt@qufabric";
inline constexpr std::string_view kBindingExtension = "binding@qufabric";
inline constexpr int64_t kCertificateLifetime = 300;        // seconds
inline constexpr int64_t kCertificateBackdate = 60;         // seconds
inline constexpr size_t kMostCertificateBytes = 64 * 1024;  // two tokens of 16 KiB and the rest

struct Credential {
  uint64_t serial = 0;
  std::string key_id;                          // a hint, never trusted
  std::string subject_key;                     // Ed25519 public key S, 32 bytes
  std::vector<std::string> principals;         // must be empty; read so that a refusal can say it
  uint64_t valid_after = 0, valid_before = 0;  // seconds since the epoch
  std::string peer;                            // of peer@qufabric
  std::vector<std::string> peer_fingerprints;  // "SHA256:…"
  std::string token;                           // compact JWS
  std::string binding_salt;                    // 32 bytes; empty: no binding@qufabric
  std::string original_token;                  // empty: none
  std::string user_key;                        // SSH wire blob of K, the signature key
};

// Encodes and signs with K; the fields of `credential` but user_key are taken. Returns the certificate blob.
[[nodiscard]] std::string sign_credential(const Credential& credential, const SigningKey& user_key);
// "ssh-ed25519-cert-v01@openssh.com AAAA… COMMENT\n"
[[nodiscard]] std::string certificate_line(std::string_view blob, std::string_view comment);

// Reads a certificate blob and checks its form and the signature by K (ssh-ed25519 or ecdsa-sha2-nistp256).
// kPeer with a reason otherwise: wrong type, host certificate, truncated or trailing bytes, unsorted or
// doubled options, an unknown critical option, signature wrong, too long. Unknown extensions are ignored.
// Times and names are judged by the caller.
[[nodiscard]] Result<Credential> parse_credential(std::string_view blob);

}  // namespace qf
