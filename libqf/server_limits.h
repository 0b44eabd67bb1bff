// SPDX-License-Identifier: Apache-2.0
// What the limits of qf-sshd can be: it reads them so, and qf-up refuses what it would not take.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qf {

struct NumberRange {
  unsigned least = 0, most = 0;
  bool operator==(const NumberRange&) const = default;
};

// Of an option of qf-sshd (without "--") that is a number.
[[nodiscard]] std::optional<NumberRange> limit_range(std::string_view option);

// --max-startups: START, RATE (percent) and FULL, "30:30:100"; or one number for START and FULL alike.
[[nodiscard]] std::optional<std::array<unsigned, 3>> parse_startups(std::string_view text);
// --per-source-net-block-size: bits of an IPv4 and of an IPv6 address, "32:64".
[[nodiscard]] std::optional<std::array<unsigned, 2>> parse_net_blocks(std::string_view text);

// Why an option of qf-sshd cannot have this value, in words for who has typed it; empty: it can.
[[nodiscard]] std::string limit_fault(std::string_view option, std::string_view text);

}  // namespace qf
