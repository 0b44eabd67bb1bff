// SPDX-License-Identifier: Apache-2.0
// Every refusal says its fault and, for the log, a detail that never holds more of a token than the claim at
// fault, cut short.
#include "libqf/jwt.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "libqf/base64.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostShown = 100;  // bytes of a foreign text in a detail

struct Algorithm {
  std::string_view name;
  std::string_view kty, crv;
  const char* digest;  // OpenSSL's name; null: part of the algorithm
  bool pss;
  size_t number_bytes;  // ECDSA: of r and of s (RFC 7518 section 3.4)
};
constexpr std::array<Algorithm, 10> kAlgorithms = {{
    {"RS256", "RSA", "", "SHA256", false, 0},
    {"RS384", "RSA", "", "SHA384", false, 0},
    {"RS512", "RSA", "", "SHA512", false, 0},
    {"PS256", "RSA", "", "SHA256", true, 0},
    {"PS384", "RSA", "", "SHA384", true, 0},
    {"PS512", "RSA", "", "SHA512", true, 0},
    {"ES256", "EC", "P-256", "SHA256", false, 32},
    {"ES384", "EC", "P-384", "SHA384", false, 48},
    {"ES512", "EC", "P-521", "SHA512", false, 66},
    {"EdDSA", "OKP", "Ed25519", nullptr, false, 0},
}};

const Algorithm* find_algorithm(std::string_view name) {
  const auto* found =
      std::find_if(kAlgorithms.begin(), kAlgorithms.end(), [&](auto& a) { return a.name == name; });
  return found == kAlgorithms.end() ? nullptr : found;
}

TokenRefusal refusal(TokenFault fault, std::string detail = {}) {
  return {fault, std::move(detail)};
}

std::string shown(std::string_view text) {
  return quoted(text, kMostShown);
}

struct Compact {
  std::string_view header, payload, signature;  // in base64url
  std::string_view signed_part;                 // header.payload
};

Result<Compact, TokenRefusal> split_compact(std::string_view token) {
  if (token.size() > kMostTokenBytes) return refusal(TokenFault::kTooLarge);
  size_t first = token.find('.');
  size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    return refusal(TokenFault::kMalformed, "not three parts");
  return Compact{token.substr(0, first), token.substr(first + 1, second - first - 1),
                 token.substr(second + 1), token.substr(0, second)};
}

Result<std::string, TokenRefusal> decode_payload(const Compact& compact) {
  auto payload = base64url_decode(compact.payload);
  if (!payload) return refusal(TokenFault::kMalformed, "the payload is not base64url");
  return std::move(*payload);
}

// A string that may be missing; false when it has another type.
bool read_optional(const cJSON* object, const char* member, std::string& into) {
  if (json_member(object, member) == nullptr) return true;
  auto value = json_string(object, member);
  if (value) into = std::move(*value);
  return value.has_value();
}

bool fits(const Jwk& key, const Algorithm& algorithm) {
  return key.kty == algorithm.kty && key.crv == algorithm.crv && (key.use.empty() || key.use == "sig") &&
         (key.alg.empty() || key.alg == algorithm.name);
}

bool signature_holds(const Jwk& key, const Algorithm& algorithm, std::string_view message,
                     std::string_view signature) {
  if (algorithm.number_bytes == 0) {
    return verify_signature(key.key.get(), algorithm.digest, algorithm.pss, message, signature);
  }
  if (signature.size() != 2 * algorithm.number_bytes) return false;
  std::string der =
      ecdsa_der(signature.substr(0, algorithm.number_bytes), signature.substr(algorithm.number_bytes));
  return verify_signature(key.key.get(), algorithm.digest, false, message, der);
}

// A NumericDate (RFC 7519 section 2) in whole seconds.
std::optional<int64_t> numeric_date(const cJSON* value) {
  if (::cJSON_IsNumber(value) == 0 || !(value->valuedouble >= 0) ||
      value->valuedouble > static_cast<double>(kLastSecond))
    return std::nullopt;
  return static_cast<int64_t>(std::floor(value->valuedouble));
}

std::optional<std::vector<std::string>> read_audience(const cJSON* payload) {
  auto one = json_string(payload, "aud");
  return one ? std::vector<std::string>{std::move(*one)} : json_strings(payload, "aud");
}

std::optional<TokenRefusal> read_confirmation(const cJSON* payload, Claims& claims) {
  const cJSON* cnf = json_member(payload, "cnf");
  if (cnf == nullptr) return std::nullopt;
  claims.has_confirmation = true;
  if (::cJSON_IsObject(cnf) == 0) return refusal(TokenFault::kClaims, "cnf is not an object");
  if (!read_optional(cnf, "jkt", claims.confirmation_jkt))
    return refusal(TokenFault::kClaims, "cnf.jkt is not a string");
  return std::nullopt;
}

