// SPDX-License-Identifier: Apache-2.0
// The messages (messages.h) to and from the listener: of its monitors and of keyfetch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qf-sshd/messages.h"

namespace qf {

// ---- monitor <-> listener --------------------------------------------------------------------------------

// An unknown kid: fetch this issuer's key set. Where the keys come from is said, too: the listener may not
// have taken in the document that the monitor has read, or a later one.
struct KeysWanted {
  static constexpr MessageType kType = MessageType::kKeysWanted;
  static constexpr size_t kMostBytes = 8192, kFds = 0;
  std::string issuer;                   // name
  std::string url;                      // of the issuer
  std::optional<std::string> jwks_uri;  // none: discovered
  std::optional<std::string> ca_file;
  static void fields(auto& self, auto& visit) { visit(self.issuer, self.url, self.jwks_uri, self.ca_file); }
};

// Descriptor: a sealed memfd with the key set as JSON; empty when there is none.
struct KeysReply {
  static constexpr MessageType kType = MessageType::kKeysReply;
  static constexpr size_t kMostBytes = 512, kFds = 1;
  std::string issuer;
  bool changed = false;
  static void fields(auto& self, auto& visit) { visit(self.issuer, self.changed); }
};

// A login of a person by the device flow (RFC 8628), for a client that has none of our programs: keyfetch
// runs it, and the listener passes on what is said. One at a time on a connection. `number`: the listener's
// for the connection; a monitor need not know it.
struct DeviceLoginStart {
  static constexpr MessageType kType = MessageType::kDeviceLoginStart;
  static constexpr size_t kMostBytes = 128 * 1024, kFds = 0;
  uint64_t number = 0;
  std::string issuer;  // name
  std::string url;     // of the issuer
  std::optional<std::string> ca_file;
  std::string client_id;  // of "server_login"
  std::optional<std::string> client_secret;
  std::vector<std::string> scopes;
  std::vector<std::string> other_issuers;  // of the document, by their URL
  // the secret last: what is encoded after it could leave a copy of it in memory that is given back
  static void fields(auto& self, auto& visit) {
    visit(self.number, self.issuer, self.url, self.ca_file, self.client_id, self.scopes, self.other_issuers,
          self.client_secret);
  }
};

struct DeviceLoginCancel {
  static constexpr MessageType kType = MessageType::kDeviceLoginCancel;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint64_t number = 0;
  static void fields(auto& self, auto& visit) { visit(self.number); }
};

// What the person needs. Visible ASCII, of a length that is fit to be shown.
struct DeviceLoginPrompt {
  static constexpr MessageType kType = MessageType::kDeviceLoginPrompt;
  static constexpr size_t kMostBytes = 5 * 1024, kFds = 0;
  uint64_t number = 0;
  std::string verification_uri;
  std::string verification_uri_complete;  // empty: none
  std::string user_code;
  uint32_t expires_in = 0;  // seconds
  static void fields(auto& self, auto& visit) {
    visit(self.number, self.verification_uri, self.verification_uri_complete, self.user_code,
          self.expires_in);
  }
};

// The token, or why there is none.
struct DeviceLoginEnd {
  static constexpr MessageType kType = MessageType::kDeviceLoginEnd;
  static constexpr size_t kMostBytes = 24 * 1024, kFds = 0;
  uint64_t number = 0;
  std::string token;  // not verified; empty: none
  std::string error, hint;
  // the token last, as above
  static void fields(auto& self, auto& visit) { visit(self.number, self.error, self.hint, self.token); }
};

// The connection is no longer an unauthenticated one (for the listener's limits).
struct LoggedIn {
  static constexpr MessageType kType = MessageType::kLoggedIn;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  bool tunnel = false;
  static void fields(auto& self, auto& visit) { visit(self.tunnel); }
};

// listener -> monitor: policy.mdb is another one: judge your connection again.
struct PolicyChanged {
  static constexpr MessageType kType = MessageType::kPolicyChanged;
  static constexpr size_t kMostBytes = 8, kFds = 0;
  static void fields(auto&, auto& visit) { visit(); }
};

// The first message of a monitor that comes to a new listener (RUNTIME/sshd-monitors.sock), since the one
// that has started it is gone. Its pid the kernel says.
struct Register {
  static constexpr MessageType kType = MessageType::kRegister;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  uint32_t version = kMessageVersion;
  std::string connection;  // as in the audit log
  std::string address;     // of the source
  uint32_t port = 0;
  std::string peer;
  uint64_t since = 0;  // milliseconds since the epoch
  bool logged_in = false;
  static void fields(auto& self, auto& visit) {
    visit(self.version, self.connection, self.address, self.port, self.peer, self.since, self.logged_in);
  }
};

// listener -> monitor: what happens on your connection?
struct ConnectionQuery {
  static constexpr MessageType kType = MessageType::kConnectionQuery;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t number = 0;
  static void fields(auto& self, auto& visit) { visit(self.number); }
};

inline constexpr size_t kMostCommandName = 64;  // bytes
struct SessionStatus {
  uint32_t channel = 0;
  SessionKind kind = SessionKind::kShell;
  std::string command;  // its name only, never an argument
  bool terminal = false;
  uint32_t pid = 0;
  uint64_t since = 0;  // milliseconds since the epoch
  uint64_t bytes_in = 0, bytes_out = 0;
  static void fields(auto& self, auto& visit) {
    visit(self.channel, self.kind, self.command, self.terminal, self.pid, self.since, self.bytes_in,
          self.bytes_out);
  }
};

inline constexpr size_t kMostSessionsTold = 256;
inline constexpr size_t kMostStatusText = 1024;  // bytes of identity, OS user
struct ConnectionReport {
  static constexpr MessageType kType = MessageType::kConnectionReport;
  static constexpr size_t kMostBytes = 48 * 1024, kFds = 0;
  uint32_t number = 0;   // of the query
  std::string identity;  // "corp:auth0|61"; empty: not logged in, or --disable-ssh-auth
  std::string os_user;   // empty: not logged in as one
  std::string method;
  bool tunnel = false;
  bool counted = true;  // net has answered: the byte counts are of now
  uint64_t bytes_in = 0, bytes_out = 0;
  uint32_t forwards = 0;
  std::vector<SessionStatus> sessions;  // at most kMostSessionsTold
  uint32_t more_sessions = 0;           // not in the list
  static void fields(auto& self, auto& visit) {
    visit(self.number, self.identity, self.os_user, self.method, self.tunnel, self.counted, self.bytes_in,
          self.bytes_out, self.forwards, self.sessions, self.more_sessions);
  }
};

// What has happened on a connection since its monitor said so last (counts.h), and its sessions now.
struct CountDelta {
  uint32_t count = 0;  // a Count
  uint64_t amount = 0;
  static void fields(auto& self, auto& visit) { visit(self.count, self.amount); }
};
struct LiveSessions {
  uint32_t shell = 0, exec = 0, sftp = 0;
  bool operator==(const LiveSessions&) const = default;
  static void fields(auto& self, auto& visit) { visit(self.shell, self.exec, self.sftp); }
};
struct Tally {
  static constexpr MessageType kType = MessageType::kTally;
  static constexpr size_t kMostBytes = 2048, kFds = 0;
  std::vector<CountDelta> counts;
  LiveSessions live;
  static void fields(auto& self, auto& visit) { visit(self.counts, self.live); }
};

// ---- listener <-> keyfetch -------------------------------------------------------------------------------

struct FetchRequest {
  static constexpr MessageType kType = MessageType::kFetchRequest;
  static constexpr size_t kMostBytes = 8192, kFds = 0;
  std::string name;                     // of the issuer
  std::string issuer;                   // its URL, for discovery
  std::optional<std::string> jwks_uri;  // none: discover it
  std::optional<std::string> ca_file;
  static void fields(auto& self, auto& visit) { visit(self.name, self.issuer, self.jwks_uri, self.ca_file); }
};

// qf-up -> keyfetch: the fabric document at a URL, and its signature at the same with ".sig" after it.
struct DocumentRequest {
  static constexpr MessageType kType = MessageType::kDocumentRequest;
  static constexpr size_t kMostBytes = 16384, kFds = 0;
  std::string url;
  std::optional<std::string> ca_file;
  std::string etag, last_modified;  // of the one that qf-up has; empty: it wants it anyway
  static void fields(auto& self, auto& visit) {
    visit(self.url, self.ca_file, self.etag, self.last_modified);
  }
};

inline constexpr size_t kMostRemoteDocument = size_t{64} << 20;  // bytes
inline constexpr size_t kMostSignature = 64 * 1024;
// Descriptors: sealed memfds with the document and with the signature, as the server gave them; both empty
// when `error` is set or the document is the one that qf-up has.
struct DocumentReply {
  static constexpr MessageType kType = MessageType::kDocumentReply;
  static constexpr size_t kMostBytes = 8192, kFds = 2;
  std::string error, hint;  // error empty: fetched
  bool changed = false;
  std::string etag, last_modified;
  uint32_t retry_after = 0;  // seconds, from the HTTP answer; 0: not said
  static void fields(auto& self, auto& visit) {
    visit(self.error, self.hint, self.changed, self.etag, self.last_modified, self.retry_after);
  }
};

// qf-up -> keyfetch: what etcd holds under a prefix. Answered by one EtcdReply at once; with `watch` by
// another one for each change after qf-up has said EtcdNext. One session a keyfetch.
struct EtcdRequest {
  static constexpr MessageType kType = MessageType::kEtcdRequest;
  static constexpr size_t kMostBytes = 150 * 1024, kFds = 0;
  std::vector<std::string> members;  // base URLs, "https://host:2379", at most kMostEtcdMembers
  std::string prefix;                // of the keys, without the slash at its end
  bool watch = false;
  std::optional<std::string> ca_file;
  std::string user;           // empty: none
  std::string certificate;    // PEM of the client's, empty: none
  std::string key, password;  // secrets last, as above
  static void fields(auto& self, auto& visit) {
    visit(self.members, self.prefix, self.watch, self.ca_file, self.user, self.certificate, self.key,
          self.password);
  }
};
inline constexpr size_t kMostEtcdMembers = 32;

// Inside of descriptors. A key is without the prefix and its slash.
struct EtcdPair {
  std::string key, value;
  static void fields(auto& self, auto& visit) { visit(self.key, self.value); }
};
struct EtcdSnapshot {
  uint64_t revision = 0;        // of the store: all pairs are as they were then
  std::vector<EtcdPair> pairs;  // by their keys
  static void fields(auto& self, auto& visit) { visit(self.revision, self.pairs); }
};
struct EtcdChanges {
  std::vector<EtcdPair> puts;
  std::vector<std::string> deletes;
  static void fields(auto& self, auto& visit) { visit(self.puts, self.deletes); }
};
inline constexpr size_t kMostEtcdBytes = kMostRemoteDocument + (size_t{8} << 20);  // keys and framing too

// Descriptor: a sealed memfd with an EtcdSnapshot; empty when `error` is set, and then the session has ended.
struct EtcdReply {
  static constexpr MessageType kType = MessageType::kEtcdReply;
  static constexpr size_t kMostBytes = 8192, kFds = 1;
  std::string error, hint;
  static void fields(auto& self, auto& visit) { visit(self.error, self.hint); }
};

// qf-up has taken in the last reply.
struct EtcdNext {
  static constexpr MessageType kType = MessageType::kEtcdNext;
  static constexpr size_t kMostBytes = 8, kFds = 0;
  static void fields(auto&, auto& visit) { visit(); }
};

// All of EtcdChanges (the descriptor) in one transaction, if nothing under the prefix was changed after
// `revision`. After a first reply.
struct EtcdWrite {
  static constexpr MessageType kType = MessageType::kEtcdWrite;
  static constexpr size_t kMostBytes = 16, kFds = 1;
  uint64_t revision = 0;
  static void fields(auto& self, auto& visit) { visit(self.revision); }
};
inline constexpr size_t kMostEtcdChanges = 127;  // etcd takes 128 operations, and one of them compares

struct EtcdWritten {
  static constexpr MessageType kType = MessageType::kEtcdWritten;
  static constexpr size_t kMostBytes = 8192, kFds = 0;
  std::string error, hint;
  bool unknown = false;   // with an error: it may have been written all the same
  bool lost = false;      // something was changed meanwhile; nothing was written
  uint64_t revision = 0;  // that it has become
  static void fields(auto& self, auto& visit) {
    visit(self.error, self.hint, self.unknown, self.lost, self.revision);
  }
};

// Descriptor: a sealed memfd with the answer's body; empty when `error` is set.
struct FetchReply {
  static constexpr MessageType kType = MessageType::kFetchReply;
  static constexpr size_t kMostBytes = 4096, kFds = 1;
  std::string name;
  std::string error;      // empty: fetched
  uint32_t lifetime = 0;  // seconds, from the HTTP answer; 0: not said
  static void fields(auto& self, auto& visit) { visit(self.name, self.error, self.lifetime); }
};

}  // namespace qf
