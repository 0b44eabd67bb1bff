// SPDX-License-Identifier: Apache-2.0
// Who is logged in on which terminal: utmp(5), wtmp(5) and lastlog(8), as login(1) keeps them. Only root
// writes them. A file that is missing is not made, and no record is ever a reason to refuse a session.
#pragma once

#include <sys/types.h>

#include <ctime>
#include <optional>
#include <string>

namespace qf {

struct UtmpRecord {
  std::string user;
  uid_t uid = 0;
  std::string terminal;  // path, "/dev/pts/3"
  std::string address;   // of the client
  pid_t pid = 0;         // leads the session
};

struct LastLogin {
  std::time_t time = 0;
  std::string host;
};

struct RecordFiles {
  std::string utmp = "/var/run/utmp", wtmp = "/var/log/wtmp", lastlog = "/var/log/lastlog";
};

// Enters the login; what lastlog had before, none when the user was never here.
std::optional<LastLogin> record_login(const UtmpRecord& record, const RecordFiles& files = {});
// Enters the end of the same login; an entry of utmp that somebody else has by now is left alone.
void record_logout(const UtmpRecord& record, const RecordFiles& files = {});

// "Last login: Thu Nov 26 10:00:00 2026 from 100.64.0.2", as sshd(8) says it.
[[nodiscard]] std::string last_login_text(const LastLogin& last);

}  // namespace qf
