// SPDX-License-Identifier: Apache-2.0
// The device authorization grant (RFC 8628): discovery, a code for the person, then polling until the person
// has decided or the code has run out. Transport errors, 429 and 5xx while polling are waited out with a
// growing pause (section 3.5); everything else that the provider says ends the login with its words.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "qf-tokend/discovery.h"
#include "qf-tokend/token_flow.h"

namespace qf {

struct DeviceAuthorization {
  std::string device_code;
  LoginPrompt prompt;
  std::chrono::seconds interval{5};
};
// The answer of the device authorization endpoint (section 3.2).
[[nodiscard]] Result<DeviceAuthorization, Refusal> read_device_authorization(const LoginRecord& record,
                                                                             const HttpAnswer& answer);
// The token out of a successful answer of the token endpoint.
[[nodiscard]] Result<TokenGrant, Refusal> read_token_answer(const LoginRecord& record,
                                                            const HttpAnswer& answer);

class DeviceFlow final : public TokenFlow {
 public:
  // `nonce` goes along, although RFC 8628 knows none: providers that echo it give a key-bound token.
  DeviceFlow(LoginRecord record, std::string nonce, FlowServices& services, FlowListener& listener)
      : record_(std::move(record)), nonce_(std::move(nonce)), services_(services), listener_(listener) {}
  ~DeviceFlow() override;
  DeviceFlow(const DeviceFlow&) = delete;
  DeviceFlow& operator=(const DeviceFlow&) = delete;

  void start() override;
  [[nodiscard]] Deadline deadline() const override { return next_poll_; }
  void event(const std::vector<pollfd>& polled) override;

 private:
  using Handler = void (DeviceFlow::*)(Result<HttpAnswer>&);
  void fetch(const std::string& url, std::optional<std::string> form, Handler handler);
  void discovered(Result<HttpAnswer>& answer);
  void authorized(Result<HttpAnswer>& answer);
  void poll_token();
  void polled(Result<HttpAnswer>& answer);
  void polled_in_vain(const HttpAnswer& answer);
  void back_off(const std::string& why, std::optional<int64_t> retry_after);
  void poll_later(std::chrono::seconds pause);
  void finish(Result<TokenGrant, Refusal> result);
  [[nodiscard]] Refusal expired() const;

  LoginRecord record_;
  std::string nonce_;
  FlowServices& services_;
  FlowListener& listener_;
  Discovery discovery_;
  DeviceAuthorization authorization_;
  Deadline expires_ = Deadline::max();
  Deadline next_poll_ = Deadline::max();
  std::chrono::seconds pause_{0};  // between two attempts while the provider fails; 0: it does not
  HttpClient::Id request_ = 0;
  bool done_ = false;
};

}  // namespace qf
