// SPDX-License-Identifier: Apache-2.0
// The authorization code flow in the person's browser (RFC 6749 section 4.1, OpenID Connect Core section 3.1)
// with PKCE (RFC 7636, S256), a state, a nonce that binds the id_token to the user key, a loopback redirect
// (RFC 8252), and the check of iss (RFC 9207). The browser is opened by who asks for the login, never here.
#pragma once

#include <optional>
#include <string>

#include "libqf/oauth_client.h"
#include "qf-tokend/redirect_listener.h"

namespace qf {

class BrowserFlow final : public TokenFlow {
 public:
  static constexpr auto kTime = std::chrono::minutes(10);  // for the person

  BrowserFlow(LoginRecord record, Discovery provider, FlowRequest request, FlowServices& services,
              FlowListener& listener);
  ~BrowserFlow() override;
  BrowserFlow(const BrowserFlow&) = delete;
  BrowserFlow& operator=(const BrowserFlow&) = delete;

  void start() override;
  [[nodiscard]] Deadline deadline() const override;
  void add(std::vector<pollfd>& polled) const override;
  void event(const std::vector<pollfd>& polled) override;

 private:
  [[nodiscard]] std::string authorization_url() const;
  void redirected(const QueryParameters& parameters);
  // Why the response is none that we use.
  [[nodiscard]] std::optional<Refusal> check_response(const QueryParameters& parameters) const;
  void exchange(const std::string& code);
  void finish(Result<TokenGrant, Refusal> result);

  LoginRecord record_;
  FlowRequest request_;
  FlowServices& services_;
  FlowListener& listener_;
  std::optional<RedirectListener> redirect_;
  std::string state_;
  Secret verifier_;  // RFC 7636 section 4.1
  Deadline expires_ = Deadline::max();
  bool done_ = false;
  OAuthClient client_;  // last: its request calls us
};

}  // namespace qf
