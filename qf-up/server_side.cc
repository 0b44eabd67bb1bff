// SPDX-License-Identifier: Apache-2.0
#include "qf-up/server_side.h"

#include <pwd.h>

namespace qf {

namespace {

bool has_uid_0(const std::string& login) {
  const passwd* account = ::getpwnam(login.c_str());
  return account != nullptr && account->pw_uid == 0;
}

}  // namespace

ServerSide server_side(const Choices& choices, const std::string& peer, const std::string& login,
                       std::vector<std::string>& notes) {
  ServerSide server;
  if (choices.self == peer) {
    server.root_enabled = choices.enable_ssh_root;
    server.without_identity = choices.disable_ssh_auth;
    server.login_is_root = has_uid_0(login);
    if (server.without_identity)
      notes.emplace_back("this peer asks for no identity (--disable-ssh-auth): the network decides alone");
  } else if (login == "root") {
    notes.push_back("root besides needs --enable-ssh-root on " + peer);
  }
  return server;
}

}  // namespace qf
