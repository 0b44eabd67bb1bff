// SPDX-License-Identifier: Apache-2.0
#include "libqf/log.h"

#include <syslog.h>
#include <unistd.h>

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
    auto c = static_cast<unsigned char>(text[0]);
    bool line_break = keep_newlines && c == '\n';
    // U+0080..U+009F (C1), U+2028 and U+2029 end lines or start sequences on some terminals; U+202A..U+202E
    // and U+2066..U+2069 reorder what a person reads
    bool harmful =
        n == 0 || (n == 1 && (c < 0x20 || c == 0x7f)) ||
        (n == 2 && c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) ||
        (n == 3 && text.substr(0, 2) == "\xe2\x80" && static_cast<unsigned char>(text[2]) >= 0xa8 &&
         static_cast<unsigned char>(text[2]) <= 0xae) ||
        (n == 3 && text.substr(0, 2) == "\xe2\x81" && static_cast<unsigned char>(text[2]) >= 0xa6 &&
         static_cast<unsigned char>(text[2]) <= 0xa9);
    if (harmful && !line_break) {
      out.push_back('?');
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

}  // namespace qf
