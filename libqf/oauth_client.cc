// SPDX-License-Identifier: Apache-2.0
#include "libqf/oauth_client.h"

#include <algorithm>

#include "libqf/base64.h"
#include "libqf/dpop.h"
#include "libqf/json.h"
#include "libqf/jwt.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostAnswer = 256 * 1024;   // of any answer, bytes
constexpr size_t kMostNonce = 256;           // of a provider's DPoP nonce, bytes
constexpr size_t kMostRefreshToken = 16384;  // bytes

// RFC 6749 section 2.3.1: both are form-encoded before they are joined.
std::string basic_authorization(const std::string& id, std::string_view secret) {
  auto encoded = [](std::string_view text) {
    std::string pair = form_encode({{"", std::string(text)}});
    return pair.substr(pair.find('=') + 1);
  };
  return "Authorization: Basic " + base64(encoded(id) + ":" + encoded(secret));
}

// The nonce becomes part of a JSON text and of a signature, nothing else; but it comes from outside.
bool usable_nonce(const std::string& nonce) {
  return !nonce.empty() && nonce.size() <= kMostNonce && is_visible_ascii(nonce);
}

// Where the document says how to log in at the issuer.
std::string client_place(const LoginRecord& record) {
  return std::string(" in \"") + record.client_entry + "\" of issuer \"" + record.name +
         "\" in the fabric document ";
}

}  // namespace

OAuthClient::OAuthClient(LoginRecord record, Discovery provider, FlowServices& services)
    : record_(std::move(record)), provider_(std::move(provider)), services_(services) {
  if (record_.access_token && services_.user_keys() != nullptr)
    proof_key_ = dpop_key_type(provider_.dpop_algorithms);
}

OAuthClient::~OAuthClient() {
  if (request_ != 0) services_.cancel_fetch(request_);
}

HttpRequest OAuthClient::make_request(const std::string& url) const {
  HttpRequest request{url, record_.ca_file.value_or(""), std::nullopt, {}};
  request.limits.most_bytes = kMostAnswer;
  request.limits.total_time = total_time;
  return request;
}

HttpRequest OAuthClient::make_post(const std::string& url, Fields& fields) const {
  HttpRequest request = make_request(url);
  bool in_header = record_.client_secret && !provider_.secret_in_form;
  if (in_header) {
    request.headers.push_back(basic_authorization(record_.client_id, *record_.client_secret));
  } else {
    fields.emplace_back("client_id", record_.client_id);
    if (record_.client_secret) fields.emplace_back("client_secret", *record_.client_secret);
  }
  request.form = form_encode(fields);
  for (auto& [name, value] : fields) wipe(value);
  return request;
}

bool OAuthClient::takes_nonce() const {
  return !record_.access_token ||
         std::find(record_.scopes.begin(), record_.scopes.end(), "openid") != record_.scopes.end();
}

void OAuthClient::send(HttpRequest request, Handler handler) {
  request_ =
      services_.fetch(std::move(request), [this, handler = std::move(handler)](Result<HttpAnswer> answer) {
        request_ = 0;
        handler(answer);  // it may destroy us
      });
}

void OAuthClient::get(const std::string& url, Handler handler) {
  send(make_request(url), std::move(handler));
}

void OAuthClient::post(const std::string& url, Fields fields, Handler handler) {
  send(make_post(url, fields), std::move(handler));
}

void OAuthClient::ask_token(Fields fields, Handler handler) {
  if (record_.resource) fields.emplace_back("resource", *record_.resource);
  HttpRequest request = make_post(provider_.token_endpoint, fields);
  ask_token_once(std::move(*request.form), std::move(request.headers), false, std::move(handler));
}

