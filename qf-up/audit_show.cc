// SPDX-License-Identifier: Apache-2.0
#include "qf-up/audit_show.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "libqf/audit_line.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr std::array<size_t, 6> kWidths = {20, 8, 24, 12, 26, 16};
constexpr size_t kConnectionShown = 8;      // characters, which tell those of a while apart
constexpr uint64_t kMostAgo = 100'000'000;  // of any unit

std::string text_of(const cJSON* line, const char* key) {
  return printable(json_string(line, key).value_or(""));
}

std::string number_of(const cJSON* line, const char* key) {
  return std::to_string(json_integer(line, key).value_or(0));
}

// What people count as one character takes one column here, which is wrong for wide ones.
std::string padded(const std::string& text, size_t width) {
  std::string shown = text.empty() ? "-" : text;
  auto characters = static_cast<size_t>(std::count_if(
      shown.begin(), shown.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  return shown + std::string(characters < width ? width - characters : 0, ' ');
}

std::string row(const std::array<std::string, kWidths.size()>& cells, const std::string& rest) {
  std::string out;
  for (size_t i = 0; i < cells.size(); ++i) out += padded(cells[i], kWidths[i]) + " ";
  out += rest;
  return out.substr(0, out.find_last_not_of(' ') + 1);
}

std::string source_of(const cJSON* line) {
  std::string peer = text_of(line, "peer"), address = text_of(line, "source");
  return peer.empty() || address.empty() ? peer + address : peer + " (" + address + ")";
}

std::string with(const std::string& label, const std::string& text) {
  return text.empty() ? "" : label + text;
}

std::string judged(const cJSON* line) {
  std::string policy = with(", policy ", text_of(line, "policy"));
  if (json_bool(line, "allowed").value_or(false))
    return "allowed" + with(", ", text_of(line, "method")) + policy;
  std::string refusal = text_of(line, "refusal"), reason = text_of(line, "reason");
  std::string why = refusal.empty() ? reason : refusal;
  // the words for the user often hold the reason already
  if (!refusal.empty() && refusal.find(reason) == std::string::npos) why += ", " + reason;
  return "refused" + with(": ", why) + policy;
}

std::string session_end(const cJSON* line) {
  std::string signal = text_of(line, "signal");
  std::string how = json_bool(line, "left_running").value_or(false) ? "left running"
                    : !signal.empty()                               ? "signal " + signal
                                                                    : "status " + number_of(line, "status");
  char seconds[32] = {};
  std::snprintf(seconds, sizeof seconds, "%.1f",
                static_cast<double>(json_integer(line, "milliseconds").value_or(0)) / 1000);
  return with("", text_of(line, "kind")) + " " + how + ", " + number_of(line, "bytes_in") + " bytes in, " +
         number_of(line, "bytes_out") + " out, " + seconds + " s";
}

// A forward that was permitted and came to nothing: its target was not reached, or its port is taken. These
// are the words of what tried it, as the user; those of a refusal begin otherwise.
bool has_failed(const cJSON* line) {
  constexpr std::array<std::string_view, 4> kBeginnings = {"cannot ", "no answer from port ",
                                                           "no address to connect to", "the helper ended"};
  std::string reason = text_of(line, "reason");
  return json_string(line, "event") == "forward" &&
         std::any_of(kBeginnings.begin(), kBeginnings.end(),
                     [&](std::string_view beginning) { return reason.starts_with(beginning); });
}

bool was_refused(const cJSON* line) {
  std::string event = json_string(line, "event").value_or("");
  if (event == "connections-refused" || event == "session-refused") return true;
  return json_bool(line, "allowed") == false && !has_failed(line);
}

std::string forward(const cJSON* line) {
  std::string what = text_of(line, "kind") + with(" ", text_of(line, "target"));
  if (json_bool(line, "allowed").value_or(false)) return what;
  return what + (has_failed(line) ? ", failed" : ", refused") + with(": ", text_of(line, "reason"));
}

std::string what_of(const cJSON* line, const std::string& event) {
  if (event == "connection" || event == "login") return judged(line);
  if (event == "session-start")
    return text_of(line, "kind") + (json_bool(line, "terminal").value_or(false) ? " with terminal" : "");
  if (event == "session-end") return session_end(line);
  if (event == "forward") return forward(line);
  if (event == "connections-refused")
    return number_of(line, "count") + " more in " + number_of(line, "seconds") + " s" +
           with(": ", text_of(line, "reason"));
  if (event == "revoked")
    return text_of(line, "what") + with(" ", text_of(line, "target")) + with(": ", text_of(line, "reason"));
  if (event == "policy")
    return "serial " + number_of(line, "serial") +
           with(", document ", text_of(line, "document_hash").substr(0, 12));
  return text_of(line, "reason");
}

// "2024-05-01" and "12:34:56", as one moment; nothing when there is no such day or time.
std::optional<int64_t> seconds_of(std::string_view day, std::string_view clock) {
  std::tm parts = {};
  std::string text = std::string(day) + "T" + std::string(clock);
  if (text.size() != 19) return std::nullopt;
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  std::tm given = parts;
  int64_t seconds = ::timegm(&parts);
  // the library makes the 1st of March of the 30th of February
  if (given.tm_mday != parts.tm_mday || given.tm_mon != parts.tm_mon || seconds < 0) return std::nullopt;
  return seconds;
}

// Seconds east of UTC: "Z", "+02:00", "-05:30".
std::optional<int64_t> offset_of(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  auto hours = parse_number(text.substr(1, 2), 23), minutes = parse_number(text.substr(4), 59);
  if (!hours || !minutes) return std::nullopt;
  auto seconds = static_cast<int64_t>(*hours * 3600 + *minutes * 60);
  return text[0] == '-' ? -seconds : seconds;
}

std::optional<int64_t> ago(std::string_view text) {
  static constexpr std::pair<char, int64_t> kUnits[] = {
      {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
  if (text.size() < 2) return std::nullopt;
  auto count = parse_number(text.substr(0, text.size() - 1), kMostAgo);
  const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                  [&](const auto& each) { return each.first == text.back(); });
  if (!count || unit == std::end(kUnits)) return std::nullopt;
  return static_cast<int64_t>(*count) * unit->second * 1000;
}

std::optional<int64_t> rfc3339_moment(std::string_view text) {
  if (text.size() < 20 || (text[10] != 'T' && text[10] != 't' && text[10] != ' ')) return std::nullopt;
  auto seconds = seconds_of(text.substr(0, 10), text.substr(11, 8));
  text.remove_prefix(19);
  int64_t milliseconds = 0;
  if (text.starts_with('.')) {
    size_t end = std::min(text.find_first_not_of("0123456789", 1), text.size());
    std::string digits(text.substr(1, std::min(end - 1, size_t{3})));
    if (digits.empty()) return std::nullopt;
    digits.resize(3, '0');
    milliseconds = static_cast<int64_t>(*parse_number(digits, 999));
    text.remove_prefix(end);
  }
  auto offset = offset_of(text);
  if (!seconds || !offset) return std::nullopt;
  return (*seconds - *offset) * 1000 + milliseconds;
}

}  // namespace

bool AuditFilter::takes(const cJSON* line) const {
  auto is = [&](const char* key, const std::string& wanted) { return json_string(line, key) == wanted; };
  if (!user.empty()) {
    std::string identity = json_string(line, "identity").value_or("");
    if (identity != user && identity.substr(identity.find(':') + 1) != user) return false;
  }
  if (!login.empty() && !is("os_user", login)) return false;
  if (!from.empty() && !is("peer", from) && !is("source", from)) return false;
  if (!event.empty() && !is("event", event)) return false;
  if (refused && !was_refused(line)) return false;
  if (!json_string(line, "connection").value_or("").starts_with(connection)) return false;
  std::string time = json_string(line, "time").value_or("");
  return (since.empty() || time >= since) && (until.empty() || time < until);
}

std::string audit_columns_head() {
  return row({"TIME", "CONN", "IDENTITY", "OS USER", "FROM", "EVENT"}, "WHAT");
}

std::string audit_columns(const cJSON* line) {
  std::string time = text_of(line, "time"), event = text_of(line, "event");
  if (time.size() == 24) time = time.substr(0, 19) + "Z";
  std::string connection = text_of(line, "connection").substr(0, kConnectionShown);
  return row({time, connection, text_of(line, "identity"), text_of(line, "os_user"), source_of(line), event},
             what_of(line, event));
}

std::optional<std::string> audit_moment(std::string_view text, int64_t now) {
  std::optional<int64_t> moment;
  if (auto before = ago(text)) {
    moment = now - *before;
  } else if (text.size() == 10) {
    if (auto seconds = seconds_of(text, "00:00:00")) moment = *seconds * 1000;
  } else {
    moment = rfc3339_moment(text);
  }
  if (!moment) return std::nullopt;
  return rfc3339(std::max<int64_t>(*moment, 0));
}

}  // namespace qf
