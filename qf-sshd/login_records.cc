// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/login_records.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>
#include <utmp.h>
#include <utmpx.h>

#include <cstring>

#include "libqf/fd.h"
#include "libqf/log.h"

namespace qf {

namespace {

// Fields of these records are padded with NUL and need none at the end.
template <size_t N>
void fill(char (&field)[N], const std::string& text) {
  std::memcpy(field, text.data(), std::min(text.size(), N));
}

// "pts/3"
std::string line_of(const std::string& terminal) {
  constexpr std::string_view kFolder = "/dev/";
  return terminal.rfind(kFolder, 0) == 0 ? terminal.substr(kFolder.size()) : terminal;
}

utmpx entry_of(const UtmpRecord& record, short type) {
  utmpx entry = {};
  std::string line = line_of(record.terminal);
  entry.ut_type = type;
  entry.ut_pid = record.pid;
  fill(entry.ut_line, line);
  // the end of the name tells terminals apart; as sshd(8) has it
  fill(entry.ut_id, line.substr(line.size() - std::min(line.size(), sizeof entry.ut_id)));
  timeval now = {};
  ::gettimeofday(&now, nullptr);
  entry.ut_tv.tv_sec = static_cast<int32_t>(now.tv_sec);
  entry.ut_tv.tv_usec = static_cast<int32_t>(now.tv_usec);
  if (type != USER_PROCESS) return entry;
  fill(entry.ut_user, record.user);
  fill(entry.ut_host, record.address);
  if (::inet_pton(AF_INET, record.address.c_str(), &entry.ut_addr_v6[0]) != 1) {
    static_cast<void>(::inet_pton(AF_INET6, record.address.c_str(), &entry.ut_addr_v6[0]));
  }
  return entry;
}

void write_utmp(const utmpx& entry, const std::string& file) {
  if (::utmpxname(file.c_str()) != 0) return;
  ::setutxent();
  if (::pututxline(&entry) == nullptr && errno != ENOENT) {
    log_warning("login not entered: " + system_error(file).text());
  }
  ::endutxent();
}

bool still_ours(const utmpx& entry, const std::string& file) {
  if (::utmpxname(file.c_str()) != 0) return false;
  ::setutxent();
  const utmpx* found = ::getutxline(&entry);
  bool ours = found != nullptr && found->ut_pid == entry.ut_pid;
  ::endutxent();
  return ours;
}

std::optional<LastLogin> exchange_last(const UtmpRecord& record, const utmpx& entry,
                                       const std::string& file) {
  auto fd = open_file(file, O_RDWR);
  if (!fd) {
    if (fd.error().sys != ENOENT) log_warning("last login not entered: " + fd.error().text());
    return std::nullopt;
  }
  auto place = static_cast<off_t>(record.uid) * static_cast<off_t>(sizeof(lastlog));
  std::optional<LastLogin> last;
  lastlog kept = {};
  if (::pread(fd->get(), &kept, sizeof kept, place) == sizeof kept && kept.ll_time != 0) {
    last = LastLogin{kept.ll_time, std::string(kept.ll_host, ::strnlen(kept.ll_host, sizeof kept.ll_host))};
  }
  kept = {};
  kept.ll_time = entry.ut_tv.tv_sec;
  fill(kept.ll_line, line_of(record.terminal));
  fill(kept.ll_host, record.address);
  if (::pwrite(fd->get(), &kept, sizeof kept, place) != sizeof kept) {
    log_warning("last login not entered: " + system_error(file).text());
  }
  return last;
}

}  // namespace

std::optional<LastLogin> record_login(const UtmpRecord& record, const RecordFiles& files) {
  utmpx entry = entry_of(record, USER_PROCESS);
  auto last = exchange_last(record, entry, files.lastlog);
  write_utmp(entry, files.utmp);
  ::updwtmpx(files.wtmp.c_str(), &entry);
  return last;
}

void record_logout(const UtmpRecord& record, const RecordFiles& files) {
  utmpx entry = entry_of(record, DEAD_PROCESS);
  if (still_ours(entry, files.utmp)) write_utmp(entry, files.utmp);
  ::updwtmpx(files.wtmp.c_str(), &entry);
}

std::string last_login_text(const LastLogin& last) {
  char time[64] = {};
  if (::ctime_r(&last.time, time) == nullptr) return "";
  std::string text = "Last login: " + std::string(time, ::strcspn(time, "\n"));
  return last.host.empty() ? text : text + " from " + printable(last.host);
}

}  // namespace qf
