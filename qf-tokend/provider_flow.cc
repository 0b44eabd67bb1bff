// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/provider_flow.h"

#include "libqf/device_flow.h"
#include "libqf/log.h"
#include "qf-tokend/browser_flow.h"

namespace qf {

namespace {

// Why the browser flow cannot be; empty: it can.
std::string browser_fault(const Discovery& provider) {
  if (provider.authorization_endpoint.empty()) {
    return "\"authorization_endpoint\" of its discovery document is missing";
  }
  return provider.pkce ? "" : "\"code_challenge_methods_supported\" of its discovery document lacks S256";
}

Refusal not_offered(const LoginRecord& record, const std::string& fault, const char* what) {
  return {"unsupported", describe_issuer(record) + ": " + fault + ", so there is no " + what + " login",
          "\"flow\" of the issuer's entry in fabric.json must be one that the provider offers"};
}

}  // namespace

Result<PersonFlow, Refusal> choose_flow(const LoginRecord& record, const Discovery& provider, bool browser) {
  std::string no_browser = browser_fault(provider);
  bool device = !provider.device_authorization_endpoint.empty();
  bool wants_browser = record.flow == LoginFlow::kBrowser ||
                       (record.flow == LoginFlow::kAuto && no_browser.empty() && (browser || !device));
  if (wants_browser && no_browser.empty()) return PersonFlow::kBrowser;
  if (wants_browser) return not_offered(record, no_browser, "browser");
  if (device) return PersonFlow::kDevice;
  return not_offered(record, "\"device_authorization_endpoint\" of its discovery document is missing",
                     "device");
}

void ProviderFlow::start() {
  client_.get(discovery_url(record_.issuer), [this](Result<HttpAnswer>& answer) { discovered(answer); });
}

void ProviderFlow::discovered(Result<HttpAnswer>& answer) {
  auto provider = read_discovery(record_, answer);
  if (!provider) return static_cast<void>(listener_.flow_done(provider.error()));
  if (auto mix_up = check_mix_up(record_, *provider, request_.other_issuers)) {
    return static_cast<void>(listener_.flow_done(*mix_up));
  }
  auto kind = choose_flow(record_, *provider, request_.browser);
  if (!kind) return static_cast<void>(listener_.flow_done(kind.error()));
  if (*kind == PersonFlow::kBrowser) {
    flow_ = std::make_unique<BrowserFlow>(record_, std::move(*provider), request_, services_, listener_);
  } else {
    flow_ = std::make_unique<DeviceFlow>(record_, std::move(*provider), request_, services_, listener_);
  }
  flow_->start();
}

}  // namespace qf
