// SPDX-License-Identifier: Apache-2.0
#include "qf-up/ssh_include.h"

#include <fnmatch.h>

#include <algorithm>

#include "libqf/text.h"

namespace qf {

namespace {

struct ConfigLine {
  std::string keyword;  // in lower case
  std::string values;
};

ConfigLine parse_config_line(std::string_view raw) {
  std::string line(trim(raw));
  std::replace(line.begin(), line.end(), '\t', ' ');
  ConfigLine parsed;
  parsed.keyword = lower(line.substr(0, line.find_first_of(" =\"")));
  std::string_view rest = trim(std::string_view(line).substr(parsed.keyword.size()));
  if (rest.starts_with('=')) rest = trim(rest.substr(1));
  parsed.values = rest;
  return parsed;
}

// The words of an Include line, without their quotes.
std::vector<std::string> include_words(std::string_view values) {
  std::vector<std::string> words;
  std::string word;
  bool quoted_part = false;
  for (char c : values) {
    if (c == '"') {
      quoted_part = !quoted_part;
    } else if (c == ' ' && !quoted_part) {
      if (!word.empty()) words.push_back(word);
      word.clear();
    } else if (c == '#' && !quoted_part && word.empty()) {
      break;
    } else {
      word += c;
    }
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

bool is_relative(const std::string& pattern) {
  return pattern[0] != '/' && pattern[0] != '~';
}

}  // namespace

std::vector<std::string> include_patterns(std::string_view ssh_config, const std::string& folder,
                                          const std::string& home) {
  bool for_all = true;
  std::vector<std::string> patterns;
  for (const auto& raw : split(ssh_config, '\n')) {
    auto [keyword, values] = parse_config_line(raw);
    if (keyword == "host") for_all = values == "*";
    if (keyword == "match") for_all = lower(values) == "all";
    if (keyword != "include" || !for_all) continue;
    for (auto& pattern : include_words(values)) {
      if (is_relative(pattern)) pattern.insert(0, folder + "/");
      if (pattern.starts_with("~/") && !home.empty()) pattern.replace(0, 1, home);
      patterns.push_back(std::move(pattern));
    }
  }
  return patterns;
}

bool includes_file(std::string_view ssh_config, const std::string& path) {
  auto patterns = include_patterns(ssh_config, kSystemSshFolder);
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0;
  });
}

std::optional<std::string> include_line(const std::string& path) {
  // older ones know no backslash before a quote, newer ones expand % and ${
  if (!path.starts_with('/') || path.find_first_of("\"\\%$\r\n") != std::string::npos) return std::nullopt;
  std::string line = "Include \"";
  for (char c : path) {
    if (std::string_view("*?[]{}").find(c) != std::string_view::npos) line += '\\';
    line += c;
  }
  return line + "\"";
}

std::string with_absolute_includes(std::string_view ssh_config, const std::string& folder) {
  std::string text;
  for (const auto& raw : split(ssh_config, '\n')) {
    auto [keyword, values] = parse_config_line(raw);
    auto words = keyword == "include" ? include_words(values) : std::vector<std::string>{};
    if (std::none_of(words.begin(), words.end(), is_relative)) {
      text += raw + "\n";
      continue;
    }
    text += "Include";
    for (const auto& word : words) text += " \"" + (is_relative(word) ? folder + "/" : "") + word + "\"";
    text += "\n";
  }
  return text;
}

}  // namespace qf
