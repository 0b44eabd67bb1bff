// SPDX-License-Identifier: Apache-2.0
#include "libqf/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr mode_t kReadable = 0644;

std::string escaped(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// Step by step, so that no symlink leads elsewhere: what is above may be another user's too, as in Debian.
Result<Fd> open_metrics_folder(const std::string& path) {
  auto at = open_file("/", O_PATH | O_DIRECTORY);
  if (!at) return at.error();
  std::string seen;
  for (const auto& word : split(path, '/')) {
    if (word.empty()) continue;
    seen += "/" + word;
    Fd next(::openat(at->get(), word.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next && errno == ENOTDIR) return input_error(seen + " is a symlink or no folder");
    if (!next) return system_error("cannot open the folder " + seen);
    *at = std::move(next);
  }
  struct stat st = {};
  if (::fstat(at->get(), &st) != 0) return system_error("cannot look at " + path);
  if ((st.st_mode & S_IWOTH) != 0) return input_error("everybody may write to " + path);
  return at;
}

}  // namespace

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " + std::string(type) + "\n";
}

void MetricsText::sample(uint64_t value, const Labels& labels) {
  std::string all;
  for (const auto& [name, label] : labels)
    all += (all.empty() ? "" : ",") + std::string(name) + "=\"" + escaped(label) + "\"";
  text_ += name_ + (all.empty() ? "" : "{" + all + "}") + " " + std::to_string(value) + "\n";
}

Status MetricsFile::replace(const std::string& text) const {
  auto folder = open_metrics_folder(folder_);
  if (!folder) return folder.error();
  // node-exporter reads files that end in .prom alone
  std::string fresh = "." + name_ + ".new";
  std::string path = folder_ + "/" + name_;
  auto failed = [&](const std::string& what) {
    Error error = system_error(what);
    ::unlinkat(folder->get(), fresh.c_str(), 0);
    return error;
  };
  ::unlinkat(folder->get(), fresh.c_str(), 0);
  Fd file(::openat(folder->get(), fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                   kReadable));
  if (!file) return system_error("cannot make a file in " + folder_);
  if (::fchmod(file.get(), kReadable) != 0) return failed("cannot set the mode of " + path);
  if (auto written = write_all(file.get(), text); !written) {
    errno = written.error().sys;
    return failed("cannot write " + path);
  }
  if (::close(file.release()) != 0) return failed("cannot write " + path);
  if (::renameat(folder->get(), fresh.c_str(), folder->get(), name_.c_str()) != 0)
    return failed("cannot replace " + path);
  return Done{};
}

void MetricsFile::write(const std::string& text) {
  auto done = replace(text);
  std::string fault = done ? "" : done.error().text();
  if (fault == fault_) return;
  fault_ = fault;
  if (fault.empty()) return log_info("metrics are written to " + folder_ + " again");
  log_error("no metrics are written: " + fault + "; said once, the rest goes on");
}

void MetricsFile::remove() {
  auto folder = open_metrics_folder(folder_);
  if (folder) ::unlinkat(folder->get(), name_.c_str(), 0);
}

}  // namespace qf
