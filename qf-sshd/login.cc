// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/login.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "libqf/certificate.h"
#include "libqf/crypto.h"
#include "libqf/log.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

constexpr const char* kWanted =
    "Authentication failed: your ssh offered no login token of this fabric\n"
    "hint: run qf-token login (before ssh -J, see qufabric(7)); if your configuration forbids public keys, "
    "run QF_SSH=tunnel ssh ...; "
    "passwords are not taken here, nor a token as one: no issuer of this peer has \"accept_bearer\": true";

constexpr const char* kUnaudited =
    "this peer cannot write its audit log, so nobody may log in\n"
    "hint: ask its admin: the server's log says why, and qf-up has --allow-without-audit";

constexpr size_t kMostNoticeBytes = 4096;  // of PAM's modules, as a banner
// Where a token may be the password: ssh asks for it next.
constexpr const char* kWantedOrPassword =
    "Your ssh offered no login token of this fabric\n"
    "hint: run qf-token login (before ssh -J, see qufabric(7)); if your configuration forbids public keys, "
    "run QF_SSH=tunnel ssh ...; "
    "or give a token as the password";

constexpr const char* kWantedOrDevice =
    "Your ssh offered no login token of this fabric\n"
    "hint: run qf-token login; or log in with a browser, as you are asked to next";

// A password that is no token at all: one of another kind.
constexpr const char* kNoToken =
    "Authentication failed: the password is no login token of this fabric\n"
    "hint: give a token (qf-token show) as the password, or run qf-token login and ssh with the fabric's "
    "configuration";
constexpr const char* kNoPasswords =
    "Authentication failed: the password is no login token of this fabric\n"
    "hint: run qf-token login; passwords are not taken here, nor a token as one: no issuer of this peer has "
    "\"accept_bearer\": true";

constexpr size_t kMostCertificates = 8;  // remembered a connection
// Everything that a client asks for before its login, probes of its keys as well: an agent full of them is
// no attack.
constexpr unsigned kMostRequests = 100;

std::string hint_for(TokenFault fault) {
  switch (fault) {
    case TokenFault::kExpired:
    case TokenFault::kTooOld:
    case TokenFault::kUnknownKey:
    case TokenFault::kBadSignature:
    case TokenFault::kBinding:
      return "\nhint: run qf-token logout, then qf-token login";
    case TokenFault::kNotYetValid:
      return "\nhint: compare the clocks of this peer and of the identity provider";
    case TokenFault::kCertificate:
      return "\nhint: compare the clocks of your machine and of this peer, and the fabric documents that "
             "both have; "
             "the peer's audit log says what is wrong";
    case TokenFault::kGroups:
      return "\nhint: ask the admin of the identity provider for a groups claim that fits into the token, of "
             "the "
             "groups that matter here for example";
    case TokenFault::kBearer:
      return "\nhint: log in by a flow that binds tokens to a key, or ask the admin to set "
             "\"accept_bearer\" for the issuer";
    case TokenFault::kNoKeySet:
      return "\nhint: the identity provider cannot be reached from this peer; try again later";
    case TokenFault::kIssuer:
      return "\nhint: your fabric document and this peer's must have the same \"issuer\" for the issuer that "
             "you "
             "log in at: compare their serials";
    case TokenFault::kAudience:
      return "\nhint: the admin should compare \"client_id\" and \"audiences\" of the issuer in the fabric "
             "document: the token is for somebody else";
    case TokenFault::kTooLarge:
    case TokenFault::kMalformed:
    case TokenFault::kAlgorithm:
    case TokenFault::kType:
    case TokenFault::kSubject:
    case TokenFault::kClaims:
      return "";
  }
  std::abort();
}

// Certificates of other people's authorities are none of our business: the client may go on with its next
// key.
bool is_credential(const std::string& blob) {
  return blob.find(kTokenExtension) != std::string::npos;
}

}  // namespace

Offers offers(const Settings& settings) {
  auto policy = PolicyDb::open(settings.folders.policy_mdb());
  if (!policy || !settings.auth) return {};
  auto self = policy->peer(settings.self);
  if (!self) return {};
  Offers found;
  auto issuers = accepted_issuers(*policy, *self);
  if (!issuers) return {};
  for (const auto& issuer : *issuers) {
    found.password = found.password || issuer.accept_bearer;
    found.device = found.device || issuer.server_login;
  }
  return found;
}

LoginResult Login::end(const std::string& banner) {
  LoginResult result;
  result.reply = {AuthVerdict::kEnd, banner, false, "", ""};
  return result;
}

