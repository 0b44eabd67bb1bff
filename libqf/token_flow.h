// SPDX-License-Identifier: Apache-2.0
// One way to get a token from an issuer, as a state machine: it is started, woken when its time or one of
// its descriptors comes, tells its listener what a person must see, and ends by calling flow_done() once.
// Destroying it cancels it. Flows know nothing of clients, caches or certificates.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libqf/discovery.h"
#include "libqf/http.h"
#include "libqf/peers_db.h"
#include "libqf/refusal.h"
#include "libqf/secret.h"
#include "libqf/user_keys.h"

namespace qf {

// What a person needs to log in with a browser: of another device with the code, of this machine without.
struct LoginPrompt {
  std::string verification_uri;  // without a code: the authorization request (RFC 6749 section 4.1.1)
  std::string verification_uri_complete;  // empty: none
  std::string user_code;                  // empty: the browser must be this machine's
  int64_t expires_in = 0;                 // seconds
};

// What the issuer handed out.
struct TokenGrant {
  Secret token;  // compact JWS: the id_token, or the access token where the issuer's entry wants that
  Secret refresh_token{};             // empty: none
  Discovery provider{};               // whose token endpoint gave it; empty for other sources
  KeyType proof_key = kUsualUserKey;  // the user key that DPoP proved possession of
};

class FlowListener {
 public:
  virtual ~FlowListener() = default;
  virtual void flow_prompt(const LoginPrompt& prompt) = 0;
  virtual void flow_notice(const std::string& message) = 0;
  // Refusal codes: "access_denied", "expired", "provider", "unsupported". Returns why the token is of no
  // use, for flows that have somebody to tell; the flow is not destroyed before it has returned.
  virtual std::optional<Refusal> flow_done(Result<TokenGrant, Refusal> result) = 0;
};

// The world as flows see it; tests have their own.
class FlowServices {
 public:
  virtual ~FlowServices() = default;
  [[nodiscard]] virtual Deadline now() = 0;
  [[nodiscard]] virtual int64_t wall_time() = 0;  // seconds since the epoch
  // null: tokens are bound to no key here
  [[nodiscard]] virtual const UserKeys* user_keys() = 0;
  virtual HttpClient::Id fetch(HttpRequest request, HttpClient::Callback callback) = 0;
  virtual void cancel_fetch(HttpClient::Id id) = 0;
};

// What a login asks for.
struct FlowRequest {
  std::string nonce;                         // binds the token to the user key; empty: none
  bool browser = false;                      // whoever asks can open a browser for the person
  bool refresh = false;                      // the login is kept, so a refresh token is of use
  std::vector<std::string> other_issuers{};  // of the document, by their iss
};

class TokenFlow {
 public:
  virtual ~TokenFlow() = default;
  virtual void start() = 0;
  // When event() wants to be called although nothing happened.
  [[nodiscard]] virtual Deadline deadline() const = 0;
  virtual void add(std::vector<pollfd>&) const {}
  virtual void event(const std::vector<pollfd>& polled) = 0;
};

}  // namespace qf
