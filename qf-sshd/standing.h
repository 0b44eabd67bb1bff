// SPDX-License-Identifier: Apache-2.0
// What a live connection stands on, and whether it still may under the fabric document of now: its source,
// its identity with the groups that it has now, its OS user. Runs in the monitor (root). Fails closed: what
// cannot be read of a document that can be opened ends the connection. (One that cannot be opened is no
// document, and the monitor tries again.)
#pragma once

#include <optional>
#include <string>

#include "libqf/authorize.h"
#include "libqf/identity.h"
#include "libqf/policy_db.h"
#include "qf-sshd/settings.h"

namespace qf {

struct Standing {
  enum class Stage {
    kConnected,  // not logged in: only the network has been judged
    kTunnel,     // the outer connection of a tunnel: an identity without OS user
    kLoggedIn,
  };
  Stage stage = Stage::kConnected;
  std::string source_address;        // canonical
  std::string source_peer;           // that had it when the connection came
  std::optional<Identity> identity;  // none: --disable-ssh-auth
  std::string os_user;
  bool os_user_is_root = false;
};

struct Verdict {
  Decision decision;
  std::optional<Identity> identity;  // as the document has it now; set where the connection has one
};

// The token's age and end do not count: the login was good when it happened. Its issuer must still be there
// with the same URL and audiences, be accepted on this peer, and, where the document holds the issuer's keys
// itself, still list the key that verified the token. Key sets that are fetched may rotate.
[[nodiscard]] Verdict judge_standing(const PolicyDb& policy, const Settings& settings,
                                     const Standing& standing, int64_t now);

}  // namespace qf
