// SPDX-License-Identifier: Apache-2.0
// /etc/environment, in the form that pam_env(8) reads, where PAM does not read it: lines NAME=value, blank
// lines and comments (#), a leading "export ", quotes around a value. Nothing is expanded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qf {

inline constexpr size_t kMostEnvironmentBytes = 65536;
inline constexpr size_t kMostEnvironmentLine = 1024;
inline constexpr size_t kMostEnvironmentVariables = 256;

// "NAME=value". Lines that are no assignment, or too long, are passed over.
[[nodiscard]] std::vector<std::string> parse_environment(std::string_view text);
// Nothing when there is no such file; what is wrong with one that cannot be read goes to the log.
[[nodiscard]] std::vector<std::string> read_environment_file(const std::string& path);

}  // namespace qf
