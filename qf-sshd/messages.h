// SPDX-License-Identifier: Apache-2.0
// Every type of message between the roles of qf-sshd, and the messages of net and its monitor; those of the
// listener are in listener_messages.h, of the helper in helper_messages.h: the only description of that wire.
// A struct has its type, its most bytes, its number of descriptors, and one fields() for both directions.
// Which one is legal when: kNetRules below.
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
  kConnectRequest = 16,
  kListenRequest,
  kListenCancel,
  kProtocolError,
  kConnectEnd,
  kForwardRefused,
  kForwardTraffic,
  kStatusReply = 32,
  // monitor -> net
  kAuthReply = 64,
  kSessionReply,
  kSessionExit,
  kTunnelReply,
  kDisconnect,
  kConnectReply = 80,
  kListenReply,
  kForwardEnd,
  kStatusRequest = 96,
  // monitor -> listener, listener -> monitor
  kKeysWanted = 128,
  kKeysReply,
  kLoggedIn,
  kRegister = 140,
  kConnectionQuery,
  kConnectionReport,
  kPolicyChanged,
  kTally,
  // monitor -> listener -> keyfetch, and back
  kDeviceLoginStart = 160,
  kDeviceLoginCancel,
  kDeviceLoginPrompt,
  kDeviceLoginEnd,
  // listener -> keyfetch, keyfetch -> listener
  kFetchRequest = 192,
  kFetchReply,
  kDocumentRequest,
  kDocumentReply,
  kEtcdRequest,
  kEtcdReply,
  kEtcdNext,
  kEtcdWrite,
  kEtcdWritten,
  // monitor -> helper
  kHelperConnect = 256,
  kHelperListen,
  kHelperAgent,
  kHelperDisplay,
  kHelperRelease,
  // helper -> monitor
  kHelperConnected = 320,
  kHelperListening,
};

// ---- net <-> monitor -------------------------------------------------------------------------------------

struct Hello {
  static constexpr MessageType kType = MessageType::kHello;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t version = kMessageVersion;
  static void fields(auto& self, auto& visit) { visit(self.version); }
};

enum class AuthMethod {
  kNone,
  kPublicKey,
  kCertificate,
  kPassword,
  kInteractive,        // keyboard-interactive (RFC 4256) begins
  kInteractiveAnswer,  // what the person has typed
  kOther,
  kLast = kOther,
};

struct AuthRequest {
  static constexpr MessageType kType = MessageType::kAuthRequest;
  static constexpr size_t kMostBytes = 96 * 1024, kFds = 0;
  std::string user;
  AuthMethod method = AuthMethod::kNone;
  std::string credential;  // certificate blob, key blob, password, or what was typed
  bool proved = false;     // the client has signed with the key (a probe has not)
  static void fields(auto& self, auto& visit) { visit(self.user, self.method, self.credential, self.proved); }
};

enum class AuthVerdict {
  kDenied,   // try another method
  kAllowed,  // for a probe: go on and sign
  kEnd,      // show the banner and end the connection
  kAsk,      // show the prompt; the person's answer is another request
  kLater,    // show the banner; another AuthReply comes by itself
  kLast = kLater,
};

struct AuthReply {
  static constexpr MessageType kType = MessageType::kAuthReply;
  static constexpr size_t kMostBytes = 8192, kFds = 0;
  AuthVerdict verdict = AuthVerdict::kDenied;
  std::string banner;               // empty: none
  bool tunnel = false;              // allowed as the outer connection of a tunnel
  std::string instruction, prompt;  // of kAsk (RFC 4256 section 3.2)
  static void fields(auto& self, auto& visit) {
    visit(self.verdict, self.banner, self.tunnel, self.instruction, self.prompt);
  }
};

enum class SessionKind { kShell, kExec, kSubsystem, kLast = kSubsystem };

