// SPDX-License-Identifier: Apache-2.0
#include "qf-detect/exclude.h"

#include "libqf/fd.h"
#include "libqf/folders.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostExcludeBytes = 1024 * 1024;

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view name) {
  // On a mismatch the last '*' takes one more character: linear for each star, never exponential.
  size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool excluded_by(std::string_view text, std::string_view host) {
  std::string name = lower(host);
  for (const auto& line : split(text, '\n')) {
    std::string_view pattern = trim(std::string_view(line).substr(0, line.find('#')));
    if (!pattern.empty() && matches_pattern(lower(pattern), name)) return true;
  }
  return false;
}

bool excluded(std::string_view host) {
  auto home = home_folder();
  if (!home) return false;
  auto text = read_file(*home + "/.qufabric/exclude", kMostExcludeBytes);
  return text && excluded_by(*text, host);
}

}  // namespace qf
