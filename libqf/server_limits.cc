// SPDX-License-Identifier: Apache-2.0
#include "libqf/server_limits.h"

#include <algorithm>

#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr unsigned kMostCount = 1'000'000, kMostSeconds = 86'400;

struct NamedRange {
  std::string_view option;
  NumberRange range;
};
constexpr NamedRange kRanges[] = {
    {"login-grace-time", {1, kMostSeconds}},
    {"max-connections", {1, kMostCount}},
    {"per-source-max-connections", {1, kMostCount}},
    {"per-source-max-startups", {1, kMostCount}},
    {"max-device-logins", {0, kMostCount}},
    {"per-source-max-device-logins", {0, kMostCount}},
    {"device-login-grace-time", {1, kMostSeconds}},
    {"refusals-logged", {0, kMostCount}},
    {"max-sessions", {1, kMostCount}},
    {"max-channels", {1, kMostCount}},
    {"client-alive-interval", {0, kMostSeconds}},
    {"client-alive-count-max", {0, kMostCount}},
    {"max-auth-tries", {1, kMostCount}},
};

}  // namespace

std::optional<NumberRange> limit_range(std::string_view option) {
  const auto* found = std::find_if(std::begin(kRanges), std::end(kRanges),
                                   [&](const NamedRange& range) { return range.option == option; });
  if (found == std::end(kRanges)) return std::nullopt;
  return found->range;
}

std::optional<std::array<unsigned, 3>> parse_startups(std::string_view text) {
  std::array<unsigned, 3> numbers = {};
  auto parts = split(text, ':');
  if (parts.size() != 1 && parts.size() != 3) return std::nullopt;
  for (size_t i = 0; i < parts.size(); ++i) {
    auto number = parse_number(parts[i], kMostCount);
    if (!number) return std::nullopt;
    numbers[i] = static_cast<unsigned>(*number);
  }
  if (parts.size() == 1) numbers = {numbers[0], 100, numbers[0]};
  if (numbers[0] > numbers[2] || numbers[1] > 100 || numbers[2] == 0) return std::nullopt;
  return numbers;
}

std::optional<std::array<unsigned, 2>> parse_net_blocks(std::string_view text) {
  auto parts = split(text, ':');
  if (parts.size() != 2) return std::nullopt;
  auto v4 = parse_number(parts[0], 32);
  auto v6 = parse_number(parts[1], 128);
  if (!v4 || !v6) return std::nullopt;
  return std::array{static_cast<unsigned>(*v4), static_cast<unsigned>(*v6)};
}

std::string limit_fault(std::string_view option, std::string_view text) {
  std::string wants;
  if (auto range = limit_range(option)) {
    auto number = parse_number(text, range->most);
    if (!number || *number < range->least)
      wants = "a number from " + std::to_string(range->least) + " to " + std::to_string(range->most);
  } else if (option == "max-startups") {
    if (!parse_startups(text)) wants = "START:RATE:FULL, with START at most FULL and RATE at most 100";
  } else if (option == "per-source-net-block-size") {
    if (!parse_net_blocks(text)) wants = "V4:V6, at most 32 and 128";
  } else if (option == "gateway-ports") {
    if (text != "no" && text != "clientspecified" && text != "yes") wants = "no, clientspecified or yes";
  }
  if (wants.empty()) return "";
  return "--" + std::string(option) + " must be " + wants + ", not " + quoted(text);
}

}  // namespace qf
