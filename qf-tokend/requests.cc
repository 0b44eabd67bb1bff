// SPDX-License-Identifier: Apache-2.0
// One function for each operation of qf-tokend-protocol(7).
#include <unistd.h>

#include <algorithm>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-tokend/token_service.h"

namespace qf {

namespace {

const Refusal kLoggedOut = {"cancelled", "the login was cancelled by a logout", ""};

}  // namespace

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
  refreshing_.erase(client);
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
  auto record = choose_issuer(request, &peer);
  const Identity* identity = record ? cached(record->name) : nullptr;
  // without waiting: the connection itself will, should this not be done by then
  if (record && identity == nullptr) static_cast<void>(refresh(*record));
  if (identity == nullptr) return false;
  refresh_ahead(*record);
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
  auto record = choose_issuer(request, &*peer);
  if (!record) return refuse(client, record.error());
  serve(client, request, *record);
}

void TokenService::serve(uint64_t client, const Request& request, const LoginRecord& record) {
  const Identity* identity = request.renew ? nullptr : cached(record.name);
  if (identity != nullptr) {
    refresh_ahead(record);
    return answer(client, request, *identity);
  }
  if (!request.renew && refresh(record)) {
    refreshing_.insert_or_assign(client, Refreshing{record.name, request});
    return;
  }
  if (request.operation == Operation::kShow) {
    return refuse(client, {"login_required", "no token of issuer " + record.name + " is cached",
                           hint_to_log_in(record)});
  }
  wait_for_login(client, request, record);
}

void TokenService::wait_for_login(uint64_t client, const Request& request, const LoginRecord& record) {
  if (!request.interactive && needs_person(record.flow)) return refuse(client, login_required(record));
  waiting_.insert_or_assign(client, request);
  logins_.join(record, client, {request.browser, ttl() > 0});
}

void TokenService::answer(uint64_t client, const Request& request, const Identity& identity) {
  if (request.operation == Operation::kCredential) return answer_credential(client, request, identity);
  if (request.operation == Operation::kShow) return answer_show(client, identity);
  answer_login(client, identity);
}

