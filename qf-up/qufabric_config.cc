// SPDX-License-Identifier: Apache-2.0
#include "qf-up/qufabric_config.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <filesystem>
#include <functional>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-up/ssh_include.h"

namespace qf {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMostSshConfigBytes = size_t{16} << 20;
constexpr std::string_view kKeptPrefix = "ssh_config.";
constexpr time_t kKeptSeconds = 24L * 60 * 60;

// An ssh_config file that ssh would read by itself.
struct Source {
  std::string path;
  std::string folder;  // what its relative Include lines are relative to
  bool judged;         // ssh looks at its owner and mode; as it does with every included file
};

// openSUSE has the vendor's file elsewhere, for when there is none in /etc.
std::string system_config() {
  for (const char* path : {kSystemSshConfig, "/usr/etc/ssh/ssh_config"}) {
    if (::access(path, R_OK) == 0) return path;
  }
  return {};
}

Result<std::vector<Source>> find_sources(const std::optional<std::string>& own) {
  if (own && lower(*own) == "none") return std::vector<Source>{};
  auto home = home_folder();
  if (!home) return home.error();
  const std::string folder = *home + "/.ssh";
  if (own) return std::vector<Source>{{fs::absolute(*own).lexically_normal().string(), folder, false}};
  std::vector<Source> sources;
  // ssh passes over a file that it cannot read, but does not when it is included
  if (::access((folder + "/config").c_str(), R_OK) == 0)
    sources.push_back({folder + "/config", folder, true});
  if (auto system = system_config(); !system.empty())
    sources.push_back({system, fs::path(system).parent_path(), false});
  return sources;
}

// What ssh asks of a file that is included.
bool passes_judgement(const struct stat& st) {
  return (st.st_uid == 0 || st.st_uid == ::geteuid()) && (st.st_mode & 022) == 0;
}

// The lines that make ssh read it as it would by itself: an Include where that is the same, else its text.
Result<std::string> lines_of(const Source& source, bool system) {
  auto include = include_line(source.path);
  struct stat st = {};
  if (::stat(source.path.c_str(), &st) != 0) return system_error("cannot read " + source.path);
  // a pipe can be read only once, and ssh closes what it inherits
  bool copied = !source.judged && (!include || !S_ISREG(st.st_mode) || !passes_judgement(st));
  if (system &&
      !copied) {  // one of the system that has relative Include lines: below -F they would be ~/.ssh's
    auto text = read_file(source.path, kMostSshConfigBytes);
    if (!text) return text.error();
    copied = with_absolute_includes(*text, source.folder) != with_absolute_includes(*text, "");
  }
  if (!copied) {
    if (!include)
      return input_error(qf::quoted(source.path) + " cannot stand in an Include line of ssh_config");
    return *include + "\n";
  }
  auto text = read_file(source.path, kMostSshConfigBytes);
  if (!text) return text.error();
  std::string lines = system ? with_absolute_includes(*text, source.folder) : *text + "\n";
  return "# the text of " + printable(source.path) + "\n" + lines;
}

// One of the places where qf-up puts its file; each has the same bytes.
bool same_text(const std::string& a, const std::string& b) {
  std::error_code error;
  if (fs::file_size(a, error) != fs::file_size(b, error) || error) return false;
  auto text = read_file(a, kMostSshConfigBytes), other = read_file(b, kMostSshConfigBytes);
  return text && other && *text == *other;
}

bool reads(const Source& source, const std::string& path, const std::string& home) {
  struct stat st = {};
  if (::stat(source.path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return false;
  auto text = read_file(source.path, kMostSshConfigBytes);
  if (!text) return false;
  for (const auto& pattern : include_patterns(*text, source.folder, home)) {
    glob_t found = {};
    bool read = false;
    if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
      for (size_t i = 0; i < found.gl_pathc; ++i) read = read || same_text(found.gl_pathv[i], path);
    }
    ::globfree(&found);
    if (read) return true;
  }
  return false;
}

std::string reader_of(const std::vector<Source>& sources, const Folders& folders) {
  auto home = home_folder();
  for (const auto& source : sources) {
    if (reads(source, folders.ssh_config(), home ? *home : "")) return source.path;
  }
  return {};
}

Result<std::string> our_include(const Folders& folders) {
  if (auto line = include_line(folders.ssh_config())) return *line + "\n";
  return input_error(qf::quoted(folders.ssh_config()) + " cannot stand in ssh_config");
}

void remove_unused(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    struct stat st = {};
    if (entry.path().filename().string().starts_with(kKeptPrefix) &&
        ::lstat(entry.path().c_str(), &st) == 0 && st.st_mtime + kKeptSeconds < std::time(nullptr))
      ::unlink(entry.path().c_str());
  }
}

}  // namespace

Status check_applied(const Folders& folders) {
  std::string path = folders.ssh_config();
  if (::access(path.c_str(), R_OK) == 0) return Done{};
  if (errno == ENOENT || errno == ENOTDIR)
    return with_hint(input_error("no fabric document is in force here: there is no " + path),
                     "run: sudo qf-up apply; or name the state folder: qufabric --state-dir DIR ssh …");
  return with_hint(system_error("cannot read " + path),
                   "everybody must be let into " + folders.state + "; run: sudo chmod a+rx " + folders.state);
}

Result<std::string> client_config(const Folders& folders, const std::optional<std::string>& own) {
  auto sources = find_sources(own);
  if (!sources) return sources.error();
  std::string text =
      "# Written by qufabric(1), for the -F of ssh: what ssh reads by itself, then QuFabric SSH's.\n";
  for (const auto& source : *sources) {
    auto lines = lines_of(source, !own && !source.judged);
    if (!lines) return lines.error();
    text += *lines + "Match all\n";
  }
  // once is enough: each time asks qf-detect about the host
  if (!reader_of(*sources, folders).empty()) return text;
  auto ours = our_include(folders);
  if (!ours) return ours.error();
  return text + *ours;
}

Result<std::string> keep_client_config(const Folders& folders, const std::string& text) {
  auto folder = user_runtime(folders, true);
  if (!folder) return folder.error();
  std::array<char, 17> name{};
  std::snprintf(name.data(), name.size(), "%016zx", std::hash<std::string>{}(text));
  std::string path = *folder + "/" + std::string(kKeptPrefix) + name.data();
  auto kept = read_file(path, kMostSshConfigBytes);
  if (kept && *kept == text && ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return path;
  remove_unused(*folder);
  if (auto written = replace_file(path, text, 0600); !written) return written.error();
  return path;
}

Result<std::string> config_block(const Folders& folders) {
  auto ours = our_include(folders);
  if (!ours) return ours.error();
  return "# QuFabric SSH, for a machine whose /etc/ssh/ssh_config cannot have it. These two lines belong at "
         "the end of\n"
         "# ~/.ssh/config, where they count for all hosts and after the names that HostName lines above give "
         "them;\n"
         "# an option set above wins. The file is qf-up's: that of the fabric document in force, and gone "
         "after qf-up\n"
         "# down, which ssh passes over.\n"
         "Match all\n" +
         *ours;
}

std::string includes_ours(const Folders& folders) {
  auto sources = find_sources(std::nullopt);
  return sources ? reader_of(*sources, folders) : std::string();
}

}  // namespace qf
