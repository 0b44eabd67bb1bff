// SPDX-License-Identifier: Apache-2.0
#include "qf-up/audit_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>

#include "libqf/text.h"

namespace qf {

namespace {

constexpr unsigned kReadBytes = 65536;
constexpr auto kTailPatience = std::chrono::seconds(5);

// Age of a rotated file by its name, the oldest first: dated ones (logrotate's dateext), then numbered ones.
struct Age {
  bool numbered = false;
  std::string date;
  uint64_t number = 0;
  bool operator<(const Age& other) const {
    if (numbered != other.numbered) return !numbered;
    return numbered ? number > other.number : date < other.date;
  }
};

std::optional<Age> age_of(std::string_view log, std::string_view name) {
  if (!name.starts_with(log) || name.size() < log.size() + 2) return std::nullopt;
  char separator = name[log.size()];
  std::string_view rest = name.substr(log.size() + 1);
  if (rest.ends_with(".gz")) rest.remove_suffix(3);
  Age age;
  if (separator == '.') {
    auto number = parse_number(rest, std::numeric_limits<uint32_t>::max());
    if (!number) return std::nullopt;
    age.numbered = true;
    age.number = *number;
    return age;
  }
  bool dated = separator == '-' && !rest.empty() && rest.find_first_not_of("0123456789-") == rest.npos;
  if (!dated) return std::nullopt;
  age.date = rest;
  return age;
}

// Between two lines: who writes one holds the lock of the tail.
Status lock_tail(int fd, const std::string& path) {
  struct flock whole = {};
  whole.l_type = F_RDLCK;
  whole.l_whence = SEEK_SET;
  Deadline deadline = Clock::now() + kTailPatience;
  while (::fcntl(fd, F_SETLK, &whole) != 0) {
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) return system_error("cannot lock " + path);
    if (Clock::now() >= deadline) return timeout_error("another process holds the lock of " + path);
    ::usleep(1000);
  }
  return Done{};
}

Result<std::vector<std::string>> names_beside(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    names.push_back(entry->path().filename());
  if (!error) return names;
  errno = error.value();
  return system_error("cannot read the folder " + folder.string());
}

}  // namespace

void GzipClose::operator()(gzFile_s* file) const {
  ::gzclose(file);
}

std::vector<std::string> rotated_names(const std::string& log, const std::vector<std::string>& names) {
  std::vector<std::pair<Age, std::string>> found;
  for (const auto& name : names) {
    if (auto age = age_of(log, name)) found.emplace_back(*age, name);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> sorted;
  for (auto& [age, name] : found) sorted.push_back(std::move(name));
  return sorted;
}

Result<AuditReader> AuditReader::open(const std::string& path) {
  // the server waits for us: a FIFO could keep us for ever
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!fd) return fd.error();
  struct stat st = {};
  if (::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode)) return input_error(path + " is no regular file");
  // reads what is not compressed as it is
  std::unique_ptr<gzFile_s, GzipClose> file(::gzdopen(fd->get(), "rb"));
  if (!file) return system_error("cannot read " + path);
  static_cast<void>(fd->release());
  ::gzbuffer(file.get(), kReadBytes);
  return AuditReader(path, std::move(file));
}

Status AuditReader::fill() {
  unsigned want = kReadBytes;
  if (left_ && ::gzdirect(file_.get()) != 0) want = static_cast<unsigned>(std::min<uint64_t>(want, *left_));
  buffer_.erase(0, used_);
  used_ = 0;
  size_t before = buffer_.size();
  buffer_.resize(before + want);
  int n = want == 0 ? 0 : ::gzread(file_.get(), buffer_.data() + before, want);
  buffer_.resize(before + static_cast<size_t>(std::max(n, 0)));
  int code = Z_OK;
  const char* why = ::gzerror(file_.get(), &code);
  if (n < 0 || (n == 0 && code == Z_BUF_ERROR)) {
    if (code == Z_ERRNO) return system_error("cannot read " + path_);
    return input_error(path_ + (code == Z_BUF_ERROR
                                    ? ": the compressed file is cut off"
                                    : ": the compressed file is damaged (" + std::string(why) + ")"));
  }
  if (left_) *left_ -= std::min<uint64_t>(*left_, static_cast<uint64_t>(n));
  ended_ = n == 0;
  return Done{};
}

Result<std::optional<AuditText>> AuditReader::next() {
  AuditText line;
  bool any = false;
  for (;;) {
    size_t end = buffer_.find('\n', used_);
    size_t have = std::min(end, buffer_.size()) - used_;
    size_t take = std::min(have, kMostAuditLineBytes - line.text.size());
    line.text.append(buffer_, used_, take);
    line.too_long = line.too_long || take < have;
    any = any || have > 0 || end != std::string::npos;
    used_ += have;
    if (end != std::string::npos) {
      ++used_;
      break;
    }
    if (ended_) {
      line.complete = false;
      break;
    }
    if (auto filled = fill(); !filled) return filled.error();
  }
  if (!any) return std::optional<AuditText>();
  ++lines_;
  return std::optional<AuditText>(std::move(line));
}

namespace {

// The tail as it is, the lock of which the caller holds. Not by read_file(): closing a descriptor of the file
// would give the lock back.
std::optional<AuditTail> read_tail(int fd) {
  char bytes[kAuditTailBytes + 1];
  ssize_t n = ::pread(fd, bytes, sizeof bytes, 0);
  return n < 0 ? std::nullopt : parse_audit_tail({bytes, static_cast<size_t>(n)});
}

// Opens all at once, so that a rotation meanwhile mixes nothing up. `list` names them, the newest last.
Result<AuditFiles> open_locked(const std::string& newest,
                               const std::function<Result<std::vector<std::string>>()>& list) {
  AuditFiles files;
  files.tail_path = audit_tail_path(newest);
  auto tail = open_file(files.tail_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!tail && tail.error().sys != ENOENT) return tail.error();
  if (tail) {
    if (auto locked = lock_tail(tail->get(), files.tail_path); !locked) return locked.error();
    files.tail = read_tail(tail->get());
    files.tail_damaged = !files.tail;
  }
  auto paths = list();
  if (!paths) return paths.error();
  for (const auto& path : *paths) {
    auto reader = AuditReader::open(path);
    if (!reader) return reader.error();
    struct stat file = {};
    if (path == newest && ::stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode))
      reader->read_at_most(static_cast<uint64_t>(file.st_size));
    files.readers.push_back(std::move(*reader));
  }
  return files;
}

}  // namespace

Result<AuditFiles> open_audit_files(const std::vector<std::string>& paths) {
  return open_locked(paths.back(), [&] { return Result<std::vector<std::string>>(paths); });
}

Result<AuditFiles> open_audit_log(const std::string& path) {
  return open_locked(path, [&]() -> Result<std::vector<std::string>> {
    auto names = names_beside(path);
    if (!names) return names.error();
    size_t slash = path.rfind('/') + 1;
    std::vector<std::string> paths;
    for (const auto& name : rotated_names(path.substr(slash), *names))
      paths.push_back(path.substr(0, slash) + name);
    if (std::find(names->begin(), names->end(), path.substr(slash)) != names->end()) paths.push_back(path);
    if (paths.empty()) return not_found("there is no audit log " + path);
    return paths;
  });
}

}  // namespace qf
