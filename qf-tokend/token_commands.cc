// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/token_commands.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>

#include "libqf/base64.h"
#include "libqf/browser.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/login_screen.h"
#include "libqf/peers_db.h"
#include "libqf/secret.h"
#include "libqf/signals.h"
#include "libqf/text.h"
#include "libqf/token_state.h"
#include "libqf/tokend_client.h"

namespace qf {

namespace {

constexpr auto kAnswerTime = std::chrono::seconds(10);
constexpr auto kRefreshTime = std::chrono::seconds(45);  // a refresh asks a provider up to three times

JsonWriter request_for(const char* operation, const std::string& issuer) {
  JsonWriter request;
  request.set("version", kTokendProtocolVersion).set("op", operation);
  if (!issuer.empty()) request.set("issuer", issuer);
  return request;
}

int print(std::string_view text) {
  auto written = write_all(STDOUT_FILENO, std::string(text) + "\n");
  if (!written) say("cannot write to stdout: " + written.error().text());
  return written ? kExitOk : kExitSystem;
}

int trouble(const Error& error, const std::string& hint) {
  say(error.text(), error.hint.empty() ? hint : error.hint);
  return kExitSystem;
}

std::string text_of(const JsonPtr& answer, const char* key) {
  return json_string(answer.get(), key).value_or("");
}

// What qf-tokend said no to, in its words: one line each, whatever a provider may have put into them.
int negative(const JsonPtr& answer) {
  say(printable(text_of(answer, "message")), printable(text_of(answer, "hint")));
  return kExitNegative;
}

bool succeeded(const JsonPtr& answer) {
  return json_bool(answer.get(), "ok").value_or(false);
}

Result<JsonPtr> ask(TokendClient& daemon, const JsonWriter& request) {
  if (auto sent = daemon.send(request.text()); !sent) return sent.error();
  return daemon.receive(Clock::now() + kAnswerTime);
}

// For what may wait for a provider; events on the way are nothing to show.
Result<JsonPtr> ask_patiently(TokendClient& daemon, const JsonWriter& request) {
  if (auto sent = daemon.send(request.text()); !sent) return sent.error();
  Deadline until = Clock::now() + kRefreshTime;
  for (;;) {
    auto line = daemon.receive(until);
    if (!line || !json_member(line->get(), "event")) return line;
  }
}

// Ends as an interrupted program does: by the signal, so that a script stops too.
[[noreturn]] void end_interrupted(const sigset_t& before) {
  ::raise(SIGINT);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  std::_Exit(128 + SIGINT);
}

// Shows what comes on the way; the final answer. The daemon bounds how long a login may take. Ctrl-C only
// wakes us meanwhile, whenever it comes, so that the terminal is left tidy.
Result<JsonPtr> follow_login(TokendClient& daemon, const Terminal& terminal) {
  LoginScreen screen(terminal, "qf-token: ");
  sigset_t before = {};
  auto interrupt = watch_signals({SIGINT}, &before);
  if (!interrupt) return interrupt.error();
  for (;;) {
    if (!daemon.has_line()) {
      std::array<pollfd, 2> polled = {{{daemon.fd(), POLLIN, 0}, {interrupt->get(), POLLIN, 0}}};
      int n = ::poll(polled.data(), polled.size(), poll_timeout(screen.next_tick()));
      if (next_signal(*interrupt) != 0) {
        screen.clear();
        terminal.show("qf-token: the login was given up");
        end_interrupted(before);
      }
      if (n == 0) screen.tick();
      if (n <= 0) continue;
    }
    auto line = daemon.receive(Clock::now() + kAnswerTime);
    if (!line || text_of(*line, "event").empty()) return line;
    screen.show(line->get());
  }
}

int report_login(const JsonPtr& answer) {
  int64_t left = json_integer(answer.get(), "ttl_left").value_or(0);
  say("logged in at " + printable(text_of(answer, "issuer")) + " as " +
      printable(text_of(answer, "subject")) + (left > 0 ? ", for " + describe_seconds(left) : ""));
  if (left > 0) return kExitOk;
  say("the token runs out too soon to be kept", "log in again when ssh asks for it");
  return kExitOk;
}

// Exit 0 when the next connection would not prompt.
int print_status(const JsonPtr& answer, bool json) {
  std::string text = "qf-tokend: process " + std::to_string(json_integer(answer.get(), "pid").value_or(0));
  int64_t ttl = json_integer(answer.get(), "ttl").value_or(0);
  text += ttl == 0 ? ", tokens are not kept" : ", keeps tokens for " + describe_seconds(ttl);
  const cJSON* issuer = nullptr;
  cJSON_ArrayForEach(issuer, json_member(answer.get(), "issuers")) {
    text +=
        "\n" + printable(json_string(issuer, "name").value_or("")) + ": " + printable(token_state(issuer));
  }
  int printed = print(json ? json_text(answer.get()) : text);
  if (printed != kExitOk) return printed;
  return json_bool(answer.get(), "prompt").value_or(true) ? kExitNegative : kExitOk;
}

// Payload of a compact JWS, for reading; qf-token judges nothing.
std::optional<std::string> payload_of(const std::string& token) {
  auto parts = split(token, '.');
  return parts.size() == 3 ? base64url_decode(parts[1]) : std::nullopt;
}

// No daemon runs, so nothing is kept; but a name that was mistyped must not look forgotten.
int logout_from_nothing(const Folders& folders, const std::string& issuer) {
  auto db = PeersDb::open(folders.peers_mdb());
  auto meta = db ? db->meta() : Result<PeersMeta>(db.error());
  if (issuer.empty() || !meta) return kExitOk;
  const auto& names = meta->issuers;
  if (std::find(names.begin(), names.end(), issuer) != names.end()) return kExitOk;
  say("the fabric document knows no issuer \"" + issuer + "\"", "its issuers: " + join(names, ", "));
  return kExitNegative;
}

}  // namespace

int token_login(const Folders& folders, const std::string& issuer, bool renew) {
  auto daemon = TokendClient::connect_or_start(folders);
  if (!daemon) return trouble(daemon.error(), "look at the messages above");
  auto status = ask(*daemon, request_for("status", ""));
  if (!status) return trouble(status.error(), "run qf-token stop, then try again");
  if (!succeeded(*status)) return negative(*status);
  if (json_integer(status->get(), "ttl").value_or(0) == 0) {
    say("tokens are not kept (the TTL is 0), so that a login now would be of no use: ssh asks for one at "
        "each connection",
        "to keep them for an hour run: sudo qf-up apply --ssh-jwt-cache-ttl 3600");
    return kExitNegative;
  }
  Terminal terminal = Terminal::find();
  auto request = request_for("login", issuer);
  request.set("interactive", terminal.present()).set("browser", can_open_browser()).set("renew", renew);
  if (auto sent = daemon->send(request.text()); !sent) return trouble(sent.error(), "try again");
  auto answer = follow_login(*daemon, terminal);
  if (!answer) return trouble(answer.error(), "the login was not finished: run qf-token login again");
  if (!succeeded(*answer) && !terminal.present() && text_of(*answer, "error") == "login_required") {
    say("to log in takes a person at a terminal, and there is none", "run qf-token login from a terminal");
    return kExitNegative;
  }
  return succeeded(*answer) ? report_login(*answer) : negative(*answer);
}

int token_show(const Folders& folders, const std::string& issuer, bool claims) {
  auto daemon = TokendClient::connect(folders);
  if (!daemon && daemon.error().kind == ErrorKind::kNotFound) {
    say("qf-tokend is not running, so there is no token", "run qf-token login");
    return kExitNegative;
  }
  if (!daemon) return trouble(daemon.error(), "");
  auto answer = ask_patiently(*daemon, request_for("show", issuer));
  if (!answer) return trouble(answer.error(), "run qf-token stop, then log in again");
  if (!succeeded(*answer)) return negative(*answer);
  std::string token = text_of(*answer, "token");
  auto payload = claims ? payload_of(token) : std::optional(token);
  if (!payload) {
    say("qf-tokend gave something that is no JWT");
    return kExitSystem;
  }
  int printed = print(claims ? printable(*payload) : *payload);
  wipe(token);
  wipe(*payload);
  return printed;
}

int token_status(const Folders& folders, const std::string& issuer, bool json) {
  auto daemon = TokendClient::connect(folders);
  if (!daemon && daemon.error().kind == ErrorKind::kNotFound) {
    if (json) {
      int printed = print(R"({"ok":false,"error":"not_running"})");
      return printed == kExitOk ? kExitNegative : printed;
    }
    say("qf-tokend is not running, so there is no token", "run qf-token login");
    return kExitNegative;
  }
  if (!daemon) return trouble(daemon.error(), "");
  auto answer = ask(*daemon, request_for("status", issuer));
  if (!answer) return trouble(answer.error(), "run qf-token stop, then log in again");
  if (!succeeded(*answer)) return negative(*answer);
  return print_status(*answer, json);
}

int token_logout(const Folders& folders, const std::string& issuer) {
  auto daemon = TokendClient::connect(folders);
  if (!daemon && daemon.error().kind == ErrorKind::kNotFound) return logout_from_nothing(folders, issuer);
  if (!daemon) return trouble(daemon.error(), "");
  auto answer = ask(*daemon, request_for("logout", issuer));
  if (!answer) return trouble(answer.error(), "run qf-token stop: that forgets everything too");
  if (!succeeded(*answer)) return negative(*answer);
  if (json_bool(answer->get(), "revoked") == false) {
    say("logged out here, but the provider could not be told to revoke the login",
        "its refresh token is forgotten; end the session at the provider itself when that is not enough");
  }
  return kExitOk;
}

int token_stop(const Folders& folders) {
  auto daemon = TokendClient::connect(folders);
  if (!daemon && daemon.error().kind == ErrorKind::kNotFound) return kExitOk;
  if (!daemon) return trouble(daemon.error(), "");
  auto answer = ask(*daemon, request_for("stop", ""));
  if (!answer) return trouble(answer.error(), "end the process of qf-tokend by hand");
  if (!succeeded(*answer)) return negative(*answer);
  // the daemon closes the connection when it has ended and its files are gone
  auto end = daemon->receive(Clock::now() + kAnswerTime);
  if (end || end.error().kind == ErrorKind::kTimeout) {
    say("qf-tokend has not ended yet", "end its process by hand");
    return kExitSystem;
  }
  return kExitOk;
}

}  // namespace qf