LoginResult Login::refuse(AuditLogin entry, const std::string& banner) {
  entry.allowed = false;
  entry.tunnel = entry.tunnel || inherited_.has_value();
  // refused already, written or not
  static_cast<void>(plan_.audit.login(connection_, entry));
  return end(banner);
}

Result<Login::Databases> Login::open_databases() const {
  auto policy = PolicyDb::open(plan_.settings.folders.policy_mdb());
  if (!policy) return policy.error();
  auto self = policy->peer(plan_.settings.self);
  if (!self) return self.error();
  auto source = policy->peer_at(plan_.client.address());
  if (!source) return source.error();
  return Databases{std::move(*policy), std::move(*self), std::move(*source)};
}

Login::Verified Login::verify_certificate(const std::string& blob) {
  std::string digest = sha256(blob);
  std::time_t now = std::time(nullptr);
  auto known = seen_.find(digest);
  // the signed request may come long after the probe
  bool in_time = known != seen_.end() && (!known->second || now < known->second->usable_until);
  if (in_time) return known->second;
  auto databases = open_databases();
  if (!databases) return TokenRefusal{TokenFault::kNoKeySet, databases.error().text()};
  AuthenticationContext context{databases->policy, databases->self, plan_.settings.own_fingerprint, key_sets_,
                                now};
  Verified verified = authenticate_certificate(context, blob);
  if (known != seen_.end() || seen_.size() < kMostCertificates) seen_.insert_or_assign(digest, verified);
  return verified;
}

Login::Verified Login::verify_password(const std::string& token) {
  auto databases = open_databases();
  if (!databases) return TokenRefusal{TokenFault::kNoKeySet, databases.error().text()};
  AuthenticationContext context{databases->policy, databases->self, plan_.settings.own_fingerprint, key_sets_,
                                std::time(nullptr)};
  return authenticate_token(context, token);
}

LoginResult Login::judge(const AuthRequest& request) {
  if (inherited_) return judge_user(request.user, inherited_, "tunnel");
  if (!plan_.settings.auth) return judge_user(request.user, std::nullopt, "none");
  if (++requests_ > kMostRequests) return give_up(request, "too many login requests");
  switch (request.method) {
    case AuthMethod::kNone:
      // every client asks once what methods there are; one that asks again has none
      return requests_ == 1 ? LoginResult() : judge_key(request);
    case AuthMethod::kPublicKey:
      return judge_key(request);
    case AuthMethod::kCertificate:
      return judge_certificate(request);
    case AuthMethod::kPassword:
      return judge_password(request);
    case AuthMethod::kInteractive:
      return begin_device(request);
    case AuthMethod::kInteractiveAnswer:
      return carry_out(device_.answer(request.credential), request.user);
    case AuthMethod::kOther:
      return judge_nothing(request);
  }
  std::abort();
}

// A plain key says nothing here. Certificates are offered first, so a client that comes with plain keys has
// none of ours; it is told now, since in batch mode it gives up after its keys.
LoginResult Login::judge_key(const AuthRequest& request) {
  LoginResult result = judge_failure(request);
  bool goes_on = result.reply.verdict == AuthVerdict::kDenied;
  if (goes_on && !std::exchange(told_, true)) result.reply.banner = wanted();
  return result;
}

// A request that cannot succeed; a probe of a key, without signature, is no attempt.
LoginResult Login::judge_failure(const AuthRequest& request) {
  bool probe = !request.proved && request.method != AuthMethod::kNone;
  if (!probe && ++failures_ >= plan_.settings.most_attempts)
    return give_up(request, "too many failed logins");
  return {};
}

LoginResult Login::give_up(const AuthRequest& request, const char* why) {
  AuditLogin entry;
  entry.method = "none";
  entry.os_user = request.user;
  entry.refusal = why;
  entry.cause = LoginCause::kAttempts;
  return refuse(entry, why);
}

const char* Login::wanted() const {
  Offers offered = offers(plan_.settings);
  return offered.device ? kWantedOrDevice : offered.password ? kWantedOrPassword : kWanted;
}

// The client has nothing to offer, or asks for a method before the one that it could use: ssh tries
// keyboard-interactive before it asks for a password.
LoginResult Login::judge_nothing(const AuthRequest& request) {
  if (offers(plan_.settings).password) return judge_key(request);
  AuditLogin entry;
  entry.method = "none";
  entry.os_user = request.user;
  entry.refusal = "no credential";
  entry.cause = LoginCause::kCredential;
  return refuse(entry, std::exchange(told_, true) ? "" : kWanted);
}

