// SPDX-License-Identifier: Apache-2.0
#include "qf-up/choices.h"

#include <algorithm>
#include <limits>

#include "libqf/fd.h"
#include "libqf/interface.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/server_limits.h"
#include "libqf/text.h"
#include "qf-up/etcd_place.h"
#include "qf-up/redirect_rules.h"

namespace qf {

namespace {

constexpr size_t kMostChoicesBytes = 65536;
constexpr uint64_t kMostInterval = 86'400;  // seconds
constexpr size_t kMostUrl = 2048;

// The key in choices.json: the flag, with underscores.
std::string key_of(const char* flag) {
  std::string key = flag;
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

// What stands there is read by everybody, and ".sig" goes after it.
Status check_document_url(const std::string& url) {
  if (is_etcd_url(url)) {
    auto place = parse_etcd_url(url);
    return place ? Status(Done{}) : place.error();
  }
  constexpr std::string_view kScheme = "https://";
  std::string_view rest = std::string_view(url).substr(std::min(url.size(), kScheme.size()));
  if (lower(url.substr(0, kScheme.size())) != kScheme || rest.empty() || rest.starts_with('/'))
    return input_error("--document needs an https or an etcd URL, not " + qf::quoted(url));
  if (!is_visible_ascii(url) || url.size() > kMostUrl)
    return input_error("--document needs a URL of visible ASCII, at most 2048 bytes");
  if (url.find_first_of("?#") != std::string::npos)
    return input_error("--document needs a URL without ? and #, since .sig is put after it");
  if (rest.substr(0, rest.find('/')).find('@') != std::string_view::npos)
    return input_error("--document must not name a user");
  size_t path = rest.find('/');
  if (path == std::string_view::npos || rest.ends_with('/'))
    return input_error("--document needs the URL of a file");
  return Done{};
}

}  // namespace

const std::vector<std::string Choices::*>& document_files() {
  static const std::vector<std::string Choices::*> kAll = {
      &Choices::document_signers, &Choices::document_ca_file, &Choices::document_cert_file,
      &Choices::document_key_file, &Choices::document_user_file};
  return kAll;
}

bool same_source(const Choices& one, const Choices& other) {
  bool same = one.document == other.document && one.document_interval == other.document_interval;
  for (const auto& file : document_files()) same = same && one.*file == other.*file;
  return same;
}

int64_t document_interval(const Choices& choices) {
  return static_cast<int64_t>(parse_number(choices.document_interval, kMostInterval).value_or(60));
}

const std::vector<BoolChoice>& bool_choices() {
  static const std::vector<BoolChoice> kAll = {
      {"allow-server-ssh", &Choices::allow_server_ssh, "run the SSH server qf-sshd", false},
      {"enable-ssh-sftp", &Choices::enable_ssh_sftp, "let clients use sftp (scp needs it too)", true},
      {"enable-ssh-root", &Choices::enable_ssh_root, "let policies allow logins as root", true},
      {"disable-ssh-auth", &Choices::disable_ssh_auth,
       "let in every peer that the network policies allow, without user identity", true},
      {"disable-ssh-pam", &Choices::disable_ssh_pam,
       "do without PAM, also where its service qf-sshd is set up", true},
      {"enable-ssh-local-port-forwarding", &Choices::enable_ssh_local_port_forwarding,
       "let clients connect to other places through this machine (ssh -L, -D, -W, -J)", true},
      {"enable-ssh-remote-port-forwarding", &Choices::enable_ssh_remote_port_forwarding,
       "let clients listen on ports of this machine (ssh -R)", true},
      {"disable-ssh-agent-forwarding", &Choices::disable_ssh_agent_forwarding, "forward no agent (ssh -A)",
       true},
      {"enable-ssh-x11", &Choices::enable_ssh_x11, "let clients forward X11 (ssh -X)", true},
      {"disable-audit-syslog", &Choices::disable_audit_syslog,
       "keep the server's audit log in its file alone, and not in syslog too", true},
      {"allow-without-audit", &Choices::allow_without_audit,
       "let users log in also when the server cannot write its audit log", true},
      {"no-pq-warning", &Choices::no_pq_warning,
       "silence the warning of OpenSSH 10.1 about key exchanges that are not post-quantum", false},
  };
  return kAll;
}

const std::vector<ValueChoice>& value_choices() {
  static const std::vector<ValueChoice> kAll = {
      {"max-connections", &Choices::max_connections, "N", "connections of the SSH server at once"},
      {"max-startups", &Choices::max_startups, "START:RATE:FULL",
       "connections at once that are not logged in, see qf-sshd(8)"},
      {"per-source-max-startups", &Choices::per_source_max_startups, "N", "the same of one source"},
      {"per-source-net-block-size", &Choices::per_source_net_block_size, "V4:V6",
       "bits of an address that make a source"},
      {"per-source-max-connections", &Choices::per_source_max_connections, "N",
       "connections of one source at once"},
      {"login-grace-time", &Choices::login_grace_time, "SECONDS", "time to log in"},
      {"max-sessions", &Choices::max_sessions, "N", "sessions at once on a connection"},
      {"max-channels", &Choices::max_channels, "N", "forwarded connections at once on a connection"},
      {"max-auth-tries", &Choices::max_auth_tries, "N", "failed logins on a connection"},
      {"client-alive-interval", &Choices::client_alive_interval, "SECONDS",
       "silence after which a client is asked whether it lives"},
      {"client-alive-count-max", &Choices::client_alive_count_max, "N", "times that it may not answer"},
      {"gateway-ports", &Choices::gateway_ports, "WHERE",
       "where ports of ssh -R listen: no, clientspecified, yes"},
      {"max-device-logins", &Choices::max_device_logins, "N",
       "people at once whom the SSH server logs in at a provider itself"},
      {"per-source-max-device-logins", &Choices::per_source_max_device_logins, "N", "the same of one source"},
      {"device-login-grace-time", &Choices::device_login_grace_time, "SECONDS",
       "time for a person to log in at a provider"},
      {"refusals-logged", &Choices::refusals_logged, "N",
       "refused connections of one source that are logged in a minute"},
      {"interface", &Choices::interface, "NAME",
       "serve only those addresses of this peer that are on this interface"},
      {"redirect-port-22", &Choices::redirect_port_22, "IFACE|CIDR",
       "put connections of peers to port 22, from this interface or network, on the SSH server", false},
      {"metrics-dir", &Choices::metrics_dir, "FOLDER",
       "write numbers for Prometheus there (node-exporter's textfile folder)"},
      {"document", &Choices::document, "URL",
       "take the fabric document from this https URL, and its signature from URL.sig; or from "
       "etcd://HOST:PORT[,HOST:PORT...]/PREFIX",
       false},
      {"document-signers", &Choices::document_signers, "FILE",
       "who may sign that document (ssh-keygen's allowed signers)", false},
      {"document-ca-file", &Choices::document_ca_file, "FILE",
       "the only certificate authorities that its server is trusted by, PEM", false},
      {"document-cert-file", &Choices::document_cert_file, "FILE",
       "the certificate that etcd is shown, with its chain, PEM", false},
      {"document-key-file", &Choices::document_key_file, "FILE", "its private key, PEM", false},
      {"document-user-file", &Choices::document_user_file, "FILE",
       "the user of etcd, USER:PASSWORD in the first line", false},
      {"document-interval", &Choices::document_interval, "SECONDS", "time between two looks at that URL; 60",
       false},
  };
  return kAll;
}

Status check_value(const ValueChoice& choice, const std::string& value) {
  if (value.empty()) return Done{};
  if (choice.member == &Choices::redirect_port_22) {
    auto good = parse_redirect(value);
    return good ? Status(Done{}) : good.error();
  }
  if (choice.member == &Choices::document) return check_document_url(value);
  const auto& files = document_files();
  if (choice.member == &Choices::metrics_dir ||
      std::find(files.begin(), files.end(), choice.member) != files.end()) {
    if (value.starts_with('/')) return Done{};
    return input_error(std::string("--") + choice.flag + " needs an absolute path");
  }
  if (choice.member == &Choices::document_interval) {
    if (parse_number(value, kMostInterval).value_or(0) > 0) return Done{};
    return input_error("--document-interval needs a number of seconds from 1 to 86400");
  }
  if (choice.member == &Choices::interface) {
    if (valid_interface_name(value)) return Done{};
    return input_error("--interface must be the name of a network interface, not " + qf::quoted(value));
  }
  auto fault = limit_fault(choice.flag, value);
  return fault.empty() ? Status(Done{}) : input_error(fault);
}

std::string choices_path(const Folders& folders) {
  return folders.state + "/choices.json";
}

Result<Choices> load_choices(const Folders& folders) {
  std::string path = choices_path(folders);
  auto text = read_file(path, kMostChoicesBytes);
  if (!text && text.error().sys == ENOENT) return Choices{};
  if (!text) return text.error();
  auto json = parse_json(*text);
  if (!json) return input_error(path + " is damaged: " + json.error().text());
  if (!cJSON_IsObject(json->get())) return input_error(path + " is damaged: not an object");
  Choices choices;
  for (const auto& choice : bool_choices())
    choices.*choice.member = json_bool(json->get(), key_of(choice.flag).c_str()).value_or(false);
  for (const auto& choice : value_choices()) {
    choices.*choice.member = json_string(json->get(), key_of(choice.flag).c_str()).value_or("");
    if (auto good = check_value(choice, choices.*choice.member); !good)
      return input_error(path + " is damaged: " + good.error().what);
  }
  choices.self = json_string(json->get(), "self").value_or("");
  choices.ssh_config_file = json_string(json->get(), "ssh_config_file").value_or("");
  auto ttl = json_integer(json->get(), "ssh_jwt_cache_ttl").value_or(0);
  if (ttl < 0 || ttl > std::numeric_limits<uint32_t>::max())
    return input_error(path + " is damaged: ssh_jwt_cache_ttl is out of range");
  choices.ssh_jwt_cache_ttl = static_cast<uint32_t>(ttl);
  return choices;
}

std::string choices_text(const Choices& choices) {
  JsonWriter writer;
  writer.set("self", choices.self).set("ssh_config_file", choices.ssh_config_file);
  for (const auto& choice : bool_choices()) writer.set(key_of(choice.flag).c_str(), choices.*choice.member);
  for (const auto& choice : value_choices()) {
    if (!(choices.*choice.member).empty()) writer.set(key_of(choice.flag).c_str(), choices.*choice.member);
  }
  writer.set("ssh_jwt_cache_ttl", static_cast<int64_t>(choices.ssh_jwt_cache_ttl));
  return writer.text() + "\n";
}

std::vector<std::string> server_flags(const Choices& choices) {
  std::vector<std::string> flags;
  for (const auto& choice : bool_choices()) {
    if (choice.for_server && choices.*choice.member) flags.push_back(std::string("--") + choice.flag);
  }
  for (const auto& choice : value_choices()) {
    if (const std::string& value = choices.*choice.member; choice.for_server && !value.empty())
      flags.insert(flags.end(), {std::string("--") + choice.flag, value});
  }
  return flags;
}

}  // namespace qf
