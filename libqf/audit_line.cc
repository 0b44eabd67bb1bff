// SPDX-License-Identifier: Apache-2.0
#include "libqf/audit_line.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>

#include "libqf/crypto.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr std::string_view kNumber = R"({"n":)";
constexpr std::string_view kPrevious = R"(,"previous":")";
constexpr std::string_view kTime = R"(,"time":")";
constexpr std::string_view kTailFormat = "1";
constexpr uint64_t kMostNumber = uint64_t{1} << 53;  // JSON numbers are exact up to there

bool is_hash(std::string_view text) {
  return text.size() == kNoAuditLine.size() && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

}  // namespace

std::string audit_line(uint64_t n, std::string_view previous, std::string_view body) {
  std::string line(kNumber);
  line.append(std::to_string(n)).append(kPrevious).append(previous).append("\"");
  if (body != "{}") line.append(",");
  return line.append(body.substr(1));
}

std::optional<AuditPlace> audit_place(std::string_view line) {
  if (!line.ends_with('}') || !take(line, kNumber)) return std::nullopt;
  std::string_view digits = line.substr(0, line.find(','));
  auto n = parse_number(digits, kMostNumber);
  if (!n || digits.starts_with('0')) return std::nullopt;
  line.remove_prefix(digits.size());
  if (!take(line, kPrevious)) return std::nullopt;
  AuditPlace place{*n, line.substr(0, kNoAuditLine.size()), {}};
  if (!is_hash(place.previous)) return std::nullopt;
  line.remove_prefix(place.previous.size());
  if (!take(line, "\"") || (line != "}" && !line.starts_with(','))) return std::nullopt;
  if (take(line, kTime)) place.time = line.substr(0, std::min(line.find('"'), size_t{24}));
  return place;
}

bool begins_audit_line(std::string_view text) {
  return text.starts_with(kNumber) || kNumber.starts_with(text);
}

std::string audit_hash(std::string_view line) {
  return hex(sha256(line));
}

std::string audit_tail_text(const AuditTail& tail) {
  std::string text(kTailFormat);
  text += " " + std::to_string(tail.n) + " " + tail.hash;
  for (uint64_t number : {tail.first, tail.device, tail.inode, tail.size})
    text += " " + std::to_string(number);
  text.resize(kAuditTailBytes - 1, ' ');
  return text + "\n";
}

std::optional<AuditTail> parse_audit_tail(std::string_view text) {
  if (text.size() != kAuditTailBytes || !text.ends_with('\n')) return std::nullopt;
  auto words = split(trim(text), ' ');
  if (words.size() != 7 || words[0] != kTailFormat || !is_hash(words[2])) return std::nullopt;
  AuditTail tail;
  tail.hash = words[2];
  auto n = parse_number(words[1], kMostNumber);
  if (!n) return std::nullopt;
  tail.n = *n;
  uint64_t* const numbers[] = {&tail.first, &tail.device, &tail.inode, &tail.size};
  for (size_t i = 0; i < std::size(numbers); ++i) {
    auto number = parse_number(words[3 + i], std::numeric_limits<uint64_t>::max());
    if (!number) return std::nullopt;
    *numbers[i] = *number;
  }
  return tail;
}

std::string audit_tail_path(const std::string& log) {
  constexpr std::string_view kEnding = ".log";
  bool usual = log.ends_with(kEnding);
  return (usual ? log.substr(0, log.size() - kEnding.size()) : log) + ".tail";
}

std::string rfc3339(int64_t milliseconds) {
  std::time_t seconds = milliseconds / 1000;
  std::tm utc = {};
  if (milliseconds < 0 || ::gmtime_r(&seconds, &utc) == nullptr) return "1970-01-01T00:00:00.000Z";
  char day[32] = {}, fraction[16] = {};
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(milliseconds % 1000));
  return std::string(day) + fraction;
}

}  // namespace qf
