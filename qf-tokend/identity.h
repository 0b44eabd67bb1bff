// SPDX-License-Identifier: Apache-2.0
// A token that we have got and looked into: who it says the user is, how long it is good, and what its
// binding to the user key needs.
#pragma once

#include <cstdint>
#include <string>

#include "libqf/peers_db.h"
#include "libqf/result.h"
#include "libqf/secret.h"
#include "libqf/token_flow.h"
#include "qf-tokend/protocol.h"

namespace qf {

// A token with less left than this would run out on its way to the peer.
inline constexpr int64_t kLeastTokenLife = 10;  // seconds

// What a login asked for: the nonce that carries the binding to the user key.
struct BindingRequest {
  std::string salt;
  std::string nonce;
};
[[nodiscard]] BindingRequest make_binding(std::string_view user_key_blob);

struct Identity {
  std::string issuer_name;  // in the fabric document
  std::string issuer;
  std::string subject;
  int64_t issued_at = 0, expires = 0;  // seconds since the epoch
  uint32_t max_token_age = 0;          // seconds, 0: unknown; peers refuse older ones
  bool bound = false;                  // to our user key; else a bearer token
  KeyType key = kUsualUserKey;         // which of our user keys signs certificates that carry it
  BindingRequest binding;              // what its login asked for
  std::string salt;                    // of a binding by nonce; empty: there is none
  Secret token;
  Secret original_token;  // bound token that a refresh replaced; empty: none
  Secret refresh_token;   // empty: none
  Discovery provider;     // where it can be refreshed and revoked
  LoginRecord record;     // of the issuer when the login was made

  [[nodiscard]] Identity clone() const;
  // Seconds since the epoch up to which peers take the token.
  [[nodiscard]] int64_t good_until() const;
};

// Checks the claims (iss, aud, sub, exp, nonce) of a token that came from the issuer over TLS, or from the
// machine issuer over its socket; its signature is the peers' to verify (OpenID Connect Core 3.1.3.7, rule
// 6). Code "provider" naming issuer and claim.
[[nodiscard]] Result<Identity, Refusal> accept_token(const LoginRecord& record, TokenGrant grant,
                                                     const BindingRequest& binding, const UserKeys& keys,
                                                     int64_t wall_time);
// The same for what a refresh of `before` brought, which must be the same person's (OpenID Connect Core
// section 12.2). A fresh token that has lost its nonce takes the bound one along as the original.
[[nodiscard]] Result<Identity, Refusal> accept_refreshed(const LoginRecord& record, TokenGrant grant,
                                                         const Identity& before, const UserKeys& keys,
                                                         int64_t wall_time);

}  // namespace qf
