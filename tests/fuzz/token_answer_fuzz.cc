// SPDX-License-Identifier: Apache-2.0
// fuzz-group: tokend
//
// What a token endpoint answers: the input as the whole answer, and as the payload of the token in a good
// one, which chance would never hide in base64url. The first byte chooses the issuer's entry. Aborts when a
// token is accepted that is not for us, or bound to a key that is not ours, or when a message holds the
// token.
#include <cstdint>
#include <cstdlib>

#include "libqf/base64.h"
#include "libqf/binding.h"
#include "libqf/json.h"
#include "libqf/jwt.h"
#include "libqf/oauth_client.h"
#include "qf-tokend/identity.h"

namespace {

constexpr int64_t kNow = 1'700'000'000;
// So that an input can hold it: base64url of the SHA-256 is not to be guessed.
constexpr const char* kNonce = "qf1.nonce";

void require(bool condition) {
  if (!condition) std::abort();
}

const qf::UserKeys& keys() {
  static const qf::UserKeys made = std::move(*qf::UserKeys::make());
  return made;
}

qf::LoginRecord record_of(uint8_t kind) {
  qf::LoginRecord record;
  record.name = "corp";
  record.issuer = "https://idp.example";
  record.audiences = {"fabric", "other"};
  record.client_id = "c";
  record.access_token = (kind & 1) != 0;
  record.flow = (kind & 2) != 0 ? qf::LoginFlow::kCommand : qf::LoginFlow::kDevice;
  record.max_token_age = (kind & 4) != 0 ? 600 : 0;
  return record;
}

void check_refusal(const qf::Refusal& refusal) {
  require(refusal.code == "provider");
  require(refusal.message.starts_with("issuer corp (https://idp.example): "));
}

void check_identity(const qf::Identity& identity, const qf::LoginRecord& record, std::string_view token) {
  require(identity.issuer_name == "corp" && identity.issuer == record.issuer && !identity.subject.empty());
  require(identity.token.reveal() == token && identity.token.size() <= qf::kMostTokenBytes);
  require(identity.expires + 60 > kNow && identity.good_until() <= identity.expires);
  auto payload = qf::unverified_payload(token);
  require(static_cast<bool>(payload));
  auto claims = qf::parse_claims(*payload);
  require(static_cast<bool>(claims));
  bool id_token = !record.access_token && record.flow == qf::LoginFlow::kDevice;
  bool ours = false;
  for (const auto& audience : claims->audience) {
    ours = ours || (id_token ? audience == "c" : audience == "fabric" || audience == "other");
  }
  require(ours);
  // by nonce it cannot be: the one above is no binding; the thumbprint of a key made just now is not guessed
  require(!identity.bound && !claims->has_confirmation);
  require(claims->nonce.empty() || claims->nonce == kNonce);
}

void try_token(const qf::LoginRecord& record, std::string_view body) {
  auto grant = qf::read_token_answer(record, body);
  if (!grant) return check_refusal(grant.error());
  require(!grant->token.empty() && grant->token.size() <= qf::kMostTokenBytes);
  std::string token(grant->token.reveal());
  qf::BindingRequest binding{std::string(qf::kBindingSaltBytes, 's'), kNonce};
  auto identity = qf::accept_token(record, std::move(*grant), binding, keys(), kNow);
  if (!identity) return check_refusal(identity.error());
  check_identity(*identity, record, token);
  // what was taken once is taken as its own refresh
  qf::TokenGrant again{qf::Secret(token)};
  auto refreshed = qf::accept_refreshed(record, std::move(again), *identity, keys(), kNow);
  require(static_cast<bool>(refreshed));
  require(refreshed->refresh_token.reveal() == identity->refresh_token.reveal());
  require(refreshed->original_token.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  auto record = record_of(data[0]);
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try_token(record, input);
  std::string header = qf::base64url(record.access_token ? R"({"alg":"ES256","typ":"at+jwt"})"
                                                         : R"({"alg":"ES256","kid":"1"})");
  std::string token = header + "." + qf::base64url(input) + ".c2ln";
  try_token(
      record,
      qf::JsonWriter().set("id_token", token).set("access_token", token).set("refresh_token", "r").text());
  return 0;
}
