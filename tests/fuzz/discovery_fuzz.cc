// SPDX-License-Identifier: Apache-2.0
// fuzz-group: tokend
//
// A provider's discovery document. Aborts when one is accepted whose endpoints we would not use, or that
// could lead a person's browser to something that is no web page, or when a refusal does not name the issuer.
#include <cstdint>

#include "libqf/discovery.h"
#include "libqf/text.h"
#include "qf-tokend/provider_flow.h"
#include "tests/fuzz/provider_answers.h"

namespace {

void check_endpoint(const std::string& url) {
  require(qf::is_visible_ascii(url));
  require(static_cast<bool>(qf::check_url(url)));
  require(qf::url_host(url) != "?");
}

void check_choice(const qf::Discovery& found, qf::LoginFlow flow, bool browser) {
  auto record = corp();
  record.flow = flow;
  auto chosen = qf::choose_flow(record, found, browser);
  if (!chosen) return check_refusal(chosen.error(), {"provider", "unsupported"});
  const std::string& needed = *chosen == qf::PersonFlow::kBrowser ? found.authorization_endpoint
                                                                  : found.device_authorization_endpoint;
  require(!needed.empty());
  require(*chosen == qf::PersonFlow::kDevice || found.pkce);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  qf::HttpAnswer answer;
  answer.status = data[0] == '!' ? 500 : 200;
  answer.body.assign(reinterpret_cast<const char*>(data), size);
  auto found = qf::read_discovery(corp(), qf::Result<qf::HttpAnswer>(answer));
  if (!found) {
    check_refusal(found.error(), {"provider", "unsupported"});
    return 0;
  }
  require(answer.status == 200);
  check_endpoint(found->token_endpoint);
  for (const auto* url : {&found->authorization_endpoint, &found->device_authorization_endpoint,
                          &found->revocation_endpoint, &found->jwks_uri}) {
    if (!url->empty()) check_endpoint(*url);
  }
  for (auto flow : {qf::LoginFlow::kAuto, qf::LoginFlow::kBrowser, qf::LoginFlow::kDevice}) {
    for (bool browser : {true, false}) check_choice(*found, flow, browser);
  }
  return 0;
}