void OAuthClient::ask_token_once(std::string form, std::vector<std::string> headers, bool again,
                                 Handler handler) {
  HttpRequest request = make_request(provider_.token_endpoint);
  request.headers = headers;
  if (!proof_key_) {
    request.form = std::move(form);
    return send(std::move(request), std::move(handler));
  }
  const SigningKey& key = services_.user_keys()->of(*proof_key_).key;
  request.headers.push_back("DPoP: " +
                            dpop_proof(key, provider_.token_endpoint, dpop_nonce_, services_.wall_time()));
  request.form = form;
  auto answered = [this, form = std::move(form), headers = std::move(headers), again,
                   handler = std::move(handler)](Result<HttpAnswer>& answer) mutable {
    bool fresh_nonce = answer && usable_nonce((*answer).dpop_nonce);
    if (fresh_nonce) dpop_nonce_ = (*answer).dpop_nonce;
    if (fresh_nonce && !again && (*answer).status != 200 && oauth_error(*answer) == "use_dpop_nonce") {
      return ask_token_once(std::move(form), std::move(headers), true, std::move(handler));
    }
    wipe(form);
    for (auto& header : headers) wipe(header);
    handler(answer);
  };
  send(std::move(request), std::move(answered));
}

std::string scopes_for(const LoginRecord& record, bool refresh) {
  std::vector<std::string> scopes;
  for (const auto& scope : record.scopes) {
    if (refresh || scope != "offline_access") scopes.push_back(scope);
  }
  bool openid = std::find(scopes.begin(), scopes.end(), "openid") != scopes.end();
  if (!openid && !record.access_token) scopes.insert(scopes.begin(), "openid");
  return join(scopes, " ");
}

Result<TokenGrant, Refusal> read_token_answer(const LoginRecord& record, std::string_view body) {
  auto json = parse_json(body);
  if (!json || !cJSON_IsObject(json->get())) {
    return unusable_answer(record, "the token answer is not a JSON object");
  }
  const char* field = record.access_token ? "access_token" : "id_token";
  auto token = json_string(json->get(), field);
  if (!token || token->empty()) {
    return Refusal{"provider", describe_issuer(record) + ": \"" + field + "\" of the token answer is missing",
                   record.access_token ? ""
                                       : "\"scopes\"" + client_place(record) +
                                             "must hold openid, and the client must get id_tokens"};
  }
  TokenGrant grant{Secret(*token)};
  bool fits = token->size() <= kMostTokenBytes;
  wipe(*token);
  if (!fits) {
    return unusable_answer(record, std::string("\"") + field + "\" of the token answer is longer than " +
                                       std::to_string(kMostTokenBytes) + " bytes");
  }
  if (auto refresh = json_string(json->get(), "refresh_token")) {
    bool refresh_fits = refresh->size() <= kMostRefreshToken;
    if (refresh_fits) grant.refresh_token = Secret(*refresh);
    wipe(*refresh);
    // going on with the one before would look like a theft to a provider that rotates them
    if (!refresh_fits) {
      return unusable_answer(record, "\"refresh_token\" of the token answer is longer than " +
                                         std::to_string(kMostRefreshToken) + " bytes");
    }
  }
  return grant;
}

Result<TokenGrant, Refusal> read_token_answer(const OAuthClient& client, HttpAnswer& answer) {
  auto grant = read_token_answer(client.record(), answer.body);
  wipe(answer.body);
  if (!grant) return grant;
  (*grant).provider = client.provider();
  (*grant).proof_key = client.proof_key().value_or(kUsualUserKey);
  return grant;
}

Refusal turned_down(const LoginRecord& record, const std::string& what, const HttpAnswer& answer) {
  Refusal refusal = unusable_answer(record, what + " is refused: " + describe_failure(answer));
  std::string error = oauth_error(answer);
  if (error == "invalid_client" || error == "unauthorized_client") {
    refusal.hint = "\"client_id\"" + client_place(record) +
                   "must be a client that the provider knows, public or with its \"client_secret\", and that "
                   "may use this flow; it is \"" +
                   record.client_id + "\"";
  } else if (error == "invalid_scope") {
    refusal.hint = "\"scopes\"" + client_place(record) + "are " + join(record.scopes, ", ");
  } else if (error == "invalid_target") {  // RFC 8707 section 2
    refusal.hint = "\"resource\"" + client_place(record) + "is " +
                   (record.resource ? "\"" + *record.resource + "\"" : "missing");
  }
  return refusal;
}

}  // namespace qf
