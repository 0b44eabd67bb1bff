// SPDX-License-Identifier: Apache-2.0
#include "libqf/device_flow.h"

#include <algorithm>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

using std::chrono::seconds;

constexpr const char* kDeviceGrant = "urn:ietf:params:oauth:grant-type:device_code";
constexpr int64_t kDefaultInterval = 5;   // RFC 8628 section 3.2
constexpr seconds kSlowDown{5};           // RFC 8628 section 3.5
constexpr int64_t kMostInterval = 60;     // a provider may not make us wait for ever
constexpr seconds kMostPause{30};         // between two attempts while the provider fails
constexpr int64_t kDefaultExpiry = 600;   // where the required expires_in is missing
constexpr int64_t kMostExpiry = 30 * 60;  // a login nobody finishes must end
constexpr unsigned kSteady = 5;           // good answers after which a provider is no longer said to fail
constexpr size_t kMostCode = 32;          // of a code that a person types, bytes
constexpr size_t kMostUrl = 2048;

// RFC 8628 section 6.1: a code is short, for a person types it.
bool can_be_typed(std::string_view code) {
  return !code.empty() && code.size() <= kMostCode && is_visible_ascii(code);
}

bool can_be_opened(const std::string& url) {
  return url.size() <= kMostUrl && is_visible_ascii(url) && check_url(url);
}

bool worth_another_try(const HttpAnswer& answer) {
  return answer.status >= 500 || answer.status == 429 || answer.status == 408;
}

// What a person is told to open in a browser.
std::optional<Refusal> check_prompt(const LoginRecord& record, const LoginPrompt& prompt) {
  const std::string of = " of the device authorization answer";
  if (!can_be_typed(prompt.user_code)) {
    return unusable_answer(record, "\"user_code\"" + of + " is missing or nothing that a person could type");
  }
  for (const auto& [key, url] : {std::pair("verification_uri", &prompt.verification_uri),
                                 std::pair("verification_uri_complete", &prompt.verification_uri_complete)}) {
    if (url->empty() && url != &prompt.verification_uri) continue;
    if (!can_be_opened(*url)) {
      return unusable_answer(record, std::string("\"") + key + "\"" + of + " is missing or no URL to open");
    }
  }
  return std::nullopt;
}

}  // namespace

Result<DeviceAuthorization, Refusal> read_device_authorization(const LoginRecord& record,
                                                               const HttpAnswer& answer) {
  if (answer.status != 200) {
    return turned_down(record, "the device authorization", answer);
  }
  auto body = parse_json(answer.body);
  if (!body || !cJSON_IsObject(body->get())) {
    return unusable_answer(record, "the device authorization answer is not a JSON object");
  }
  DeviceAuthorization out;
  out.device_code = json_string(body->get(), "device_code").value_or("");
  if (out.device_code.empty()) {
    return unusable_answer(record, "\"device_code\" of the device authorization answer is missing");
  }
  out.prompt.user_code = json_string(body->get(), "user_code").value_or("");
  out.prompt.verification_uri = json_string(body->get(), "verification_uri").value_or("");
  if (out.prompt.verification_uri.empty()) {  // the name before RFC 8628 was finished; still sent by some
    out.prompt.verification_uri = json_string(body->get(), "verification_url").value_or("");
  }
  out.prompt.verification_uri_complete = json_string(body->get(), "verification_uri_complete").value_or("");
  if (auto bad = check_prompt(record, out.prompt)) return *bad;
  int64_t expires = json_integer(body->get(), "expires_in").value_or(kDefaultExpiry);
  out.prompt.expires_in = std::clamp<int64_t>(expires, 1, kMostExpiry);
  int64_t interval = json_integer(body->get(), "interval").value_or(kDefaultInterval);
  out.interval = seconds(std::clamp<int64_t>(interval, 1, kMostInterval));
  return out;
}

DeviceFlow::~DeviceFlow() {
  wipe(authorization_.device_code);
}

