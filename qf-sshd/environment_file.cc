// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/environment_file.h"

#include <cerrno>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
constexpr std::string_view kExport = "export ";

bool is_name(std::string_view name) {
  if (name.empty() || kLetters.find(name.front()) == std::string_view::npos) return false;
  for (char c : name) {
    if (kLetters.find(c) == std::string_view::npos && (c < '0' || c > '9')) return false;
  }
  return true;
}

std::string_view unquoted(std::string_view value) {
  if (value.empty() || (value.front() != '"' && value.front() != '\'')) return value;
  char quote = value.front();
  value.remove_prefix(1);
  if (!value.empty() && value.back() == quote) value.remove_suffix(1);
  return value;
}

}  // namespace

std::vector<std::string> parse_environment(std::string_view text) {
  std::vector<std::string> variables;
  for (const auto& whole : split(text, '\n')) {
    std::string_view line = trim(whole);
    if (line.size() > kMostEnvironmentLine || line.find('\0') != std::string_view::npos) continue;
    if (line.rfind(kExport, 0) == 0) line = trim(line.substr(kExport.size()));
    size_t equals = line.find('=');
    if (equals == std::string_view::npos || !is_name(line.substr(0, equals))) continue;
    if (variables.size() == kMostEnvironmentVariables) break;
    variables.push_back(std::string(line.substr(0, equals + 1)) +
                        std::string(unquoted(line.substr(equals + 1))));
  }
  return variables;
}

std::vector<std::string> read_environment_file(const std::string& path) {
  auto text = read_file(path, kMostEnvironmentBytes);
  if (text) return parse_environment(*text);
  if (text.error().sys != ENOENT) log_warning("environment not used: " + text.error().text());
  return {};
}

}  // namespace qf
