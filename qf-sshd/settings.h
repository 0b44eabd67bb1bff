// SPDX-License-Identifier: Apache-2.0
// What this server was started with. Made once in main, read by every role.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>

#include "libqf/folders.h"

namespace qf {

// System users of the roles, when the server runs as root.
inline constexpr const char* kNetUser = "qufabric";
inline constexpr const char* kFetchUser = "qufabric-fetch";

// As sshd's MaxStartups: from `start` connections that are not logged in on, `rate` percent of new ones are
// dropped by chance, more the more there are, and all from `full` on.
struct StartupLimit {
  unsigned start = 30, rate = 30, full = 100;
};

struct Settings {
  Folders folders;
  std::string self;                    // this peer's name in the fabric document
  bool sftp = false;                   // --enable-ssh-sftp
  bool root_login = false;             // --enable-ssh-root
  bool auth = true;                    // false: --disable-ssh-auth
  bool use_syslog = false;             // --syslog
  unsigned login_grace = 120;          // seconds until a connection must be logged in
  unsigned most_connections = 1000;    // at once, all sources
  StartupLimit startups;               // --max-startups
  unsigned most_source_startups = 20;  // not logged in at once, of one source address
  unsigned most_sessions = 64;         // at once, a connection
  unsigned most_attempts = 6;          // logins that may fail, a connection

  // found at the start
  bool privileged = false;           // runs as root: users are switched, roles get users of their own
  uid_t net_uid = 0, fetch_uid = 0;  // of qufabric and qufabric-fetch; meaningful when privileged
  gid_t net_gid = 0, fetch_gid = 0;
  std::string empty_root;       // the folder that net is locked into; meaningful when privileged
  std::string own_fingerprint;  // of the host key
  rlim_t open_files = 0;        // soft limit that sessions get; the listener needs more for itself
  std::string sftp_server;      // OpenSSH's, absolute path; empty: not installed
};

}  // namespace qf
