// SPDX-License-Identifier: Apache-2.0
#include "qf-up/choices.h"

#include <algorithm>
#include <limits>

#include "libqf/fd.h"
#include "libqf/json.h"

namespace qf {

namespace {

constexpr size_t kMostChoicesBytes = 65536;

// The key in choices.json: the flag, with underscores.
std::string key_of(const BoolChoice& choice) {
  std::string key = choice.flag;
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

}  // namespace

const std::vector<BoolChoice>& bool_choices() {
  static const std::vector<BoolChoice> kAll = {
      {"allow-server-ssh", &Choices::allow_server_ssh, "run the SSH server qf-sshd", false},
      {"enable-ssh-sftp", &Choices::enable_ssh_sftp, "let clients use sftp (scp needs it too)", true},
      {"enable-ssh-root", &Choices::enable_ssh_root, "let policies allow logins as root", true},
      {"disable-ssh-auth", &Choices::disable_ssh_auth,
       "let in every peer that the network policies allow, without user identity", true},
      {"enable-ssh-local-port-forwarding", &Choices::enable_ssh_local_port_forwarding,
       "let clients forward local ports (not supported by this version yet)", true},
      {"enable-ssh-remote-port-forwarding", &Choices::enable_ssh_remote_port_forwarding,
       "let clients forward remote ports (not supported by this version yet)", true},
      {"no-pq-warning", &Choices::no_pq_warning,
       "silence the warning of OpenSSH 10.1 about key exchanges that are not post-quantum", false},
  };
  return kAll;
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
    choices.*choice.member = json_bool(json->get(), key_of(choice).c_str()).value_or(false);
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
  for (const auto& choice : bool_choices()) writer.set(key_of(choice).c_str(), choices.*choice.member);
  writer.set("ssh_jwt_cache_ttl", static_cast<int64_t>(choices.ssh_jwt_cache_ttl));
  return writer.text() + "\n";
}

std::vector<std::string> server_flags(const Choices& choices) {
  std::vector<std::string> flags;
  for (const auto& choice : bool_choices()) {
    if (choice.for_server && choices.*choice.member) flags.push_back(std::string("--") + choice.flag);
  }
  return flags;
}

}  // namespace qf
