// SPDX-License-Identifier: Apache-2.0
// One function for each operation of qf-tokend-protocol(7).
#include <unistd.h>

#include <algorithm>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-tokend/token_service.h"

namespace qf {

void TokenService::request(uint64_t client, const Request& request) {
  switch (request.operation) {
    case Operation::kMatch:
      return match(client, request);
    case Operation::kDetected:
      return detected(client, request);
    case Operation::kConfirm:
      return confirm(client, request);
    case Operation::kCredential:
      return credential(client, request);
    case Operation::kLogin:
      return login(client, request);
    case Operation::kShow:
      return show(client, request);
    case Operation::kStatus:
      return status(client, request);
    case Operation::kLogout:
      return logout(client, request);
    case Operation::kStop:
      return stop(client, request);
    case Operation::kIssue:
    case Operation::kJwks:
      return refuse(client, {"unknown_op", "this is the machine issuer's operation",
                             "its socket is machine-issuer.sock"});
  }
  std::abort();
}

void TokenService::refuse(uint64_t client, const Refusal& refusal) {
  waiting_.erase(client);
  server_->answer(client, refusal_line(refusal));
}

void TokenService::match(uint64_t client, const Request& request) {
  auto peer = find_peer(request);
  if (!peer) return refuse(client, peer.error());
  auto detection = detections_.find(peer->name, Clock::now());
  JsonWriter answer;
  answer.set("ok", true);
  if (detection) answer.set("detection", *detection);
  answer.set("credential", detection && *detection == "jwt" && renew_certificate(request, *peer));
  server_->answer(client, answer.text());
}

void TokenService::detected(uint64_t client, const Request& request) {
  auto peer = find_peer(request);
  if (!peer) return refuse(client, peer.error());
  detections_.put(peer->name, request.detection, Clock::now());
  match(client, request);
}

// Writes the certificate file of this host when a token is at hand, and notes which ssh will load it.
bool TokenService::renew_certificate(const Request& request, const PeerRecord& peer) {
  auto record = choose_issuer("", &peer);
  const Identity* identity = record ? cached(record->name) : nullptr;
  if (identity == nullptr) return false;
  int64_t wall = time_now().wall;
  auto certificate = mint_certificate(*identity, peer, keys_, wall);
  if (!certificate) {
    log_warning(certificate.error().message);
    return false;
  }
  auto written = certificates_.write(request.host, record->name, *certificate);
  if (!written) {
    log_error(written.error().text());
    return false;
  }
  if (request.pid != 0) {
    notes_.put(request.pid, request.start, peer.name, certificate->valid_before, wall);
  }
  return true;
}

void TokenService::confirm(uint64_t client, const Request& request) {
  bool direct = notes_.find(request.pid, request.start, request.peer, time_now().wall);
  server_->answer(client, JsonWriter().set("ok", true).set("direct", direct).text());
}

void TokenService::credential(uint64_t client, const Request& request) {
  auto peer = find_peer(request);
  if (!peer) return refuse(client, peer.error());
  auto record = choose_issuer(request.issuer, &*peer);
  if (!record) return refuse(client, record.error());
  if (const Identity* identity = cached(record->name)) return answer_credential(client, request, *identity);
  wait_for_login(client, request, *record);
}

void TokenService::wait_for_login(uint64_t client, const Request& request, const LoginRecord& record) {
  if (!request.interactive && needs_person(record.flow)) return refuse(client, login_required(record));
  waiting_.insert_or_assign(client, request);
  logins_.join(record, client);
}

void TokenService::answer_credential(uint64_t client, const Request& request, const Identity& identity) {
  auto peer = find_peer(request);  // the login may have taken minutes: the database may be another one
  if (!peer) return refuse(client, peer.error());
  auto certificate = mint_certificate(identity, *peer, keys_, time_now().wall);
  if (!certificate) return refuse(client, certificate.error());
  JsonWriter answer;
  answer.set("ok", true);
  answer.set("certificate", trim(certificate->line)).set("key_file", keys_.key_file);
  std::string line = answer.text();
  server_->answer(client, line);
  wipe(line);
  wipe(certificate->line);
}

// A login in advance is of no use while tokens are not kept.
std::string TokenService::hint_to_log_in() {
  if (ttl() > 0) return "run: qf-token login";
  return "tokens are not kept (the TTL is 0); run: sudo qf-up apply --ssh-jwt-cache-ttl 3600, then qf-token "
         "login";
}

Refusal TokenService::login_required(const LoginRecord& record) {
  return {"login_required",
          "no token of issuer " + record.name + " is cached, and to log in takes a person at a terminal",
          hint_to_log_in()};
}

void TokenService::login(uint64_t client, const Request& request) {
  auto record = choose_issuer(request.issuer, nullptr);
  if (!record) return refuse(client, record.error());
  if (const Identity* identity = cached(record->name)) return answer_login(client, *identity);
  wait_for_login(client, request, *record);
}

void TokenService::answer_login(uint64_t client, const Identity& identity) {
  JsonWriter answer;
  answer.set("ok", true).set("issuer", identity.issuer_name).set("subject", identity.subject);
  answer.set("expires", identity.expires).set("bound", identity.bound);
  answer.set("ttl_left", tokens_.seconds_left(identity.issuer_name, time_now(), ttl()));
  answer.set("ttl", ttl());
  server_->answer(client, answer.text());
}

void TokenService::show(uint64_t client, const Request& request) {
  auto record = choose_issuer(request.issuer, nullptr);
  if (!record) return refuse(client, record.error());
  const Identity* identity = cached(record->name);
  if (identity == nullptr) {
    return refuse(client,
                  {"login_required", "no token of issuer " + record->name + " is cached", hint_to_log_in()});
  }
  std::string line = JsonWriter().set("ok", true).set("token", identity->token.reveal()).text();
  server_->answer(client, line);
  wipe(line);
}

JsonPtr TokenService::issuer_status(const std::string& name) {
  JsonWriter out;
  out.set("name", name);
  const Identity* identity = cached(name);
  out.set("state", identity != nullptr ? "cached" : logins_.going_on(name) ? "logging_in" : "none");
  if (identity != nullptr) {
    out.set("issuer", identity->issuer).set("subject", identity->subject).set("expires", identity->expires);
    out.set("ttl_left", tokens_.seconds_left(name, time_now(), ttl())).set("bound", identity->bound);
  }
  return out.take();
}

void TokenService::status(uint64_t client, const Request&) {
  auto db = peers();
  if (!db) return refuse(client, db.error());
  auto meta = (*db)->meta();
  if (!meta) return refuse(client, {"config", meta.error().text(), "run qf-up apply again"});
  JsonPtr issuers(::cJSON_CreateArray());
  for (const auto& name : meta->issuers) {
    ::cJSON_AddItemToArray(issuers.get(), issuer_status(name).release());
  }
  JsonWriter answer;
  answer.set("ok", true).set("pid", static_cast<int64_t>(::getpid())).set("ttl", ttl());
  answer.set("issuers", std::move(issuers));
  server_->answer(client, answer.text());
}

// What is kept is forgotten without asking the database: an issuer that is no longer in it must be
// forgettable too. A name that neither knows is a mistake.
void TokenService::logout(uint64_t client, const Request& request) {
  if (!request.issuer.empty() && !knows(request.issuer)) {
    if (auto record = choose_issuer(request.issuer, nullptr); !record) return refuse(client, record.error());
  }
  const Refusal cancelled = {"cancelled", "the login was cancelled by a logout", ""};
  for (const auto& name : request.issuer.empty() ? tokens_.issuers() : std::vector{request.issuer}) {
    forget(name);
    log_info("logged out from issuer " + name);
  }
  for (const auto& name : request.issuer.empty() ? logins_.issuers() : std::vector{request.issuer}) {
    logins_.cancel(name, cancelled);
  }
  server_->answer(client, JsonWriter().set("ok", true).text());
}

bool TokenService::knows(const std::string& issuer_name) const {
  auto among = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), issuer_name) != names.end();
  };
  return among(tokens_.issuers()) || among(logins_.issuers());
}

void TokenService::stop(uint64_t client, const Request&) {
  log_info("asked to stop");
  server_->answer(client, JsonWriter().set("ok", true).text());
  server_->stop();
}

}  // namespace qf
