// SPDX-License-Identifier: Apache-2.0
// Small text functions. ASCII only where the locale must not matter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qf {

[[nodiscard]] std::string lower(std::string_view text);  // A-Z only
[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);
[[nodiscard]] std::string join(const std::vector<std::string>& parts, std::string_view separator);
// "45 s", "12 min", "3 h"
[[nodiscard]] std::string describe_seconds(int64_t seconds);
// As one word of a shell's command line (POSIX), quoted where it must be.
[[nodiscard]] std::string for_shell(const std::string& word);
[[nodiscard]] std::string_view trim(std::string_view text);  // spaces, tabs, CR, LF at both ends
// Only the characters from ! to ~ of ASCII: no space, no control, no letter that looks like another.
[[nodiscard]] bool is_visible_ascii(std::string_view text);
// Digits only, no sign, no space; nothing when it does not fit `most`.
[[nodiscard]] std::optional<uint64_t> parse_number(std::string_view text, uint64_t most);

// Length in bytes of the UTF-8 character that text starts with (RFC 3629: no overlong forms, no surrogates,
// at most U+10FFFF); 0 when it is malformed or text is empty.
[[nodiscard]] size_t utf8_length(std::string_view text);
[[nodiscard]] bool valid_utf8(std::string_view text);

// Compares without a branch on the content. Different lengths are unequal at once: lengths are no secret.
[[nodiscard]] bool equal_secrets(std::string_view a, std::string_view b);

// What may stand in ssh_config and known_hosts as a host name: letters, digits, '.', '-', '_', at most 253
// bytes, starting with a letter or digit.
[[nodiscard]] bool valid_host_name(std::string_view name);

// Whether one could be a slip of the pen for the other: letter case aside, at most two letters apart, in
// short ones one.
[[nodiscard]] bool near_spelling(std::string_view a, std::string_view b);
// The word among `known` that is the least apart from this one, if it is near; else empty.
[[nodiscard]] std::string nearest_spelling(std::string_view word, const std::vector<std::string>& known);

}  // namespace qf
