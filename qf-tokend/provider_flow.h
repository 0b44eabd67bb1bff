// SPDX-License-Identifier: Apache-2.0
// A login at an OpenID provider: its discovery document first, then the browser or the device flow, as the
// issuer's entry wants, the provider offers and whoever asks can show.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libqf/oauth_client.h"

namespace qf {

enum class PersonFlow { kBrowser, kDevice };
// "auto" takes the browser where whoever asks can open one, else a device. Code "unsupported" where the
// provider does not offer it, with the field of its discovery document that is missing.
[[nodiscard]] Result<PersonFlow, Refusal> choose_flow(const LoginRecord& record, const Discovery& provider,
                                                      bool browser);

class ProviderFlow final : public TokenFlow {
 public:
  ProviderFlow(LoginRecord record, FlowRequest request, FlowServices& services, FlowListener& listener)
      : record_(record),
        request_(std::move(request)),
        services_(services),
        listener_(listener),
        client_(std::move(record), {}, services) {}

  void start() override;
  [[nodiscard]] Deadline deadline() const override { return flow_ ? flow_->deadline() : Deadline::max(); }
  void add(std::vector<pollfd>& polled) const override {
    if (flow_) flow_->add(polled);
  }
  void event(const std::vector<pollfd>& polled) override {
    if (flow_) flow_->event(polled);
  }

 private:
  void discovered(Result<HttpAnswer>& answer);

  LoginRecord record_;
  FlowRequest request_;
  FlowServices& services_;
  FlowListener& listener_;
  std::unique_ptr<TokenFlow> flow_;
  OAuthClient client_;  // last: its request calls us
};

}  // namespace qf
