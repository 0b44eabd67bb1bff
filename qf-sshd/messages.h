// SPDX-License-Identifier: Apache-2.0
// Every message between the roles of qf-sshd: the only description of that wire. A struct has its type, its
// most bytes, its number of descriptors, and one fields() for both directions. Which one is legal when:
// kNetRules below.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libqf/jwk.h"
#include "libqf/jwt.h"
#include "qf-sshd/message_socket.h"

namespace qf {

inline constexpr uint32_t kMessageVersion = 1;

enum class MessageType : uint32_t {
  // net -> monitor
  kHello = 1,
  kAuthRequest,
  kSessionRequest,
  kSignalRequest,
  kSessionClose,
  kTunnelRequest,
  // monitor -> net
  kAuthReply = 64,
  kSessionReply,
  kSessionExit,
  kTunnelReply,
  kDisconnect,
  // monitor -> listener, listener -> monitor
  kKeysWanted = 128,
  kKeysReply,
  kLoggedIn,
  // listener -> keyfetch, keyfetch -> listener
  kFetchRequest = 192,
  kFetchReply,
};

// ---- net <-> monitor
// ---------------------------------------------------------------------------------------------

struct Hello {
  static constexpr MessageType kType = MessageType::kHello;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t version = kMessageVersion;
  static void fields(auto& self, auto& visit) { visit(self.version); }
};

enum class AuthMethod { kNone, kPublicKey, kCertificate, kPassword, kOther, kLast = kOther };

struct AuthRequest {
  static constexpr MessageType kType = MessageType::kAuthRequest;
  static constexpr size_t kMostBytes = 96 * 1024, kFds = 0;
  std::string user;
  AuthMethod method = AuthMethod::kNone;
  std::string credential;  // certificate blob, key blob or password
  bool proved = false;     // the client has signed with the key (a probe has not)
  static void fields(auto& self, auto& visit) { visit(self.user, self.method, self.credential, self.proved); }
};

enum class AuthVerdict {
  kDenied,   // try another method
  kAllowed,  // for a probe: go on and sign
  kEnd,      // show the banner and end the connection
  kLast = kEnd,
};

struct AuthReply {
  static constexpr MessageType kType = MessageType::kAuthReply;
  static constexpr size_t kMostBytes = 8192, kFds = 0;
  AuthVerdict verdict = AuthVerdict::kDenied;
  std::string banner;   // empty: none
  bool tunnel = false;  // allowed as the outer connection of a tunnel
  static void fields(auto& self, auto& visit) { visit(self.verdict, self.banner, self.tunnel); }
};

enum class SessionKind { kShell, kExec, kSubsystem, kLast = kSubsystem };

struct Terminal {
  std::string type;
  uint32_t columns = 0, rows = 0, width = 0, height = 0;  // characters; pixels
  static void fields(auto& self, auto& visit) {
    visit(self.type, self.columns, self.rows, self.width, self.height);
  }
};

struct SessionRequest {
  static constexpr MessageType kType = MessageType::kSessionRequest;
  static constexpr size_t kMostBytes = 140 * 1024, kFds = 0;
  uint32_t channel = 0;  // net's own number for it
  SessionKind kind = SessionKind::kShell;
  std::string command;  // of kExec; name of the subsystem of kSubsystem
  std::map<std::string, std::string> environment;
  std::optional<Terminal> terminal;
  static void fields(auto& self, auto& visit) {
    visit(self.channel, self.kind, self.command, self.environment, self.terminal);
  }
};

// Descriptors: with a terminal the master three times; else standard input (writing end), output and error
// (reading ends). A refusal has /dev/null three times, so that the number of descriptors is always the same.
struct SessionReply {
  static constexpr MessageType kType = MessageType::kSessionReply;
  static constexpr size_t kMostBytes = 1024, kFds = 3;
  uint32_t channel = 0;
  bool started = false;
  std::string reason;  // for the user, when not started
  static void fields(auto& self, auto& visit) { visit(self.channel, self.started, self.reason); }
};

struct SignalRequest {
  static constexpr MessageType kType = MessageType::kSignalRequest;
  static constexpr size_t kMostBytes = 64, kFds = 0;
  uint32_t channel = 0;
  std::string name;  // without SIG (RFC 4254 section 6.10)
  static void fields(auto& self, auto& visit) { visit(self.channel, self.name); }
};

// The channel is gone: hang up what runs there.
struct SessionClose {
  static constexpr MessageType kType = MessageType::kSessionClose;
  static constexpr size_t kMostBytes = 64, kFds = 0;
  uint32_t channel = 0;
  uint64_t bytes_in = 0, bytes_out = 0;
  static void fields(auto& self, auto& visit) { visit(self.channel, self.bytes_in, self.bytes_out); }
};

struct SessionExit {
  static constexpr MessageType kType = MessageType::kSessionExit;
  static constexpr size_t kMostBytes = 64, kFds = 0;
  uint32_t channel = 0;
  uint32_t status = 0;  // when signal is empty
  std::string signal;   // without SIG
  bool core_dumped = false;
  static void fields(auto& self, auto& visit) {
    visit(self.channel, self.status, self.signal, self.core_dumped);
  }
};

struct TunnelRequest {
  static constexpr MessageType kType = MessageType::kTunnelRequest;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t channel = 0;
  static void fields(auto& self, auto& visit) { visit(self.channel); }
};

// Descriptor: the stream that carries the inner connection.
struct TunnelReply {
  static constexpr MessageType kType = MessageType::kTunnelReply;
  static constexpr size_t kMostBytes = 16, kFds = 1;
  uint32_t channel = 0;
  static void fields(auto& self, auto& visit) { visit(self.channel); }
};

struct Disconnect {
  static constexpr MessageType kType = MessageType::kDisconnect;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  std::string reason;
  static void fields(auto& self, auto& visit) { visit(self.reason); }
};

// What net may say, by the state of its connection as the monitor sees it. Anything else ends the connection.
enum class NetState : uint32_t {
  kStart = 1,        // nothing said yet
  kUnknown = 2,      // not logged in
  kSession = 4,      // logged in as an OS user
  kOuter = 8,        // logged in as the outer connection of a tunnel, no stream yet
  kTunnelling = 16,  // the stream is handed out: nothing more to say
  kRefused = 32,     // told to end the connection: nothing more to say
};

struct NetRule {
  MessageType type;
  uint32_t states;  // NetState values, or-ed
};
inline constexpr NetRule kNetRules[] = {
    {MessageType::kHello, static_cast<uint32_t>(NetState::kStart)},
    {MessageType::kAuthRequest, static_cast<uint32_t>(NetState::kUnknown)},
    {MessageType::kSessionRequest, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kSignalRequest, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kSessionClose, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kTunnelRequest, static_cast<uint32_t>(NetState::kOuter)},
};

[[nodiscard]] constexpr bool net_may_say(uint32_t type, NetState state) {
  for (const auto& rule : kNetRules) {
    if (static_cast<uint32_t>(rule.type) == type) return (rule.states & static_cast<uint32_t>(state)) != 0;
  }
  return false;
}

// ---- monitor <-> listener
// ----------------------------------------------------------------------------------------

// An unknown kid: fetch this issuer's key set.
struct KeysWanted {
  static constexpr MessageType kType = MessageType::kKeysWanted;
  static constexpr size_t kMostBytes = 256, kFds = 0;
  std::string issuer;  // name
  static void fields(auto& self, auto& visit) { visit(self.issuer); }
};

// Descriptor: a sealed memfd with the key set as JSON; empty when there is none.
struct KeysReply {
  static constexpr MessageType kType = MessageType::kKeysReply;
  static constexpr size_t kMostBytes = 512, kFds = 1;
  std::string issuer;
  bool changed = false;
  static void fields(auto& self, auto& visit) { visit(self.issuer, self.changed); }
};

// The connection is no longer an unauthenticated one (for the listener's limits).
struct LoggedIn {
  static constexpr MessageType kType = MessageType::kLoggedIn;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  bool tunnel = false;
  static void fields(auto& self, auto& visit) { visit(self.tunnel); }
};

// ---- listener <-> keyfetch
// ---------------------------------------------------------------------------------------

struct FetchRequest {
  static constexpr MessageType kType = MessageType::kFetchRequest;
  static constexpr size_t kMostBytes = 8192, kFds = 0;
  std::string name;                     // of the issuer
  std::string issuer;                   // its URL, for discovery
  std::optional<std::string> jwks_uri;  // none: discover it
  std::optional<std::string> ca_file;
  static void fields(auto& self, auto& visit) { visit(self.name, self.issuer, self.jwks_uri, self.ca_file); }
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
