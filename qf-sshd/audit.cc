// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/audit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <ctime>

#include "libqf/log.h"

namespace qf {

namespace {

constexpr size_t kMostFieldBytes = 1024;  // of one text from outside

int64_t system_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<Fd> open_audit_file(const std::string& path) {
  return open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
}

// False after a log rotation has renamed or removed the file that fd writes to.
bool still_at(const std::string& path, int fd) {
  struct stat named = {}, held = {};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(fd, &held) == 0 && named.st_dev == held.st_dev &&
         named.st_ino == held.st_ino;
}

std::string clean(std::string_view text) {
  return printable(text.substr(0, kMostFieldBytes));
}

// For the line that people read: `"corp:auth0|61"`, or what stands for nobody. Quoted, since a subject may
// hold anything, the rest of such a line as well.
std::string who(const AuditLogin& login) {
  return login.identity ? quoted(login.identity->name(), kMostFieldBytes) : "unknown user";
}

std::string from(const AuditConnection& connection) {
  std::string peer = connection.peer.empty() ? "no peer" : clean(connection.peer);
  return peer + " (" + clean(connection.address) + " port " + std::to_string(connection.port) + ")";
}

std::string also(const char* label, const std::string& text) {
  return text.empty() ? "" : std::string(", ") + label + clean(text);
}

void log_login(const AuditConnection& connection, const AuditLogin& login) {
  std::string target = login.os_user.empty() ? "a tunnel" : quoted(login.os_user, kMostFieldBytes);
  std::string text = std::string(login.allowed ? "login allowed: " : "login refused: ") + who(login) +
                     " as " + target + " from " + from(connection) + also("method ", login.method) +
                     also("policy ", login.policy);
  if (login.allowed) {
    log_info(text);
  } else {
    // the words for the user often hold the reason already
    bool said = login.refusal.find(login.reason) != std::string::npos;
    log_warning(text + also("", login.refusal) + also("", said ? "" : login.reason));
  }
}

void set_text(JsonWriter& fields, const char* key, const std::string& text) {
  if (!text.empty()) fields.set(key, clean(text));
}

}  // namespace

std::string rfc3339(int64_t milliseconds) {
  std::time_t seconds = milliseconds / 1000;
  std::tm utc = {};
  if (milliseconds < 0 || ::gmtime_r(&seconds, &utc) == nullptr) return "1970-01-01T00:00:00.000Z";
  char day[32] = {}, fraction[16] = {};
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(milliseconds % 1000));
  return std::string(day) + fraction;
}

Result<AuditLog> AuditLog::open(std::string path, Now now) {
  auto fd = open_audit_file(path);
  if (!fd) return fd.error();
  return AuditLog(std::move(path), std::move(*fd), now ? std::move(now) : Now(system_now));
}

void AuditLog::connection_judged(const AuditConnection& connection, const Decision& decision) {
  JsonWriter fields;
  fields.set("allowed", decision.allowed);
  set_text(fields, "policy", decision.policy);
  set_text(fields, "reason", decision.detail);
  append("connection", connection, std::move(fields));
  if (decision.allowed) return;
  log_warning("connection refused: " + from(connection) + also("policy ", decision.policy) +
              also("", decision.detail));
}

void AuditLog::connections_refused(const AuditConnection& connection, const Decision& decision,
                                   uint64_t count, int64_t seconds) {
  JsonWriter fields;
  fields.set("count", static_cast<int64_t>(count));
  fields.set("seconds", seconds);
  set_text(fields, "policy", decision.policy);
  set_text(fields, "reason", decision.detail);
  append("connections-refused", connection, std::move(fields));
  log_warning(std::to_string(count) + " more connections refused in " + std::to_string(seconds) +
              " s, the last from " + from(connection) + also("policy ", decision.policy) +
              also("", decision.detail));
}

void AuditLog::login(const AuditConnection& connection, const AuditLogin& login) {
  JsonWriter fields;
  fields.set("allowed", login.allowed);
  if (login.identity) {
    const Identity& identity = *login.identity;
    set_text(fields, "identity", identity.name());
    set_text(fields, "token", identity.token_id);
    fields.set("key_bound", identity.key_bound);
    // as text: JSON numbers are exact up to 2^53 only
    if (identity.certificate_serial != 0) fields.set("serial", std::to_string(identity.certificate_serial));
    fields.set("token_expires", rfc3339(identity.token_expires * 1000));
  }
  set_text(fields, "os_user", login.os_user);
  set_text(fields, "method", login.method);
  set_text(fields, "refusal", login.refusal);
  set_text(fields, "reason", login.reason);
  set_text(fields, "policy", login.policy);
  fields.set("tunnel", login.tunnel);
  append("login", connection, std::move(fields));
  log_login(connection, login);
}

