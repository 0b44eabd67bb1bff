// SPDX-License-Identifier: Apache-2.0
// The patterns of "permit_open" and "permit_listen" of a policy: HOST:PORT. HOST is a name or an address as
// the client gives it, without looking it up, "*" in it for any characters; IPv6 addresses in brackets. PORT
// is a number, a range such as 8000-8010, or "*". Compared without regard to case, addresses in their
// canonical form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qf {

struct ForwardPattern {
  std::string host;
  uint32_t first_port = 0, last_port = 65535;

  [[nodiscard]] bool matches(std::string_view host, uint32_t port) const;
};

// Nothing for anything that is no such pattern.
[[nodiscard]] std::optional<ForwardPattern> parse_forward_pattern(std::string_view text);

// Whether one of the patterns matches; a pattern that cannot be read matches nothing. An empty list allows
// everything: the policy does not restrict forwarding.
[[nodiscard]] bool forward_permitted(const std::vector<std::string>& patterns, std::string_view host,
                                     uint32_t port);

}  // namespace qf
