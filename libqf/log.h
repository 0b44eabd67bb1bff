// SPDX-License-Identifier: Apache-2.0
// Messages for people (stderr) and for the log (syslog, or stderr in the foreground). Nothing secret may be
// passed in; control characters are removed, so that text from a peer cannot draw on a terminal or forge a
// line.
#pragma once

#include <string>
#include <string_view>

#include "libqf/result.h"

namespace qf {

// Exit codes of all programs but qf-detect (see its page); sysexits.h names where there is one.
inline constexpr int kExitOk = 0;
inline constexpr int kExitNegative = 1;  // a negative answer
inline constexpr int kExitUsage = 64;    // EX_USAGE
inline constexpr int kExitBug = 70;      // EX_SOFTWARE
inline constexpr int kExitSystem = 71;   // EX_OSERR
inline constexpr int kExitConfig = 78;   // EX_CONFIG

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Call once in main: the name put before each line. With use_syslog lines go to syslog (facility authpriv)
// instead.
void open_log(std::string_view program, bool use_syslog = false, LogLevel least = LogLevel::kInfo);
// Gives up the connection to syslog; the next line makes a new one. To be called before descriptors are
// closed by their numbers: the library would go on to use the number, whatever it has become.
void release_log();
// From now on on standard error, also with use_syslog: for a process that may not connect.
void log_to_standard_error();
void log_message(LogLevel level, std::string_view text);
inline void log_debug(std::string_view text) {
  log_message(LogLevel::kDebug, text);
}
inline void log_info(std::string_view text) {
  log_message(LogLevel::kInfo, text);
}
inline void log_warning(std::string_view text) {
  log_message(LogLevel::kWarning, text);
}
inline void log_error(std::string_view text) {
  log_message(LogLevel::kError, text);
}

// "program: text" and, when given, "hint: …" on stderr. For what a person at the terminal should read.
void say(std::string_view text, std::string_view hint = {});
// say(), then exit. Only from a main or a role's entry before its loop.
[[noreturn]] void die(int exit_code, std::string_view text, std::string_view hint = {});

// Replaces control characters (C0, DEL, C1 in UTF-8, line and paragraph separators) and broken UTF-8 by '?';
// a newline stays when keep_newlines.
[[nodiscard]] std::string printable(std::string_view text, bool keep_newlines = false);
// printable, in double quotes, with a backslash before each quote and backslash, so that a text from outside
// ends where it seems to; cut after `most` bytes, so that a message stays readable.
[[nodiscard]] std::string quoted(std::string_view text, size_t most = 120);

}  // namespace qf
