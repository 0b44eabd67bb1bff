// SPDX-License-Identifier: Apache-2.0
// The world of a token flow, made by hand: a clock that tests move, HTTP requests that tests answer, and a
// listener that remembers.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "qf-tokend/token_flow.h"

namespace qf {

class FakeServices final : public FlowServices {
 public:
  struct Sent {
    HttpClient::Id id;
    HttpRequest request;
    HttpClient::Callback callback;
  };

  Deadline now() override { return now_; }
  HttpClient::Id fetch(HttpRequest request, HttpClient::Callback callback) override {
    sent.push_back({next_id_, std::move(request), std::move(callback)});
    return next_id_++;
  }
  void cancel_fetch(HttpClient::Id id) override {
    cancelled.push_back(id);
    std::erase_if(sent, [&](const Sent& s) { return s.id == id; });
  }

  void pass(int seconds) { now_ += std::chrono::seconds(seconds); }
  [[nodiscard]] const HttpRequest& asked() const { return sent.at(0).request; }
  // Answers the only request that is under way.
  void answer(Result<HttpAnswer> answer) {
    ASSERT_EQ(sent.size(), 1U);
    auto callback = std::move(sent[0].callback);
    sent.clear();
    callback(std::move(answer));
  }
  void answer(long status, std::string body) {
    HttpAnswer out;
    out.status = status;
    out.body = std::move(body);
    answer(Result<HttpAnswer>(std::move(out)));
  }

  std::vector<Sent> sent;
  std::vector<HttpClient::Id> cancelled;

 private:
  Deadline now_ = Clock::now();
  HttpClient::Id next_id_ = 1;
};

class FakeListener final : public FlowListener {
 public:
  void flow_prompt(const LoginPrompt& prompt) override { prompts.push_back(prompt); }
  void flow_notice(const std::string& message) override { notices.push_back(message); }
  void flow_done(Result<TokenGrant, Refusal> result) override {
    ++ends;
    if (result) {
      token = std::string(result->token.reveal());
    } else {
      refusal = result.error();
    }
  }

  std::vector<LoginPrompt> prompts;
  std::vector<std::string> notices;
  int ends = 0;
  std::optional<std::string> token;
  std::optional<Refusal> refusal;
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

}  // namespace qf
