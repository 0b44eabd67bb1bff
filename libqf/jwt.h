// SPDX-License-Identifier: Apache-2.0
// JSON Web Tokens (RFC 7519) in JWS compact form (RFC 7515), verified as RFC 8725 advises: the algorithm must
// be one of ours and agree with the key; nothing but the header is parsed before the signature holds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/json.h"
#include "libqf/jwk.h"
#include "libqf/result.h"

namespace qf {

inline constexpr size_t kMostTokenBytes = 16384;
// Of a sub: with the issuer's name it fits a field of the audit log, where two people must not look alike.
// (OpenID Connect Core section 2 has 255 characters; the subjects of workloads are longer.)
inline constexpr size_t kMostSubjectBytes = 900;

// Why a token is refused. The text of a fault (fault_text) is what users and the audit log read.
enum class TokenFault {
  kTooLarge,
  kMalformed,
  kAlgorithm,   // none, HMAC, unknown, or not the key's
  kType,        // typ or crit
  kUnknownKey,  // no key for this kid: fetch the key set once, then fail
  kBadSignature,
  kIssuer,
  kAudience,
  kSubject,
  kExpired,
  kNotYetValid,  // nbf or iat in the future
  kTooOld,       // iat older than max_token_age
  kBearer,       // not key-bound and the issuer does not accept bearer tokens
  kBinding,      // key-bound, but to another key, or proof missing
  kClaims,       // required_claims or types of claims
  kGroups,       // it says that its groups are somewhere else
  kNoKeySet,     // there is no usable key set for the issuer
  kCertificate,  // the certificate around the token: its form, its times, its peer
  kLast = kCertificate,
};
[[nodiscard]] std::string_view fault_text(TokenFault fault);  // "the token has expired"

struct TokenRefusal {
  TokenFault fault = TokenFault::kMalformed;
  std::string detail;  // for the log: which claim, which key; never the token itself
  [[nodiscard]] std::string text() const;
};

struct JwsHeader {
  std::string alg;
  std::string kid;  // empty: none
  std::string typ;  // as written, empty: none
};

// Splits the compact form and reads the header; refuses more than 16 KiB, other than three parts, duplicate
// members, crit.
[[nodiscard]] Result<JwsHeader, TokenRefusal> parse_jws_header(std::string_view token);

// Checks the signature (with the key of that kid; without kid every key that fits is tried) and returns the
// payload bytes. `used`, when not null, gets the key that verified it, one of `keys`.
[[nodiscard]] Result<std::string, TokenRefusal> verify_jws(std::string_view token, const KeySet& keys,
                                                           const Jwk** used = nullptr);

struct Claims {
  std::string issuer;
  std::string subject;
  std::vector<std::string> audience;
  int64_t expires = 0, issued_at = 0;  // seconds since the epoch
  std::string token_id;                // jti, empty: none
  std::string nonce;                   // empty: none
  std::string confirmation_jkt;        // cnf.jkt (RFC 9449 section 6.1), empty: none
  bool has_confirmation = false;       // any cnf
  JsonPtr all;                         // the whole payload
};

// Reads the payload of a token whose signature holds (or, in qf-tokend, that came from the issuer over TLS).
// Checks types and UTF-8, duplicates and trailing bytes; iss, sub, aud, exp and iat must be there, sub one
// that can be somebody's.
[[nodiscard]] Result<Claims, TokenRefusal> parse_claims(std::string_view payload);
// The payload part of a compact token, not verified: for qf-tokend only.
[[nodiscard]] Result<std::string, TokenRefusal> unverified_payload(std::string_view token);

// What the fabric document may ask for, in seconds.
inline constexpr int64_t kMostTokenAge = 366 * 86400;
inline constexpr int64_t kMostClockSkew = 3600;
inline constexpr int64_t kLastSecond = 253402300799;  // of the year 9999: above are milliseconds or nonsense

// Why a text can be nobody's subject: too long, or with characters that no log would show as they are; empty:
// it can.
[[nodiscard]] std::string_view token_subject_fault(std::string_view subject);

struct TokenRules {
  std::string issuer;
  std::vector<std::string> audiences;
  int64_t max_token_age = 600;  // seconds since iat, clock_skew on top; negative: not checked
  int64_t clock_skew = 60;      // seconds
  bool access_token = false;    // typ must be at+jwt (RFC 9068); otherwise absent or JWT
  bool check_expiry = true;     // false for the original of a refreshed token: exp and age do not count
};
[[nodiscard]] std::optional<TokenRefusal> check_claims(const Claims& claims, const JwsHeader& header,
                                                       const TokenRules& rules, int64_t now);
// From this second on check_claims() refuses what it accepts now: expired or too old.
[[nodiscard]] int64_t usable_until(const Claims& claims, const TokenRules& rules);

// header.payload.signature, signed with our own key (machine issuer, tests)
[[nodiscard]] std::string sign_jwt(const SigningKey& key, std::string_view kid, std::string_view payload_json,
                                   std::string_view typ = "JWT");

}  // namespace qf
