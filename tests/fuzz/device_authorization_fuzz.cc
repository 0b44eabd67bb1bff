// SPDX-License-Identifier: Apache-2.0
// fuzz-group: tokend
//
// What a device authorization endpoint answers, and any error of OAuth. Aborts when a person would be shown a
// code that nobody can type or a URL that is none, when a number is out of its bounds, or when a message
// holds control characters.
#include <cstdint>
#include <cstdlib>

#include "libqf/text.h"
#include "qf-tokend/device_flow.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

qf::LoginRecord corp() {
  qf::LoginRecord record;
  record.name = "corp";
  record.issuer = "https://idp.example";
  record.client_id = "c";
  return record;
}

void require_printable(const std::string& text) {
  for (char c : text) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

void check_refusal(const qf::Refusal& refusal) {
  require(refusal.code == "provider");
  require(refusal.message.starts_with("issuer corp (https://idp.example): "));
  require(refusal.message.size() < 2000);
  require_printable(refusal.message);
  require_printable(refusal.hint);
}

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
  check_refusal(refused.error());
  require(qf::oauth_error(answer).size() <= 300);
  answer.status = 200;
  auto read = qf::read_device_authorization(corp(), answer);
  if (!read) {
    check_refusal(read.error());
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
