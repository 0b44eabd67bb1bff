// SPDX-License-Identifier: Apache-2.0
// fuzz-group: tokend
//
// What comes to the loopback redirect: any program and any web page can connect. The input is tried as a
// whole head and as the query of a good one. Aborts when something other than our redirect is taken, or a
// parameter holds what none may, or when the parameters do not read back as the same.
#include <cstdint>
#include <cstdlib>

#include "libqf/http.h"
#include "libqf/text.h"
#include "qf-tokend/redirect_listener.h"

namespace {

constexpr std::string_view kAuthority = "127.0.0.1:4711";

void require(bool condition) {
  if (!condition) std::abort();
}

std::string head_with(std::string_view query) {
  return "GET /callback?" + std::string(query) + " HTTP/1.1\r\nHost: " + std::string(kAuthority) + "\r\n\r\n";
}

void check_parameters(const qf::QueryParameters& parameters) {
  require(parameters.size() <= 32);
  std::vector<std::pair<std::string, std::string>> fields;
  for (const auto& [name, value] : parameters) {
    for (const auto* text : {&name, &value}) {
      for (char c : *text) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    }
    fields.emplace_back(name, value);
  }
  auto again = qf::parse_redirect_request(head_with(qf::form_encode(fields)), kAuthority);
  require(again.status == 200 && again.parameters == parameters);
}

void check(const qf::RedirectRequest& request) {
  require(request.status == 200 || request.status == 400 || request.status == 404 || request.status == 405);
  if (request.status != 200) return require(request.parameters.empty());
  check_parameters(request.parameters);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto request = qf::parse_redirect_request(input, kAuthority);
  check(request);
  if (request.status == 200) {
    require(input.starts_with("GET /callback ") || input.starts_with("GET /callback?"));
    require(qf::lower(input).find("host:") != std::string::npos);
    require(input.find(kAuthority) != std::string_view::npos);
  }
  check(qf::parse_redirect_request(head_with(input), kAuthority));
  return 0;
}
