// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <list>
#include <map>

#include "libqf/log.h"
#include "qf-sshd/login.h"
#include "qf-sshd/memory_file.h"
#include "qf-sshd/net.h"
#include "qf-sshd/session.h"

namespace qf {

namespace {

constexpr auto kKeysPatience = std::chrono::seconds(12);  // for the listener to have a key set fetched
constexpr auto kFarewell = std::chrono::seconds(10);      // for a refused client to hang up
constexpr auto kLastWords =
    std::chrono::seconds(2);            // for sessions to end after their connection, for the audit log
constexpr time_t kSendSeconds = 10;     // a net that does not read is ended
constexpr int kTunnelBuffer = 1 << 20;  // bytes, each direction of a tunnel's stream

// Key sets as the listener held them when this connection came, and those that it has fetched for us since.
class MonitorKeySets : public KeySets {
 public:
  MonitorKeySets(KeySetStore& store, MessageSocket& listener) : store_(store), listener_(listener) {}

  const KeySet* find(const IssuerRecord& issuer) override {
    if (auto fresh = fresh_.find(issuer.name); fresh != fresh_.end()) return &fresh->second;
    return store_.find(issuer.name, std::time(nullptr));
  }

  void refresh(const std::vector<const IssuerRecord*>& issuers,
               const std::function<bool(const IssuerRecord&)>& found) override {
    std::map<std::string, const IssuerRecord*> wanted;
    for (const auto* issuer : issuers) {
      if (listener_ && listener_.send(KeysWanted{issuer->name})) wanted[issuer->name] = issuer;
    }
    // an answer may also be a late one to an earlier question: its keys are as good
    for (Deadline deadline = Clock::now() + kKeysPatience; !wanted.empty();) {
      auto message = listener_.receive(deadline);
      auto reply = message ? open_message<KeysReply>(*message) : Result<KeysReply>(message.error());
      if (!reply) return;
      auto issuer = wanted.find(reply->issuer);
      if (issuer == wanted.end()) continue;
      const IssuerRecord& record = *issuer->second;
      wanted.erase(issuer);
      if (reply->changed && take(reply->issuer, message->fds[0].get()) && found(record)) return;
    }
  }

 private:
  [[nodiscard]] bool take(const std::string& issuer, int fd) {
    auto json = read_memory_file(fd, kMostKeySetBytes);
    auto keys = json ? parse_key_set(*json) : Result<KeySet>(json.error());
    if (!keys) return false;
    fresh_[issuer] = std::move(*keys);
    return true;
  }
  KeySetStore& store_;
  MessageSocket& listener_;
  std::map<std::string, KeySet> fresh_;
};

struct NetLink {
  MessageSocket socket;
  pid_t pid = -1;
  NetState state = NetState::kStart;
  bool inner = false;
  bool ended = false;  // it has closed its socket
  std::unique_ptr<Login> login;
};

struct LiveSession {
  pid_t pid = -1;
  Fd pidfd;
  Deadline started;
  bool ended = false;        // reaped; `exit` says how
  bool channel_open = true;  // net still has the channel
  SessionExit exit;
  uint64_t bytes_in = 0, bytes_out = 0;
};

class Monitor {
 public:
  Monitor(const MonitorPlan& plan, MessageSocket listener)
      : plan_(plan),
        listener_(std::move(listener)),
        key_sets_(plan.key_sets, listener_),
        connection_(plan.connection) {}
  [[noreturn]] void run(Fd connection);