struct PtyRequest {
  std::string type;
  uint32_t columns = 0, rows = 0, width = 0, height = 0;  // characters; pixels
  static void fields(auto& self, auto& visit) {
    visit(self.type, self.columns, self.rows, self.width, self.height);
  }
};

// x11-req (RFC 4254 section 6.3.1)
struct X11 {
  bool single_connection = false;
  std::string protocol, cookie;  // the cookie in hexadecimal
  uint32_t screen = 0;
  static void fields(auto& self, auto& visit) {
    visit(self.single_connection, self.protocol, self.cookie, self.screen);
  }
};

struct SessionRequest {
  static constexpr MessageType kType = MessageType::kSessionRequest;
  static constexpr size_t kMostBytes = 140 * 1024, kFds = 0;
  uint32_t channel = 0;  // net's own number for it
  SessionKind kind = SessionKind::kShell;
  std::string command;  // of kExec; name of the subsystem of kSubsystem
  std::map<std::string, std::string> environment;
  std::optional<PtyRequest> terminal;
  bool agent = false;  // auth-agent-req@openssh.com
  std::optional<X11> x11;
  static void fields(auto& self, auto& visit) {
    visit(self.channel, self.kind, self.command, self.environment, self.terminal, self.agent, self.x11);
  }
};

// Descriptors: with a terminal the master three times; else standard input (writing end), output and error
// (reading ends); then the listening socket for the agent and two for X11, as far as `agent` and
// `x11_sockets` say. /dev/null stands in for what there is not, so that their number is always the same.
struct SessionReply {
  static constexpr MessageType kType = MessageType::kSessionReply;
  static constexpr size_t kMostBytes = 1024, kFds = 6;
  uint32_t channel = 0;
  bool started = false;
  std::string reason;  // for the user, when not started
  bool agent = false;
  uint32_t x11_sockets = 0;
  static void fields(auto& self, auto& visit) {
    visit(self.channel, self.started, self.reason, self.agent, self.x11_sockets);
  }
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

// direct-tcpip (RFC 4254 section 7.2): connect to host:port as the user.
struct ConnectRequest {
  static constexpr MessageType kType = MessageType::kConnectRequest;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  uint32_t id = 0;  // net's own number for it
  std::string host;
  uint32_t port = 0;
  static void fields(auto& self, auto& visit) { visit(self.id, self.host, self.port); }
};

// Descriptor: the connected socket, /dev/null without one.
struct ConnectReply {
  static constexpr MessageType kType = MessageType::kConnectReply;
  static constexpr size_t kMostBytes = 1024, kFds = 1;
  uint32_t id = 0;
  std::string error;  // empty: connected
  static void fields(auto& self, auto& visit) { visit(self.id, self.error); }
};

// tcpip-forward (RFC 4254 section 7.1): listen as the user; port 0: any.
struct ListenRequest {
  static constexpr MessageType kType = MessageType::kListenRequest;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  uint32_t id = 0;
  std::string address;
  uint32_t port = 0;
  static void fields(auto& self, auto& visit) { visit(self.id, self.address, self.port); }
};

// Descriptors: `sockets` listening ones (a name may stand for an IPv4 and an IPv6 address), then /dev/null.
struct ListenReply {
  static constexpr MessageType kType = MessageType::kListenReply;
  static constexpr size_t kMostBytes = 1024, kFds = 2;
  uint32_t id = 0;
  uint32_t sockets = 0;  // 0: refused
  uint32_t port = 0;     // that it became
  std::string error;
  static void fields(auto& self, auto& visit) { visit(self.id, self.sockets, self.port, self.error); }
};

// net has closed the sockets of a ListenReply, and carries no connection that came through them.
struct ListenCancel {
  static constexpr MessageType kType = MessageType::kListenCancel;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t id = 0;
  static void fields(auto& self, auto& visit) { visit(self.id); }
};

// net has closed the socket of a ConnectReply.
struct ConnectEnd {
  static constexpr MessageType kType = MessageType::kConnectEnd;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t id = 0;
  static void fields(auto& self, auto& visit) { visit(self.id); }
};

// net has refused a forward by itself, for the audit log. It says so a few times; more are not taken.
struct ForwardRefused {
  static constexpr MessageType kType = MessageType::kForwardRefused;
  static constexpr size_t kMostBytes = 512, kFds = 0;
  bool listen = false;
  std::string address;
  uint32_t port = 0;
  std::string reason;
  static void fields(auto& self, auto& visit) { visit(self.listen, self.address, self.port, self.reason); }
};
inline constexpr unsigned kMostForwardRefusals = 16;  // told, a connection

// A new policy withdraws the forward of this number: net closes its sockets, those of connections that came
// through a listened-on one as well, and says ConnectEnd or ListenCancel.
struct ForwardEnd {
  static constexpr MessageType kType = MessageType::kForwardEnd;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  uint32_t id = 0;
  std::string reason;  // for the user
  static void fields(auto& self, auto& visit) { visit(self.id, self.reason); }
};

// What a net says of a client that --client-alive-interval has found dead.
inline constexpr const char* kClientSilent = "the client does not answer (--client-alive-interval)";

// The client has broken the protocol, or is silent, and the connection ends by it: the last message of a net.
struct ProtocolError {
  static constexpr MessageType kType = MessageType::kProtocolError;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  std::string reason;  // for the audit log
  static void fields(auto& self, auto& visit) { visit(self.reason); }
};

struct Disconnect {
  static constexpr MessageType kType = MessageType::kDisconnect;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  std::string reason;
  static void fields(auto& self, auto& visit) { visit(self.reason); }
};

// How much has gone through the channels that net has? Asked for qf-up status, one question at a time; the
// answer may take its time, nobody waits for it without a deadline.
struct StatusRequest {
  static constexpr MessageType kType = MessageType::kStatusRequest;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t number = 0;
  static void fields(auto& self, auto& visit) { visit(self.number); }
};

struct ChannelTraffic {
  uint32_t channel = 0;
  uint64_t bytes_in = 0, bytes_out = 0;  // from the client, to the client
  static void fields(auto& self, auto& visit) { visit(self.channel, self.bytes_in, self.bytes_out); }
};

inline constexpr size_t kMostChannelsTold = 4096;
struct StatusReply {
  static constexpr MessageType kType = MessageType::kStatusReply;
  static constexpr size_t kMostBytes = 28 + 20 * kMostChannelsTold, kFds = 0;
  uint32_t number = 0;
  std::vector<ChannelTraffic> channels;
  uint32_t forwards = 0;                         // connections that stand, and sockets that are listened on
  uint64_t forwarded_in = 0, forwarded_out = 0;  // bytes of all forwards, ended ones too
  static void fields(auto& self, auto& visit) {
    visit(self.number, self.channels, self.forwards, self.forwarded_in, self.forwarded_out);
  }
};

// What all forwards of a connection have carried, said when it ends.
struct ForwardTraffic {
  static constexpr MessageType kType = MessageType::kForwardTraffic;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint64_t bytes_in = 0, bytes_out = 0;
  static void fields(auto& self, auto& visit) { visit(self.bytes_in, self.bytes_out); }
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

inline constexpr uint32_t kAnyState = 63;

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
    {MessageType::kConnectRequest, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kListenRequest, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kListenCancel, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kConnectEnd, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kForwardRefused, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kForwardTraffic, static_cast<uint32_t>(NetState::kSession)},
    {MessageType::kProtocolError, kAnyState & ~static_cast<uint32_t>(NetState::kStart)},
    {MessageType::kStatusReply, static_cast<uint32_t>(NetState::kSession)},
};

[[nodiscard]] constexpr bool net_may_say(uint32_t type, NetState state) {
  for (const auto& rule : kNetRules) {
    if (static_cast<uint32_t>(rule.type) == type) return (rule.states & static_cast<uint32_t>(state)) != 0;
  }
  return false;
}

}  // namespace qf
