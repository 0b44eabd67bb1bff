// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/key_service.h"

#include <fcntl.h>
#include <unistd.h>

#include <ctime>

#include "libqf/folders.h"
#include "libqf/log.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/memory_file.h"

namespace qf {

namespace {

constexpr auto kPause = std::chrono::seconds(5);  // before a keyfetch that ended is started again

// In the child.
[[noreturn]] void execute_keyfetch(const Settings& settings, int socket) {
  auto command = keyfetch_command(settings, socket);
  std::vector<char*> words;
  for (auto& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  if (::fcntl(socket, F_SETFD, 0) == 0) ::execv(words[0], words.data());
  log_error(system_error("cannot run " + command[0]).text());
  std::_Exit(kExitSystem);
}

}  // namespace

std::vector<std::string> keyfetch_command(const Settings& settings, int socket) {
  std::vector<std::string> words = {sibling_program("qf-keyfetch"), "--fd", std::to_string(socket)};
  if (settings.privileged) words.insert(words.end(), {"--user", kFetchUser});
  if (settings.use_syslog) words.emplace_back("--syslog");
  return words;
}

void KeyService::configure(const std::vector<IssuerRecord>& issuers) {
  if (settings_.auth) store_.configure(issuers, std::time(nullptr));
}

void KeyService::start() {
  auto ends = MessageSocket::pair();
  if (!ends) return log_error("cannot start keyfetch: " + ends.error().text());
  pid_t pid = ::fork();
  if (pid < 0) return log_error("cannot start keyfetch: " + system_error("fork").text());
  if (pid == 0) {
    ::sigprocmask(SIG_SETMASK, &child_mask_, nullptr);
    execute_keyfetch(settings_, ends->second.fd());
  }
  keyfetch_ = std::move(ends->first);
  pid_ = pid;
}

bool KeyService::request(const IssuerRecord& issuer) {
  return keyfetch_ &&
         keyfetch_.send(FetchRequest{issuer.name, issuer.issuer, issuer.jwks_uri, issuer.ca_file});
}

void KeyService::request_due() {
  if (!settings_.auth) return;
  auto due = store_.due(std::time(nullptr));
  if (due.empty()) return;
  if (!keyfetch_ && Clock::now() >= start_after_) start();
  for (const auto& issuer : due) {
    if (!request(issuer)) store_.fetch_failed(issuer.name, "keyfetch does not run", std::time(nullptr));
  }
}

void KeyService::want(uint64_t connection, const KeysWanted& wanted) {
  const std::string& name = wanted.issuer;
  IssuerRecord source;
  source.name = name;
  source.issuer = wanted.url;
  source.jwks_uri = wanted.jwks_uri;
  source.ca_file = wanted.ca_file;
  waiting_.push_back({connection, std::move(source)});
  auto issuer = store_.want(name, std::time(nullptr));
  if (!issuer) {
    // inline, or fetched a moment ago: what we hold may still be newer than what the connection started with
    if (!store_.pending(name, std::time(nullptr))) answer(name, true);
    return;
  }
  if (!keyfetch_) start();
  if (!request(*issuer)) answer(name, false);
}

void KeyService::read() {
  auto message = keyfetch_.receive();
  if (!message) {
    log_warning("keyfetch has ended; it is started again when it is needed");
    keyfetch_.close();
    start_after_ = Clock::now() + kPause;
    auto waiting = waiting_;
    for (const auto& login : waiting) answer(login.issuer.name, false);
    return tell_.ended();
  }
  if (!is_a<FetchReply>(*message)) return tell_.other(*message);
  auto reply = open_message<FetchReply>(*message);
  if (!reply) return log_error("keyfetch sent a malformed message");
  std::time_t now = std::time(nullptr);
  bool changed = false;
  if (reply->error.empty()) {
    auto json = read_memory_file(message->fds[0].get(), kMostKeySetBytes);
    auto stored = json ? store_.store(reply->name, *json, reply->lifetime, now) : Result<bool>(json.error());
    if (stored) {
      changed = *stored;
    } else {
      reply->error = stored.error().text();
    }
  }
  if (!reply->error.empty()) store_.fetch_failed(reply->name, reply->error, now);
  answer(reply->name, changed);
}

// Who waits for keys of another source than ours, by a document that only one of us has taken in, gets none.
void KeyService::answer(const std::string& issuer, bool changed) {
  auto file = make_memory_file(changed ? store_.json(issuer) : "");
  for (auto login = waiting_.begin(); login != waiting_.end();) {
    if (login->issuer.name != issuer) {
      ++login;
      continue;
    }
    bool ours = changed && store_.find(login->issuer, std::time(nullptr)) != nullptr;
    auto none = ours ? Result<Fd>(not_found("keys")) : make_memory_file("");
    if (ours && file) tell_.keys(login->connection, KeysReply{issuer, true}, file->get());
    if (!ours && none) tell_.keys(login->connection, KeysReply{issuer, false}, none->get());
    login = waiting_.erase(login);
  }
}

bool KeyService::reaped(pid_t pid) {
  if (pid != pid_) return false;
  pid_ = -1;
  return true;
}

}  // namespace qf