void TokenService::answer_credential(uint64_t client, const Request& request, const Identity& identity) {
  // the login may have taken minutes: the database may be another one
  auto peer = find_peer(request);
  if (!peer) return refuse(client, peer.error());
  Request same = request;
  same.issuer = identity.issuer_name;
  if (auto record = choose_issuer(same, &*peer); !record) return refuse(client, record.error());
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
std::string TokenService::hint_to_log_in(const LoginRecord& record) {
  auto db = peers();
  auto meta = db ? (*db)->meta() : Result<PeersMeta>(not_found(""));
  bool only_one = meta && meta->issuers.size() == 1;
  std::string command = "qf-token login" + (only_one ? "" : " --issuer " + record.name);
  if (ttl() > 0) return "run: " + command;
  return "tokens are not kept (the TTL is 0); run: sudo qf-up apply --ssh-jwt-cache-ttl 3600, then " +
         command;
}

Refusal TokenService::login_required(const LoginRecord& record) {
  std::string failure = tokens_.failure(record.name);
  if (!failure.empty()) {
    return {"login_required", failure + "; to log in anew takes a person at a terminal",
            "when the provider is well again, connect again, or " + hint_to_log_in(record)};
  }
  return {"login_required",
          "no token of issuer " + record.name + " is cached, and to log in takes a person at a terminal",
          hint_to_log_in(record)};
}

void TokenService::login(uint64_t client, const Request& request) {
  auto record = choose_issuer(request, nullptr);
  if (!record) return refuse(client, record.error());
  serve(client, request, *record);
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
  Request asked = request;
  asked.interactive = true;  // who looks at a token means the one that a person's ssh would use
  auto record = choose_issuer(asked, nullptr);
  if (!record) return refuse(client, record.error());
  serve(client, request, *record);
}

void TokenService::answer_show(uint64_t client, const Identity& identity) {
  std::string line = JsonWriter().set("ok", true).set("token", identity.token.reveal()).text();
  server_->answer(client, line);
  wipe(line);
}

TokenService::Readiness TokenService::readiness(const std::string& issuer_name, const PeersDb& db) {
  Readiness out;
  out.usable = cached(issuer_name) != nullptr;
  out.refreshable = can_refresh(issuer_name);
  auto record = db.find_issuer(issuer_name);
  out.prompt = !out.usable && !out.refreshable && (!record || needs_person(record->flow));
  return out;
}

JsonPtr TokenService::issuer_status(const std::string& name, const PeersDb& db) {
  Readiness ready = readiness(name, db);
  JsonWriter out;
  out.set("name", name);
  out.set("state", ready.usable             ? "cached"
                   : ready.refreshable      ? "refreshable"
                   : logins_.going_on(name) ? "logging_in"
                                            : "none");
  out.set("prompt", ready.prompt);
  const Identity* kept = tokens_.kept(name);
  if (kept != nullptr && (ready.usable || ready.refreshable)) {
    out.set("issuer", kept->issuer).set("subject", kept->subject).set("expires", kept->expires);
    out.set("ttl_left", tokens_.seconds_left(name, time_now(), ttl())).set("bound", kept->bound);
    out.set("refresh", !kept->refresh_token.empty());
  }
  return out.take();
}

void TokenService::status(uint64_t client, const Request& request) {
  auto db = peers();
  if (!db) return refuse(client, db.error());
  auto meta = (*db)->meta();
  if (!meta) return refuse(client, {"config", meta.error().text(), "run qf-up apply again"});
  if (!request.issuer.empty()) {
    if (auto record = choose_issuer(request, nullptr); !record) return refuse(client, record.error());
  }
  JsonPtr issuers(::cJSON_CreateArray());
  for (const auto& name : meta->issuers) {
    if (!request.issuer.empty() && name != request.issuer) continue;
    ::cJSON_AddItemToArray(issuers.get(), issuer_status(name, **db).release());
  }
  // the issuer that a person's ssh to a peer that takes them all would use
  std::string next = request.issuer;
  if (next.empty() && !meta->issuers.empty()) next = preferred_issuer(meta->issuers, **db, true);
  JsonWriter answer;
  answer.set("ok", true).set("pid", static_cast<int64_t>(::getpid())).set("ttl", ttl());
  answer.set("release", QF_VERSION);
  answer.set("prompt", next.empty() || readiness(next, **db).prompt);
  answer.set("issuers", std::move(issuers));
  server_->answer(client, answer.text());
}

// What is kept is forgotten without asking the database: an issuer that is no longer in it must be
// forgettable too. A name that neither knows is a mistake.
void TokenService::logout(uint64_t client, const Request& request) {
  if (!request.issuer.empty() && !knows(request.issuer)) {
    if (auto record = choose_issuer(request, nullptr); !record) return refuse(client, record.error());
  }
  for (const auto& name : request.issuer.empty() ? logins_.issuers() : std::vector{request.issuer}) {
    logins_.cancel(name, kLoggedOut);
  }
  log_out(client, request.issuer.empty() ? tokens_.issuers() : std::vector{request.issuer});
}

void TokenService::log_out(uint64_t client, const std::vector<std::string>& issuer_names) {
  struct Left {
    size_t answers = 0;
    bool all_revoked = true;
  };
  auto left = std::make_shared<Left>();
  for (const auto& name : issuer_names) {
    const Identity* kept = tokens_.kept(name);
    if (kept == nullptr) continue;
    log_info("logged out from issuer " + name);
    if (Revocations::possible(*kept)) {
      ++left->answers;
      revocations_.start(*kept, [this, client, left](bool revoked) {
        left->all_revoked = left->all_revoked && revoked;
        if (--left->answers > 0) return;
        server_->answer(client, JsonWriter().set("ok", true).set("revoked", left->all_revoked).text());
      });
    }
    forget(name, kLoggedOut);
  }
  if (left->answers == 0) server_->answer(client, JsonWriter().set("ok", true).text());
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
