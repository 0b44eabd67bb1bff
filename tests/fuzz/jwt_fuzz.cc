// SPDX-License-Identifier: Apache-2.0
//
// One input is tried as a token, as the payload of a token whose signature holds, as a key set and as a key.
// Aborts when a token verifies that the issuer's key did not sign.
#include <cstdint>
#include <cstdlib>

#include "libqf/base64.h"
#include "libqf/jwt.h"

namespace {

// RFC 8037 appendix A.4 is the one thing that this key ever signed.
constexpr std::string_view kKeys =
    R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})";
constexpr std::string_view kSigned = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.";
constexpr int64_t kNow = 1'700'000'000;

const qf::KeySet& keys() {
  static const qf::KeySet set = [] {
    auto parsed = qf::parse_key_set(kKeys);
    if (!parsed) std::abort();
    return std::move(*parsed);
  }();
  return set;
}

void try_claims(std::string_view payload) {
  auto claims = qf::parse_claims(payload);
  if (!claims) {
    if (claims.error().text().empty()) std::abort();
    return;
  }
  if (!qf::token_subject_fault(claims->subject).empty()) std::abort();
  if (claims->subject.empty() || claims->issuer.empty() || claims->expires < 0) std::abort();
  qf::TokenRules rules;
  rules.issuer = claims->issuer;
  rules.audiences = claims->audience;
  auto refused = qf::check_claims(*claims, {"EdDSA", "", "JWT"}, rules, kNow);
  if (!refused && (claims->expires + rules.clock_skew <= kNow || claims->audience.empty())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto payload = qf::verify_jws(input, keys());
  if (payload && !input.starts_with(kSigned)) std::abort();
  auto header = qf::parse_jws_header(input);
  if (payload && (!header || header->alg != "EdDSA")) std::abort();
  if (auto unverified = qf::unverified_payload(input)) try_claims(*unverified);
  try_claims(input);
  // the input as a header: what follows the dot is never reached by chance
  (void)static_cast<bool>(qf::parse_jws_header(qf::base64url(input) + ".e30."));
  std::vector<std::string> skipped;
  if (auto set = qf::parse_key_set(input, &skipped)) {
    for (const auto& key : *set)
      if (key.key == nullptr) std::abort();
    (void)static_cast<bool>(qf::verify_jws("eyJhbGciOiJFUzI1NiJ9.e30." + std::string(86, 'A'), *set));
  }
  (void)static_cast<bool>(qf::jwk_thumbprint(input));
  return 0;
}
