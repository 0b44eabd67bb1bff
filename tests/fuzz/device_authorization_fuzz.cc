// SPDX-License-Identifier: Apache-2.0
// fuzz-group: tokend
//
// What a device authorization endpoint answers, and any error of OAuth. Aborts when a person would be shown a
// code that nobody can type or a URL that is none, when a number is out of its bounds, or when a message
// holds control characters.
#include <cstdint>

#include "libqf/device_flow.h"
#include "libqf/text.h"
#include "tests/fuzz/provider_answers.h"

namespace {

void check_url(const std::string& url) {
  require(qf::is_visible_ascii(url) && url.size() <= 2048);
  require(static_cast<bool>(qf::check_url(url)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qf::HttpAnswer answer;
  answer.body.assign(reinterpret_cast<const char*>(data), size);
  answer.status = 400;
  auto refused = qf::read_device_authorization(corp(), answer);
  require(!refused);
  check_refusal(refused.error(), {"provider"});
  require(qf::oauth_error(answer).size() <= 300);
  answer.status = 200;
  auto read = qf::read_device_authorization(corp(), answer);
  if (!read) {
    check_refusal(read.error(), {"provider"});
    return 0;
  }
  require(!read->device_code.empty());
  require(!read->prompt.user_code.empty() && read->prompt.user_code.size() <= 32);
  require(qf::is_visible_ascii(read->prompt.user_code));
  check_url(read->prompt.verification_uri);
  if (!read->prompt.verification_uri_complete.empty()) check_url(read->prompt.verification_uri_complete);
  require(read->prompt.expires_in >= 1 && read->prompt.expires_in <= 1800);
  require(read->interval.count() >= 1 && read->interval.count() <= 60);
  return 0;
}
