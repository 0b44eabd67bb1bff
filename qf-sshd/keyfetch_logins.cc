// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/keyfetch_logins.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "libqf/device_flow.h"
#include "libqf/log.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

constexpr size_t kMostWords = 2000;  // bytes of an error or a hint

LoginRecord record_of(DeviceLoginStart start) {
  LoginRecord record;
  record.name = std::move(start.issuer);
  record.issuer = std::move(start.url);
  record.ca_file = std::move(start.ca_file);
  record.client_id = std::move(start.client_id);
  record.client_secret = std::move(start.client_secret);
  record.scopes = std::move(start.scopes);
  record.flow = LoginFlow::kDevice;
  record.client_entry = "server_login";
  return record;
}

std::string shown(const std::string& text) {
  return printable(text.substr(0, kMostWords));
}

}  // namespace

// One login: the provider's discovery document, then the flow.
class KeyfetchLogin final : public FlowServices, public FlowListener {
 public:
  KeyfetchLogin(HttpClient& http, const KeyfetchLogins::Tell& tell, DeviceLoginStart start)
      : http_(http),
        tell_(tell),
        number_(start.number),
        others_(std::move(start.other_issuers)),
        record_(record_of(std::move(start))),
        client_(record_, {}, *this) {
    client_.get(discovery_url(record_.issuer), [this](Result<HttpAnswer>& answer) { discovered(answer); });
  }

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] Deadline deadline() const { return flow_ ? flow_->deadline() : Deadline::max(); }
  void turn() {
    if (flow_) flow_->event({});
  }

  // FlowServices
  Deadline now() override { return Clock::now(); }
  int64_t wall_time() override { return std::time(nullptr); }
  const UserKeys* user_keys() override { return nullptr; }
  HttpClient::Id fetch(HttpRequest request, HttpClient::Callback callback) override {
    return http_.start(std::move(request), std::move(callback));
  }
  void cancel_fetch(HttpClient::Id id) override { http_.cancel(id); }

  // FlowListener
  void flow_prompt(const LoginPrompt& prompt) override {
    tell_.prompt({number_, prompt.verification_uri, prompt.verification_uri_complete, prompt.user_code,
                  static_cast<uint32_t>(prompt.expires_in)});
  }
  void flow_notice(const std::string& message) override { log_info("device login: " + printable(message)); }
  std::optional<Refusal> flow_done(Result<TokenGrant, Refusal> result) override {
    done_ = true;
    if (result) {
      DeviceLoginEnd end{number_, std::string(result->token.reveal()), "", ""};
      tell_.end(end);
      wipe(end.token);
    } else {
      tell_.end({number_, "", shown(result.error().message), shown(result.error().hint)});
    }
    return std::nullopt;
  }

 private:
  void discovered(Result<HttpAnswer>& answer) {
    auto provider = read_discovery(record_, answer);
    if (!provider) return static_cast<void>(flow_done(provider.error()));
    if (auto mix_up = check_mix_up(record_, *provider, others_)) return static_cast<void>(flow_done(*mix_up));
    if (provider->device_authorization_endpoint.empty()) {
      return static_cast<void>(flow_done(
          Refusal{"unsupported",
                  describe_issuer(record_) +
                      ": \"device_authorization_endpoint\" of its discovery document is missing, so nobody "
                      "can log in from here",
                  "the admin of the fabric should take \"server_login\" out of the issuer's entry"}));
    }
    FlowRequest request;  // no nonce: the token is bound to nothing
    flow_ = std::make_unique<DeviceFlow>(record_, std::move(*provider), std::move(request), *this, *this);
    flow_->start();
  }

  HttpClient& http_;
  const KeyfetchLogins::Tell& tell_;
  uint64_t number_;
  std::vector<std::string> others_;
  LoginRecord record_;
  bool done_ = false;
  std::unique_ptr<DeviceFlow> flow_;
  OAuthClient client_;  // last: its request calls us
};

KeyfetchLogins::KeyfetchLogins(HttpClient& http, Tell tell) : http_(http), tell_(std::move(tell)) {}
KeyfetchLogins::~KeyfetchLogins() = default;

bool KeyfetchLogins::take(const Message& message) {
  if (auto start = open_message<DeviceLoginStart>(message)) {
    uint64_t number = start->number;
    logins_.erase(number);
    logins_[number] = std::make_unique<KeyfetchLogin>(http_, tell_, std::move(*start));
    return true;
  }
  if (auto cancel = open_message<DeviceLoginCancel>(message)) {
    logins_.erase(cancel->number);
    return true;
  }
  return false;
}

Deadline KeyfetchLogins::deadline() const {
  Deadline first = Deadline::max();
  for (const auto& [number, login] : logins_) first = std::min(first, login->deadline());
  return first;
}

void KeyfetchLogins::turn() {
  for (auto& [number, login] : logins_) login->turn();
  std::erase_if(logins_, [](const auto& entry) { return entry.second->done(); });
}

}  // namespace qf
