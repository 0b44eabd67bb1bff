// SPDX-License-Identifier: Apache-2.0
// A token that we have got and looked into: who it says the user is, how long it is good, and what its
// binding to the user key needs.
#pragma once

#include <cstdint>
#include <string>

#include "libqf/peers_db.h"
#include "libqf/result.h"
#include "libqf/secret.h"
#include "qf-tokend/protocol.h"
#include "qf-tokend/token_flow.h"

namespace qf {

// A token with less left than this would run out on its way to the peer.
inline constexpr int64_t kLeastTokenLife = 10;  // seconds

struct Identity {
  std::string issuer_name;  // in the fabric document
  std::string issuer;
  std::string subject;
  int64_t issued_at = 0, expires = 0;  // seconds since the epoch
  uint32_t max_token_age = 0;          // seconds, 0: unknown; peers refuse older ones
  bool bound = false;                  // to our user key; else a bearer token
  std::string salt;                    // of the binding; empty for bearer tokens
  Secret token;
  Secret original_token;  // bound token that a refresh replaced; empty: none

  [[nodiscard]] Identity clone() const;
  // Seconds since the epoch up to which peers take the token.
  [[nodiscard]] int64_t good_until() const;
};

// What a login asked for: the nonce that carries the binding to the user key.
struct BindingRequest {
  std::string salt;
  std::string nonce;
};
[[nodiscard]] BindingRequest make_binding(std::string_view user_key_blob);

// Checks the claims (iss, aud, sub, exp, nonce) of a token that came from the issuer over TLS, or from the
// machine issuer over its socket; its signature is the peers' to verify (OpenID Connect Core 3.1.3.7, rule
// 6). Code "provider" naming issuer and claim.
[[nodiscard]] Result<Identity, Refusal> accept_token(const LoginRecord& record, TokenGrant grant,
                                                     const BindingRequest& binding,
                                                     std::string_view user_key_blob, int64_t wall_time);

}  // namespace qf
