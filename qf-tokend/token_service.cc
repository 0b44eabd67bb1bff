// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/token_service.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-tokend/command_flow.h"
#include "qf-tokend/machine_flow.h"
#include "qf-tokend/provider_flow.h"

namespace qf {

TokenService::TokenService(TokenServiceOptions options, Keys keys)
    : options_(std::move(options)),
      keys_(std::move(keys)),
      certificates_(options_.ssh_folder),
      refreshes_(*this, [this](const std::string& name,
                               RefreshResult result) { refreshed(name, std::move(result)); }),
      revocations_(*this),
      logins_([this](const LoginRecord& record, FlowRequest request,
                     FlowListener& listener) { return make_flow(record, std::move(request), listener); },
              *this, *this) {}

// Not even root: what root may do to this process it can do without asking, and root's own ssh has root's
// own daemon.
std::optional<Refusal> TokenService::admit(const ucred& who) {
  if (who.uid == ::geteuid()) return std::nullopt;
  log_warning("a process of uid " + std::to_string(who.uid) + " is refused");
  return Refusal{"refused", "this qf-tokend serves uid " + std::to_string(::geteuid()) + " only", ""};
}

void TokenService::gone(uint64_t client) {
  waiting_.erase(client);
  refreshing_.erase(client);
  logins_.leave(client);
}

void TokenService::add(std::vector<pollfd>& polled) {
  http_.add(polled);
  logins_.add(polled);
}

Deadline TokenService::deadline() {
  Deadline soonest = std::min(http_.deadline(), logins_.deadline());
  CacheTime at = time_now();
  // a second at least, so that what is due in this very second does not make the loop spin
  auto in = [&](int64_t seconds) {
    soonest = std::min(soonest, Clock::now() + std::chrono::seconds(std::clamp<int64_t>(seconds, 1, 3600)));
  };
  if (!tokens_.empty()) in(tokens_.first_expiry(at, ttl()));
  if (auto first = certificates_.first_expiry()) in(*first - at.wall);
  return soonest;
}

void TokenService::handle(const std::vector<pollfd>& polled) {
  http_.handle(polled);
  refreshes_.settle();
  revocations_.settle();
  logins_.handle(polled);
  expire();
}

void TokenService::reconcile() {
  auto db = peers();
  if (!db || std::exchange(reconciled_, true)) return;
  for (const auto& name : tokens_.issuers()) {
    auto record = (*db)->find_issuer(name);
    if (record && tokens_.reconcile(*record)) continue;
    log_info("the fabric document has another issuer " + name +
             " now, or none: the login there is forgotten");
    forget(name);
  }
}

void TokenService::expire() {
  if (!tokens_.empty()) reconcile();
  CacheTime at = time_now();
  if (!tokens_.empty()) {
    for (const auto& name : tokens_.expire(at, ttl())) {
      log_info("the login at issuer " + name + " has run out");
      forget(name);
    }
  }
  certificates_.remove_expired(at.wall);
}

void TokenService::forget(const std::string& issuer_name, const std::optional<Refusal>& refusal) {
  tokens_.drop(issuer_name);
  certificates_.remove_of(issuer_name);
  // an ssh whose certificate file is gone must not take the direct path
  notes_.clear();
  end_refresh(issuer_name, refusal);
}

// The database is replaced by rename when a new fabric document is applied: looked at anew for each request.
TokenService::Answer<TokenService::Database> TokenService::peers() {
  struct stat st = {};
  bool there = ::stat(options_.peers_mdb.c_str(), &st) == 0;
  if (there && database_ && database_->device == st.st_dev && database_->inode == st.st_ino) {
    return database_->db;
  }
  auto db = PeersDb::open(options_.peers_mdb);
  if (db) {
    database_.emplace(OpenDatabase{std::make_shared<const PeersDb>(std::move(*db)), st.st_dev, st.st_ino});
    reconciled_ = false;
    return database_->db;
  }
  database_.reset();
  if (db.error().kind == ErrorKind::kNotFound) {
    return Refusal{"config", "no fabric document was applied yet: there is no " + options_.peers_mdb,
                   "run qf-up apply"};
  }
  return Refusal{"config", db.error().text(), "run qf-up apply again"};
}

TokenService::Answer<PeerRecord> TokenService::find_peer(const Request& request) {
  auto db = peers();
  if (!db) return db.error();
  auto peer = (*db)->find_peer(request.peer);
  if (!peer) return Refusal{"no_peer", "there is no peer \"" + request.peer + "\"", "run qf-up status"};
  if (request.host.empty()) return std::move(*peer);
  // the certificate file of one peer must never get another's name
  auto named = (*db)->find_peer(request.host);
  if (!named || named->name != peer->name) {
    return Refusal{"no_peer", "\"" + request.host + "\" is no name of peer " + peer->name, ""};
  }
  return std::move(*peer);
}

TokenService::Answer<LoginRecord> TokenService::choose_issuer(const Request& request,
                                                              const PeerRecord* peer) {
  auto db = peers();
  if (!db) return db.error();
  auto meta = (*db)->meta();
  if (!meta) return Refusal{"config", meta.error().text(), "run qf-up apply again"};
  std::vector<std::string> names = meta->issuers;
  if (peer != nullptr && !peer->issuers.empty()) {
    // a peer may take tokens of an issuer at which nobody logs in here
    names = peer->issuers;
    std::erase_if(names, [&](const std::string& name) {
      return std::find(meta->issuers.begin(), meta->issuers.end(), name) == meta->issuers.end();
    });
  }
  std::string who = peer == nullptr ? "the fabric document" : "peer " + peer->name;
  if (names.empty()) {
    return Refusal{"no_issuer", who + " names no issuer to log in at",
                   "the admin of the fabric must add one"};
  }
  std::string name = request.issuer;
  if (name.empty()) {
    name = preferred_issuer(names, **db, request.interactive);
  } else if (std::find(names.begin(), names.end(), name) == names.end()) {
    return Refusal{"no_issuer", who + " knows no issuer \"" + name + "\"",
                   "its issuers: " + join(names, ", ")};
  }
  auto record = (*db)->find_issuer(name);
  if (!record) return Refusal{"no_issuer", "there is no issuer \"" + name + "\"", "run qf-up apply again"};
  return std::move(*record);
}

std::string TokenService::preferred_issuer(const std::vector<std::string>& names, const PeersDb& db,
                                           bool interactive) {
  auto first = [&](auto wanted) { return std::find_if(names.begin(), names.end(), wanted); };
  auto found = first([&](const auto& name) { return cached(name) != nullptr; });
  if (found != names.end()) return *found;
  found = first([&](const auto& name) { return can_refresh(name); });
  if (found != names.end()) return *found;
  if (!interactive) {
    found = first([&](const auto& name) {
      auto record = db.find_issuer(name);
      return record && !needs_person(record->flow);
    });
  }
  return found == names.end() ? names.front() : *found;
}

const Identity* TokenService::cached(const std::string& issuer_name) {
  return tokens_.find(issuer_name, time_now(), ttl());
}

int64_t TokenService::ttl() {
  if (options_.ttl) return *options_.ttl;
  auto db = peers();
  if (!db) return 0;
  auto meta = (*db)->meta();
  return meta ? meta->jwt_cache_ttl : 0;
}

CacheTime TokenService::time_now() {
  struct timespec since_boot = {};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  Deadline steady(std::chrono::seconds(since_boot.tv_sec) + std::chrono::nanoseconds(since_boot.tv_nsec));
  return {steady, static_cast<int64_t>(::time(nullptr))};
}

HttpClient::Id TokenService::fetch(HttpRequest request, HttpClient::Callback callback) {
  return http_.start(std::move(request), std::move(callback));
}

std::unique_ptr<TokenFlow> TokenService::make_flow(const LoginRecord& record, FlowRequest request,
                                                   FlowListener& listener) {
  FlowServices& services = *this;
  if (auto db = peers()) {
    auto meta = (*db)->meta();
    for (const auto& name : meta ? meta->issuers : std::vector<std::string>{}) {
      auto other = (*db)->find_issuer(name);
      if (other && name != record.name) request.other_issuers.push_back(other->issuer);
    }
  }
  switch (record.flow) {
    case LoginFlow::kAuto:
    case LoginFlow::kBrowser:
    case LoginFlow::kDevice:
      return std::make_unique<ProviderFlow>(record, std::move(request), services, listener);
    case LoginFlow::kFile:
    case LoginFlow::kCommand:
      return std::make_unique<CommandFlow>(record, std::move(request), services, listener);
    case LoginFlow::kMachine:
      return std::make_unique<MachineFlow>(record, std::move(request.nonce), options_.machine_sockets,
                                           services, listener);
  }
  std::abort();
}

bool TokenService::can_refresh(const std::string& issuer_name) {
  return refreshes_.going_on(issuer_name) || tokens_.refreshable(issuer_name, time_now(), ttl()) != nullptr;
}

bool TokenService::refresh(const LoginRecord& record) {
  if (refreshes_.going_on(record.name)) return true;
  const Identity* identity = tokens_.refreshable(record.name, time_now(), ttl());
  if (identity == nullptr) return false;
  refreshes_.start(record, *identity);
  return true;
}

void TokenService::refresh_ahead(const LoginRecord& record) {
  if (tokens_.grows_old(record.name, time_now(), ttl())) static_cast<void>(refresh(record));
}

void TokenService::refreshed(const std::string& issuer_name, RefreshResult result) {
  std::string failure;
  if (result) {
    log_info("the token of issuer " + issuer_name + " was refreshed" +
             ((*result).original_token.empty() ? "" : ", the first one proves its binding"));
    tokens_.renew(std::move(*result), time_now());
  } else {
    failure = "the login at issuer " + issuer_name + " could not be renewed: " + result.error().why;
    log_warning(failure + (result.error().for_good ? "" : "; it is tried again later"));
    tokens_.refresh_failed(issuer_name, result.error().for_good, failure, time_now());
  }
  for (auto& [client, request] : take_refreshing(issuer_name)) {
    if (!failure.empty() && cached(issuer_name) == nullptr) {
      server_->progress(client, JsonWriter().set("event", "notice").set("message", failure).text());
    }
    this->request(client, request);
  }
}

std::vector<std::pair<uint64_t, Request>> TokenService::take_refreshing(const std::string& issuer_name) {
  std::vector<std::pair<uint64_t, Request>> taken;
  std::erase_if(refreshing_, [&](auto& entry) {
    if (entry.second.issuer_name != issuer_name) return false;
    taken.emplace_back(entry.first, std::move(entry.second.request));
    return true;
  });
  return taken;
}

void TokenService::end_refresh(const std::string& issuer_name, const std::optional<Refusal>& refusal) {
  refreshes_.cancel(issuer_name);
  for (auto& [client, request] : take_refreshing(issuer_name)) {
    if (refusal) {
      refuse(client, *refusal);
    } else {
      this->request(client, request);
    }
  }
}

void TokenService::login_progress(uint64_t client, const std::string& line) {
  server_->progress(client, line);
}

void TokenService::login_succeeded(Identity identity, const std::vector<uint64_t>& clients) {
  log_info("login at issuer " + identity.issuer_name + " as " + identity.subject +
           " succeeded, the token is " + (identity.bound ? "bound to our key" : "a bearer token"));
  if (ttl() > 0) tokens_.put(identity.clone(), time_now());
  end_refresh(identity.issuer_name, std::nullopt);
  for (uint64_t client : clients) {
    auto request = waiting_.extract(client);
    if (!request) continue;
    answer(client, request.mapped(), identity);
  }
}

void TokenService::login_failed(const std::string& issuer_name, const Refusal& refusal,
                                const std::vector<uint64_t>& clients) {
  log_warning("login at issuer " + issuer_name + " failed (" + refusal.code + "): " + refusal.message);
  for (uint64_t client : clients) refuse(client, refusal);
}

}  // namespace qf