LoginResult Login::judge_certificate(const AuthRequest& request) {
  if (!is_credential(request.credential)) return judge_failure(request);
  auto identity = verify_certificate(request.credential);
  if (!identity) return refuse_token(identity.error(), request, "certificate", true);
  if (!request.proved) {
    LoginResult go_on;
    go_on.reply.verdict = AuthVerdict::kAllowed;
    return go_on;
  }
  return judge_user(request.user, *identity, "certificate");
}

LoginResult Login::judge_password(const AuthRequest& request) {
  auto identity = verify_password(request.credential);
  if (identity) return judge_user(request.user, *identity, "password");
  return refuse_token(identity.error(), request, "password", ++failures_ >= plan_.settings.most_attempts);
}

// ---- a person who logs in at the provider, with a browser somewhere ---------------------------------------

LoginResult Login::begin_device(const AuthRequest& request) {
  auto databases = open_databases();
  if (!databases || request.user == kTunnelUser) return judge_nothing(request);
  auto found = server_login_issuers(databases->policy, databases->self);
  if (found.empty()) return judge_nothing(request);
  std::vector<std::string> urls;
  if (auto meta = databases->policy.meta()) {
    for (const auto& name : meta->issuers)
      if (auto issuer = databases->policy.issuer(name)) urls.push_back(issuer->issuer);
  }
  std::vector<DeviceLogin::Issuer> issuers;
  for (const auto& issuer : found) {
    DeviceLogin::Issuer entry{issuer.name, issuer.issuer, *issuer.server_login, issuer.ca_file, urls};
    std::erase(entry.others, issuer.issuer);
    issuers.push_back(std::move(entry));
  }
  return carry_out(device_.begin(std::move(issuers), request.user), request.user);
}

LoginResult Login::device_prompt(const DeviceLoginPrompt& prompt) {
  return carry_out(device_.prompt(prompt), device_.os_user());
}

LoginResult Login::device_end(DeviceLoginEnd& end) {
  return carry_out(device_.end(end), device_.os_user());
}

LoginResult Login::carry_out(DeviceLogin::Step step, const std::string& os_user) {
  LoginResult result;
  switch (step.what) {
    case DeviceLogin::Do::kAsk:
      result.reply = {AuthVerdict::kAsk, "", false, std::move(step.instruction), std::move(step.prompt)};
      return result;
    case DeviceLogin::Do::kStart:
      result.reply.verdict = AuthVerdict::kLater;
      result.device_login = std::move(step.start);
      return result;
    case DeviceLogin::Do::kWait:
      result.reply = {AuthVerdict::kLater, step.text, false, "", ""};
      return result;
    case DeviceLogin::Do::kCheck:
      return check_device_token(step.token);
    case DeviceLogin::Do::kFail: {
      AuditLogin entry;
      entry.method = "device";
      entry.os_user = device_.os_user();
      entry.refusal = "Authentication failed";
      entry.reason = step.text;
      return refuse(
          entry, "Authentication failed: " + step.text + (step.hint.empty() ? "" : "\nhint: " + step.hint));
    }
    case DeviceLogin::Do::kFault:
      break;
  }
  // an answer without a question
  AuditLogin entry;
  entry.method = "device";
  entry.os_user = os_user;
  entry.refusal = "out of turn";
  entry.cause = LoginCause::kProtocol;
  return refuse(entry, "a login request out of turn");
}

LoginResult Login::check_device_token(const Secret& token) {
  auto databases = open_databases();
  Verified identity = TokenRefusal{TokenFault::kNoKeySet, "no policy"};
  if (databases) {
    AuthenticationContext context{databases->policy, databases->self, plan_.settings.own_fingerprint,
                                  key_sets_, std::time(nullptr)};
    identity = authenticate_server_login(context, device_.issuer().name, token.reveal());
  }
  if (identity) return judge_user(device_.os_user(), *identity, "device");
  AuditLogin entry;
  entry.method = "device";
  entry.os_user = device_.os_user();
  entry.refusal = "Authentication failed";
  entry.reason = identity.error().text();
  return refuse(entry, "Authentication failed: " + std::string(fault_text(identity.error().fault)) +
                           "\nhint: ask the admin of the fabric: this peer's audit log has the details");
}

