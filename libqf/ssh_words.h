// SPDX-License-Identifier: Apache-2.0
// The command lines of OpenSSH's clients, as far as we must know them: where the person's own -F FILE stands,
// so that a configuration file of ours can be put into one, and what was said with -o. The words are ssh's to
// judge; what cannot be understood is left as it is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qf {

struct SshClient {
  const char* program;
  std::string_view with_value;  // the letters of its options that take one (its manual page, SYNOPSIS)
  bool options_after_host;      // ssh goes on reading options behind the host, up to the command
};
// null when there is none of that name
[[nodiscard]] const SshClient* find_ssh_client(std::string_view name);

// The value of the last -F, which is the one that counts: the word that it ends, from `at` on.
struct OwnConfig {
  size_t word = 0;
  size_t at = 0;
};
struct ClientWords {
  std::optional<OwnConfig> own;
  bool host = false;  // one is named; otherwise it is about the program itself (ssh -V, a usage)
  std::vector<std::string> options;  // the values of -o, as they stand there
};
[[nodiscard]] ClientWords read_client_words(const SshClient& client, const std::vector<std::string>& words);
// What an option was set to with -o: of several the first counts, as with ssh. keyword: in lower case.
[[nodiscard]] std::optional<std::string> option_value(const ClientWords& words, std::string_view keyword);
// The words with `path` as the only configuration file.
[[nodiscard]] std::vector<std::string> with_config(const std::optional<OwnConfig>& own,
                                                   std::vector<std::string> words, const std::string& path);

}  // namespace qf
