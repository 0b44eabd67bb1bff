// SPDX-License-Identifier: Apache-2.0
#include "libqf/log.h"

#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "libqf/fd.h"
#include "libqf/text.h"

namespace qf {

namespace {

// The log sink: the one mutable global that programs share.
struct Sink {
  std::string program = "qufabric";
  bool use_syslog = false;
  LogLevel least = LogLevel::kInfo;
};
Sink sink;

void write_line(const std::string& line) {
  // One write, so that lines of several processes do not mix. When stderr is gone there is nobody left to
  // tell.
  if (auto written = write_all(STDERR_FILENO, line + "\n"); !written) return;
}

int syslog_priority(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return LOG_DEBUG;
    case LogLevel::kInfo:
      return LOG_INFO;
    case LogLevel::kWarning:
      return LOG_WARNING;
    case LogLevel::kError:
      return LOG_ERR;
  }
  std::abort();
}

// Of well-formed UTF-8, one character.
uint32_t code_point(std::string_view bytes) {
  auto first = static_cast<unsigned char>(bytes[0]);
  if (bytes.size() == 1) return first;
  uint32_t point = first & (0xffU >> (bytes.size() + 1));
  for (char c : bytes.substr(1)) point = point << 6 | (static_cast<unsigned char>(c) & 0x3fU);
  return point;
}

// What does something in a terminal, ends a line, turns text round, or is not seen at all.
bool is_harmful(uint32_t point) {
  struct Range {
    uint32_t first, last;
  };
  constexpr Range kHarmful[] = {
      {0, 0x1f},           // C0
      {0x7f, 0x9f},        // DEL, C1
      {0x61c, 0x61c},      // ARABIC LETTER MARK
      {0x200b, 0x200f},    // without width; marks of direction
      {0x2028, 0x202e},    // LINE and PARAGRAPH SEPARATOR; embeddings and overrides of direction
      {0x2060, 0x2069},    // without width; isolates of direction
      {0xfeff, 0xfeff},    // BYTE ORDER MARK
      {0xe0000, 0xe007f},  // tags
  };
  return std::any_of(std::begin(kHarmful), std::end(kHarmful),
                     [&](const Range& range) { return range.first <= point && point <= range.last; });
}

}  // namespace

void open_log(std::string_view program, bool use_syslog, LogLevel least) {
  sink = {std::string(program), use_syslog, least};
  if (use_syslog) ::openlog(sink.program.c_str(), LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
}

void release_log() {
  if (!sink.use_syslog) return;
  ::closelog();
  // closelog(3) forgets the name, too
  ::openlog(sink.program.c_str(), LOG_PID, LOG_AUTHPRIV);
}

void log_to_standard_error() {
  release_log();
  sink.use_syslog = false;
}

void log_message(LogLevel level, std::string_view text) {
  if (level < sink.least) return;
  std::string clean = printable(text);
  if (sink.use_syslog) {
    ::syslog(syslog_priority(level), "%s", clean.c_str());
  } else {
    write_line(sink.program + ": " + clean);
  }
}

void say(std::string_view text, std::string_view hint) {
  write_line(sink.program + ": " + printable(text, true));
  if (!hint.empty()) write_line("hint: " + printable(hint, true));
}

void die(int exit_code, std::string_view text, std::string_view hint) {
  say(text, hint);
  std::exit(exit_code);
}

std::string quoted(std::string_view text, size_t most) {
  std::string out = "\"";
  for (char c : printable(text.substr(0, most))) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + (text.size() > most ? "…\"" : "\"");
}

std::string printable(std::string_view text, bool keep_newlines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t n = utf8_length(text);
    bool line_break = keep_newlines && text[0] == '\n';
    if ((n == 0 || is_harmful(code_point(text.substr(0, n)))) && !line_break) {
      out.push_back('?');
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

}  // namespace qf
