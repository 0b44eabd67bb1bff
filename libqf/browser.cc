// SPDX-License-Identifier: Apache-2.0
#include "libqf/browser.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "libqf/address.h"
#include "libqf/fd.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr const char* kDefaultProgram = "xdg-open";

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

// A folder can be "executed" too.
std::optional<std::string> executable(const std::string& path) {
  struct stat st = {};
  bool file = ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
  if (!file || ::access(path.c_str(), X_OK) != 0) return std::nullopt;
  return path;
}

// As execvp(3) looks, but only in absolute folders.
std::optional<std::string> find_program(const std::string& name) {
  if (name.empty()) return std::nullopt;
  if (name.front() == '/') return executable(name);
  if (name.find('/') != std::string::npos) return std::nullopt;
  for (const auto& folder : split(variable("PATH"), ':')) {
    if (!folder.starts_with('/')) continue;
    if (auto found = executable(folder + "/" + name)) return found;
  }
  return std::nullopt;
}

// The page comes from a daemon that checked it; a program that could be made to open file: or javascript:
// would still be a gift.
bool is_web_page(const std::string& url) {
  constexpr std::string_view kHttp = "http://";
  if (!is_visible_ascii(url)) return false;
  if (url.starts_with("https://")) return true;
  if (!url.starts_with(kHttp)) return false;
  // all of the host, without a user: 127.0.0.1.example is somewhere else
  std::string_view host = std::string_view(url).substr(kHttp.size());
  host = host.substr(0, host.find_first_of("/?#"));
  size_t port = host.rfind(':');
  if (port != std::string_view::npos && parse_number(host.substr(port + 1), 65535))
    host = host.substr(0, port);
  auto address = canonical_address(host);
  return host == "localhost" || host == "[::1]" || (address && address->starts_with("127."));
}

}  // namespace

bool can_open_browser() {
  bool display = !variable("DISPLAY").empty() || !variable("WAYLAND_DISPLAY").empty();
  bool remote = !variable("SSH_CONNECTION").empty() || !variable("SSH_TTY").empty();
  return display && !remote && browser_program().has_value();
}

std::optional<std::string> browser_program() {
  for (const auto& name : split(variable("BROWSER"), ':')) {
    if (auto found = find_program(name)) return found;
  }
  return find_program(kDefaultProgram);
}

Result<Child> open_browser(const std::string& url) {
  if (!is_web_page(url)) return input_error("\"" + url + "\" is no page to open");
  auto program = browser_program();
  if (!program) return not_found("there is neither $BROWSER nor xdg-open");
  auto null = open_file("/dev/null", O_RDWR);
  if (!null) return null.error();
  SpawnOptions options;
  options.stdin_fd = options.stdout_fd = options.stderr_fd = null->get();
  options.detached = true;  // Ctrl-C at our prompt must not end the person's browser
  return Child::spawn({*program, url}, options);
}

}  // namespace qf
