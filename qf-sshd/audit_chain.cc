// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/audit_chain.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "libqf/log.h"

namespace qf {

namespace {

constexpr auto kPatience = std::chrono::seconds(2);  // for others who write
constexpr auto kStuckPatience = std::chrono::milliseconds(20);
constexpr auto kFirstPause = std::chrono::microseconds(100);
constexpr auto kLongestPause =
    std::chrono::microseconds(4'000);                  // short, or who comes new would always be first
constexpr int kMostOpened = 10;                        // in a row
constexpr size_t kMostSeen = 2 * kMostAuditLineBytes;  // of the end of a log

// False after a log rotation has renamed or removed the file that fd is.
bool is_at(const std::string& path, int fd) {
  struct stat named = {}, held = {};
  return fd >= 0 && ::stat(path.c_str(), &named) == 0 && ::fstat(fd, &held) == 0 &&
         named.st_dev == held.st_dev && named.st_ino == held.st_ino;
}

// At this offset; less than `size` bytes at the end of the file or on an error.
std::string read_at(int fd, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    ssize_t n = ::pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

bool truncate(int fd, uint64_t size) {
  int done = -1;
  do {
    done = ::ftruncate(fd, static_cast<off_t>(size));
  } while (done != 0 && errno == EINTR);
  return done == 0;
}

// The lock of audit.tail, while it lives.
class Unlocker {
 public:
  explicit Unlocker(int fd) : fd_(fd) {}
  Unlocker(const Unlocker&) = delete;
  Unlocker& operator=(const Unlocker&) = delete;
  ~Unlocker() {
    struct flock whole = {};
    whole.l_type = F_UNLCK;
    whole.l_whence = SEEK_SET;
    static_cast<void>(::fcntl(fd_, F_SETLK, &whole));
  }

 private:
  int fd_;
};

struct LastLink {
  uint64_t n = 0;
  std::string previous, hash;
};

// The last of these lines, each with its newline, that has a place in a chain.
std::optional<LastLink> last_link(std::string_view lines) {
  while (!lines.empty()) {
    lines.remove_suffix(1);
    size_t start = lines.rfind('\n') + 1;  // 0 when there is none
    std::string_view line = lines.substr(start);
    if (auto place = audit_place(line))
      return LastLink{place->n, std::string(place->previous), audit_hash(line)};
    lines = lines.substr(0, start);
  }
  return std::nullopt;
}

// A log that ends otherwise than the tail says: another process has ended after its line and before its tail,
// or within its line; or the tail is gone, or the log is not what it was. Updates the tail to what is really
// there, and cuts off what is there of a last line. False when a foreign text has no end.
bool settle(const std::string& path, int fd, uint64_t size, AuditTail& tail) {
  uint64_t start = size - std::min<uint64_t>(size, kMostSeen);
  std::string seen = read_at(fd, start, static_cast<size_t>(size - start));
  size_t ended = seen.rfind('\n') + 1;
  std::string_view rest = std::string_view(seen).substr(ended);
  bool whole = rest.empty();
  tail.size = size;
  if (!whole && begins_audit_line(rest) && truncate(fd, size - rest.size())) {
    log_warning(path + ": a line that was never written to its end is cut off");
    tail.size = size - rest.size();
    whole = true;
  }
  auto last = last_link(std::string_view(seen).substr(0, ended));
  // At most one line can have been written without its tail, and it follows the tail. Without a tail whatever
  // is there has to do.
  bool next = last && (tail.n == 0 || (last->n == tail.n + 1 && last->previous == tail.hash));
  if (next) {
    if (tail.n > 0)
      log_warning(path + ": line number " + std::to_string(last->n) +
                  " was written by a process that ended in that moment");
    tail.n = last->n;
    tail.hash = last->hash;
  } else if (tail.n > 0 && (!last || last->hash != tail.hash)) {
    log_error(path + " does not end with line number " + std::to_string(tail.n) +
              ": lines were changed or removed; see qf-up audit verify");
  }
  return whole;
}

// The number of the first line.
uint64_t first_number(int fd) {
  std::string start = read_at(fd, 0, kMostAuditLineBytes);
  auto place = audit_place(std::string_view(start).substr(0, start.find('\n')));
  return place ? place->n : 0;
}

bool is_file(const AuditTail& tail, const struct stat& file) {
  return tail.device == file.st_dev && tail.inode == file.st_ino;
}

// What was left in a file that log rotation has taken away meanwhile: this process may have it open still,
// and usually it is called PATH.1.
void settle_rotated(const std::string& path, int held, AuditTail& tail, bool tail_is_new) {
  auto named = open_file(path + ".1", O_RDWR | O_NOFOLLOW);
  for (int fd : {held, named ? named->get() : -1}) {
    struct stat file = {};
    if (fd < 0 || ::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size == 0) continue;
    if (!tail_is_new && (!is_file(tail, file) || tail.size == static_cast<uint64_t>(file.st_size))) continue;
    static_cast<void>(settle(path + ".1", fd, static_cast<uint64_t>(file.st_size), tail));
    return;
  }
}

}  // namespace

Status AuditChain::open_log() {
  // not blocking: somebody may have put a FIFO there
  auto log = open_file(path_, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (!log) return log.error();
  struct stat file = {};
  if (::fstat(log->get(), &file) != 0) return system_error("cannot stat " + path_);
  if (!S_ISREG(file.st_mode)) return refused(path_ + " is no regular file");
  log_ = std::move(*log);
  return Done{};
}

// Never while we hold the lock: it goes when any descriptor of the file is closed.
Status AuditChain::open_tail() {
  std::string path = audit_tail_path(path_);
  for (int i = 0; i < kMostOpened; ++i) {
    if (is_at(path, tail_.get())) return Done{};
    auto tail = open_lock_file(path);
    if (!tail) return tail.error();
    tail_ = std::move(*tail);
  }
  return refused(path + " is taken away again and again");
}

Status AuditChain::reopen() {
  auto opened = open_log();
  return opened ? open_tail() : opened;
}

std::vector<int> AuditChain::fds() const {
  std::vector<int> all;
  for (const Fd* fd : {&log_, &tail_}) {
    if (*fd) all.push_back(fd->get());
  }
  return all;
}

// 0: it is ours; else the process that has it.
Result<int> AuditChain::lock_once() {
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(tail_.get(), F_SETLK, &whole) == 0) return 0;
  if (errno != EAGAIN && errno != EACCES && errno != EINTR)
    return system_error("cannot lock " + audit_tail_path(path_));
  whole.l_type = F_WRLCK;
  bool known = ::fcntl(tail_.get(), F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK && whole.l_pid > 0;
  return known ? whole.l_pid : -1;
}

// Polled, since a lock that is waited for cannot be waited for with a deadline.
Status AuditChain::lock() {
  Deadline deadline = Clock::now() + (stuck_ ? Clock::duration(kStuckPatience) : kPatience);
  for (auto pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    auto holder = lock_once();
    if (!holder) return holder.error();
    if (*holder == 0) break;
    if (Clock::now() >= deadline) {
      stuck_ = true;
      std::string who = *holder > 0 ? "process " + std::to_string(*holder) : "another process";
      return timeout_error(who + " holds the lock of " + audit_tail_path(path_));
    }
    ::usleep(static_cast<useconds_t>(pause.count()));
  }
  stuck_ = false;
  return Done{};
}

// Under the lock.
Result<AuditChain::End> AuditChain::find_end() {
  End end;
  auto known = parse_audit_tail(read_at(tail_.get(), 0, kAuditTailBytes + 1));
  if (known) end.tail = std::move(*known);
  AuditTail& tail = end.tail;
  Fd before;
  if (!is_at(path_, log_.get())) {
    before = std::move(log_);
    if (auto opened = open_log(); !opened) {
      log_ = std::move(before);
      return opened.error();
    }
  }
  struct stat file = {};
  if (::fstat(log_.get(), &file) != 0) return system_error("cannot stat " + path_);
  auto size = static_cast<uint64_t>(file.st_size);
  if (is_file(tail, file) && size == tail.size) return end;
  if (!is_file(tail, file)) settle_rotated(path_, before.get(), tail, !known);
  if (size == 0) {
    tail.first = tail.n + 1;
    tail.size = 0;
  } else {
    uint64_t next = tail.n + 1;
    end.unended = !settle(path_, log_.get(), size, tail);
    uint64_t first = first_number(log_.get());
    // whoever has begun this file may have ended before it could say so
    if (!known || first == next) tail.first = first;
  }
  if (!known && tail.n > 0)
    log_warning(audit_tail_path(path_) + " was missing or damaged; the chain goes on after line number " +
                std::to_string(tail.n));
  tail.device = file.st_dev;
  tail.inode = file.st_ino;
  return end;
}

// Both the line and the tail, or nothing: what a full disk has taken of them is taken back.
Status AuditChain::write(End end, const std::string& line) {
  uint64_t before = end.tail.size;
  std::string bytes = (end.unended ? "\n" : "") + line + "\n";
  auto written = write_all(log_.get(), bytes);
  std::string failed = path_;
  if (written) {
    end.tail.n += 1;
    end.tail.hash = audit_hash(line);
    end.tail.size = before + bytes.size();
    written = write_tail(end.tail);
    failed = audit_tail_path(path_);
  }
  if (written) return Done{};
  struct stat file = {};
  bool longer = ::fstat(log_.get(), &file) == 0 && file.st_size > static_cast<off_t>(before);
  if (longer && !truncate(log_.get(), before)) log_error("cannot cut " + path_ + " to what it was");
  Error error = written.error();
  error.what += " to " + failed;
  return error;
}

Status AuditChain::write_tail(const AuditTail& tail) {
  std::string text = audit_tail_text(tail);
  size_t done = 0;
  while (done < text.size()) {
    ssize_t n = ::pwrite(tail_.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno != EINTR) return system_error("cannot write");
    if (n > 0) done += static_cast<size_t>(n);
  }
  return Done{};
}

Result<std::string> AuditChain::append(std::string_view body) {
  if (auto opened = open_tail(); !opened) return opened.error();
  if (auto locked = lock(); !locked) return locked.error();
  Unlocker unlocker(tail_.get());
  // a tail that was taken away meanwhile would be a lock of ours alone
  if (!is_at(audit_tail_path(path_), tail_.get())) return refused(audit_tail_path(path_) + " was taken away");
  auto end = find_end();
  if (!end) return end.error();
  std::string line = audit_line(end->tail.n + 1, end->tail.hash, body);
  if (auto written = write(std::move(*end), line); !written) return written.error();
  return line;
}

}  // namespace qf
