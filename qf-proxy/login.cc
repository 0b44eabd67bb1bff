// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/login.h"

#include <poll.h>

#include <utility>

#include "libqf/log.h"
#include "libqf/tokend_client.h"

namespace qf {

namespace {

// Longer than a cached token needs, shorter than a server's patience with a connection that says nothing.
constexpr auto kPatience = std::chrono::seconds(2);
constexpr auto kRestOfLine = std::chrono::seconds(5);

std::string prompt_text(const cJSON* event) {
  auto get = [&](const char* key) { return printable(json_string(event, key).value_or("")); };
  std::string issuer = get("issuer"), code = get("user_code");
  std::string text = "qf-proxy: to log in" + (issuer.empty() ? "" : " at " + issuer) + ", open " +
                     get("verification_uri") + (code.empty() ? "" : " and enter the code " + code);
  if (auto complete = get("verification_uri_complete"); !complete.empty()) text += "\nor open " + complete;
  if (auto seconds = json_integer(event, "expires_in"); seconds && *seconds >= 60)
    text += "\nthe code is good for " + std::to_string(*seconds / 60) + " minutes; Ctrl-C gives up";
  return text;
}

Trouble daemon_trouble(const Error& error) {
  return {kExitSystem, "no credential: " + error.text(),
          error.hint.empty() ? "try again; qf-token status shows the daemon's state" : error.hint};
}

Trouble refusal(const cJSON* answer, const LoginRequest& request, bool asked) {
  // one line each: a line of a provider's must not look like ours
  auto get = [&](const char* key) { return printable(json_string(answer, key).value_or("")); };
  std::string code = get("error"), message = get("message"), hint = get("hint");
  if (code == "login_required" && !asked) {
    return {kExitNegative,
            request.peer + " wants a login, nobody is logged in, and there is no terminal to ask at",
            (hint.empty() ? "run: qf-token login" : hint) + ", then connect again"};
  }
  std::string why = message.empty() ? code : message;
  return {kExitNegative,
          "no credential for " + request.peer + ": " + (why.empty() ? "qf-tokend gave no reason" : why),
          hint.empty() ? "try again, or run: qf-token login" : hint};
}

class Login {
 public:
  Login(TokendClient client, const LoginRequest& request, const Terminal& terminal, const ClientWatch& watch)
      : client_(std::move(client)), request_(request), terminal_(terminal), watch_(watch) {}

  Result<IssuedCredential, Trouble> run() {
    JsonWriter line;
    line.set("version", kTokendProtocolVersion).set("op", "credential").set("peer", request_.peer);
    line.set("host", request_.host).set("interactive", terminal_.present());
    if (auto sent = client_.send(line.text()); !sent) return daemon_trouble(sent.error());
    for (;;) {
      auto answer = next_line();
      if (!answer) return answer.error();
      if (auto event = json_string(answer->get(), "event")) {
        show_event(*event, answer->get());
        continue;
      }
      return finish(answer->get());
    }
  }

 private:
  Result<JsonPtr, Trouble> next_line() {
    Deadline deadline = told_slow_ ? Deadline::max() : started_ + kPatience;
    if (!client_.has_line()) {
      auto wake = watch_.wait(client_.fd(), POLLIN, deadline);
      if (!wake) return wake.error();
      if (*wake == ClientWatch::Wake::kTimeout) {
        tell_slow();
        return next_line();
      }
    }
    auto line = client_.receive(Clock::now() + kRestOfLine);
    if (!line) return daemon_trouble(line.error());
    return std::move(*line);
  }

  void show_event(const std::string& event, const cJSON* json) {
    tell_slow();
    if (event == "prompt") {
      terminal_.show(prompt_text(json));
      prompted_ = true;
    } else if (event == "notice") {
      terminal_.show("qf-proxy: " + printable(json_string(json, "message").value_or("")));
    }
  }

  Result<IssuedCredential, Trouble> finish(const cJSON* answer) {
    if (json_bool(answer, "ok") != true) return refusal(answer, request_, terminal_.present());
    IssuedCredential credential{json_string(answer, "certificate").value_or(""),
                                json_string(answer, "key_file").value_or("")};
    if (credential.certificate.empty() || credential.key_file.empty())
      return daemon_trouble(peer_error("qf-tokend's answer has no certificate"));
    if (prompted_) terminal_.show("qf-proxy: logged in");
    return credential;
  }

  void tell_slow() {
    if (!std::exchange(told_slow_, true) && request_.slow) request_.slow();
  }

  TokendClient client_;
  const LoginRequest& request_;
  const Terminal& terminal_;
  const ClientWatch& watch_;
  Deadline started_ = Clock::now();
  bool told_slow_ = false, prompted_ = false;
};

}  // namespace

Result<IssuedCredential, Trouble> get_credential(const Folders& folders, const LoginRequest& request,
                                                 const Terminal& terminal, const ClientWatch& watch) {
  auto client = TokendClient::connect_or_start(folders);
  if (!client) return daemon_trouble(client.error());
  return Login(std::move(*client), request, terminal, watch).run();
}

}  // namespace qf
