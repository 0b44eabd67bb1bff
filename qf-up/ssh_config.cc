// SPDX-License-Identifier: Apache-2.0
#include "qf-up/ssh_config.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "libqf/address.h"
#include "libqf/child.h"
#include "libqf/text.h"
#include "qf-up/compile.h"
#include "qf-up/host_patterns.h"

namespace qf {

namespace {

constexpr SshVersion kFirstKnownHostsCommand = {8, 5};
constexpr SshVersion kFirstWarnWeakCrypto = {10,
                                             1};  // older ones stop at the word, even where nothing matches
constexpr size_t kMostFixedPart = 600;  // bytes of a Match line around its host list, so that any name fits

// Stands in a shell word, in an ssh_config word and after ssh's own expansion of '%' as it is.
bool plain_path(std::string_view path) {
  return !path.empty() && std::all_of(path.begin(), path.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._+,:@=-").find(c) != std::string_view::npos;
  });
}

bool in_config(const PeerEntry& peer) {
  return peer.record.ssh && !peer.record.ssh_host_keys.empty();
}

size_t count_listed(const Document& document) {
  return static_cast<size_t>(std::count_if(document.peers.begin(), document.peers.end(), in_config));
}

// ssh asks qf-detect for the keys of one host instead of reading those of all.
bool asks_for_keys(const Document& document, const SshConfigSettings& settings) {
  return count_listed(document) > kMostListedPeers && settings.ssh.at_least(kFirstKnownHostsCommand);
}

Status check_paths(const SshConfigSettings& settings) {
  std::vector<std::string> paths = {settings.folders.config, settings.folders.state, settings.detect_program,
                                    settings.proxy_program};
  if (settings.own_runtime) paths.push_back(settings.folders.runtime);
  for (const auto& path : paths) {
    if (!plain_path(path))
      return with_hint(input_error("\"" + path + "\" has a character that cannot stand in ssh_config"),
                       "use a folder whose name has letters, digits and ./_+,:@=- only");
  }
  return Done{};
}

std::string instance_words(const SshConfigSettings& settings) {
  Folders folders = settings.folders;
  if (!settings.own_runtime) folders.runtime.clear();
  return join(folder_arguments(folders), " ");
}

// The options of every block: they are the same for all hosts.
std::string block_options(const Document& document, const SshConfigSettings& settings) {
  std::string keys = settings.own_runtime ? settings.folders.runtime + "/ssh" : "~/.qufabric/ssh";
  bool ask = asks_for_keys(document, settings);
  std::string text = "  Port " + std::to_string(kFabricPort) + "\n";
  text += "  ProxyCommand " + settings.proxy_program + " " + instance_words(settings) + " '%h' '%p'\n";
  text += "  IdentityFile " + keys + "/subject\n";
  text += "  CertificateFile " + keys + "/%h-cert.pub\n";
  text += "  GlobalKnownHostsFile " + (ask ? "/dev/null" : settings.folders.known_hosts()) + "\n";
  text += "  UserKnownHostsFile /dev/null\n";
  if (ask)
    text += "  KnownHostsCommand " + settings.detect_program + " " + instance_words(settings) +
            " --host-keys %H\n";
  text += "  StrictHostKeyChecking yes\n  AddKeysToAgent no\n";
  if (settings.no_pq_warning && settings.ssh.at_least(kFirstWarnWeakCrypto))
    text += "  WarnWeakCrypto no-pq-kex\n";
  return text;
}

std::vector<std::vector<std::string>> host_lists(const Document& document) {
  bool listed = count_listed(document) <= kMostListedPeers;
  std::vector<std::string> hosts;
  HostPatterns patterns(document.domain);
  for (const auto& peer : document.peers) {
    if (!in_config(peer)) continue;
    for (auto& name : reachable_names(peer.record, document.domain)) {
      if (listed) {
        hosts.push_back(std::move(name));
      } else {
        patterns.add(name);
      }
    }
  }
  if (!listed) return patterns.lists();
  return {hosts};
}

}  // namespace

Result<std::string> render_ssh_config(const Document& document, const SshConfigSettings& settings) {
  if (auto good = check_paths(settings); !good) return good.error();
  std::string text = "# Written by qf-up from serial " + std::to_string(document.serial) +
                     " of the fabric document; changes made here are lost.\n";
  if (count_listed(document) == 0) return text + "# No peer has \"ssh\": true and a host key.\n";
  const std::string start = "Match host \"";
  const std::string end =
      "\" exec \"exec " + settings.detect_program + " " + instance_words(settings) + " --match '%h' '%p'\"\n";
  const std::string options = block_options(document, settings);
  if (start.size() + end.size() > kMostFixedPart || options.size() > kMostConfigLine)
    return input_error("the names of the folders are too long for a line of ssh_config");
  std::string list;
  auto flush = [&] {
    if (!list.empty()) text += start + list + end + options;
    list.clear();
  };
  for (const auto& hosts : host_lists(document)) {
    for (const auto& host : hosts) {
      if (start.size() + list.size() + 1 + host.size() + end.size() > kMostConfigLine) flush();
      list += (list.empty() ? "" : ",") + host;
    }
    flush();
  }
  // libssh carries the state of the last block on into the file that includes this one
  return text + "Match all\n";
}

std::string render_known_hosts(const Document& document, const SshConfigSettings& settings) {
  std::string text = "# Written by qf-up; changes made here are lost.\n";
  if (asks_for_keys(document, settings)) return text;
  const std::string port = "]:" + std::to_string(kFabricPort);
  for (const auto& peer : document.peers) {
    if (!in_config(peer)) continue;
    std::string names;
    for (const auto& name : reachable_names(peer.record, document.domain)) {
      // ssh looks up [name]:port for every port but 22; the bare name serves a user's own "-p 22", which
      // beats the Port of our block and reaches the same peer
      names += (names.empty() ? "[" : ",[") + name + port + "," + name;
    }
    for (const auto& key : peer.record.ssh_host_keys) text += names + " " + key + "\n";
  }
  return text;
}

SshVersion parse_ssh_version(std::string_view text) {
  constexpr std::string_view kBefore = "OpenSSH_";
  size_t at = text.find(kBefore);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + kBefore.size());
  auto take_number = [&] {
    size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    auto number = parse_number(text.substr(0, digits), 10000);
    text.remove_prefix(digits);
    return static_cast<unsigned>(number.value_or(0));
  };
  SshVersion version;
  version.major = take_number();
  if (!text.starts_with('.')) return version;
  text.remove_prefix(1);
  version.minor = take_number();
  return version;
}

std::string installed_ssh() {
  for (const char* program : {"/usr/bin/ssh", "/usr/local/bin/ssh"}) {
    if (::access(program, X_OK) == 0) return program;
  }
  return {};
}

SshVersion installed_ssh_version() {
  constexpr auto kTime = std::chrono::seconds(5);
  std::string program = installed_ssh();
  if (program.empty()) return {};
  auto output = run_program({program, "-V"}, Clock::now() + kTime);
  if (!output || !WIFEXITED(output->status)) return {};
  return parse_ssh_version(output->err + output->out);
}

}  // namespace qf
