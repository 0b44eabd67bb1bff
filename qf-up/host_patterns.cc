// SPDX-License-Identifier: Apache-2.0
#include "qf-up/host_patterns.h"

#include <set>

#include "libqf/address.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostGlobs = 32;  // of one kind; more would cost more than a coarser one

// "100.119.230.104" with 2 parts kept: "100.119.*"
std::string v4_glob(const std::string& address, size_t parts) {
  size_t at = 0;
  for (size_t i = 0; i < parts; ++i) at = address.find('.', at) + 1;
  return address.substr(0, at) + "*";
}

// The finest globs that are few.
std::set<std::string> v4_globs(const std::vector<std::string>& addresses) {
  std::set<std::string> globs;
  for (size_t parts : {3U, 2U, 1U}) {
    globs.clear();
    for (const auto& address : addresses) globs.insert(v4_glob(address, parts));
    if (globs.size() <= kMostGlobs) break;
  }
  return globs;  // by the first part at most 223
}

// By the first group: what follows it has several spellings, which a user may type.
std::set<std::string> v6_globs(const std::vector<std::string>& addresses) {
  std::set<std::string> globs;
  for (const auto& address : addresses) globs.insert(address.substr(0, address.find(':')) + ":*");
  if (globs.size() > kMostGlobs) return {"*:*"};
  return globs;
}

std::set<std::string> name_globs(const std::vector<std::string>& names, const std::string& domain) {
  std::set<std::string> globs = {"*." + domain};
  for (const auto& name : names) {
    if (!name.ends_with("." + domain)) globs.insert("*" + name.substr(name.rfind('.')));
    if (globs.size() > kMostGlobs) return {"*.*"};
  }
  return globs;
}

}  // namespace

std::vector<std::vector<std::string>> host_patterns(const std::vector<std::string>& hosts,
                                                    const std::string& domain) {
  std::vector<std::string> v4, v6, dotted;
  bool short_names = false;
  for (const auto& host : hosts) {
    if (host.find(':') != std::string::npos) {
      v6.push_back(host);
    } else if (canonical_address(host)) {
      v4.push_back(host);
    } else if (host.find('.') != std::string::npos) {
      dotted.push_back(host);
    } else {
      short_names = true;
    }
  }
  std::vector<std::string> patterns;
  for (const auto& globs : {name_globs(dotted, domain), v4_globs(v4), v6_globs(v6)})
    patterns.insert(patterns.end(), globs.begin(), globs.end());
  if (!short_names) return {patterns};
  return {{"*", "!*.*", "!*:*"}, patterns};
}

}  // namespace qf
