// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/audit.h"

#include <syslog.h>

#include <chrono>

#include "libqf/log.h"
#include "qf-sshd/syslog_copy.h"

namespace qf {

namespace {

constexpr size_t kMostFieldBytes = 1024;  // of one text from outside
constexpr const char* kSyslogName = "qf-audit";
constexpr const char* kUnwritten = "the audit log cannot be written";

int64_t system_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
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

void set_user(JsonWriter& fields, const AuditUser& user) {
  set_text(fields, "identity", user.identity);
  set_text(fields, "os_user", user.os_user);
}

JsonWriter login_fields(const AuditLogin& login) {
  JsonWriter fields;
  fields.set("allowed", login.allowed);
  if (login.identity) {
    const Identity& identity = *login.identity;
    set_text(fields, "identity", identity.name());
    set_text(fields, "issuer", identity.issuer_name);
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
  return fields;
}

}  // namespace

AuditLog::AuditLog(std::string path, AuditOptions options)
    : path_(std::move(path)), options_(std::move(options)), chain_(path_) {
  if (!options_.now) options_.now = system_now;
}

Result<AuditLog> AuditLog::open(std::string path, AuditOptions options) {
  AuditLog log(std::move(path), std::move(options));
  if (auto opened = log.reopen(); !opened) return opened.error();
  return log;
}

void AuditLog::connection_judged(const AuditConnection& connection, const Decision& decision) {
  JsonWriter fields;
  fields.set("allowed", decision.allowed);
  set_text(fields, "policy", decision.policy);
  set_text(fields, "reason", decision.detail);
  append("connection", connection, fields);
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
  append("connections-refused", connection, fields);
  log_warning(std::to_string(count) + " more connections refused in " + std::to_string(seconds) +
              " s, the last from " + from(connection) + also("policy ", decision.policy) +
              also("", decision.detail));
}

bool AuditLog::login(const AuditConnection& connection, const AuditLogin& login) {
  std::string body = format_body("login", connection, login_fields(login));
  auto line = write_line(body);
  bool refused = !line && login.allowed && options_.required;
  AuditLogin unwritten;
  if (refused) {
    unwritten = login;
    unwritten.allowed = false;
    unwritten.refusal = kUnwritten;
    body = format_body("login", connection, login_fields(unwritten));
  }
  copy_to_syslog(line ? *line : body);
  log_login(connection, refused ? unwritten : login);
  count_login(login, !refused);
  return !refused;
}

// The outer connection of a tunnel counts when it is refused; otherwise the login inside it does.
void AuditLog::count_login(const AuditLogin& login, bool written) const {
  bool allowed = login.allowed && written;
  if (allowed && login.os_user.empty()) return;
  size_t method = login.method == "certificate" ? 0
                  : login.method == "password"  ? 1
                  : login.method == "device"    ? 2
                  : login.method == "tunnel"    ? 3
                                                : 4;
  count(count_after(allowed ? Count::kLoginCertificate : Count::kNoLoginCertificate, method));
  if (allowed) return;
  switch (login.allowed ? LoginCause::kAudit : login.cause) {
    case LoginCause::kToken:
      return count(Count::kBecauseToken);
    case LoginCause::kPolicy:
      return count(Count::kBecausePolicy);
    case LoginCause::kAccount:
      return count(Count::kBecauseAccount);
    case LoginCause::kCredential:
      return count(Count::kBecauseCredential);
    case LoginCause::kAttempts:
      return count(Count::kBecauseAttempts);
    case LoginCause::kDocument:
      return count(Count::kBecauseDocument);
    case LoginCause::kAudit:
      return count(Count::kBecauseAudit);
    case LoginCause::kProtocol:
      return count(Count::kBecauseProtocol);
  }
  std::abort();
}

void AuditLog::session_start(const AuditConnection& connection, const AuditSession& session) {
  JsonWriter fields;
  fields.set("channel", static_cast<int64_t>(session.channel));
  set_text(fields, "kind", session.kind);
  set_user(fields, session.user);
  fields.set("terminal", session.terminal);
  fields.set("pid", static_cast<int64_t>(session.pid));
  append("session-start", connection, fields);
  count(session.kind == "shell" ? Count::kShell : session.kind == "exec" ? Count::kExec : Count::kSftp);
}

void AuditLog::session_refused(const AuditConnection& connection, const AuditUser& user,
                               const std::string& reason) {
  JsonWriter fields;
  // without the hint, which is for the user
  std::string why = reason.substr(0, reason.find('\n'));
  set_user(fields, user);
  set_text(fields, "reason", why);
  append("session-refused", connection, fields);
  count(Count::kNoSession);
  log_warning("session refused: " + quoted(user.os_user, kMostFieldBytes) + " from " + from(connection) +
              also("", why));
}

void AuditLog::session_end(const AuditConnection& connection, const AuditEnd& end) {
  JsonWriter fields;
  fields.set("channel", static_cast<int64_t>(end.channel));
  set_text(fields, "kind", end.kind);
  set_user(fields, end.user);
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
  append("session-end", connection, fields);
}

void AuditLog::forward(const AuditConnection& connection, const AuditUser& user, const std::string& what,
                       const std::string& target, const std::string& error) {
  JsonWriter fields;
  set_user(fields, user);
  set_text(fields, "kind", what);
  set_text(fields, "target", target);
  fields.set("allowed", error.empty());
  // without the hint, which is for the user
  set_text(fields, "reason", error.substr(0, error.find('\n')));
  append("forward", connection, fields);
  if (what == "listen-end") return;
  size_t kind = what == "connect" ? 0 : what == "listen" ? 1 : what == "agent" ? 2 : 3;
  count(count_after(error.empty() ? Count::kConnect : Count::kNoConnect, kind));
}

void AuditLog::revoked(const AuditConnection& connection, const AuditUser& user, const std::string& what,
                       const std::string& target, const std::string& reason) {
  JsonWriter fields;
  set_text(fields, "what", what);
  set_user(fields, user);
  set_text(fields, "target", target);
  set_text(fields, "reason", reason);
  append("revoked", connection, fields);
  count(Count::kRevoked);
  log_warning(what + " revoked: " + from(connection) + also("", user.identity) + also("", user.os_user) +
              also("", target) + also("", reason));
}

void AuditLog::violation(const AuditConnection& connection, const std::string& what) {
  JsonWriter fields;
  set_text(fields, "reason", what);
  append("violation", connection, fields);
  count(Count::kViolation);
  log_error("connection ended: " + from(connection) + also("", what));
}

void AuditLog::policy(const AuditPolicy& now, const std::optional<AuditPolicy>& before) {
  JsonWriter fields;
  fields.set("serial", static_cast<int64_t>(now.serial));
  set_text(fields, "document_hash", now.document_hash);
  if (before) {
    fields.set("serial_before", static_cast<int64_t>(before->serial));
    set_text(fields, "document_hash_before", before->document_hash);
  }
  append("policy", {}, fields);
}

// The one place where an event gets its form; its place in the chain comes before it.
std::string AuditLog::format_body(const char* event, const AuditConnection& connection,
                                  const JsonWriter& fields) const {
  JsonWriter head;
  head.set("time", rfc3339(options_.now())).set("event", event);
  set_text(head, "connection", connection.id);
  set_text(head, "source", connection.address);
  if (connection.port != 0) head.set("port", static_cast<int64_t>(connection.port));
  set_text(head, "peer", connection.peer);
  std::string body = head.text(), more = fields.text();
  // {a,b} and {c,d} become {a,b,c,d}
  if (more != "{}") body.replace(body.size() - 1, 1, "," + more.substr(1));
  return body;
}

Result<std::string> AuditLog::write_line(const std::string& body) {
  auto line = chain_.append(body);
  if (!line) log_error("cannot write to the audit log " + path_ + " (" + line.error().text() + "): " + body);
  return line;
}

void AuditLog::copy_to_syslog(const std::string& line) const {
  if (!options_.syslog.empty()) send_to_syslog(options_.syslog, LOG_AUTHPRIV | LOG_INFO, kSyslogName, line);
}

void AuditLog::append(const char* event, const AuditConnection& connection, const JsonWriter& fields) {
  std::string body = format_body(event, connection, fields);
  auto line = write_line(body);
  copy_to_syslog(line ? *line : body);
}

AuditLog open_audit_log(const Settings& settings) {
  AuditOptions options;
  if (settings.audit_syslog) options.syslog = _PATH_LOG;
  options.required = !settings.allow_without_audit;
  AuditLog log(settings.folders.audit_log(), std::move(options));
  if (auto opened = log.reopen(); !opened) {
    if (!settings.allow_without_audit)
      die(kExitSystem, "nobody could log in without the audit log: " + opened.error().text(),
          "mend it, or give --allow-without-audit");
    log_error("without audit log: " + opened.error().text());
  }
  return log;
}

}  // namespace qf
