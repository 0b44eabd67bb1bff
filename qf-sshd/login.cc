// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/login.h"

#include <ctime>
#include <utility>

#include "libqf/certificate.h"
#include "libqf/crypto.h"
#include "libqf/log.h"

namespace qf {

namespace {

constexpr const char* kWanted =
    "Authentication failed: your ssh offered no sign-in token of this fabric\n"
    "hint: run qf-token login; if your configuration forbids public keys, run QF_SSH=tunnel ssh ...";

constexpr size_t kMostCertificates = 8;  // remembered a connection

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
    case TokenFault::kBearer:
      return "\nhint: sign in with a flow that binds tokens to a key, or ask the admin to set "
             "\"accept_bearer\" for the issuer";
    case TokenFault::kNoKeySet:
      return "\nhint: the identity provider cannot be reached from this peer; try again later";
    case TokenFault::kTooLarge:
    case TokenFault::kMalformed:
    case TokenFault::kAlgorithm:
    case TokenFault::kType:
    case TokenFault::kIssuer:
    case TokenFault::kAudience:
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

LoginResult Login::end(const std::string& banner) {
  LoginResult result;
  result.reply = {AuthVerdict::kEnd, banner, false};
  return result;
}

LoginResult Login::refuse(AuditLogin entry, const std::string& banner) {
  entry.allowed = false;
  entry.tunnel = entry.tunnel || inherited_.has_value();
  plan_.audit.login(connection_, entry);
  return end(banner);
}

Result<Login::Databases> Login::open_databases() const {
  auto policy = PolicyDb::open(plan_.settings.folders.policy_mdb());
  if (!policy) return policy.error();
  auto self = policy->peer(plan_.settings.self);
  if (!self) return self.error();
  return Databases{std::move(*policy), std::move(*self)};
}

Login::Verified Login::verify_certificate(const std::string& blob) {
  std::string digest = sha256(blob);
  if (auto known = seen_.find(digest); known != seen_.end()) return known->second;
  auto databases = open_databases();
  if (!databases) return TokenRefusal{TokenFault::kNoKeySet, databases.error().text()};
  AuthenticationContext context{databases->policy, databases->self, plan_.settings.own_fingerprint, key_sets_,
                                std::time(nullptr)};
  Verified verified = authenticate_certificate(context, blob);
  if (seen_.size() < kMostCertificates) seen_.emplace(digest, verified);
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
  switch (request.method) {
    case AuthMethod::kNone:
      return {};
    case AuthMethod::kPublicKey:
      return judge_key(request);
    case AuthMethod::kCertificate:
      return judge_certificate(request);
    case AuthMethod::kPassword:
      return judge_password(request);
    case AuthMethod::kOther:
      return judge_nothing(request);
  }
  std::abort();
}

// A plain key says nothing here. Certificates are offered first, so a client that comes with plain keys has
// none of ours; it is told now, since in batch mode it gives up after its keys.
LoginResult Login::judge_key(const AuthRequest& request) {
  // a probe without signature is no attempt
  if (request.proved && ++failures_ >= plan_.settings.most_attempts) return end("too many failed logins");
  LoginResult result;
  if (!std::exchange(told_, true)) result.reply.banner = kWanted;
  return result;
}

// The client has nothing to offer.
LoginResult Login::judge_nothing(const AuthRequest& request) {
  AuditLogin entry;
  entry.method = "none";
  entry.os_user = request.user;
  entry.refusal = "no credential";
  return refuse(entry, std::exchange(told_, true) ? "" : kWanted);
}

LoginResult Login::judge_certificate(const AuthRequest& request) {
  if (!is_credential(request.credential)) return {};
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
  LoginResult result = refuse(entry, banner);
  if (!final) result.reply.verdict = AuthVerdict::kDenied;
  return result;
}

LoginResult Login::judge_outer(const Databases& databases, const Identity& identity, const char* method) {
  AuditLogin entry;
  entry.identity = identity;
  entry.method = method;
  entry.tunnel = true;
  Decision decision = judge_tunnel(databases.policy, plan_.source, databases.self, identity);
  entry.policy = decision.policy;
  entry.reason = decision.detail;
  if (!decision.allowed) {
    entry.refusal = refusal_text(decision, identity, "");
    return refuse(entry, entry.refusal);
  }
  entry.allowed = true;
  plan_.audit.login(connection_, entry);
  LoginResult result;
  result.reply = {AuthVerdict::kAllowed, "", true};
  result.identity = identity;
  result.tunnel = true;
  return result;
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
    return refuse(entry, "this peer has no valid fabric document\nhint: its admin should run qf-up apply");
  }
  if (user == kTunnelUser) {
    if (identity && !inherited_) return judge_outer(*databases, *identity, method);
    entry.refusal = "reserved name";
    return refuse(entry, std::string("OS user \"") + kTunnelUser + "\" cannot be used");
  }
  auto account = find_account(user);
  LoginRequest request{identity, account ? account->name : user, account && account->uid == 0,
                       plan_.settings.root_login};
  Decision decision = judge_login(databases->policy, plan_.source, databases->self, request);
  entry.policy = decision.policy;
  entry.reason = decision.detail;
  if (!decision.allowed) {
    entry.refusal = refusal_text(decision, identity, user);
    return refuse(entry, entry.refusal);
  }
  Status usable = Done{};
  if (!account) {
    usable = account.error();
  } else if (auto own = own_account(); !plan_.settings.privileged && (!own || own->uid != account->uid)) {
    usable = refused("this server runs as OS user \"" + (own ? own->name : "?") +
                     "\" and cannot switch to \"" + user + "\"");
  } else if (plan_.settings.privileged &&
             (account->uid == plan_.settings.net_uid || account->uid == plan_.settings.fetch_uid)) {
    usable = refused("OS user \"" + user + "\" is the server's own and cannot be used");
  } else {
    usable = check_shell(*account);
    if (usable && plan_.settings.privileged) usable = check_open(*account);
  }
  if (!usable) {
    entry.refusal = usable.error().text();
    return refuse(entry, entry.refusal);
  }
  entry.allowed = true;
  entry.tunnel = inherited_.has_value();
  plan_.audit.login(connection_, entry);
  LoginResult result;
  result.reply.verdict = AuthVerdict::kAllowed;
  result.account = std::move(*account);
  result.identity = identity;
  return result;
}

}  // namespace qf
