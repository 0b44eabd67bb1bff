// SPDX-License-Identifier: Apache-2.0
// The user's exclude file, ~/.qufabric/exclude: hosts that are to be reached without us. One pattern a line;
// '*' is any text, '?' any character, '#' starts a comment; case does not matter.
#pragma once

#include <string>
#include <string_view>

namespace qf {

[[nodiscard]] bool matches_pattern(std::string_view pattern, std::string_view name);
// Whether a line of the file's text covers the host.
[[nodiscard]] bool excluded_by(std::string_view text, std::string_view host);
// The same for the user's file. A file that is missing or cannot be read excludes nothing.
[[nodiscard]] bool excluded(std::string_view host);

}  // namespace qf
