// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/token_service.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-tokend/device_flow.h"
#include "qf-tokend/machine_flow.h"

namespace qf {

namespace {

const char* flow_name(LoginFlow flow) {
  switch (flow) {
    case LoginFlow::kAuto:
      return "auto";
    case LoginFlow::kBrowser:
      return "browser";
    case LoginFlow::kDevice:
      return "device";
    case LoginFlow::kFile:
      return "file";
    case LoginFlow::kCommand:
      return "command";
    case LoginFlow::kMachine:
      return "machine";
  }
  std::abort();
}

}  // namespace

TokenService::TokenService(TokenServiceOptions options, Keys keys)
    : options_(std::move(options)),
      keys_(std::move(keys)),
      certificates_(options_.ssh_folder),
      logins_([this](const LoginRecord& record, const std::string& nonce,
                     FlowListener& listener) { return make_flow(record, nonce, listener); },
              *this, *this, keys_.user_blob) {}

// Not even root: what root may do to this process it can do without asking, and root's own ssh has root's
// own daemon.
std::optional<Refusal> TokenService::admit(const ucred& who) {
  if (who.uid == ::geteuid()) return std::nullopt;
  log_warning("a process of uid " + std::to_string(who.uid) + " is refused");
  return Refusal{"refused", "this qf-tokend serves uid " + std::to_string(::geteuid()) + " only", ""};
}

void TokenService::gone(uint64_t client) {
  waiting_.erase(client);
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
    soonest = std::min(soonest, at.steady + std::chrono::seconds(std::clamp<int64_t>(seconds, 1, 3600)));
  };
  if (!tokens_.empty()) in(tokens_.first_expiry(at, ttl()));
  if (auto first = certificates_.first_expiry()) in(*first - at.wall);
  return soonest;
}

void TokenService::handle(const std::vector<pollfd>& polled) {
  http_.handle(polled);
  logins_.handle(polled, time_now().wall);
  expire();
}

void TokenService::expire() {
  CacheTime at = time_now();
  if (!tokens_.empty()) {
    for (const auto& name : tokens_.expire(at, ttl())) {
      log_info("the token of issuer " + name + " has run out");
      forget(name);
    }
  }
  certificates_.remove_expired(at.wall);
}

void TokenService::forget(const std::string& issuer_name) {
  tokens_.drop(issuer_name);
  certificates_.remove_of(issuer_name);
  // an ssh whose certificate file is gone must not take the direct path
  notes_.clear();
}

// The database is replaced by rename when a new fabric document is applied: looked at anew for each request.
TokenService::Answer<const PeersDb*> TokenService::peers() {
  struct stat st = {};
  bool there = ::stat(options_.peers_mdb.c_str(), &st) == 0;
  if (there && database_ && database_->device == st.st_dev && database_->inode == st.st_ino) {
    return &database_->db;
  }
  auto db = PeersDb::open(options_.peers_mdb);
  if (db) {
    database_.emplace(OpenDatabase{std::move(*db), st.st_dev, st.st_ino});
    return &database_->db;
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

TokenService::Answer<LoginRecord> TokenService::choose_issuer(const std::string& named,
                                                              const PeerRecord* peer) {
  auto db = peers();
  if (!db) return db.error();
  auto meta = (*db)->meta();
  if (!meta) return Refusal{"config", meta.error().text(), "run qf-up apply again"};
  const auto& names = peer != nullptr && !peer->issuers.empty() ? peer->issuers : meta->issuers;
  if (names.empty()) {
    return Refusal{"no_issuer", "the fabric document names no issuer",
                   "the admin of the fabric must add one"};
  }
  std::string name = named;
  if (name.empty()) {
    auto with_token =
        std::find_if(names.begin(), names.end(), [&](const auto& n) { return cached(n) != nullptr; });
    name = with_token == names.end() ? names.front() : *with_token;
  } else if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::string who = peer == nullptr ? "the fabric document" : "peer " + peer->name;
    return Refusal{"no_issuer", who + " knows no issuer \"" + name + "\"",
                   "its issuers: " + join(names, ", ")};
  }
  auto record = (*db)->find_issuer(name);
  if (!record) return Refusal{"no_issuer", "there is no issuer \"" + name + "\"", "run qf-up apply again"};
  return std::move(*record);
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
  return {Clock::now(), static_cast<int64_t>(::time(nullptr))};
}

HttpClient::Id TokenService::fetch(HttpRequest request, HttpClient::Callback callback) {
  return http_.start(std::move(request), std::move(callback));
}

TokenService::Answer<std::unique_ptr<TokenFlow>> TokenService::make_flow(const LoginRecord& record,
                                                                         const std::string& nonce,
                                                                         FlowListener& listener) {
  FlowServices& services = *this;
  switch (record.flow) {
    case LoginFlow::kAuto:
    case LoginFlow::kDevice:
      return std::unique_ptr<TokenFlow>(std::make_unique<DeviceFlow>(record, nonce, services, listener));
    case LoginFlow::kMachine:
      return std::unique_ptr<TokenFlow>(
          std::make_unique<MachineFlow>(record, nonce, options_.machine_sockets, services, listener));
    case LoginFlow::kBrowser:
    case LoginFlow::kFile:
    case LoginFlow::kCommand:
      break;
  }
  return Refusal{"unsupported",
                 "issuer " + record.name + ": the flow \"" + flow_name(record.flow) +
                     "\" is not supported by this version",
                 "the flows device, machine and auto are"};
}

void TokenService::login_progress(uint64_t client, const std::string& line) {
  server_->progress(client, line);
}

void TokenService::login_succeeded(Identity identity, const std::vector<uint64_t>& clients) {
  log_info("login at issuer " + identity.issuer_name + " as " + identity.subject +
           " succeeded, the token is " + (identity.bound ? "bound to our key" : "a bearer token"));
  if (ttl() > 0) tokens_.put(identity.clone(), time_now());
  for (uint64_t client : clients) {
    auto request = waiting_.extract(client);
    if (!request) continue;
    if (request.mapped().operation == Operation::kCredential) {
      answer_credential(client, request.mapped(), identity);
    } else {
      answer_login(client, identity);
    }
  }
}

void TokenService::login_failed(const std::string& issuer_name, const Refusal& refusal,
                                const std::vector<uint64_t>& clients) {
  log_warning("login at issuer " + issuer_name + " failed (" + refusal.code + "): " + refusal.message);
  for (uint64_t client : clients) refuse(client, refusal);
}

}  // namespace qf
