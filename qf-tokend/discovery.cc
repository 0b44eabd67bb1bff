// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/discovery.h"

#include "libqf/json.h"
#include "libqf/log.h"

namespace qf {

namespace {

constexpr size_t kMostErrorText = 300;  // of what a provider says, bytes

Refusal unusable_discovery(const LoginRecord& record, const std::string& what) {
  return {"provider", describe_issuer(record) + ": " + what,
          "tell the admin of the fabric: the issuer's entry in fabric.json or the provider is wrong"};
}

// An endpoint that is there must be one that we would use.
std::optional<Refusal> read_endpoint(const LoginRecord& record, const cJSON* document, const char* key,
                                     bool required, std::string& out) {
  const std::string field = std::string("\"") + key + "\" of its discovery document";
  if (json_member(document, key) == nullptr) {
    if (!required) return std::nullopt;
    return unusable_discovery(record, field + " is missing");
  }
  auto url = json_string(document, key);
  if (!url) return unusable_discovery(record, field + " is no string");
  if (auto checked = check_url(*url); !checked)
    return unusable_discovery(record, field + ": " + checked.error().what);
  out = *url;
  return std::nullopt;
}

}  // namespace

Refusal not_reached(const LoginRecord& record, const Error& error) {
  return {"provider", describe_issuer(record) + ": " + error.text(),
          error.hint.empty() ? "is the network up, and the provider?" : error.hint};
}

std::string discovery_url(std::string_view issuer) {
  while (!issuer.empty() && issuer.back() == '/') issuer.remove_suffix(1);
  return std::string(issuer) + "/.well-known/openid-configuration";
}

Result<Discovery, Refusal> read_discovery(const LoginRecord& record, const Result<HttpAnswer>& answer) {
  if (!answer) {
    return not_reached(record, answer.error());
  }
  if ((*answer).status != 200) {
    return unusable_discovery(record, "its discovery document: " + describe_failure(*answer));
  }
  auto document = parse_json((*answer).body);
  if (!document)
    return unusable_discovery(record, "its discovery document is not JSON: " + document.error().what);
  auto issuer = json_string(document->get(), "issuer");
  if (!issuer) return unusable_discovery(record, "\"issuer\" of its discovery document is missing");
  if (*issuer != record.issuer) {
    return unusable_discovery(record, "\"issuer\" of its discovery document is another one: \"" +
                                          printable(issuer->substr(0, kMostErrorText)) + "\"");
  }
  Discovery found;
  if (auto bad = read_endpoint(record, document->get(), "token_endpoint", true, found.token_endpoint)) {
    return *bad;
  }
  if (auto bad = read_endpoint(record, document->get(), "device_authorization_endpoint", false,
                               found.device_authorization_endpoint)) {
    return *bad;
  }
  return found;
}

std::string describe_issuer(const LoginRecord& record) {
  return "issuer " + record.name + " (" + record.issuer + ")";
}

std::string oauth_error(const HttpAnswer& answer) {
  auto body = parse_json(answer.body);
  if (!body || !cJSON_IsObject(body->get())) return "";
  return json_string(body->get(), "error").value_or("").substr(0, kMostErrorText);
}

std::string describe_failure(const HttpAnswer& answer) {
  std::string error = oauth_error(answer);
  std::string status = "HTTP status " + std::to_string(answer.status);
  if (error.empty()) return status + " without a reason";
  std::string text = printable(error);
  auto body = parse_json(answer.body);
  std::string description = json_string(body->get(), "error_description").value_or("");
  if (!description.empty()) text += ": " + printable(description.substr(0, kMostErrorText));
  return text + " (" + status + ")";
}

}  // namespace qf
