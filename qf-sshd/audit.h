// SPDX-License-Identifier: Apache-2.0
// The audit log: who asked for what, what was decided and by which policy. One JSON object a line in
// STATE/audit.log (0600), appended with one write(2), and a line for people in the log. Never holds tokens,
// keys, commands or environments. A line that cannot be written goes to the log as an error: a full disk must
// not lock out who would clear it.
//
// Every event has "time" (RFC 3339, UTC, milliseconds), "event" and "connection"; man page: AUDIT LOG.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "libqf/authorize.h"
#include "libqf/fd.h"
#include "libqf/json.h"

namespace qf {

struct AuditConnection {
  std::string id;       // the same for all events of a connection
  std::string address;  // canonical, of the source
  uint16_t port = 0;
  std::string peer;  // of the source; empty: no peer has that address
};

struct AuditLogin {
  std::optional<Identity> identity;  // none: not known, or --disable-ssh-auth
  std::string method;                // "certificate", "password", "none", …
  std::string os_user;               // as asked for; empty: the outer connection of a tunnel
  bool allowed = false;
  std::string refusal;  // the documented words or the kind of fault; empty when allowed
  std::string reason;   // more about it, not all of it for the user
  std::string policy;   // that decided
  bool tunnel = false;  // inside a tunnel, or its outer connection
};

struct AuditSession {
  uint32_t channel = 0;
  std::string kind;  // "shell", "exec", "sftp"
  std::string identity;
  std::string os_user;
  bool terminal = false;
  pid_t pid = 0;
};

struct AuditEnd {
  uint32_t channel = 0;
  pid_t pid = 0;
  bool left_running = false;  // the connection has ended, the process not (nohup)
  uint32_t status = 0;        // when it has ended and signal is empty
  std::string signal;
  uint64_t bytes_in = 0, bytes_out = 0;  // as net counted them
  double seconds = 0;
};

class AuditLog {
 public:
  // Milliseconds since the epoch.
  using Now = std::function<int64_t()>;

  // Creates the file when missing. The default clock is the system's.
  [[nodiscard]] static Result<AuditLog> open(std::string path, Now now = {});

  void connection_judged(const AuditConnection& connection, const Decision& decision);
  // `count` more refusals like this one, in `seconds`, that were not written one by one.
  void connections_refused(const AuditConnection& connection, const Decision& decision, uint64_t count,
                           int64_t seconds);
  void login(const AuditConnection& connection, const AuditLogin& login);
  void session_start(const AuditConnection& connection, const AuditSession& session);
  void session_refused(const AuditConnection& connection, const std::string& os_user,
                       const std::string& reason);
  void session_end(const AuditConnection& connection, const AuditEnd& end);
  // what: "connect", "listen", "listen-end", "agent", "x11"; error: why not, empty: done
  void forward(const AuditConnection& connection, const std::string& what, const std::string& target,
               const std::string& error);
  // A new policy has taken it away. what: "session", "connection", "forward"; target: of a forward.
  void revoked(const AuditConnection& connection, const std::string& identity, const std::string& os_user,
               const std::string& what, const std::string& target, const std::string& reason);
  // net, or a peer's behaviour, broke the rules: the connection ends
  void violation(const AuditConnection& connection, const std::string& what);

  [[nodiscard]] int fd() const { return fd_.get(); }
  // After a log rotation; each event looks for itself too. On an error the old file stays in use.
  [[nodiscard]] Status reopen();

 private:
  AuditLog(std::string path, Fd fd, Now now)
      : path_(std::move(path)), fd_(std::move(fd)), now_(std::move(now)) {}
  void append(const char* event, const AuditConnection& connection, JsonWriter fields);
  [[nodiscard]] std::string format_line(const char* event, const AuditConnection& connection,
                                        const JsonWriter& fields) const;
  [[nodiscard]] Status write_line(const std::string& line);
  std::string path_;
  Fd fd_;
  Now now_;
};

// "2024-05-01T12:34:56.789Z"
[[nodiscard]] std::string rfc3339(int64_t milliseconds);

}  // namespace qf
