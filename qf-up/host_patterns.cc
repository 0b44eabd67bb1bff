// SPDX-License-Identifier: Apache-2.0
#include "qf-up/host_patterns.h"

#include "libqf/address.h"

namespace qf {

namespace {

// ssh puts the name into our quoted '%h' as it is, and only since 9.6 refuses one that would end the quotes
// and go on as a command (CVE-2023-51385).
constexpr const char* kQuote = "!*'*";
constexpr size_t kMostGlobs = 32;  // of one kind; more would cost more than a coarser one

// "100.119.230.104" with 2 parts kept: "100.119.*"
std::string v4_glob(const std::string& address, size_t parts) {
  size_t at = 0;
  for (size_t i = 0; i < parts; ++i) at = address.find('.', at) + 1;
  return address.substr(0, at) + "*";
}

// One more than is few is enough to know that they are many.
void add_glob(std::set<std::string>& globs, std::string glob) {
  if (globs.size() <= kMostGlobs) globs.insert(std::move(glob));
}

}  // namespace

HostPatterns::HostPatterns(const std::string& domain) : domain_(domain), names_({"*." + domain}) {}

void HostPatterns::add(const std::string& host) {
  if (host.find(':') != std::string::npos) {
    // by the first group: what follows it has several spellings, which a user may type
    add_glob(v6_, host.substr(0, host.find(':')) + ":*");
  } else if (canonical_address(host)) {
    add_v4(host);
  } else if (host.find('.') == std::string::npos) {
    short_names_ = true;
  } else if (!host.ends_with("." + domain_)) {
    add_glob(names_, "*" + host.substr(host.rfind('.')));
  }
}

void HostPatterns::add_v4(const std::string& address) {
  add_glob(v4_[0], v4_glob(address, 3));
  add_glob(v4_[1], v4_glob(address, 2));
  v4_[2].insert(v4_glob(address, 1));  // at most 223
}

std::vector<std::vector<std::string>> HostPatterns::lists() const {
  std::vector<std::string> patterns;
  auto append = [&](const std::set<std::string>& globs) {
    patterns.insert(patterns.end(), globs.begin(), globs.end());
  };
  append(names_.size() > kMostGlobs ? std::set<std::string>{"*.*"} : names_);
  // the finest that are few
  append(v4_[0].size() <= kMostGlobs ? v4_[0] : v4_[1].size() <= kMostGlobs ? v4_[1] : v4_[2]);
  append(v6_.size() > kMostGlobs ? std::set<std::string>{"*:*"} : v6_);
  patterns.emplace_back(kQuote);
  if (!short_names_) return {patterns};
  return {{"*", "!*.*", "!*:*", kQuote}, patterns};
}

}  // namespace qf