// id_token: absent or JWT; access token: at+jwt, which RFC 9068 section 4 has in two spellings
bool good_type(std::string_view typ, bool access_token) {
  std::string type = lower(typ);
  constexpr std::string_view kPrefix = "application/";
  if (type.starts_with(kPrefix)) type.erase(0, kPrefix.size());
  return access_token ? type == "at+jwt" : typ.empty() || type == "jwt";
}

std::string seconds(int64_t count) {
  return std::to_string(count) + " s";
}

std::optional<TokenRefusal> check_times(const Claims& claims, const TokenRules& rules, int64_t now) {
  const cJSON* not_before = json_member(claims.all.get(), "nbf");
  if (not_before != nullptr) {
    auto from = numeric_date(not_before);
    if (!from) return refusal(TokenFault::kClaims, "nbf is not a time in seconds");
    if (now + rules.clock_skew < *from)
      return refusal(TokenFault::kNotYetValid, "nbf is " + seconds(*from - now) + " ahead");
  }
  if (now + rules.clock_skew < claims.issued_at)
    return refusal(TokenFault::kNotYetValid, "iat is " + seconds(claims.issued_at - now) + " ahead");
  if (!rules.check_expiry) return std::nullopt;
  // RFC 7519 section 4.1.4: not accepted on or after exp
  if (now >= claims.expires + rules.clock_skew)
    return refusal(TokenFault::kExpired, seconds(now - claims.expires) + " ago");
  // The clocks may differ here as well: whoever refreshes a token at this age by the own clock must not be
  // refused by one that is ahead.
  if (rules.max_token_age >= 0 && now - claims.issued_at > rules.max_token_age + rules.clock_skew) {
    return refusal(TokenFault::kTooOld, "issued " + seconds(now - claims.issued_at) + " ago, at most " +
                                            seconds(rules.max_token_age) + " are allowed, and " +
                                            seconds(rules.clock_skew) + " for clocks that differ");
  }
  return std::nullopt;
}

}  // namespace

std::string_view fault_text(TokenFault fault) {
  switch (fault) {
    case TokenFault::kTooLarge:
      return "the token is longer than 16 KiB";
    case TokenFault::kMalformed:
      return "the token is malformed";
    case TokenFault::kAlgorithm:
      return "the token's algorithm is not accepted";
    case TokenFault::kType:
      return "the token is of another type";
    case TokenFault::kUnknownKey:
      return "the token's key is not in the issuer's key set";
    case TokenFault::kBadSignature:
      return "the token's signature is wrong";
    case TokenFault::kIssuer:
      return "the token is from another issuer";
    case TokenFault::kAudience:
      return "the token is for another audience";
    case TokenFault::kSubject:
      return "the token names no subject";
    case TokenFault::kExpired:
      return "the token has expired";
    case TokenFault::kNotYetValid:
      return "the token is not valid yet";
    case TokenFault::kTooOld:
      return "the token is too old";
    case TokenFault::kBearer:
      return "the token is not bound to a key, and its issuer entry does not say \"accept_bearer\": true";
    case TokenFault::kBinding:
      return "the token is bound to another key, or the proof is missing";
    case TokenFault::kClaims:
      return "the token's claims are not as required";
    case TokenFault::kGroups:
      return "the token does not hold the user's groups";
    case TokenFault::kNoKeySet:
      return "there is no usable key set for the issuer";
    case TokenFault::kCertificate:
      return "the certificate is not accepted";
  }
  std::abort();
}

std::string TokenRefusal::text() const {
  std::string out(fault_text(fault));
  return detail.empty() ? out : out + " (" + detail + ")";
}

Result<JwsHeader, TokenRefusal> parse_jws_header(std::string_view token) {
  auto compact = split_compact(token);
  if (!compact) return compact.error();
  auto text = base64url_decode(compact->header);
  if (!text) return refusal(TokenFault::kMalformed, "the header is not base64url");
  auto json = parse_json(*text);
  if (!json) return refusal(TokenFault::kMalformed, "header: " + printable(json.error().what));
  const cJSON* object = json->get();
  if (::cJSON_IsObject(object) == 0) return refusal(TokenFault::kMalformed, "the header is not an object");
  // RFC 7515 section 4.1.11: extensions that we do not know must not be ignored, and we know none; RFC 7797's
  // b64 must come with crit, and is refused without it all the same
  for (const char* member : {"crit", "b64"}) {
    if (json_member(object, member) != nullptr)
      return refusal(TokenFault::kType, std::string(member) + " in the header");
  }
  JwsHeader header;
  auto alg = json_string(object, "alg");
  if (!alg || !read_optional(object, "kid", header.kid) || !read_optional(object, "typ", header.typ))
    return refusal(TokenFault::kMalformed, "alg, kid or typ is not a string");
  if (find_algorithm(*alg) == nullptr) return refusal(TokenFault::kAlgorithm, shown(*alg));
  header.alg = std::move(*alg);
  return header;
}

