// SPDX-License-Identifier: Apache-2.0
// What an admin chose for this machine: which peer it is and which features are on. Flags of qf-up, kept in
// STATE/choices.json, so that the next qf-up needs no flag again. Not part of the fabric document.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/folders.h"
#include "libqf/result.h"

namespace qf {

struct Choices {
  std::string self;              // --self; empty: none
  std::string ssh_config_file;   // --ssh-config-file; empty: the default place
  std::string interface;         // the one that this peer's addresses must be on; empty: any
  std::string redirect_port_22;  // see qf-up/redirect_rules.h; empty: off
  // where the fabric document comes from, an https or etcd URL; empty: CONFIG/fabric.json. Who may sign it,
  // and whom TLS trusts (empty: whom the system does), are files; the interval is in seconds.
  std::string document, document_signers, document_ca_file, document_interval;
  // files with what etcd is shown: a client certificate and its key, and "USER:PASSWORD"; empty: nothing
  std::string document_cert_file, document_key_file, document_user_file;
  std::string metrics_dir;  // where files for Prometheus go, absolute; empty: nowhere
  bool allow_server_ssh = false;
  bool enable_ssh_sftp = false;
  bool enable_ssh_root = false;
  bool disable_ssh_auth = false;
  bool disable_ssh_pam = false;
  bool enable_ssh_local_port_forwarding = false;
  bool enable_ssh_remote_port_forwarding = false;
  bool disable_ssh_agent_forwarding = false;
  bool enable_ssh_x11 = false;
  bool disable_audit_syslog = false;
  bool allow_without_audit = false;
  bool no_pq_warning = false;
  uint32_t ssh_jwt_cache_ttl = 0;  // seconds
  // limits of qf-sshd, numbers with colons between them; empty: its own default
  std::string login_grace_time, per_source_max_connections, max_sessions, max_channels, max_auth_tries;
  std::string client_alive_interval, client_alive_count_max, gateway_ports;
  std::string max_connections, max_startups, per_source_max_startups, per_source_net_block_size;
  std::string max_device_logins, per_source_max_device_logins, device_login_grace_time;
  std::string refusals_logged;
};

// Flag name without "--" and the member that it sets: the one list of boolean choices, for the command line,
// the file and the arguments of qf-sshd.
struct BoolChoice {
  const char* flag;
  bool Choices::*member;
  const char* help;
  bool for_server;  // handed on to qf-sshd
};
[[nodiscard]] const std::vector<BoolChoice>& bool_choices();

// The same for choices with a value. Empty means the default.
struct ValueChoice {
  const char* flag;
  std::string Choices::*member;
  const char* value_name;
  const char* help;
  bool for_server = true;  // handed on to qf-sshd as it is
};
[[nodiscard]] const std::vector<ValueChoice>& value_choices();
// Those that name a file that belongs to --document.
[[nodiscard]] const std::vector<std::string Choices::*>& document_files();
// Whether the document comes from the same place, in the same way.
[[nodiscard]] bool same_source(const Choices& one, const Choices& other);
// Seconds between two looks at the source of the document.
[[nodiscard]] int64_t document_interval(const Choices& choices);

// Good for a value that the choice can have; kInput says what it must be.
[[nodiscard]] Status check_value(const ValueChoice& choice, const std::string& value);

[[nodiscard]] std::string choices_path(const Folders& folders);
// Defaults when there is no file; kInput when it is damaged.
[[nodiscard]] Result<Choices> load_choices(const Folders& folders);
[[nodiscard]] std::string choices_text(const Choices& choices);

// The flags of qf-sshd that these choices mean.
[[nodiscard]] std::vector<std::string> server_flags(const Choices& choices);

}  // namespace qf
