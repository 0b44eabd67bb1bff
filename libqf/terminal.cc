// SPDX-License-Identifier: Apache-2.0
#include "libqf/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>

#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr dev_t kNullMajor = 1, kNullMinor = 3;  // /dev/null, see mem(4)

bool (*leave_alone_)() = nullptr;  // see Terminal::leave_alone_when()

bool leads_nowhere(int fd) {
  struct stat st = {};
  if (::fstat(fd, &st) != 0) return true;
  return S_ISCHR(st.st_mode) && major(st.st_rdev) == kNullMajor && minor(st.st_rdev) == kNullMinor;
}

}  // namespace

Terminal Terminal::find() {
  Terminal terminal;
  if (left_alone()) return terminal;
  if (::isatty(STDERR_FILENO) == 1) {
    terminal.fd_ = STDERR_FILENO;
  } else if (auto tty = open_file("/dev/tty", O_WRONLY | O_NOCTTY)) {
    terminal.owned_ = std::move(*tty);
    terminal.fd_ = terminal.owned_.get();
  }
  return terminal;
}

void Terminal::leave_alone_when(bool (*holds)()) {
  leave_alone_ = holds;
}
bool Terminal::left_alone() {
  static const bool left_alone = leave_alone_ != nullptr && leave_alone_();
  return left_alone;
}

void Terminal::show(std::string_view text) const {
  if (fd_ < 0) return;
  // a terminal that has gone has nobody before it
  if (!write_all(fd_, printable(text, true) + "\n")) return;
}

bool Terminal::can_rewrite() const {
  const char* kind = ::getenv("TERM");
  return fd_ >= 0 && ::isatty(fd_) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

void Terminal::rewrite(std::string_view text) const {
  if (fd_ < 0) return;
  // ECMA-48: EL, erase to the end of the line
  if (!write_all(fd_, "\r" + printable(text) + "\x1b[K")) return;
}

Terminal::Size Terminal::size() const {
  struct winsize size = {};
  if (fd_ < 0 || ::ioctl(fd_, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_col, size.ws_row};
}

bool Terminal::is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = ::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string locale = lower(value);
    return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

bool nobody_hears() {
  return leads_nowhere(STDERR_FILENO) && !Terminal::find().present();
}

int complain(const Trouble& trouble) {
  if (trouble.text.empty()) return trouble.exit_code;
  say(trouble.text, trouble.hint);
  if (leads_nowhere(STDERR_FILENO)) {
    Terminal::find().show("qf-proxy: " + trouble.text +
                          (trouble.hint.empty() ? "" : "\nhint: " + trouble.hint));
  }
  return trouble.exit_code;
}

}  // namespace qf