 private:
  [[nodiscard]] Status spawn_net(Fd connection, bool inner);
  [[nodiscard]] Status handle(NetLink& link, const Message& message);
  [[nodiscard]] Status handle_login(NetLink& link, const AuthRequest& request);
  [[nodiscard]] Status handle_session(NetLink& link, const SessionRequest& request);
  [[nodiscard]] Status handle_signal(const SignalRequest& request);
  [[nodiscard]] Status handle_close(const SessionClose& close);
  [[nodiscard]] Status handle_tunnel(NetLink& link, const TunnelRequest& request);
  [[nodiscard]] Status refuse_session(NetLink& link, uint32_t channel, const std::string& reason);
  [[nodiscard]] std::string judge_session(const SessionRequest& request) const;
  void reap(uint32_t channel, LiveSession& session);
  void record_end(uint32_t channel, const LiveSession& session);
  void turn();
  [[noreturn]] void end();

  const MonitorPlan& plan_;
  MessageSocket listener_;
  MonitorKeySets key_sets_;
  const AuditConnection& connection_;
  std::list<NetLink> nets_;
  std::map<uint32_t, LiveSession> sessions_;
  std::optional<Account> account_;
  std::optional<Identity> identity_;
  Deadline grace_ = Deadline::max();   // to be logged in
  Deadline end_by_ = Deadline::max();  // the inner connection has ended: for the outer one to follow
};

bool password_offered(const Settings& settings) {
  auto policy = PolicyDb::open(settings.folders.policy_mdb());
  if (!policy || !settings.auth) return false;
  auto meta = policy->meta();
  if (!meta) return false;
  return std::any_of(meta->issuers.begin(), meta->issuers.end(), [&](const std::string& name) {
    auto issuer = policy->issuer(name);
    return issuer && issuer->accept_bearer;
  });
}

// RFC 4254 section 6.10 names these without SIG; others get OpenSSH's suffix.
std::string signal_name(int signal) {
  for (int known : {SIGABRT, SIGALRM, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV,
                    SIGTERM, SIGUSR1, SIGUSR2}) {
    if (signal == known) return ::sigabbrev_np(signal);
  }
  const char* name = ::sigabbrev_np(signal);
  return std::string(name != nullptr ? name : "UNKNOWN") + "@openssh.com";
}

// The signals that a client may send, 0 for any other.
int signal_number(const std::string& name) {
  for (int known : {SIGABRT, SIGALRM, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSEGV,
                    SIGTERM, SIGUSR1, SIGUSR2}) {
    if (name == ::sigabbrev_np(known)) return known;
  }
  return 0;
}

// ---- the connection's net processes -----------------------------------------------------------------------

Status Monitor::spawn_net(Fd connection, bool inner) {
  auto ends = MessageSocket::pair();
  if (!ends) return ends.error();
  timeval patience = {kSendSeconds, 0};
  if (::setsockopt(ends->first.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
    return system_error("cannot set up a socket");
  }
  NetPlan plan{plan_.settings, plan_.filter, plan_.bind, inner, password_offered(plan_.settings)};
  pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start a process");
  if (pid == 0) net_role(plan, std::move(connection), std::move(ends->second));
  NetLink link;
  link.socket = std::move(ends->first);
  link.pid = pid;
  link.inner = inner;
  link.login = std::make_unique<Login>(plan_, connection_, key_sets_, inner ? identity_ : std::nullopt);
  nets_.push_back(std::move(link));
  return Done{};
}

template <class T>
Result<T> checked(const Message& message) {
  auto opened = open_message<T>(message);
  if (!opened) return peer_error("net sent a malformed message of type " + std::to_string(message.type));
  return opened;
}

Status Monitor::handle(NetLink& link, const Message& message) {
  if (!net_may_say(message.type, link.state)) {
    return peer_error("net sent a message of type " + std::to_string(message.type) + " out of turn");
  }
  switch (static_cast<MessageType>(message.type)) {
    case MessageType::kHello: {
      auto hello = checked<Hello>(message);
      if (!hello || hello->version != kMessageVersion) return peer_error("net speaks another version");
      link.state = NetState::kUnknown;
      return Done{};
    }
    case MessageType::kAuthRequest: {
      auto request = checked<AuthRequest>(message);
      return request ? handle_login(link, *request) : Status(request.error());
    }
    case MessageType::kSessionRequest: {
      auto request = checked<SessionRequest>(message);
      return request ? handle_session(link, *request) : Status(request.error());
    }
    case MessageType::kSignalRequest: {
      auto request = checked<SignalRequest>(message);
      return request ? handle_signal(*request) : Status(request.error());
    }
    case MessageType::kSessionClose: {
      auto close = checked<SessionClose>(message);
      return close ? handle_close(*close) : Status(close.error());
    }
    case MessageType::kTunnelRequest: {
      auto request = checked<TunnelRequest>(message);
      return request ? handle_tunnel(link, *request) : Status(request.error());
    }
    case MessageType::kAuthReply:
    case MessageType::kSessionReply:
    case MessageType::kSessionExit:
    case MessageType::kTunnelReply:
    case MessageType::kDisconnect:
    case MessageType::kKeysWanted:
    case MessageType::kKeysReply:
    case MessageType::kLoggedIn:
    case MessageType::kFetchRequest:
    case MessageType::kFetchReply:
      break;
  }
  return peer_error("net sent a message that is not its own");
}

Status Monitor::handle_login(NetLink& link, const AuthRequest& request) {
  LoginResult result = link.login->judge(request);
  if (result.account || result.tunnel) {
    identity_ = result.identity;
    link.state = result.tunnel ? NetState::kOuter : NetState::kSession;
    if (result.account) {
      account_ = std::move(result.account);
      grace_ = Deadline::max();
      // the listener may be gone (restarted); it counts no longer then
      if (listener_ && !listener_.send(LoggedIn{link.inner})) listener_.close();
    }
  }
  if (result.reply.verdict == AuthVerdict::kEnd) {
    // net says its last words and ends; one that does not is ended
    link.state = NetState::kRefused;
    end_by_ = Clock::now() + kFarewell;
  }
  return link.socket.send(result.reply);
}

Status Monitor::handle_tunnel(NetLink& link, const TunnelRequest& request) {
  auto stream = make_socketpair(SOCK_STREAM);
  if (!stream) return stream.error();
  for (int fd : {stream->first.get(), stream->second.get()}) {
    // without the privilege the kernel's own limit holds, which is only slower
    static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kTunnelBuffer, sizeof kTunnelBuffer));
  }
  link.state = NetState::kTunnelling;
  int handed_out = stream->first.get();
  if (auto sent = link.socket.send(TunnelReply{request.channel}, {handed_out}); !sent) return sent.error();
  stream->first.reset();
  return spawn_net(std::move(stream->second), true);
}

// ---- sessions ---------------------------------------------------------------------------------------------

// What stands against this session; empty: nothing.
std::string Monitor::judge_session(const SessionRequest& request) const {
  if (sessions_.size() >= plan_.settings.most_sessions) return "too many sessions on this connection";
  if (request.kind != SessionKind::kSubsystem) return "";
  if (request.command != "sftp") return "subsystem \"" + request.command + "\" is not available";
  if (!plan_.settings.sftp) {
    return "SFTP subsystem not available\nhint: ask the admin of this peer for qf-up --enable-ssh-sftp";
  }
  if (plan_.settings.sftp_server.empty()) {
    return "SFTP subsystem not available: this peer has no sftp-server\nhint: install openssh-sftp-server "
           "there";
  }
  return "";
}

Status Monitor::refuse_session(NetLink& link, uint32_t channel, const std::string& reason) {
  auto null = open_file("/dev/null", O_RDWR);
  if (!null) return null.error();
  plan_.audit.session_refused(connection_, account_->name, reason);
  return link.socket.send(SessionReply{channel, false, reason}, {null->get(), null->get(), null->get()});
}

Status Monitor::handle_session(NetLink& link, const SessionRequest& request) {
  if (sessions_.count(request.channel) != 0) return peer_error("net used a channel number twice");
  if (auto reason = judge_session(request); !reason.empty())
    return refuse_session(link, request.channel, reason);
  ConnectionEnds ends{plan_.client.address(), plan_.server.address(), plan_.client.port(),
                      plan_.server.port()};
  auto spawned = spawn_session(plan_.settings, *account_, request, ends);
  if (!spawned) {
    log_error("cannot start a session for " + account_->name + ": " + spawned.error().text());
    return refuse_session(link, request.channel, "cannot start the session: " + spawned.error().text());
  }
  const char* kind = request.kind == SessionKind::kShell  ? "shell"
                     : request.kind == SessionKind::kExec ? "exec"
                                                          : "sftp";
  plan_.audit.session_start(connection_, {request.channel, kind, identity_ ? identity_->name() : "",
                                          account_->name, request.terminal.has_value(), spawned->pid});
  LiveSession session;
  session.pid = spawned->pid;
  session.pidfd = std::move(spawned->pidfd);
  session.started = Clock::now();
  sessions_[request.channel] = std::move(session);
  const auto& fds = spawned->fds;
  return link.socket.send(SessionReply{request.channel, true, ""},
                          {fds[0].get(), fds[1].get(), fds[2].get()});
}

Status Monitor::handle_signal(const SignalRequest& request) {
  auto session = sessions_.find(request.channel);
  int number = signal_number(request.name);
  if (session == sessions_.end() || session->second.ended || number == 0) return Done{};
  // The session leads a process group of its own (setsid), and is not reaped, so the number is still its own.
  // The signal is sent with the user's rights: the group may hold setuid programs that the user must not be
  // able to end. What the user may not do is no fault of the connection.
  pid_t sender = ::fork();
  if (sender < 0) return system_error("cannot start a process");
  if (sender == 0) {
    bool user =
        !plan_.settings.privileged || (::setresgid(account_->gid, account_->gid, account_->gid) == 0 &&
                                       ::setresuid(account_->uid, account_->uid, account_->uid) == 0);
    ::_exit(user && ::kill(-session->second.pid, number) == 0 ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(sender, &status, 0) < 0 && errno == EINTR) continue;
  return Done{};
}

Status Monitor::handle_close(const SessionClose& close) {
  auto found = sessions_.find(close.channel);
  if (found == sessions_.end()) return Done{};
  LiveSession& session = found->second;
  session.channel_open = false;
  session.bytes_in = close.bytes_in;
  session.bytes_out = close.bytes_out;
  if (session.ended) {
    record_end(close.channel, session);
    sessions_.erase(found);
  }
  return Done{};
}

void Monitor::reap(uint32_t channel, LiveSession& session) {
  int status = 0;
  if (::waitpid(session.pid, &status, WNOHANG) != session.pid) return;
  session.ended = true;
  session.exit = {channel, 0, "", false};
  if (WIFSIGNALED(status)) {
    session.exit.signal = signal_name(WTERMSIG(status));
    session.exit.core_dumped = WCOREDUMP(status);
  } else {
    session.exit.status = static_cast<uint32_t>(WEXITSTATUS(status));
  }
  session.pidfd.reset();
}

void Monitor::record_end(uint32_t channel, const LiveSession& session) {
  AuditEnd entry;
  entry.channel = channel;
  entry.pid = session.pid;
  entry.status = session.exit.status;
  entry.signal = session.exit.signal;
  entry.bytes_in = session.bytes_in;
  entry.bytes_out = session.bytes_out;
  entry.seconds = std::chrono::duration<double>(Clock::now() - session.started).count();
  plan_.audit.session_end(connection_, entry);
}

// ---- the loop ---------------------------------------------------------------------------------------------

void Monitor::turn() {
  std::vector<pollfd> polled;
  for (const auto& link : nets_) polled.push_back({link.ended ? -1 : link.socket.fd(), POLLIN, 0});
  std::vector<uint32_t> channels;
  for (const auto& [channel, session] : sessions_) {
    if (session.ended) continue;
    channels.push_back(channel);
    polled.push_back({session.pidfd.get(), POLLIN, 0});
  }
  int ready = ::poll(polled.data(), polled.size(), poll_timeout(std::min(grace_, end_by_)));
  if (ready < 0 && errno != EINTR) die(kExitSystem, "monitor: poll: " + std::string(std::strerror(errno)));
  if (Clock::now() >= grace_) {
    plan_.audit.violation(connection_, "not logged in within the login grace time");
    end();
  }
  if (Clock::now() >= end_by_) end();
  if (ready <= 0) return;
  size_t index = nets_.size();
  for (uint32_t channel : channels) {
    auto found = sessions_.find(channel);
    if (polled[index++].revents == 0 || found == sessions_.end()) continue;
    LiveSession& session = found->second;
    reap(channel, session);
    if (!session.ended) continue;
    // sessions belong to the connection that is logged in as an OS user
    for (auto& link : nets_) {
      if (session.channel_open && link.state == NetState::kSession && !link.socket.send(session.exit)) end();
    }
    if (!session.channel_open) {
      record_end(channel, session);
      sessions_.erase(found);
    }
  }
  index = 0;
  // a message may add a net (tunnel), so only those that were polled are looked at
  size_t count = nets_.size();
  auto link = nets_.begin();
  for (size_t i = 0; i < count; ++i, ++link) {
    if (polled[index++].revents == 0) continue;
    auto message = link->socket.receive();
    if (!message && link->inner) {
      // what it sent last is still on its way through the outer connection, which ends by itself
      link->ended = true;
      end_by_ = Clock::now() + kLastWords;
      continue;
    }
    if (!message) end();
    if (auto handled = handle(*link, *message); !handled) {
      plan_.audit.violation(connection_, handled.error().text());
      log_warning("connection from " + connection_.address + " ended: " + handled.error().text());
      end();
    }
  }
}

// Outer and inner connection end together, and with them what ran on a terminal (its last descriptor closes).
void Monitor::end() {
  for (auto& link : nets_) {
    link.socket.close();
    int status = 0;
    // most have ended by themselves; the others get a moment for their last packets
    Deadline deadline = Clock::now() + kLastWords;
    pid_t gone = 0;
    while ((gone = ::waitpid(link.pid, &status, WNOHANG)) == 0 && Clock::now() < deadline)
      ::poll(nullptr, 0, 5);
    if (gone == 0) {
      ::kill(link.pid, SIGKILL);
      ::waitpid(link.pid, &status, 0);
    } else if (gone == link.pid && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
      std::string how = signal_name(WTERMSIG(status));
      plan_.audit.violation(connection_, "net was ended by signal " + how);
      log_error("connection from " + connection_.address + ": net was ended by signal " + how +
                (WTERMSIG(status) == SIGSYS ? " (a system call that it may not make)" : ""));
    }
  }
  Deadline deadline = Clock::now() + kLastWords;
  for (auto& [channel, session] : sessions_) {
    if (!session.ended && wait_for(session.pidfd.get(), POLLIN, deadline)) reap(channel, session);
    // what goes on without its connection (nohup) is not ours to end
    if (!session.ended) session.exit.signal = "";
    record_end(channel, session);
  }
  std::_Exit(kExitOk);
}

void Monitor::run(Fd connection) {
  grace_ = Clock::now() + std::chrono::seconds(plan_.settings.login_grace);
  if (auto spawned = spawn_net(std::move(connection), false); !spawned) {
    die(kExitSystem, "monitor: " + spawned.error().text());
  }
  for (;;) turn();
}

}  // namespace

void monitor_role(const MonitorPlan& plan, Fd connection, MessageSocket listener) {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  auto kept = keep_only({connection.get(), listener.fd(), plan.audit.fd()});
  if (!kept) die(kExitSystem, "monitor: " + kept.error().text());
  Monitor monitor(plan, std::move(listener));
  monitor.run(std::move(connection));
}

}  // namespace qf
