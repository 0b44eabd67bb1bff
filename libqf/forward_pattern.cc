// SPDX-License-Identifier: Apache-2.0
#include "libqf/forward_pattern.h"

#include <algorithm>

#include "libqf/address.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostHostBytes = 255;  // RFC 1035 section 2.3.4

std::string normal(std::string_view host) {
  auto address = canonical_address(host);
  return address ? *address : lower(host);
}

// "*" stands for any characters, also none. Linear: only the last star is ever tried again.
bool glob_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, after_star = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after_star = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++after_star;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// "10.*" means addresses, and must not let a name through that begins so: its owner says what it resolves to.
bool is_address_glob(std::string_view pattern) {
  bool v6 = pattern.find(':') != std::string_view::npos;
  bool digits = false, other = pattern.find('*') == std::string_view::npos;
  for (char c : pattern) {
    bool digit = (c >= '0' && c <= '9') || (v6 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));
    digits = digits || digit;
    other = other || (!digit && c != '*' && c != (v6 ? ':' : '.'));
  }
  return (digits || v6) && !other;
}

bool read_ports(std::string_view text, ForwardPattern& pattern) {
  if (text == "*") return true;
  size_t dash = text.find('-');
  auto first = parse_number(text.substr(0, dash), 65535);
  auto last = dash == std::string_view::npos ? first : parse_number(text.substr(dash + 1), 65535);
  if (!first || !last || *first == 0 || *first > *last) return false;
  pattern.first_port = static_cast<uint32_t>(*first);
  pattern.last_port = static_cast<uint32_t>(*last);
  return true;
}

}  // namespace

bool ForwardPattern::matches(std::string_view wanted, uint32_t port) const {
  if (port < first_port || port > last_port) return false;
  if (is_address_glob(host) && !canonical_address(wanted)) return false;
  return glob_matches(host, normal(wanted));
}

std::optional<ForwardPattern> parse_forward_pattern(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  bool colons = host.find(':') != std::string_view::npos;
  if (host.empty() || host.size() > kMostHostBytes || colons != bracketed) return std::nullopt;
  bool plain = std::all_of(host.begin(), host.end(),
                           [](char c) { return c > ' ' && c < 0x7f && c != '[' && c != ']'; });
  ForwardPattern pattern;
  pattern.host = normal(host);
  if (!plain || !read_ports(text.substr(colon + 1), pattern)) return std::nullopt;
  return pattern;
}

bool forward_permitted(const std::vector<std::string>& patterns, std::string_view host, uint32_t port) {
  if (patterns.empty()) return true;
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& text) {
    auto pattern = parse_forward_pattern(text);
    return pattern && pattern->matches(host, port);
  });
}

}  // namespace qf
