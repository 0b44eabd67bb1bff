// SPDX-License-Identifier: Apache-2.0
#include "qf-up/qufabric_words.h"

#include <algorithm>
#include <array>

namespace qf {

namespace {

constexpr std::array<SshClient, 3> kSshClients = {{
    // -P takes a value since OpenSSH 9.4, before it was ignored; at worst an old ssh gets its host as that
    // value
    {"ssh", "BDEFIJLOPQRSWbceilmopw", true},
    {"scp", "DFJMPSXcilo", false},
    {"sftp", "BDFJPRSXbcilos", false},
}};

}  // namespace

const SshClient* find_ssh_client(std::string_view name) {
  const auto* found = std::find_if(kSshClients.begin(), kSshClients.end(),
                                   [&](const SshClient& client) { return client.program == name; });
  return found == kSshClients.end() ? nullptr : found;
}

ClientWords read_client_words(const SshClient& client, const std::vector<std::string>& words) {
  ClientWords read;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      read.host = read.host || i + 1 < words.size();
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      if (read.host || !client.options_after_host) return {read.own, true};
      read.host = true;
      continue;
    }
    size_t letter = word.find_first_of(client.with_value, 1);
    if (letter == std::string::npos) continue;
    bool in_next = letter + 1 == word.size();
    if (in_next && ++i == words.size()) break;
    if (word[letter] == 'F') read.own = OwnConfig{i, in_next ? 0 : letter + 1};
  }
  return read;
}

std::vector<std::string> with_config(const std::optional<OwnConfig>& own, std::vector<std::string> words,
                                     const std::string& path) {
  if (own) {
    words[own->word].replace(own->at, std::string::npos, path);
  } else {
    words.insert(words.begin(), {"-F", path});
  }
  return words;
}

}  // namespace qf
