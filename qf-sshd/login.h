// SPDX-License-Identifier: Apache-2.0
// The login of one SSH connection, as the monitor judges it: from what net passes on to an OS user, or to a
// sentence for the user and a line in the audit log. Policy is read anew for each decision.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "libqf/authorize.h"
#include "libqf/tunnel.h"
#include "qf-sshd/account.h"
#include "qf-sshd/authenticate.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/monitor.h"
#include "qf-sshd/user_context.h"

namespace qf {

// Whether some issuer's tokens may be a password here.
[[nodiscard]] bool password_offered(const Settings& settings);

struct LoginResult {
  AuthReply reply;
  std::optional<Account> account;    // logged in as this OS user
  std::optional<UserLogin> login;    // set with account
  std::optional<Identity> identity;  // set with account or tunnel; none with --disable-ssh-auth
  Decision decision;                 // of the policy, with account
  bool tunnel = false;               // logged in as the outer connection of a tunnel
  std::string method;                // set with account or tunnel, as in the audit log
};

class Login {
 public:
  // `inherited`: the identity of the outer connection, when this is the inner one.
  Login(const MonitorPlan& plan, const AuditConnection& connection, KeySets& key_sets,
        std::optional<Identity> inherited)
      : plan_(plan), connection_(connection), key_sets_(key_sets), inherited_(std::move(inherited)) {}

  [[nodiscard]] LoginResult judge(const AuthRequest& request);
  // A new policy: what was verified under the old one counts no more. `inherited`: as it is now.
  void policy_changed(std::optional<Identity> inherited) {
    seen_.clear();
    if (inherited_) inherited_ = std::move(inherited);
  }

 private:
  using Verified = Result<Identity, TokenRefusal>;
  struct Databases {
    PolicyDb policy;
    PeerPolicyRecord self, source;
  };
  [[nodiscard]] Result<Databases> open_databases() const;
  [[nodiscard]] Verified verify_certificate(const std::string& blob);
  [[nodiscard]] Verified verify_password(const std::string& token);
  [[nodiscard]] LoginResult judge_certificate(const AuthRequest& request);
  [[nodiscard]] LoginResult judge_password(const AuthRequest& request);
  [[nodiscard]] LoginResult judge_user(const std::string& user, const std::optional<Identity>& identity,
                                       const char* method);
  [[nodiscard]] Status judge_account(const std::string& user, const Result<Account>& account) const;
  [[nodiscard]] LoginResult judge_outer(const Databases& databases, const Identity& identity,
                                        const char* method);
  [[nodiscard]] LoginResult judge_key(const AuthRequest& request);
  [[nodiscard]] LoginResult judge_nothing(const AuthRequest& request);
  [[nodiscard]] LoginResult judge_failure(const AuthRequest& request);
  [[nodiscard]] LoginResult give_up(const AuthRequest& request, const char* why);
  [[nodiscard]] const char* wanted() const;
  [[nodiscard]] LoginResult end(const std::string& banner);
  [[nodiscard]] LoginResult refuse(AuditLogin entry, const std::string& banner);
  [[nodiscard]] LoginResult refuse_token(const TokenRefusal& refusal, const AuthRequest& request,
                                         const char* method, bool final);

  const MonitorPlan& plan_;
  const AuditConnection& connection_;
  KeySets& key_sets_;
  std::optional<Identity> inherited_;
  unsigned failures_ = 0, requests_ = 0;
  bool told_ = false;  // the client has seen what this peer wants
  // a certificate comes twice, first as a probe and then signed; its token is verified once, and again when
  // it has become too old in between
  std::map<std::string, Verified> seen_;  // by SHA-256 of the blob
};

}  // namespace qf
