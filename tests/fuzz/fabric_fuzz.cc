// SPDX-License-Identifier: Apache-2.0
// fuzz-group: up
// clang-format off
// clang-format on
//
// The fabric document: whatever is accepted must give records that decode, and an ssh_config file in which no
// line is too long and no text of the document has broken out of its place.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libqf/codec.h"
#include "libqf/text.h"
#include "qf-up/compile.h"
#include "qf-up/document.h"
#include "qf-up/ssh_config.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

qf::SshConfigSettings settings() {
  qf::SshConfigSettings settings;
  settings.folders = {"/c", "/s", ""};
  settings.detect_program = "/d";
  settings.proxy_program = "/p";
  settings.ssh = {9, 2};
  return settings;
}

void check_config(const std::string& text) {
  static const std::string kOptions[] = {"Port ",
                                         "ProxyCommand ",
                                         "IdentityFile ",
                                         "CertificateFile ",
                                         "GlobalKnownHostsFile ",
                                         "UserKnownHostsFile ",
                                         "KnownHostsCommand ",
                                         "StrictHostKeyChecking ",
                                         "AddKeysToAgent "};
  for (const auto& line : qf::split(text, '\n')) {
    require(line.size() <= qf::kMostConfigLine);
    if (line.empty() || line[0] == '#' || line == "Match all") continue;
    if (line.starts_with("Match host \"")) {
      size_t end = line.find('"', 12);
      require(end != std::string::npos);
      require(line.substr(end).starts_with(
          "\" exec \"exec /d --config-dir /c --state-dir /s --match '%h' '%p'\""));
      require(line.find_first_of(" '`$\\;&|<>(){}%\t", 12) > end);
      continue;
    }
    bool known = false;
    for (const auto& option : kOptions) known = known || line.starts_with("  " + option);
    require(known);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto document = qf::read_document({reinterpret_cast<const char*>(data), size});
  if (!document) {
    const auto& faults = document.error();
    require(!faults.empty() && faults.size() <= qf::Faults::kMostFaults);
    for (const auto& fault : faults) require(fault.path.starts_with("$") && !fault.what.empty());
    return 0;
  }
  auto peers = qf::compile_peers(*document, {});
  auto policy = qf::compile_policy(*document);
  require(static_cast<bool>(qf::decode<qf::PeersMeta>(peers.at("meta"))));
  for (const auto* records : {&peers, &policy}) {
    // LMDB's limit
    for (const auto& [key, value] : *records) require(!key.empty() && key.size() <= 511);
  }
  auto config = qf::render_ssh_config(*document, settings());
  require(static_cast<bool>(config));
  check_config(*config);
  for (const auto& line : qf::split(qf::render_known_hosts(*document, settings()), '\n'))
    require(line.empty() || line[0] == '#' || qf::split(line, ' ').size() == 3);
  return 0;
}
