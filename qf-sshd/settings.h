// SPDX-License-Identifier: Apache-2.0
// What this server was started with. Made once in main, read by every role.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <string>

#include "libqf/folders.h"
#include "libqf/system_users.h"

namespace qf {

// As sshd's MaxStartups: from `start` connections that are not logged in on, `rate` percent of new ones are
// dropped by chance, more the more there are, and all from `full` on.
struct StartupLimit {
  unsigned start = 30, rate = 30, full = 100;
};

// As sshd's GatewayPorts: where a client's remote forwards listen.
enum class GatewayPorts {
  kNo,               // on loopback, whatever the client asks for
  kClientSpecified,  // where it asks for
  kYes,              // on every address
};

// As sshd's PerSourceNetBlockSize: how many bits of an address make a source. Whoever has an IPv6 address
// usually has the 64-bit network around it.
struct NetBlocks {
  unsigned v4 = 32, v6 = 64;
};

struct Settings {
  Folders folders;
  std::string self;                // this peer's name in the fabric document
  std::string interface;           // --interface; empty: any
  bool sftp = false;               // --enable-ssh-sftp
  bool root_login = false;         // --enable-ssh-root
  bool local_forwarding = false;   // --enable-ssh-local-port-forwarding
  bool remote_forwarding = false;  // --enable-ssh-remote-port-forwarding
  bool agent_forwarding = true;    // false: --disable-ssh-agent-forwarding
  bool x11_forwarding = false;     // --enable-ssh-x11
  GatewayPorts gateway_ports = GatewayPorts::kNo;
  bool auth = true;                  // false: --disable-ssh-auth
  bool use_syslog = false;           // --syslog
  bool audit_syslog = false;         // as root, unless --disable-audit-syslog
  bool allow_without_audit = false;  // --allow-without-audit
  std::string metrics_folder;        // --metrics-dir, absolute; empty: none
  unsigned login_grace = 120;        // seconds until a connection must be logged in
  unsigned most_connections = 1000;  // at once, all sources
  // at once, of one source address: so that no source can take them all
  unsigned most_source_connections = 200;
  StartupLimit startups;                   // --max-startups
  unsigned most_source_startups = 20;      // not logged in at once, of one source network
  NetBlocks net_blocks;                    // --per-source-net-block-size
  unsigned most_device_logins = 32;        // waited for at once, all sources
  unsigned most_source_device_logins = 4;  // of one source network
  unsigned device_login_grace = 300;       // seconds for a person to log in at the provider
  unsigned most_refusals_logged = 10;      // of one source in a minute; more are counted
  unsigned most_sessions = 64;             // at once, a connection
  unsigned most_channels = 512;            // forwarded connections at once, a connection
  unsigned alive_interval = 0;             // seconds of silence after which the client is asked; 0: never
  unsigned alive_count_max = 3;            // times that it may not answer
  unsigned most_attempts = 6;              // logins that may fail, a connection

  // found at the start
  bool pam = false;                  // PAM is asked: root, a service file, and no --disable-ssh-pam
  bool privileged = false;           // runs as root: users are switched, roles get users of their own
  uid_t net_uid = 0, fetch_uid = 0;  // of qufabric and qufabric-fetch; meaningful when privileged
  gid_t net_gid = 0, fetch_gid = 0;
  std::string empty_root;       // the folder that net is locked into; meaningful when privileged
  std::string own_fingerprint;  // of the host key
  rlim_t open_files = 0;        // soft limit that sessions get; the listener needs more for itself
  std::string xauth;            // absolute path; empty: not installed
  std::string sftp_server;      // OpenSSH's, absolute path; empty: not installed
  std::string socket_folder;    // of the two sockets below; empty: there is none that is safe

  [[nodiscard]] std::chrono::seconds alive_wait() const { return std::chrono::seconds(alive_interval); }
};

}  // namespace qf
