// SPDX-License-Identifier: Apache-2.0
// What qf-tokend knows and does: answers the requests of the user's programs (requests.cc, one function an
// operation) out of the caches, and runs logins and refreshes. Runs as the user; no request ever waits for
// the network but logout and those for which no usable token is cached.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libqf/folders.h"
#include "libqf/http.h"
#include "libqf/json.h"
#include "libqf/peers_db.h"
#include "qf-tokend/credential.h"
#include "qf-tokend/detection_cache.h"
#include "qf-tokend/keys.h"
#include "qf-tokend/logins.h"
#include "qf-tokend/refresh.h"
#include "qf-tokend/revocation.h"
#include "qf-tokend/server.h"
#include "qf-tokend/token_cache.h"

namespace qf {

struct TokenServiceOptions {
  std::string peers_mdb;
  std::string ssh_folder;                    // RUNTIME/ssh
  std::optional<int64_t> ttl;                // seconds; none: as peers.mdb says
  std::vector<std::string> machine_sockets;  // where a machine issuer may listen
};

class TokenService final : public LineService, private LoginObserver, private FlowServices {
 public:
  TokenService(TokenServiceOptions options, Keys keys);
  void attach(Server& server) { server_ = &server; }

  std::optional<Refusal> admit(const ucred& who) override;
  void request(uint64_t client, const Request& request) override;
  void gone(uint64_t client) override;
  void add(std::vector<pollfd>& polled) override;
  [[nodiscard]] Deadline deadline() override;
  void handle(const std::vector<pollfd>& polled) override;

 private:
  // Who holds one in a request keeps it, although a new document comes meanwhile.
  using Database = std::shared_ptr<const PeersDb>;
  struct OpenDatabase {
    Database db;
    dev_t device = 0;
    ino_t inode = 0;
  };
  template <class T>
  using Answer = Result<T, Refusal>;

  // requests.cc
  void match(uint64_t client, const Request& request);
  void detected(uint64_t client, const Request& request);
  void confirm(uint64_t client, const Request& request);
  void credential(uint64_t client, const Request& request);
  void login(uint64_t client, const Request& request);
  void show(uint64_t client, const Request& request);
  void status(uint64_t client, const Request& request);
  void logout(uint64_t client, const Request& request);
  void stop(uint64_t client, const Request& request);
  // Answers out of the cache, or waits for a refresh, or for a login.
  void serve(uint64_t client, const Request& request, const LoginRecord& record);
  void answer(uint64_t client, const Request& request, const Identity& identity);
  void answer_credential(uint64_t client, const Request& request, const Identity& identity);
  void answer_login(uint64_t client, const Identity& identity);
  void answer_show(uint64_t client, const Identity& identity);
  void wait_for_login(uint64_t client, const Request& request, const LoginRecord& record);
  void refuse(uint64_t client, const Refusal& refusal);
  bool renew_certificate(const Request& request, const PeerRecord& peer);
  [[nodiscard]] Refusal login_required(const LoginRecord& record);
  [[nodiscard]] std::string hint_to_log_in(const LoginRecord& record);
  // Whether a token of the issuer is kept or a login at it goes on.
  [[nodiscard]] bool knows(const std::string& issuer_name) const;
  // Forgets them; the client is answered when their providers have revoked what they can.
  void log_out(uint64_t client, const std::vector<std::string>& issuer_names);
  // What a connection that asks now would find.
  struct Readiness {
    bool usable = false;       // a token is cached
    bool refreshable = false;  // one can be got silently
    bool prompt = false;       // a person has to log in
  };
  Readiness readiness(const std::string& issuer_name, const PeersDb& db);
  JsonPtr issuer_status(const std::string& name, const PeersDb& db);

  // token_service.cc
  Answer<Database> peers();
  Answer<PeerRecord> find_peer(const Request& request);
  // The issuer to use: the one named, else one with a cached token, else one whose token can be refreshed,
  // else, where nobody can be asked, one that needs nobody, else the first that `peer` takes.
  Answer<LoginRecord> choose_issuer(const Request& request, const PeerRecord* peer);
  std::string preferred_issuer(const std::vector<std::string>& names, const PeersDb& db, bool interactive);
  [[nodiscard]] const Identity* cached(const std::string& issuer_name);
  // Whether a token can be got silently, or one is being got.
  [[nodiscard]] bool can_refresh(const std::string& issuer_name);
  // Starts one when there is something to refresh; whether one goes on.
  bool refresh(const LoginRecord& record);
  // While the cached token still serves, so that the next connection finds a fresh one.
  void refresh_ahead(const LoginRecord& record);
  void refreshed(const std::string& issuer_name, RefreshResult result);
  // Ends one that goes on; who waits for it is refused, or asks again.
  void end_refresh(const std::string& issuer_name, const std::optional<Refusal>& refusal);
  // The requests that wait for a refresh at this issuer, which no longer do.
  std::vector<std::pair<uint64_t, Request>> take_refreshing(const std::string& issuer_name);
  [[nodiscard]] int64_t ttl();
  [[nodiscard]] static CacheTime time_now();
  void forget(const std::string& issuer_name, const std::optional<Refusal>& refusal = std::nullopt);
  void expire();
  // After a new document: a login at an issuer that is another one now, or is gone, is none any more.
  void reconcile();

  void login_progress(uint64_t client, const std::string& line) override;
  void login_succeeded(Identity identity, const std::vector<uint64_t>& clients) override;
  void login_failed(const std::string& issuer_name, const Refusal& refusal,
                    const std::vector<uint64_t>& clients) override;
  [[nodiscard]] Deadline now() override { return Clock::now(); }
  [[nodiscard]] int64_t wall_time() override { return time_now().wall; }
  [[nodiscard]] const UserKeys* user_keys() override { return &keys_.user; }
  HttpClient::Id fetch(HttpRequest request, HttpClient::Callback callback) override;
  void cancel_fetch(HttpClient::Id id) override { http_.cancel(id); }
  std::unique_ptr<TokenFlow> make_flow(const LoginRecord& record, FlowRequest request,
                                       FlowListener& listener);

  TokenServiceOptions options_;
  Keys keys_;
  Server* server_ = nullptr;
  std::optional<OpenDatabase> database_;
  bool reconciled_ = false;  // the kept logins agree with the database
  HttpClient http_;
  TokenCache tokens_;
  DetectionCache detections_;
  SshNotes notes_;
  CertificateFiles certificates_;
  struct Refreshing {
    std::string issuer_name;
    Request request;
  };
  std::map<uint64_t, Request> waiting_;        // requests that wait for a login, by client
  std::map<uint64_t, Refreshing> refreshing_;  // requests that wait for a refresh
  // Last: they use http_.
  Refreshes refreshes_;
  Revocations revocations_;
  Logins logins_;
};

}  // namespace qf
