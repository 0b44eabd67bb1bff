// SPDX-License-Identifier: Apache-2.0
// What the Include lines of an ssh_config text read, and what can stand in one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qf {

inline constexpr const char* kSystemSshConfigFolder = "/etc/ssh/ssh_config.d";
inline constexpr const char* kSystemSshConfig = "/etc/ssh/ssh_config";
inline constexpr const char* kSystemSshFolder = "/etc/ssh";

// The patterns of all Include lines that are in force for all hosts, absolute: relative ones are so to
// `folder`
// (/etc/ssh for the system's file, ~/.ssh for a user's), and "~/" is `home` (empty: it stays).
[[nodiscard]] std::vector<std::string> include_patterns(std::string_view ssh_config,
                                                        const std::string& folder,
                                                        const std::string& home = {});
// Whether the system's ssh_config text has an Include, in force for all hosts, that reads `path`.
[[nodiscard]] bool includes_file(std::string_view ssh_config, const std::string& path);

// "Include PATH" of an absolute path, quoted, and nothing in it a wildcard; none when ssh has no way to say
// it.
[[nodiscard]] std::optional<std::string> include_line(const std::string& path);

// The text with its relative Include patterns absolute, so that it means the same in a file of another
// folder.
[[nodiscard]] std::string with_absolute_includes(std::string_view ssh_config, const std::string& folder);

}  // namespace qf
