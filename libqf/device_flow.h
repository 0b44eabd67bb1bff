// SPDX-License-Identifier: Apache-2.0
// The device authorization grant (RFC 8628): a code for the person, then polling until the person has decided
// or the code has run out. Transport errors, 429 and 5xx while polling are waited out with a growing pause
// (section 3.5); everything else that the provider says ends the login with its words.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "libqf/oauth_client.h"

namespace qf {

struct DeviceAuthorization {
  std::string device_code;
  LoginPrompt prompt;
  std::chrono::seconds interval{5};
};
// The answer of the device authorization endpoint (section 3.2).
[[nodiscard]] Result<DeviceAuthorization, Refusal> read_device_authorization(const LoginRecord& record,
                                                                             const HttpAnswer& answer);

class DeviceFlow final : public TokenFlow {
 public:
  // The nonce goes along, although RFC 8628 knows none: providers that echo it give a key-bound token.
  DeviceFlow(LoginRecord record, Discovery provider, FlowRequest request, FlowServices& services,
             FlowListener& listener)
      : record_(record),
        request_(std::move(request)),
        services_(services),
        listener_(listener),
        client_(std::move(record), std::move(provider), services) {}
  ~DeviceFlow() override;
  DeviceFlow(const DeviceFlow&) = delete;
  DeviceFlow& operator=(const DeviceFlow&) = delete;

  void start() override;
  [[nodiscard]] Deadline deadline() const override { return next_poll_; }
  void event(const std::vector<pollfd>& polled) override;

 private:
  void authorized(Result<HttpAnswer>& answer);
  void poll_token();
  void polled(Result<HttpAnswer>& answer);
  void polled_in_vain(const HttpAnswer& answer);
  void well_again();
  void back_off(const std::string& why, std::optional<int64_t> retry_after);
  void poll_later(std::chrono::seconds pause);
  void finish(Result<TokenGrant, Refusal> result);
  [[nodiscard]] Refusal expired() const;

  LoginRecord record_;
  FlowRequest request_;
  FlowServices& services_;
  FlowListener& listener_;
  DeviceAuthorization authorization_;
  Deadline expires_ = Deadline::max();
  Deadline next_poll_ = Deadline::max();
  std::chrono::seconds pause_{0};  // between two attempts while the provider fails; 0: it does not
  bool trouble_told_ = false;      // the person knows that it fails
  unsigned good_answers_ = 0;      // since then, one after the other
  std::string last_trouble_;       // of the last poll; empty: there was none
  bool done_ = false;
  OAuthClient client_;  // last: its request calls us
};

}  // namespace qf