void DeviceFlow::start() {
  OAuthClient::Fields fields = {{"scope", scopes_for(record_, request_.refresh)}};
  if (client_.takes_nonce() && !request_.nonce.empty()) fields.emplace_back("nonce", request_.nonce);
  if (record_.resource) fields.emplace_back("resource", *record_.resource);
  client_.post(client_.provider().device_authorization_endpoint, std::move(fields),
               [this](Result<HttpAnswer>& answer) { authorized(answer); });
}

void DeviceFlow::authorized(Result<HttpAnswer>& answer) {
  if (!answer) return finish(not_reached(record_, answer.error()));
  auto authorization = read_device_authorization(record_, *answer);
  wipe((*answer).body);
  if (!authorization) return finish(authorization.error());
  authorization_ = std::move(*authorization);
  expires_ = services_.now() + seconds(authorization_.prompt.expires_in);
  listener_.flow_prompt(authorization_.prompt);
  poll_later(authorization_.interval);
}

void DeviceFlow::event(const std::vector<pollfd>&) {
  if (done_ || client_.busy() || services_.now() < next_poll_) return;
  next_poll_ = Deadline::max();
  if (services_.now() >= expires_) return finish(expired());
  poll_token();
}

void DeviceFlow::poll_token() {
  client_.ask_token({{"grant_type", kDeviceGrant}, {"device_code", authorization_.device_code}},
                    [this](Result<HttpAnswer>& answer) { polled(answer); });
}

void DeviceFlow::polled(Result<HttpAnswer>& answer) {
  if (!answer) return back_off(answer.error().text(), std::nullopt);
  if ((*answer).status == 200) return finish(read_token_answer(client_, *answer));
  polled_in_vain(*answer);
}

void DeviceFlow::polled_in_vain(const HttpAnswer& answer) {
  std::string error = oauth_error(answer);
  if (error == "authorization_pending" || error == "slow_down") {
    pause_ = seconds(0);
    well_again();
    if (error == "slow_down") authorization_.interval += kSlowDown;
    return poll_later(authorization_.interval);
  }
  if (error == "access_denied") {
    return finish(Refusal{"access_denied", "the login at " + describe_issuer(record_) + " was denied",
                          "run the command again, and allow it in the browser"});
  }
  if (error == "expired_token") return finish(expired());
  if (worth_another_try(answer)) {
    return back_off(url_host(client_.provider().token_endpoint) + " answers " + describe_failure(answer),
                    answer.retry_after);
  }
  finish(turned_down(record_, "the token", answer));
}

// A provider that fails now and then is one that fails: it is not told each time.
void DeviceFlow::well_again() {
  last_trouble_.clear();
  if (!trouble_told_ || ++good_answers_ < kSteady) return;
  trouble_told_ = false;
  listener_.flow_notice(url_host(client_.provider().token_endpoint) + " answers again");
}

void DeviceFlow::back_off(const std::string& why, std::optional<int64_t> retry_after) {
  if (!std::exchange(trouble_told_, true))
    listener_.flow_notice(why + "; trying again for as long as the code is good");
  good_answers_ = 0;
  last_trouble_ = why;
  if (pause_ == seconds(0)) pause_ = authorization_.interval;
  pause_ = std::min(2 * pause_, kMostPause);
  poll_later(std::max({pause_, authorization_.interval, seconds(retry_after.value_or(0))}));
}

void DeviceFlow::poll_later(seconds pause) {
  next_poll_ = std::min(services_.now() + pause, expires_);
}

void DeviceFlow::finish(Result<TokenGrant, Refusal> result) {
  if (done_) return;
  done_ = true;
  next_poll_ = Deadline::max();
  static_cast<void>(listener_.flow_done(std::move(result)));
}

Refusal DeviceFlow::expired() const {
  if (!last_trouble_.empty()) {
    return {"expired",
            "the login at " + describe_issuer(record_) + " did not end within " +
                std::to_string(authorization_.prompt.expires_in) + " s: " + last_trouble_,
            "is the network up, and the provider?"};
  }
  return {"expired",
          "nobody finished the login at " + describe_issuer(record_) + " within " +
              std::to_string(authorization_.prompt.expires_in) + " s",
          "run the command again, and open the URL in a browser sooner"};
}

}  // namespace qf
