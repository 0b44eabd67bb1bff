// SPDX-License-Identifier: Apache-2.0
#include "qf-up/server_side.h"

#include <pwd.h>

#include "libqf/log.h"

namespace qf {

ServerSide server_side(const Choices& choices, const std::string& peer, const std::string& login,
                       std::vector<std::string>& notes) {
  ServerSide server;
  if (choices.self == peer) {
    server.root_enabled = choices.enable_ssh_root;
    server.without_identity = choices.disable_ssh_auth;
    const passwd* account = ::getpwnam(login.c_str());
    server.login_is_root = account != nullptr && account->pw_uid == 0;
    if (account == nullptr)
      notes.push_back("this machine has no OS user " + quoted(login) + ", so nobody can log in as that");
    if (server.without_identity)
      notes.emplace_back("this peer asks for no identity (--disable-ssh-auth): the network decides alone");
  } else if (login == "root") {
    notes.push_back("root besides needs --enable-ssh-root on " + peer);
  }
  return server;
}

}  // namespace qf
