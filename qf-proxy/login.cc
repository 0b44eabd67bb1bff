// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/login.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "libqf/browser.h"
#include "libqf/log.h"
#include "libqf/login_screen.h"
#include "libqf/tokend_client.h"

namespace qf {

namespace {

// Longer than a cached token needs, shorter than a server's patience with a connection that says nothing.
constexpr auto kPatience = std::chrono::seconds(2);
constexpr auto kRestOfLine = std::chrono::seconds(5);

Trouble daemon_trouble(const Error& error) {
  return {kExitSystem, "no credential: " + error.text(),
          error.hint.empty() ? "try again; qf-token status shows the daemon's state" : error.hint};
}

Trouble refusal(const cJSON* answer, const LoginRequest& request, bool asked) {
  // one line each: a line of a provider's must not look like ours
  auto get = [&](const char* key) { return printable(json_string(answer, key).value_or("")); };
  std::string code = get("error"), message = get("message"), hint = get("hint");
  if (code == "login_required" && !asked) {
    const char* why =
        Terminal::left_alone() ? "in batch mode nobody is asked" : "there is no terminal to ask at";
    return {kExitNegative,
            request.peer + " wants a login, and " + why + ": " + (message.empty() ? code : message),
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
      : client_(std::move(client)),
        request_(request),
        terminal_(terminal),
        watch_(watch),
        screen_(terminal, "qf-proxy: ") {}

  Result<IssuedCredential, Trouble> run() {
    JsonWriter line;
    line.set("version", kTokendProtocolVersion).set("op", "credential").set("peer", request_.peer);
    line.set("host", request_.host).set("interactive", terminal_.present());
    line.set("browser", can_open_browser());
    if (auto sent = client_.send(line.text()); !sent) return daemon_trouble(sent.error());
    for (;;) {
      auto answer = next_line();
      if (!answer) return answer.error();
      if (!json_member(answer->get(), "event")) return finish(answer->get());
      tell_slow();
      screen_.show(answer->get());
    }
  }

 private:
  Result<JsonPtr, Trouble> next_line() {
    while (!client_.has_line()) {
      Deadline patience = told_slow_ ? Deadline::max() : started_ + kPatience;
      auto wake = watch_.wait(client_.fd(), POLLIN, std::min(patience, screen_.next_tick()));
      if (!wake) return wake.error();
      if (*wake == ClientWatch::Wake::kReady) break;
      if (Clock::now() >= patience) tell_slow();
      if (Clock::now() >= screen_.next_tick()) screen_.tick();
    }
    auto line = client_.receive(Clock::now() + kRestOfLine);
    if (!line) return daemon_trouble(line.error());
    return std::move(*line);
  }

  Result<IssuedCredential, Trouble> finish(const cJSON* answer) {
    screen_.clear();
    if (json_bool(answer, "ok") != true) return refusal(answer, request_, terminal_.present());
    IssuedCredential credential{json_string(answer, "certificate").value_or(""),
                                json_string(answer, "key_file").value_or("")};
    if (credential.certificate.empty() || credential.key_file.empty())
      return daemon_trouble(peer_error("qf-tokend's answer has no certificate"));
    if (screen_.prompted()) terminal_.show("qf-proxy: logged in");
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
  bool told_slow_ = false;
  LoginScreen screen_;
};

}  // namespace

Result<IssuedCredential, Trouble> get_credential(const Folders& folders, const LoginRequest& request,
                                                 const Terminal& terminal, const ClientWatch& watch) {
  auto client = TokendClient::connect_or_start(folders);
  if (!client) return daemon_trouble(client.error());
  return Login(std::move(*client), request, terminal, watch).run();
}

}  // namespace qf