void AuditLog::session_start(const AuditConnection& connection, const AuditSession& session) {
  JsonWriter fields;
  fields.set("channel", static_cast<int64_t>(session.channel));
  set_text(fields, "kind", session.kind);
  set_text(fields, "identity", session.identity);
  set_text(fields, "os_user", session.os_user);
  fields.set("terminal", session.terminal);
  fields.set("pid", static_cast<int64_t>(session.pid));
  append("session-start", connection, std::move(fields));
}

void AuditLog::session_refused(const AuditConnection& connection, const std::string& os_user,
                               const std::string& reason) {
  JsonWriter fields;
  // without the hint, which is for the user
  std::string why = reason.substr(0, reason.find('\n'));
  set_text(fields, "os_user", os_user);
  set_text(fields, "reason", why);
  append("session-refused", connection, std::move(fields));
  log_warning("session refused: " + quoted(os_user, kMostFieldBytes) + " from " + from(connection) +
              also("", why));
}

void AuditLog::session_end(const AuditConnection& connection, const AuditEnd& end) {
  JsonWriter fields;
  fields.set("channel", static_cast<int64_t>(end.channel));
  fields.set("pid", static_cast<int64_t>(end.pid));
  if (end.left_running) {
    fields.set("left_running", true);
  } else if (end.signal.empty()) {
    fields.set("status", static_cast<int64_t>(end.status));
  } else {
    set_text(fields, "signal", end.signal);
  }
  fields.set("bytes_in", static_cast<int64_t>(end.bytes_in));
  fields.set("bytes_out", static_cast<int64_t>(end.bytes_out));
  fields.set("milliseconds", static_cast<int64_t>(end.seconds * 1000));
  append("session-end", connection, std::move(fields));
}

void AuditLog::forward(const AuditConnection& connection, const std::string& what, const std::string& target,
                       const std::string& error) {
  JsonWriter fields;
  set_text(fields, "kind", what);
  set_text(fields, "target", target);
  fields.set("allowed", error.empty());
  // without the hint, which is for the user
  set_text(fields, "reason", error.substr(0, error.find('\n')));
  append("forward", connection, std::move(fields));
}

void AuditLog::revoked(const AuditConnection& connection, const std::string& identity,
                       const std::string& os_user, const std::string& what, const std::string& target,
                       const std::string& reason) {
  JsonWriter fields;
  set_text(fields, "what", what);
  set_text(fields, "identity", identity);
  set_text(fields, "os_user", os_user);
  set_text(fields, "target", target);
  set_text(fields, "reason", reason);
  append("revoked", connection, std::move(fields));
  log_warning(what + " revoked: " + from(connection) + also("", identity) + also("", os_user) +
              also("", target) + also("", reason));
}

void AuditLog::violation(const AuditConnection& connection, const std::string& what) {
  JsonWriter fields;
  set_text(fields, "reason", what);
  append("violation", connection, std::move(fields));
  log_error("connection ended: " + from(connection) + also("", what));
}

// The one place where a line gets its final form.
std::string AuditLog::format_line(const char* event, const AuditConnection& connection,
                                  const JsonWriter& fields) const {
  JsonWriter head;
  head.set("time", rfc3339(now_())).set("event", event);
  set_text(head, "connection", connection.id);
  set_text(head, "source", connection.address);
  if (connection.port != 0) head.set("port", static_cast<int64_t>(connection.port));
  set_text(head, "peer", connection.peer);
  std::string line = head.text(), more = fields.text();
  // {a,b} and {c,d} become {a,b,c,d}
  if (more != "{}") line.replace(line.size() - 1, 1, "," + more.substr(1));
  return line + "\n";
}

Status AuditLog::reopen() {
  auto fd = open_audit_file(path_);
  if (!fd) return fd.error();
  fd_ = std::move(*fd);
  return Done{};
}

Status AuditLog::write_line(const std::string& line) {
  if (!still_at(path_, fd_.get())) {
    if (auto opened = reopen(); !opened) return opened;
  }
  // O_APPEND makes one write(2) one line, whoever else writes; more than one is needed only on a full disk
  return write_all(fd_.get(), line);
}

void AuditLog::append(const char* event, const AuditConnection& connection, JsonWriter fields) {
  std::string line = format_line(event, connection, fields);
  if (auto written = write_line(line); !written) {
    log_error("cannot write to the audit log " + path_ + " (" + written.error().text() + "): " + line);
  }
}

}  // namespace qf
