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
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/monitor.h"
#include "qf-sshd/monitor_device_login.h"
#include "qf-sshd/user_context.h"

namespace qf {

// What people may log in with who have none of our programs.
struct Offers {
  bool password = false;  // some issuer's tokens may be a password here
  bool device = false;    // some issuer has a login for servers ("server_login")
};
[[nodiscard]] Offers offers(const Settings& settings);

struct LoginResult {
  AuthReply reply;
  std::optional<Account> account;                // logged in as this OS user
  std::optional<UserLogin> login;                // set with account
  std::optional<Identity> identity;              // set with account or tunnel; none with --disable-ssh-auth
  Decision decision;                             // of the policy, with account
  bool tunnel = false;                           // logged in as the outer connection of a tunnel
  std::string method;                            // set with account or tunnel, as in the audit log
  std::optional<DeviceLoginStart> device_login;  // for the listener; the reply comes later
};

class Login {
 public:
  // `inherited`: the identity of the outer connection, when this is the inner one.
  Login(const MonitorPlan& plan, const AuditConnection& connection, KeySets& key_sets,
        std::optional<Identity> inherited)
      : plan_(plan),
        connection_(connection),
        key_sets_(key_sets),
        inherited_(std::move(inherited)),
        device_({plan.settings.self, connection.address, plan.settings.device_login_grace}) {}

  [[nodiscard]] LoginResult judge(const AuthRequest& request);
  // What the listener says of the device login.
  [[nodiscard]] LoginResult device_prompt(const DeviceLoginPrompt& prompt);
  [[nodiscard]] LoginResult device_end(DeviceLoginEnd& end);
  // The client waits for a reply that has been put off; it may ask for nothing else.
  [[nodiscard]] bool owes_reply() const { return device_.owes(); }
  [[nodiscard]] bool device_under_way() const { return device_.under_way(); }
  [[nodiscard]] bool device_begun() const { return device_.begun(); }
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
  [[nodiscard]] LoginResult begin_device(const AuthRequest& request);
  [[nodiscard]] LoginResult carry_out(DeviceLogin::Step step, const std::string& os_user);
  [[nodiscard]] LoginResult check_device_token(const Secret& token);
  [[nodiscard]] const char* wanted() const;
  [[nodiscard]] LoginResult end(const std::string& banner);
  [[nodiscard]] LoginResult refuse(AuditLogin entry, const std::string& banner);
  [[nodiscard]] LoginResult refuse_token(const TokenRefusal& refusal, const AuthRequest& request,
                                         const char* method, bool final);

  const MonitorPlan& plan_;
  const AuditConnection& connection_;
  KeySets& key_sets_;
  std::optional<Identity> inherited_;
  DeviceLogin device_;
  unsigned failures_ = 0, requests_ = 0;
  bool told_ = false;  // the client has seen what this peer wants
  // a certificate comes twice, first as a probe and then signed; its token is verified once, and again when
  // it has become too old in between
  std::map<std::string, Verified> seen_;  // by SHA-256 of the blob
};

}  // namespace qf
