// SPDX-License-Identifier: Apache-2.0
// The world of a token flow, made by hand: a clock that tests move, HTTP requests that tests answer, a
// provider, and a listener that remembers.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libqf/token_flow.h"
#include "tests/unit/tokend_time.h"

namespace qf {

// The same for all tests: a key pair takes longer than a test.
inline const UserKeys& test_user_keys() {
  static const UserKeys keys = std::move(*UserKeys::make());
  return keys;
}

inline HttpAnswer http_answer(long status, std::string body, std::string dpop_nonce = "") {
  HttpAnswer out;
  out.status = status;
  out.body = std::move(body);
  out.dpop_nonce = std::move(dpop_nonce);
  return out;
}

class FakeServices final : public FlowServices {
 public:
  struct Sent {
    HttpClient::Id id;
    HttpRequest request;
    HttpClient::Callback callback;
  };

  Deadline now() override { return now_; }
  int64_t wall_time() override { return wall_; }
  const UserKeys* user_keys() override { return &test_user_keys(); }
  HttpClient::Id fetch(HttpRequest request, HttpClient::Callback callback) override {
    sent.push_back({next_id_, std::move(request), std::move(callback)});
    return next_id_++;
  }
  void cancel_fetch(HttpClient::Id id) override {
    cancelled.push_back(id);
    std::erase_if(sent, [&](const Sent& s) { return s.id == id; });
  }

  void pass(int seconds) {
    now_ += std::chrono::seconds(seconds);
    wall_ += seconds;
  }
  [[nodiscard]] const HttpRequest& asked() const { return sent.at(0).request; }
  // The value of a header of the request that is under way, empty when it has none.
  [[nodiscard]] std::string header(const std::string& name) const {
    for (const auto& line : asked().headers) {
      if (line.starts_with(name + ": ")) return line.substr(name.size() + 2);
    }
    return "";
  }
  // Answers the only request that is under way.
  void answer(Result<HttpAnswer> answer) {
    ASSERT_EQ(sent.size(), 1U);
    auto callback = std::move(sent[0].callback);
    sent.clear();
    callback(std::move(answer));
  }
  void answer(long status, std::string body, std::string dpop_nonce = "") {
    answer(Result<HttpAnswer>(http_answer(status, std::move(body), std::move(dpop_nonce))));
  }

  std::vector<Sent> sent;
  std::vector<HttpClient::Id> cancelled;

 private:
  Deadline now_ = Clock::now();
  int64_t wall_ = kNow;
  HttpClient::Id next_id_ = 1;
};

class FakeListener final : public FlowListener {
 public:
  void flow_prompt(const LoginPrompt& prompt) override { prompts.push_back(prompt); }
  void flow_notice(const std::string& message) override { notices.push_back(message); }
  std::optional<Refusal> flow_done(Result<TokenGrant, Refusal> result) override {
    ++ends;
    if (!result) {
      refusal = result.error();
      return std::nullopt;
    }
    token = std::string(result->token.reveal());
    refresh_token = result->refresh_token.reveal();
    token_endpoint = result->provider.token_endpoint;
    proof_key = result->proof_key;
    return unusable;
  }

  std::vector<LoginPrompt> prompts;
  std::vector<std::string> notices;
  int ends = 0;
  std::optional<std::string> token;
  std::string refresh_token, token_endpoint;
  std::optional<KeyType> proof_key;
  std::optional<Refusal> refusal;
  std::optional<Refusal> unusable;  // what the next token is found to be
};

inline LoginRecord corp() {
  LoginRecord record;
  record.name = "corp";
  record.issuer = "https://idp.example";
  record.audiences = {"qufabric-cli"};
  record.client_id = "qufabric-cli";
  record.scopes = {"openid", "groups"};
  record.flow = LoginFlow::kDevice;
  record.max_token_age = 600;
  record.clock_skew = 60;
  return record;
}

// What corp() publishes: everything but DPoP.
inline Discovery corp_provider() {
  Discovery provider;
  provider.token_endpoint = "https://idp.example/token";
  provider.authorization_endpoint = "https://idp.example/auth";
  provider.device_authorization_endpoint = "https://idp.example/device/auth";
  provider.revocation_endpoint = "https://idp.example/revoke";
  provider.jwks_uri = "https://idp.example/jwks";
  return provider;
}

}  // namespace qf
