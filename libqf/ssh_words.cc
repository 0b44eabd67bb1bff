// SPDX-License-Identifier: Apache-2.0
#include "libqf/ssh_words.h"

#include <algorithm>
#include <array>
#include <utility>

#include "libqf/text.h"

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
      bool command = std::exchange(read.host, true);
      if (command || !client.options_after_host) break;
      continue;
    }
    size_t letter = word.find_first_of(client.with_value, 1);
    if (letter == std::string::npos) continue;
    bool in_next = letter + 1 == word.size();
    if (in_next && ++i == words.size()) break;
    size_t at = in_next ? 0 : letter + 1;
    if (word[letter] == 'F') read.own = OwnConfig{i, at};
    if (word[letter] == 'o') read.options.push_back(words[i].substr(at));
  }
  return read;
}

// ssh_config(5): a keyword, blanks or one "=", and the value, which may stand in quotes.
std::optional<std::string> option_value(const ClientWords& words, std::string_view keyword) {
  constexpr std::string_view kBlanks = " \t", kBetween = " \t=";
  for (const std::string& option : words.options) {
    size_t start = option.find_first_not_of(kBlanks);
    if (start == std::string::npos) continue;
    size_t end = std::min(option.find_first_of(kBetween, start), option.size());
    if (lower(option.substr(start, end - start)) != keyword) continue;
    size_t value = option.find_first_not_of(kBetween, end);
    if (value == std::string::npos) return "";
    bool quoted = option[value] == '"';
    if (quoted) ++value;
    return option.substr(
        value, std::min(option.find_first_of(quoted ? "\"" : kBlanks, value), option.size()) - value);
  }
  return std::nullopt;
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
