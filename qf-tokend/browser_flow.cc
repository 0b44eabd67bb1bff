// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/browser_flow.h"

#include "libqf/base64.h"
#include "libqf/jwk.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kRandomBytes = 32;  // of the state and the verifier
constexpr size_t kMostReason = 300;  // of what a provider says, bytes

std::string parameter(const QueryParameters& parameters, const char* name) {
  auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

std::string provider_reason(const QueryParameters& parameters) {
  std::string reason = printable(parameter(parameters, "error").substr(0, kMostReason));
  std::string description = printable(parameter(parameters, "error_description").substr(0, kMostReason));
  return description.empty() ? reason : reason + ": " + description;
}

Refusal port_refusal(const LoginRecord& record, const Error& error) {
  if (record.redirect_port == 0) {
    return {"config", "the login at " + describe_issuer(record) + " needs a loopback port: " + error.text(),
            ""};
  }
  std::string port = std::to_string(record.redirect_port);
  std::string hint = "see who has it with: ss -ltnp 'sport = :" + port + "'; another login may be going on";
  if (error.sys == EACCES)
    hint = "ports below 1024 are root's: have the admin of the fabric choose another one";
  return {"config",
          "the login at " + describe_issuer(record) + " needs port " + port +
              " of 127.0.0.1 (\"redirect_port\"): " + error.text(),
          hint};
}

}  // namespace

BrowserFlow::BrowserFlow(LoginRecord record, Discovery provider, FlowRequest request, FlowServices& services,
                         FlowListener& listener)
    : record_(record),
      request_(std::move(request)),
      services_(services),
      listener_(listener),
      state_(base64url(random_bytes(kRandomBytes))),
      verifier_(base64url(random_bytes(kRandomBytes))),
      client_(std::move(record), std::move(provider), services) {}

BrowserFlow::~BrowserFlow() {
  if (redirect_) redirect_->answer({400, "the login was given up", "You can close this page."});
}

void BrowserFlow::start() {
  auto redirect = RedirectListener::open(static_cast<uint16_t>(record_.redirect_port));
  if (!redirect) return finish(port_refusal(record_, redirect.error()));
  redirect_ = std::move(*redirect);
  expires_ = services_.now() + kTime;
  LoginPrompt prompt;
  prompt.verification_uri = authorization_url();
  prompt.expires_in = std::chrono::seconds(kTime).count();
  listener_.flow_prompt(prompt);
}

std::string BrowserFlow::authorization_url() const {
  std::string scope = scopes_for(record_, request_.refresh);
  std::vector<std::pair<std::string, std::string>> fields = {
      {"response_type", "code"},
      {"client_id", record_.client_id},
      {"redirect_uri", redirect_->redirect_uri()},
      {"scope", scope},
      {"state", state_},
      {"code_challenge", base64url(sha256(verifier_.reveal()))},
      {"code_challenge_method", "S256"},
  };
  if (client_.takes_nonce()) fields.emplace_back("nonce", request_.nonce);
  // without it a refresh token is not given (OpenID Connect Core section 11)
  if (scope.find("offline_access") != std::string::npos) fields.emplace_back("prompt", "consent");
  if (record_.resource) fields.emplace_back("resource", *record_.resource);
  if (auto key = client_.proof_key()) {
    // the code is then of use to the holder of the key only (RFC 9449 section 10)
    auto thumbprint = jwk_thumbprint(services_.user_keys()->of(*key).key.public_jwk());
    if (thumbprint) fields.emplace_back("dpop_jkt", *thumbprint);
  }
  const std::string& endpoint = client_.provider().authorization_endpoint;
  return endpoint + (endpoint.find('?') == std::string::npos ? "?" : "&") + form_encode(fields);
}

Deadline BrowserFlow::deadline() const {
  if (done_ || !redirect_ || client_.busy()) return Deadline::max();
  return std::min(expires_, redirect_->deadline());
}

void BrowserFlow::add(std::vector<pollfd>& polled) const {
  if (redirect_ && !done_) redirect_->add(polled);
}

void BrowserFlow::event(const std::vector<pollfd>& polled) {
  if (done_ || !redirect_) return;
  if (auto parameters = redirect_->handle(polled, services_.now())) return redirected(*parameters);
  if (!client_.busy() && services_.now() >= expires_) {
    finish(Refusal{"expired",
                   "nobody finished the login at " + describe_issuer(record_) + " within " +
                       std::to_string(std::chrono::minutes(kTime).count()) + " minutes",
                   "run the command again, and log in sooner"});
  }
}

void BrowserFlow::redirected(const QueryParameters& parameters) {
  // a page that some other site made the browser open must not end our login
  if (!equal_secrets(parameter(parameters, "state"), state_)) {
    return redirect_->answer(
        {400, "not this login",
         "This answer belongs to no login that is going on. Log in again from the terminal."});
  }
  if (auto refusal = check_response(parameters)) return finish(*refusal);
  exchange(parameter(parameters, "code"));
}

std::optional<Refusal> BrowserFlow::check_response(const QueryParameters& parameters) const {
  std::string issuer = parameter(parameters, "iss");
  if (!issuer.empty() && issuer != record_.issuer) {
    return unusable_answer(record_, "\"iss\" of the authorization response is another one: \"" +
                                        printable(issuer.substr(0, kMostReason)) + "\"");
  }
  if (issuer.empty() && client_.provider().names_issuer) {
    return unusable_answer(
        record_,
        "\"iss\" of the authorization response is missing, although its discovery document "
        "promises one");
  }
  if (parameter(parameters, "error") == "access_denied") {
    return Refusal{"access_denied",
                   "the login at " + describe_issuer(record_) + " was denied: " + provider_reason(parameters),
                   "run the command again, and allow it in the browser"};
  }
  if (parameters.contains("error")) {
    return unusable_answer(record_, "the authorization is refused: " + provider_reason(parameters));
  }
  if (parameter(parameters, "code").empty()) {
    return unusable_answer(record_, "\"code\" of the authorization response is missing");
  }
  return std::nullopt;
}

void BrowserFlow::exchange(const std::string& code) {
  client_.ask_token({{"grant_type", "authorization_code"},
                     {"code", code},
                     {"redirect_uri", redirect_->redirect_uri()},
                     {"code_verifier", std::string(verifier_.reveal())}},
                    [this](Result<HttpAnswer>& answer) {
                      if (!answer) return finish(not_reached(record_, answer.error()));
                      if ((*answer).status != 200) return finish(turned_down(record_, "the token", *answer));
                      finish(read_token_answer(client_, *answer));
                    });
}

void BrowserFlow::finish(Result<TokenGrant, Refusal> result) {
  if (done_) return;
  done_ = true;
  auto refusal = result ? std::nullopt : std::optional(result.error());
  auto unusable = listener_.flow_done(std::move(result));
  if (!refusal) refusal = std::move(unusable);
  if (!redirect_) return;
  redirect_->answer(refusal ? RedirectPage{400, "the login did not work", refusal->message}
                            : RedirectPage{200, "you are logged in",
                                           "You can close this page and go back to the terminal."});
}

}  // namespace qf
