// SPDX-License-Identifier: Apache-2.0
#include "libqf/discovery.h"

#include <algorithm>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostUrlBytes = 2048;
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
  // a name of other letters that looks like a known one would not be noticed (RFC 3986 has ASCII only)
  if (!is_visible_ascii(*url) || url->size() > kMostUrlBytes)
    return unusable_discovery(record, field + " is no URL");
  // RFC 6749 sections 3.1 and 3.2
  if (url->find('#') != std::string::npos) return unusable_discovery(record, field + " has a fragment");
  if (auto checked = check_url(*url); !checked)
    return unusable_discovery(record, field + ": " + checked.error().what);
  out = *url;
  return std::nullopt;
}

// What the provider supports of something; where it says nothing, `otherwise` (RFC 8414 section 2).
std::optional<Refusal> read_supported(const LoginRecord& record, const cJSON* document, const char* key,
                                      std::vector<std::string> otherwise, std::vector<std::string>& out) {
  out = std::move(otherwise);
  if (json_member(document, key) == nullptr) return std::nullopt;
  auto values = json_strings(document, key);
  if (!values) {
    return unusable_discovery(record,
                              std::string("\"") + key + "\" of its discovery document is no list of strings");
  }
  out = std::move(*values);
  return std::nullopt;
}

bool has(const std::vector<std::string>& values, std::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::optional<Refusal> read_endpoints(const LoginRecord& record, const cJSON* document, Discovery& found) {
  struct Endpoint {
    const char* key;
    bool required;
    std::string* url;
  };
  const Endpoint endpoints[] = {
      {"token_endpoint", true, &found.token_endpoint},
      {"authorization_endpoint", false, &found.authorization_endpoint},
      {"device_authorization_endpoint", false, &found.device_authorization_endpoint},
      {"revocation_endpoint", false, &found.revocation_endpoint},
      {"jwks_uri", false, &found.jwks_uri},
  };
  for (const auto& [key, required, url] : endpoints) {
    if (auto bad = read_endpoint(record, document, key, required, *url)) return bad;
  }
  return std::nullopt;
}

std::optional<Refusal> read_abilities(const LoginRecord& record, const cJSON* document, Discovery& found) {
  std::vector<std::string> challenges, authentications;
  if (auto bad =
          read_supported(record, document, "dpop_signing_alg_values_supported", {}, found.dpop_algorithms)) {
    return bad;
  }
  if (auto bad = read_supported(record, document, "code_challenge_methods_supported", {"S256"}, challenges)) {
    return bad;
  }
  if (auto bad = read_supported(record, document, "token_endpoint_auth_methods_supported",
                                {"client_secret_basic"}, authentications)) {
    return bad;
  }
  found.pkce = has(challenges, "S256");
  found.secret_in_form =
      !has(authentications, "client_secret_basic") && has(authentications, "client_secret_post");
  found.names_issuer = json_bool(document, "authorization_response_iss_parameter_supported").value_or(false);
  return std::nullopt;
}

}  // namespace

Refusal unusable_answer(const LoginRecord& record, const std::string& what) {
  return {"provider", describe_issuer(record) + ": " + what,
          "try again; when it stays so, tell the admin of the fabric"};
}

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
    return unusable_discovery(record,
                              "its discovery document is not JSON: " + printable(document.error().what));
  auto issuer = json_string(document->get(), "issuer");
  if (!issuer) return unusable_discovery(record, "\"issuer\" of its discovery document is missing");
  if (*issuer != record.issuer) {
    return unusable_discovery(record, "\"issuer\" of its discovery document is another one: \"" +
                                          printable(issuer->substr(0, kMostErrorText)) + "\"");
  }
  Discovery found;
  if (auto bad = read_endpoints(record, document->get(), found)) return *bad;
  if (auto bad = read_abilities(record, document->get(), found)) return *bad;
  return found;
}

std::optional<Refusal> check_mix_up(const LoginRecord& record, const Discovery& provider,
                                    const std::vector<std::string>& other_issuers) {
  for (const std::string* endpoint :
       {&provider.authorization_endpoint, &provider.device_authorization_endpoint}) {
    std::string host = url_host(*endpoint);
    if (endpoint->empty() || host == url_host(record.issuer)) continue;
    for (const auto& other : other_issuers) {
      if (host != url_host(other)) continue;
      return Refusal{"provider",
                     describe_issuer(record) + ": its discovery document sends people to " + host +
                         ", which is issuer " + printable(other),
                     "one of the two is not what it seems: tell the admin of the fabric"};
    }
  }
  return std::nullopt;
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
