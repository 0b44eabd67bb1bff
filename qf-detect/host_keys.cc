// SPDX-License-Identifier: Apache-2.0
#include "qf-detect/host_keys.h"

#include "libqf/address.h"

namespace qf {

namespace {

// "[host]:port" without its frame; the port must be one that the generated block covers.
std::string_view host_of(std::string_view name) {
  if (!name.starts_with('[')) return name;
  size_t close = name.rfind("]:");
  if (close == std::string_view::npos) return {};
  std::string_view port = name.substr(close + 2);
  if (port != "22" && port != std::to_string(kFabricPort)) return {};
  return name.substr(1, close - 1);
}

}  // namespace

std::string known_hosts_lines(const PeersDb& db, std::string_view name) {
  std::string lines;
  auto peer = db.find_peer(host_of(name));
  if (!peer || !peer->ssh) return lines;
  // `name` was found in the database, so it has no characters that could forge a line
  for (const auto& key : peer->ssh_host_keys) lines += std::string(name) + " " + key + "\n";
  return lines;
}

}  // namespace qf