Result<std::string, TokenRefusal> verify_jws(std::string_view token, const KeySet& keys, const Jwk** used) {
  auto header = parse_jws_header(token);
  if (!header) return header.error();
  auto compact = split_compact(token);
  if (!compact) return compact.error();
  auto signature = base64url_decode(compact->signature);
  if (!signature) return refusal(TokenFault::kMalformed, "the signature is not base64url");
  const Algorithm* algorithm = find_algorithm(header->alg);
  bool known = false, fitting = false;
  for (const Jwk& key : keys) {
    if (!header->kid.empty() && key.kid != header->kid) continue;
    known = true;
    if (!fits(key, *algorithm)) continue;
    fitting = true;
    if (!signature_holds(key, *algorithm, compact->signed_part, *signature)) continue;
    if (used != nullptr) *used = &key;
    return decode_payload(*compact);
  }
  if (fitting) return refusal(TokenFault::kBadSignature);
  if (header->kid.empty()) return refusal(TokenFault::kUnknownKey, "no key fits " + header->alg);
  if (!known) return refusal(TokenFault::kUnknownKey, "kid " + shown(header->kid));
  return refusal(TokenFault::kAlgorithm, "key " + shown(header->kid) + " is not for " + header->alg);
}

Result<Claims, TokenRefusal> parse_claims(std::string_view payload) {
  auto json = parse_json(payload);
  if (!json) return refusal(TokenFault::kMalformed, "payload: " + printable(json.error().what));
  Claims claims;
  claims.all = std::move(*json);
  const cJSON* object = claims.all.get();
  if (::cJSON_IsObject(object) == 0) return refusal(TokenFault::kMalformed, "the payload is not an object");
  claims.issuer = json_string(object, "iss").value_or("");
  if (claims.issuer.empty()) return refusal(TokenFault::kIssuer, "no iss");
  claims.subject = json_string(object, "sub").value_or("");
  if (claims.subject.empty()) return refusal(TokenFault::kSubject);
  if (auto fault = token_subject_fault(claims.subject); !fault.empty())
    return refusal(TokenFault::kSubject, "sub " + std::string(fault));
  auto audience = read_audience(object);
  if (!audience) return refusal(TokenFault::kAudience, "no aud");
  claims.audience = std::move(*audience);
  auto expires = numeric_date(json_member(object, "exp"));
  auto issued = numeric_date(json_member(object, "iat"));
  if (!expires || !issued)
    return refusal(TokenFault::kClaims, expires ? "no iat in seconds" : "no exp in seconds");
  claims.expires = *expires;
  claims.issued_at = *issued;
  if (!read_optional(object, "jti", claims.token_id) || !read_optional(object, "nonce", claims.nonce))
    return refusal(TokenFault::kClaims, "jti or nonce is not a string");
  if (auto bad = read_confirmation(object, claims)) return *bad;
  return claims;
}

std::string_view token_subject_fault(std::string_view subject) {
  if (subject.size() > kMostSubjectBytes) return "is longer than 900 bytes";
  if (printable(subject) != subject) return "has control characters";
  return "";
}

Result<std::string, TokenRefusal> unverified_payload(std::string_view token) {
  auto compact = split_compact(token);
  if (!compact) return compact.error();
  return decode_payload(*compact);
}

std::optional<TokenRefusal> check_claims(const Claims& claims, const JwsHeader& header,
                                         const TokenRules& rules, int64_t now) {
  if (!good_type(header.typ, rules.access_token)) {
    return refusal(TokenFault::kType, "typ is " + (header.typ.empty() ? "missing" : shown(header.typ)) +
                                          (rules.access_token ? ", at+jwt is wanted" : ", JWT is wanted"));
  }
  if (claims.issuer != rules.issuer) return refusal(TokenFault::kIssuer, "iss is " + shown(claims.issuer));
  bool ours = std::any_of(claims.audience.begin(), claims.audience.end(), [&](const auto& audience) {
    return std::find(rules.audiences.begin(), rules.audiences.end(), audience) != rules.audiences.end();
  });
  if (!ours) return refusal(TokenFault::kAudience, "aud is " + shown(join(claims.audience, ", ")));
  if (claims.subject.empty()) return refusal(TokenFault::kSubject);
  return check_times(claims, rules, now);
}

int64_t usable_until(const Claims& claims, const TokenRules& rules) {
  int64_t until = claims.expires;
  // the last second of its age still counts, that of exp does not
  if (rules.max_token_age >= 0) until = std::min(until, claims.issued_at + rules.max_token_age + 1);
  return until + rules.clock_skew;
}

std::string sign_jwt(const SigningKey& key, std::string_view kid, std::string_view payload_json,
                     std::string_view typ) {
  JsonWriter header;
  header.set("alg", key.jws_algorithm());
  if (!kid.empty()) header.set("kid", kid);
  if (!typ.empty()) header.set("typ", typ);
  std::string signed_part = base64url(header.text()) + "." + base64url(payload_json);
  return signed_part + "." + base64url(key.jws_sign(signed_part));
}

}  // namespace qf
