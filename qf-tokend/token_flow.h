// SPDX-License-Identifier: Apache-2.0
// One way to get a token from an issuer, as a state machine: it is started, woken when its time or one of
// its descriptors comes, tells its listener what a person must see, and ends by calling flow_done() once.
// Destroying it cancels it. Flows know nothing of clients, caches or certificates.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "libqf/http.h"
#include "libqf/peers_db.h"
#include "libqf/secret.h"
#include "qf-tokend/protocol.h"

namespace qf {

// What a person needs to log in with a browser, maybe on another device.
struct LoginPrompt {
  std::string verification_uri;
  std::string verification_uri_complete;  // empty: none
  std::string user_code;
  int64_t expires_in = 0;  // seconds
};

// What the issuer handed out.
struct TokenGrant {
  Secret token;  // compact JWS: the id_token, or the access token where the issuer's entry wants that
};

class FlowListener {
 public:
  virtual ~FlowListener() = default;
  virtual void flow_prompt(const LoginPrompt& prompt) = 0;
  virtual void flow_notice(const std::string& message) = 0;
  // Refusal codes: "access_denied", "expired", "provider", "unsupported".
  virtual void flow_done(Result<TokenGrant, Refusal> result) = 0;
};

// The world as flows see it; tests have their own.
class FlowServices {
 public:
  virtual ~FlowServices() = default;
  [[nodiscard]] virtual Deadline now() = 0;
  virtual HttpClient::Id fetch(HttpRequest request, HttpClient::Callback callback) = 0;
  virtual void cancel_fetch(HttpClient::Id id) = 0;
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

// Whether logging in this way takes a person at a terminal.
[[nodiscard]] constexpr bool needs_person(LoginFlow kind) {
  return kind == LoginFlow::kAuto || kind == LoginFlow::kBrowser || kind == LoginFlow::kDevice;
}

}  // namespace qf
