// SPDX-License-Identifier: Apache-2.0
#include "libqf/text.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace qf {

namespace {

constexpr size_t kMostLettersApart = 2;

// The edit distance, letter case aside, two letters that changed places being one; when the lengths allow
// that it is small, more than that otherwise.
size_t letters_apart(std::string_view a, std::string_view b) {
  std::string left = lower(a), right = lower(b);
  if (left.size() > right.size() + kMostLettersApart || right.size() > left.size() + kMostLettersApart)
    return kMostLettersApart + 1;
  // a row at a time; the one before that is needed for letters that changed places
  std::vector<size_t> before_last, last, row(right.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < left.size(); ++i) {
    before_last = std::exchange(last, row);
    row[0] = i + 1;
    for (size_t j = 0; j < right.size(); ++j) {
      size_t replaced = last[j] + (left[i] == right[j] ? 0 : 1);
      row[j + 1] = std::min({replaced, row[j] + 1, last[j + 1] + 1});
      if (i > 0 && j > 0 && left[i] == right[j - 1] && left[i - 1] == right[j])
        row[j + 1] = std::min(row[j + 1], before_last[j - 1] + 1);
    }
  }
  return row.back();
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const auto& part : parts) {
    if (&part != &parts.front()) out += separator;
    out += part;
  }
  return out;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::optional<uint64_t> parse_number(std::string_view text, uint64_t most) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    auto digit = static_cast<uint64_t>(c - '0');
    if (value > (most - std::min(most, digit)) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  if (value > most) return std::nullopt;
  return value;
}

size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  unsigned char c = byte(0);
  if (c < 0x80) return 1;
  size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  if (c < 0xc2 || c > 0xf4 || text.size() < n) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  unsigned char second = byte(1);
  bool bad = (c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
             (c == 0xf4 && second > 0x8f);
  return bad ? 0 : n;
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    size_t n = utf8_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(
        difference | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  }
  return difference == 0;
}

bool valid_host_name(std::string_view name) {
  auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty() || name.size() > 253 || !alphanumeric(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return alphanumeric(c) || c == '.' || c == '-' || c == '_'; });
}

std::string describe_seconds(int64_t seconds) {
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 7200) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds / 3600) + " h";
}

std::string for_shell(const std::string& word) {
  constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/@%+=";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quote = "'";
  for (char c : word) quote += c == '\'' ? "'\\''" : std::string(1, c);
  return quote + "'";
}

bool near_spelling(std::string_view a, std::string_view b) {
  constexpr size_t kShort = 5;  // in a shorter one two letters make another word
  size_t apart = letters_apart(a, b);
  return apart <= (b.size() < kShort ? 1 : kMostLettersApart) && apart < std::max<size_t>(b.size(), 1);
}

std::string nearest_spelling(std::string_view word, const std::vector<std::string>& known) {
  std::string nearest;
  size_t least = kMostLettersApart + 1;
  for (const auto& other : known) {
    size_t apart = near_spelling(word, other) ? letters_apart(word, other) : least;
    if (apart >= least) continue;
    least = apart;
    nearest = other;
  }
  return nearest;
}

}  // namespace qf