// Without a valid token no more is said than its kind; the log has the rest.
LoginResult Login::refuse_token(const TokenRefusal& refusal, const AuthRequest& request, const char* method,
                                bool final) {
  AuditLogin entry;
  entry.method = method;
  entry.os_user = request.user;
  entry.refusal = "Authentication failed";
  entry.reason = refusal.text();
  std::string banner =
      "Authentication failed: " + std::string(fault_text(refusal.fault)) + hint_for(refusal.fault);
  if (request.method == AuthMethod::kPassword && refusal.fault == TokenFault::kMalformed)
    banner = offers(plan_.settings).password ? kNoToken : kNoPasswords;
  LoginResult result = refuse(entry, banner);
  if (!final) result.reply.verdict = AuthVerdict::kDenied;
  return result;
}

LoginResult Login::judge_outer(const Databases& databases, const Identity& identity, const char* method) {
  AuditLogin entry;
  entry.identity = identity;
  entry.method = method;
  entry.tunnel = true;
  Decision decision = judge_tunnel(databases.policy, databases.source, databases.self, identity);
  entry.policy = decision.policy;
  entry.reason = decision.detail;
  if (!decision.allowed) {
    entry.refusal = refusal_text(decision, identity, "");
    entry.cause = LoginCause::kPolicy;
    return refuse(entry, entry.refusal);
  }
  entry.allowed = true;
  if (!plan_.audit.login(connection_, entry)) return end(kUnaudited);
  LoginResult result;
  result.reply = {AuthVerdict::kAllowed, "", true, "", ""};
  result.identity = identity;
  result.tunnel = true;
  result.method = method;
  return result;
}

// Whether this server can and may run sessions as that user.
Status Login::judge_account(const std::string& user, const Result<Account>& account) const {
  const Settings& settings = plan_.settings;
  if (!account) return account.error();
  if (auto own = own_account(); !settings.privileged && (!own || own->uid != account->uid)) {
    return refused("this server runs as OS user \"" + (own ? own->name : "?") + "\" and cannot switch to \"" +
                   user + "\"");
  }
  if (settings.privileged && (account->uid == settings.net_uid || account->uid == settings.fetch_uid)) {
    return refused("OS user \"" + user + "\" is the server's own and cannot be used");
  }
  auto shell = check_shell(*account);
  return shell && settings.privileged ? check_open(*account) : shell;
}

LoginResult Login::judge_user(const std::string& user, const std::optional<Identity>& identity,
                              const char* method) {
  AuditLogin entry;
  entry.identity = identity;
  entry.method = method;
  entry.os_user = user;
  auto databases = open_databases();
  if (!databases) {
    entry.reason = databases.error().text();
    entry.refusal = "no policy";
    entry.cause = LoginCause::kDocument;
    return refuse(entry, "this peer has no valid fabric document\nhint: its admin should run qf-up apply");
  }
  if (user == kTunnelUser) {
    if (identity && !inherited_) return judge_outer(*databases, *identity, method);
    entry.refusal = "reserved name";
    entry.cause = LoginCause::kProtocol;
    return refuse(entry, std::string("OS user \"") + kTunnelUser + "\" cannot be used");
  }
  auto account = find_account(user);
  LoginRequest request{identity, account ? account->name : user, account && account->uid == 0,
                       plan_.settings.root_login};
  Decision decision = judge_login(databases->policy, databases->source, databases->self, request);
  entry.policy = decision.policy;
  entry.reason = decision.detail;
  if (!decision.allowed) {
    entry.refusal = refusal_text(decision, identity, user);
    entry.cause = LoginCause::kPolicy;
    return refuse(entry, entry.refusal);
  }
  Status usable = judge_account(user, account);
  std::optional<UserLogin> login;
  if (usable) {
    auto opened = UserLogin::open(plan_.settings, *account, plan_.ends(), plan_.settings.login_grace);
    if (opened) {
      login = std::move(*opened);
    } else {
      usable = opened.error();
    }
  }
  if (!usable) {
    entry.refusal = usable.error().text().substr(0, kMostNoticeBytes);
    entry.cause = LoginCause::kAccount;
    return refuse(entry, entry.refusal);
  }
  entry.allowed = true;
  entry.tunnel = inherited_.has_value();
  if (!plan_.audit.login(connection_, entry)) {
    login->close();
    return end(kUnaudited);
  }
  LoginResult result;
  result.reply = {AuthVerdict::kAllowed, login->notice().substr(0, kMostNoticeBytes), false, "", ""};
  result.account = std::move(*account);
  result.decision = std::move(decision);
  result.login = std::move(login);
  result.identity = identity;
  result.method = method;
  return result;
}

}  // namespace qf
