// SPDX-License-Identifier: Apache-2.0
// What a login as an OS user brings to everything that then runs as this user: groups, limits, mask,
// environment, and what the user is told. From PAM where it is used; else the groups are NSS's, the limits
// those that the server was started with, and the environment that of /etc/environment.
//   runs in: the monitor (UserLogin), once a connection; context_user() in what it forks
#pragma once

#include <optional>

#include "qf-sshd/account.h"
#include "qf-sshd/pam.h"
#include "qf-sshd/process_limits.h"
#include "qf-sshd/settings.h"

namespace qf {

struct ConnectionEnds {
  std::string client_address, server_address;
  uint16_t client_port = 0, server_port = 0;
};
// As SSH_CONNECTION has it: client's address and port, server's address and port.
[[nodiscard]] std::string connection_text(const ConnectionEnds& ends);

struct UserContext {
  std::optional<ProcessLimits> limits;   // none: as they are
  std::vector<gid_t> groups;             // supplementary ones, when the server switches users
  std::vector<std::string> environment;  // "NAME=value"
  std::string greeting;                  // what PAM's session modules want shown before a shell
  bool pam = false;                      // PAM was asked, so /etc/motd is its business
};

class UserLogin {
 public:
  // kRefused with what the user should read when PAM does not want this user, kSystem when the machine fails.
  // At most `patience` seconds, then the process is ended (SIGALRM): modules can hang.
  [[nodiscard]] static Result<UserLogin> open(const Settings& settings, const Account& account,
                                              const ConnectionEnds& ends, unsigned patience);
  [[nodiscard]] const UserContext& context() const { return context_; }
  // What the account modules want the user to read, empty: nothing.
  [[nodiscard]] const std::string& notice() const { return notice_; }
  // Ends PAM's session. To be called when the connection ends.
  void close();

 private:
  [[nodiscard]] Status open_pam(const Account& account, const ConnectionEnds& ends);
  [[nodiscard]] Status take_groups(const Account& account);
  UserContext context_;
  std::string notice_;
  std::optional<PamLogin> pam_;
};

// In a forked child: takes over the limits and becomes the user for good (only as root).
[[nodiscard]] Status become_user(const Settings& settings, const Account& account,
                                 const UserContext& context);

}  // namespace qf
