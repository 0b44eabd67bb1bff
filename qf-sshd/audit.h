// SPDX-License-Identifier: Apache-2.0
// The audit log: who asked for what, what was decided and by which policy. One JSON object a line in
// STATE/audit.log (0600), chained to the line before it (audit_chain.h), the same line to syslog, and a line
// for people in the log. Never holds tokens, keys, commands or environments.
//
// A line that cannot be written goes to the log as an error, and to syslog without its place in the chain;
// nobody is logged in then, unless --allow-without-audit, and what runs goes on.
//
// Every event has "time" (RFC 3339, UTC, milliseconds) and "event", those of a connection "connection"; man
// page: AUDIT LOG.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "libqf/authorize.h"
#include "libqf/json.h"
#include "qf-sshd/audit_chain.h"
#include "qf-sshd/counts.h"
#include "qf-sshd/settings.h"

namespace qf {

struct AuditConnection {
  std::string id;       // the same for all events of a connection
  std::string address;  // canonical, of the source
  uint16_t port = 0;
  std::string peer;  // of the source; empty: no peer has that address
};

// Who it is about, once somebody is logged in.
struct AuditUser {
  std::string identity;  // "corp:alice"; empty: nobody's is known
  std::string os_user;
};

// Why somebody was not let in, in a word; of a login that is not allowed.
enum class LoginCause {
  kToken,       // no valid credential
  kPolicy,      // the policy says no
  kAccount,     // this machine cannot or will not run sessions of that user
  kCredential,  // there was none
  kAttempts,    // too many
  kDocument,    // there is no policy that can be read
  kAudit,       // it could not be written down
  kProtocol,    // out of turn, or a reserved name
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
  LoginCause cause = LoginCause::kToken;
};

struct AuditSession {
  uint32_t channel = 0;
  std::string kind;  // "shell", "exec", "sftp"
  AuditUser user;
  bool terminal = false;
  pid_t pid = 0;
};

struct AuditEnd {
  uint32_t channel = 0;
  std::string kind;
  AuditUser user;
  pid_t pid = 0;
  bool left_running = false;  // the connection has ended, the process not (nohup)
  uint32_t status = 0;        // when it has ended and signal is empty
  std::string signal;
  uint64_t bytes_in = 0, bytes_out = 0;  // as net counted them
  double seconds = 0;
};

struct AuditPolicy {
  uint64_t serial = 0;
  std::string document_hash;
  bool operator==(const AuditPolicy&) const = default;
};

struct AuditOptions {
  // Milliseconds since the epoch; the default is the system's clock.
  std::function<int64_t()> now = {};
  std::string syslog = {};  // the socket that takes the same lines; empty: none does
  bool required = true;     // a login that cannot be written is not allowed
};

class AuditLog {
 public:
  // Called for what counts (counts.h) of each event, written or not.
  void observe(std::function<void(Count)> observer) { observer_ = std::move(observer); }
  // Nothing is opened before the first reopen() or event.
  AuditLog(std::string path, AuditOptions options);
  // Creates the file when missing.
  [[nodiscard]] static Result<AuditLog> open(std::string path, AuditOptions options = {});

  void connection_judged(const AuditConnection& connection, const Decision& decision);
  // `count` more refusals like this one, in `seconds`, that were not written one by one.
  void connections_refused(const AuditConnection& connection, const Decision& decision, uint64_t count,
                           int64_t seconds);
  // False: it must not be allowed, since it could not be written.
  [[nodiscard]] bool login(const AuditConnection& connection, const AuditLogin& login);
  void session_start(const AuditConnection& connection, const AuditSession& session);
  void session_refused(const AuditConnection& connection, const AuditUser& user, const std::string& reason);
  void session_end(const AuditConnection& connection, const AuditEnd& end);
  // what: "connect", "listen", "listen-end", "agent", "x11"; error: why not, empty: done
  void forward(const AuditConnection& connection, const AuditUser& user, const std::string& what,
               const std::string& target, const std::string& error);
  // A new policy has taken it away. what: "session", "connection", "forward"; target: of a forward.
  void revoked(const AuditConnection& connection, const AuditUser& user, const std::string& what,
               const std::string& target, const std::string& reason);
  // net, or a peer's behaviour, broke the rules: the connection ends
  void violation(const AuditConnection& connection, const std::string& what);
  // The document that counts from now on, and the one before; none when the server starts.
  void policy(const AuditPolicy& now, const std::optional<AuditPolicy>& before);

  [[nodiscard]] std::vector<int> fds() const { return chain_.fds(); }
  // After a log rotation; each event looks for itself too. On an error the old file stays in use.
  [[nodiscard]] Status reopen() { return chain_.reopen(); }

 private:
  void count(Count what) const {
    if (observer_) observer_(what);
  }
  void count_login(const AuditLogin& login, bool written) const;
  std::function<void(Count)> observer_;
  void append(const char* event, const AuditConnection& connection, const JsonWriter& fields);
  [[nodiscard]] std::string format_body(const char* event, const AuditConnection& connection,
                                        const JsonWriter& fields) const;
  [[nodiscard]] Result<std::string> write_line(const std::string& body);
  void copy_to_syslog(const std::string& line) const;
  std::string path_;
  AuditOptions options_;
  AuditChain chain_;
};

// The server's, as its settings have it. Ends the process when it cannot be written and must be.
[[nodiscard]] AuditLog open_audit_log(const Settings& settings);

}  // namespace qf
