// SPDX-License-Identifier: Apache-2.0
// Our requests as an OAuth client of one provider (RFC 6749): adds the client's id, its secret where it has
// one, the resource (RFC 8707), and at the token endpoint the DPoP proof (RFC 9449) where the issuer's entry
// wants access tokens and the provider has DPoP. One request at a time; destroying it cancels that one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libqf/token_flow.h"

namespace qf {

class OAuthClient {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  using Handler = std::function<void(Result<HttpAnswer>&)>;

  OAuthClient(LoginRecord record, Discovery provider, FlowServices& services);
  ~OAuthClient();
  OAuthClient(const OAuthClient&) = delete;
  OAuthClient& operator=(const OAuthClient&) = delete;

  [[nodiscard]] const LoginRecord& record() const { return record_; }
  [[nodiscard]] const Discovery& provider() const { return provider_; }
  [[nodiscard]] bool busy() const { return request_ != 0; }
  // The user key that DPoP proves possession of; nothing where there is no DPoP.
  [[nodiscard]] std::optional<KeyType> proof_key() const { return proof_key_; }

  // Whether a nonce may be asked for: without the scope openid there is no id_token to carry it.
  [[nodiscard]] bool takes_nonce() const;
  // POSTs a form to an endpoint of the provider. The fields may hold secrets and are wiped.
  void post(const std::string& url, Fields fields, Handler handler);
  // The same at the token endpoint. A provider that wants a nonce in the proof gets a second one with it.
  void ask_token(Fields fields, Handler handler);
  void get(const std::string& url, Handler handler);

  std::chrono::milliseconds total_time{15'000};  // of one answer

 private:
  void send(HttpRequest request, Handler handler);
  [[nodiscard]] HttpRequest make_request(const std::string& url) const;
  [[nodiscard]] HttpRequest make_post(const std::string& url, Fields& fields) const;
  void ask_token_once(std::string form, std::vector<std::string> headers, bool again, Handler handler);

  LoginRecord record_;
  Discovery provider_;
  FlowServices& services_;
  std::optional<KeyType> proof_key_;
  std::string dpop_nonce_;
  HttpClient::Id request_ = 0;
};

// The scopes that every login asks for; openid among them where the id_token is wanted. offline_access only
// where a refresh token is of use.
[[nodiscard]] std::string scopes_for(const LoginRecord& record, bool refresh);

// The token out of a successful answer of the token endpoint (RFC 6749 section 5.1, OpenID Connect Core
// section 3.1.3.3); wipes its body.
[[nodiscard]] Result<TokenGrant, Refusal> read_token_answer(const OAuthClient& client, HttpAnswer& answer);
[[nodiscard]] Result<TokenGrant, Refusal> read_token_answer(const LoginRecord& record, std::string_view body);

// What the provider refuses (RFC 6749 section 5.2), as text that names what in the fabric document it does
// not like.
[[nodiscard]] Refusal turned_down(const LoginRecord& record, const std::string& what,
                                  const HttpAnswer& answer);

}  // namespace qf
