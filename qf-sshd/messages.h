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
  kConnectRequest = 16,
  kListenRequest,
  kListenCancel,
  kProtocolError,
  kConnectEnd,
  kForwardRefused,
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
  // monitor -> listener -> keyfetch, and back
  kDeviceLoginStart = 160,
  kDeviceLoginCancel,
  kDeviceLoginPrompt,
  kDeviceLoginEnd,
  // listener -> keyfetch, keyfetch -> listener
  kFetchRequest = 192,
  kFetchReply,
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
    {MessageType::kProtocolError, kAnyState & ~static_cast<uint32_t>(NetState::kStart)},
    {MessageType::kStatusReply, static_cast<uint32_t>(NetState::kSession)},
};

[[nodiscard]] constexpr bool net_may_say(uint32_t type, NetState state) {
  for (const auto& rule : kNetRules) {
    if (static_cast<uint32_t>(rule.type) == type) return (rule.states & static_cast<uint32_t>(state)) != 0;
  }
  return false;
}

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

// Descriptor: a sealed memfd with the answer's body; empty when `error` is set.
struct FetchReply {
  static constexpr MessageType kType = MessageType::kFetchReply;
  static constexpr size_t kMostBytes = 4096, kFds = 1;
  std::string name;
  std::string error;      // empty: fetched
  uint32_t lifetime = 0;  // seconds, from the HTTP answer; 0: not said
  static void fields(auto& self, auto& visit) { visit(self.name, self.error, self.lifetime); }
};

// ---- monitor <-> helper ----------------------------------------------------------------------------------

// Every question has a number of its own, and gets one answer: kHelperConnect a kHelperConnected, the others
// a kHelperListening. kHelperRelease has none.
struct HelperConnect {
  static constexpr MessageType kType = MessageType::kHelperConnect;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  uint32_t id = 0;
  std::string host;
  uint32_t port = 0;
  static void fields(auto& self, auto& visit) { visit(self.id, self.host, self.port); }
};

struct HelperListen {
  static constexpr MessageType kType = MessageType::kHelperListen;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  uint32_t id = 0;
  std::string address;    // of getaddrinfo(3); empty: see `wildcard`
  bool wildcard = false;  // every address of the machine, else its loopback addresses
  uint32_t port = 0;
  static void fields(auto& self, auto& visit) { visit(self.id, self.address, self.wildcard, self.port); }
};

// A socket for the agent, in a folder of its own.
struct HelperAgent {
  static constexpr MessageType kType = MessageType::kHelperAgent;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t id = 0;
  static void fields(auto& self, auto& visit) { visit(self.id); }
};

// The first free X11 display.
struct HelperDisplay {
  static constexpr MessageType kType = MessageType::kHelperDisplay;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t id = 0;
  static void fields(auto& self, auto& visit) { visit(self.id); }
};

// Removes what an earlier kHelperAgent has made.
struct HelperRelease {
  static constexpr MessageType kType = MessageType::kHelperRelease;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t id = 0;
  static void fields(auto& self, auto& visit) { visit(self.id); }
};

// Descriptor: the connected socket, /dev/null without one.
struct HelperConnected {
  static constexpr MessageType kType = MessageType::kHelperConnected;
  static constexpr size_t kMostBytes = 1024, kFds = 1;
  uint32_t id = 0;
  std::string error;  // empty: connected
  static void fields(auto& self, auto& visit) { visit(self.id, self.error); }
};

// Descriptors: `sockets` listening ones, then /dev/null.
struct HelperListening {
  static constexpr MessageType kType = MessageType::kHelperListening;
  static constexpr size_t kMostBytes = 1024, kFds = 2;
  uint32_t id = 0;
  uint32_t sockets = 0;  // 0: see `error`
  uint32_t number = 0;   // port, or display
  std::string path;      // of the agent's socket
  std::string error;
  static void fields(auto& self, auto& visit) {
    visit(self.id, self.sockets, self.number, self.path, self.error);
  }
};

}  // namespace qf
