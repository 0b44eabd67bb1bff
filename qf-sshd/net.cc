// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>

#include "libqf/identification.h"
#include "libqf/log.h"
#include "qf-sshd/client_quirks.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/monitor_client.h"
#include "qf-sshd/net_forward.h"
#include "qf-sshd/net_login.h"
#include "qf-sshd/net_read_ahead.h"
#include "qf-sshd/net_session.h"
#include "qf-sshd/process_title.h"

namespace qf {

namespace {

// How long a client that was sent away may take to hang up, so that our last words are not lost in a reset.
constexpr auto kFarewell = std::chrono::seconds(2);
constexpr int kFlushMilliseconds = 2000;
constexpr size_t kMostReasonBytes = 400;
constexpr size_t kMostNotices = 32;  // different ones, a connection

// The connection: libssh's session, what the client asks for (its messages), and the channels that came of
// it.
class Net : public SessionOwner {
 public:
  Net(const NetPlan& plan, Fd connection, MessageSocket monitor);
  void run();

  bool start_session(NetSession& session, const SessionRequest& request) override;
  bool start_tunnel(NetSession& session) override;
  void send_signal(NetSession& session, const std::string& name) override;
  [[nodiscard]] bool agent_allowed() const override { return plan_.settings.agent_forwarding; }
  [[nodiscard]] bool x11_allowed() const override { return plan_.settings.x11_forwarding; }

 private:
  void handle_message(SshMessage message);
  void logged_in();
  void open_channel(SshMessage message);
  void handle_channel_request(ssh_message message);
  void handle_monitor(const Message& message);
  void tell_traffic(const Message& message);
  void sweep_sessions();
  void turn();
  [[nodiscard]] int patience() const;
  [[nodiscard]] bool is_connected() const;
  [[nodiscard]] bool shared() const { return sessions_.size() + forward_.streams() > 1; }
  void acknowledge();
  [[nodiscard]] bool exchange_keys();
  void keep_alive();
  void notice(const std::string& text);
  void say_notices();
  void tell_closed();
  void show(const std::string& text);
  [[noreturn]] void refuse(const std::string& banner);
  [[noreturn]] void disconnect(const std::string& reason);
  [[nodiscard]] ClientQuirks quirks() const;
  void answer_to_the_end();
  [[noreturn]] void break_off(const std::string& reason);
  [[noreturn]] void leave();

  const NetPlan& plan_;
  Fd connection_;  // libssh owns, and may close, another descriptor of it
  MonitorClient monitor_;
  std::optional<Watched> monitor_ready_;
  uint64_t seen_packets_ = 0;
  SshPtr<ssh_session> session_;
  SshPtr<ssh_event> event_;
  LongPath path_;
  NetLogin login_;
  NetForward forward_;
  bool tunnel_open_ = false;  // the one stream of a tunnel's outer connection was asked for
  uint32_t next_id_ = 1;
  std::map<uint32_t, std::unique_ptr<NetSession>> sessions_;
  std::vector<std::string> notices_;  // for the user, all that there were
  size_t notices_said_ = 0;
  bool closed_told_ = false;
  bool banner_shown_ = false;  // the last words
  std::string old_error_;      // the library's, of something that the connection has outlived
  // keepalive of the client
  ssh_counter_struct received_ = {};  // packets, by libssh
  uint64_t received_before_ = 0;
  unsigned unanswered_ = 0;
  Deadline alive_check_ = Deadline::max();
};

Net::Net(const NetPlan& plan, Fd connection, MessageSocket monitor)
    : plan_(plan),
      monitor_(std::move(monitor)),
      session_(::ssh_new()),
      event_(::ssh_event_new()),
      login_({session_.get(), monitor_, path_, plan.password_offered || plan.inside_tunnel,
              [this](const std::string& banner) { refuse(banner); },
              [this] { return quirks().hides_banners; },
              [this](const std::string& reason) { break_off(reason); }}),
      forward_({{session_.get(), event_.get(), path_},
                monitor_,
                plan.settings.most_channels,
                [this](const std::string& text) { notice(text); }}) {
  if (session_ == nullptr || event_ == nullptr) die(kExitSystem, "out of memory");
  auto ours = duplicate(connection.get());
  if (!ours) die(kExitSystem, ours.error().text());
  connection_ = std::move(*ours);
  // libssh writes only after poll(2) has said that it may; a blocking socket would still hold up everything
  // until all of a large buffer is gone
  if (auto set = set_nonblocking(connection_.get(), true); !set) die(kExitSystem, set.error().text());
  if (::ssh_bind_accept_fd(plan.bind, session_.get(), connection.release()) != SSH_OK) {
    die(kExitSystem, std::string("cannot accept the connection: ") + ::ssh_get_error(plan.bind));
  }
  ::ssh_set_counters(session_.get(), nullptr, &received_);
}

// ---- the end ----------------------------------------------------------------------------------------------

// The banner and a disconnect message, then the connection ends: a refused user is not asked for a password.
void Net::refuse(const std::string& banner) {
  std::string text = printable(banner, true);
  show(text);
  if (text.empty()) disconnect("login refused");
  size_t end = text.find('\n');
  std::string words = text.substr(0, end);
  // a client that hides banners
  if (end != std::string::npos && !quirks().shows_banners) words += " (" + text.substr(end + 1) + ")";
  disconnect(words);
}

ClientQuirks Net::quirks() const {
  const char* line = ::ssh_get_clientbanner(session_.get());
  return quirks_of(line == nullptr ? "" : line);
}

void Net::show(const std::string& text) {
  SshPtr<ssh_string> string(::ssh_string_from_char((text + "\r\n").c_str()));
  if (string == nullptr || text.empty()) return;
  ::ssh_send_issue_banner(session_.get(), string.get());
  banner_shown_ = true;
}

// All requests of a client that waits for answers are refused for a while, until it has no more.
void Net::answer_to_the_end() {
  login_.turn_down();
  ::ssh_blocking_flush(session_.get(), kFlushMilliseconds);
  Deadline deadline = Clock::now() + kFarewell;
  while (is_connected() && Clock::now() < deadline && wait_for(connection_.get(), POLLIN, deadline)) {
    if (::ssh_event_dopoll(event_.get(), 0) == SSH_ERROR) return;
    while (SshMessage message{::ssh_message_get(session_.get())}) ::ssh_message_reply_default(message.get());
    ::ssh_blocking_flush(session_.get(), kFlushMilliseconds);
  }
}

void Net::disconnect(const std::string& reason) {
  tell_closed();
  if (quirks().waits_for_answers && login_.begun() && !login_.logged_in()) {
    if (!banner_shown_) show(printable(reason));
    answer_to_the_end();
    std::_Exit(kExitNegative);
  }
  // ssh_disconnect() drops what libssh still holds back, and its own message too unless the socket was just
  // seen to be writable: so first everything goes out, then one turn notices that more may. (When nothing
  // went out, that is known, and the turn would wait for the client.)
  bool flushed = ::ssh_blocking_flush(session_.get(), kFlushMilliseconds) == SSH_OK;
  if (flushed && (::ssh_get_poll_flags(session_.get()) & SSH_WRITE_PENDING) != 0) {
    ::ssh_event_dopoll(event_.get(), kFlushMilliseconds);
  }
  ::ssh_session_set_disconnect_message(session_.get(), printable(reason).c_str());
  ::ssh_disconnect(session_.get());
  ::shutdown(connection_.get(), SHUT_WR);
  Deadline deadline = Clock::now() + kFarewell;
  char rest[4096];
  while (wait_for(connection_.get(), POLLIN, deadline) && ::read(connection_.get(), rest, sizeof rest) > 0)
    continue;
  std::_Exit(kExitNegative);
}

// The client has broken the protocol, or is silent: it is told, and the audit log too.
void Net::break_off(const std::string& reason) {
  monitor_.tell(ProtocolError{printable(reason).substr(0, kMostReasonBytes)});
  disconnect(reason);
}

// Whether the other end has closed its side, or the connection is dead.
bool hung_up(int connection) {
  pollfd polled = {connection, POLLRDHUP, 0};
  return ::poll(&polled, 1, 0) == 1;
}

// The client has hung up, or what it sent was no SSH. For much of that the library has no words, or an errno
// of long ago, so the connection itself is asked.
void Net::leave() {
  tell_closed();
  std::string error = ::ssh_get_error(session_.get());
  bool words = !error.empty() && error != old_error_ && !error.starts_with("Socket error");
  if (error.starts_with("Received SSH_MSG_DISCONNECT") || (!words && hung_up(connection_.get())))
    std::_Exit(kExitOk);
  break_off(words ? error : "a message that is malformed or out of order");
}

// ---- what the client asks for -----------------------------------------------------------------------------

void Net::handle_message(SshMessage message) {
  switch (::ssh_message_type(message.get())) {
    case SSH_REQUEST_SERVICE:
    case SSH_REQUEST_AUTH: {
      bool before = login_.logged_in();
      login_.handle(std::move(message));
      if (!before && login_.logged_in()) logged_in();
      return;
    }
    case SSH_REQUEST_CHANNEL_OPEN:
      return open_channel(std::move(message));
    case SSH_REQUEST_CHANNEL:
      return handle_channel_request(message.get());
    case SSH_REQUEST_GLOBAL:
      if (!login_.logged_in() || login_.tunnel()) break;
      return forward_.global_request(std::move(message));
    default:
      break;
  }
  ::ssh_message_reply_default(message.get());
}

void Net::logged_in() {
  if (!allow_more_memory()) std::_Exit(kExitSystem);
  read_ahead_of(::ssh_get_fd(session_.get()));
  if (!login_.tunnel()) set_title(role_title("net", login_.user()));
  if (plan_.settings.alive_interval > 0) alive_check_ = Clock::now() + plan_.settings.alive_wait();
}

void Net::open_channel(SshMessage message) {
  int type = ::ssh_message_subtype(message.get());
  bool user = login_.logged_in() && !login_.tunnel();
  if (type == SSH_CHANNEL_DIRECT_TCPIP && user) return forward_.connect(std::move(message));
  bool room = sessions_.size() < plan_.settings.most_sessions;
  ssh_channel channel = nullptr;
  if (type == SSH_CHANNEL_SESSION && login_.logged_in() && room) {
    channel = ::ssh_message_channel_request_open_reply_accept(message.get());
  } else {
    ::ssh_message_reply_default(message.get());
  }
  if (channel == nullptr) return;
  uint32_t id = next_id_++;
  sessions_[id] =
      std::make_unique<NetSession>(*this, NetLoop{session_.get(), event_.get(), path_}, channel, id);
}

void Net::handle_channel_request(ssh_message message) {
  ssh_channel channel = ::ssh_message_channel_request_channel(message);
  bool granted = false;
  for (auto& [id, session] : sessions_) {
    if (session->is(channel) && !session->finished()) granted = session->handle(message);
  }
  if (granted) {
    ::ssh_message_channel_request_reply_success(message);
  } else {
    ::ssh_message_reply_default(message);
  }
}

// ---- sessions ---------------------------------------------------------------------------------------------

bool Net::start_session(NetSession& session, const SessionRequest& request) {
  if (login_.tunnel()) {
    session.refuse("this login carries a tunnel and nothing else\nhint: log in as an OS user of this peer");
    return true;
  }
  auto [reply, fds] = monitor_.ask<SessionReply>(request);
  if (!reply.started) {
    session.refuse(reply.reason);
    return true;
  }
  if (reply.agent) forward_.add_agent(session.id(), std::move(fds[3]));
  if (reply.x11_sockets > 0 && reply.x11_sockets <= 2 && request.x11) {
    std::vector<Fd> sockets;
    for (uint32_t i = 0; i < reply.x11_sockets; ++i) sockets.push_back(std::move(fds[4 + i]));
    forward_.add_display(session.id(), std::move(sockets), *request.x11);
  }
  fds.resize(3);
  session.attach_session(std::move(fds), request.terminal.has_value());
  return true;
}

bool Net::start_tunnel(NetSession& session) {
  if (!login_.tunnel() || std::exchange(tunnel_open_, true)) return false;
  auto answer = monitor_.ask<TunnelReply>(TunnelRequest{session.id()});
  session.attach_stream(std::move(answer.second[0]));
  return true;
}

void Net::send_signal(NetSession& session, const std::string& name) {
  monitor_.tell(SignalRequest{session.id(), name});
}

void Net::sweep_sessions() {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    NetSession& session = *it->second;
    session.turn(shared());
    if (!session.finished()) {
      ++it;
      continue;
    }
    forward_.session_ended(session.id());
    // the monitor hangs up what still runs there
    if (session.known_to_monitor()) {
      monitor_.tell(SessionClose{session.id(), session.bytes_in(), session.bytes_out()});
    }
    it = sessions_.erase(it);
  }
}

// What every session has carried, when the connection ends before its sessions.
void Net::tell_closed() {
  if (std::exchange(closed_told_, true)) return;
  for (const auto& [id, session] : sessions_) {
    if (session->known_to_monitor())
      monitor_.tell(SessionClose{id, session->bytes_in(), session->bytes_out()});
  }
  // there are none before somebody is logged in
  ForwardTraffic forwards{forward_.bytes_in(), forward_.bytes_out()};
  if (forwards.bytes_in + forwards.bytes_out > 0) monitor_.tell(forwards);
}

// ---- words for the user -----------------------------------------------------------------------------------

// Each only once: on standard error of a session as soon as there is one, and to who runs ssh -v.
void Net::notice(const std::string& text) {
  std::string clean = printable(text, true);
  ::ssh_send_debug(session_.get(), printable(text).c_str(), 1);
  bool known = std::find(notices_.begin(), notices_.end(), clean) != notices_.end();
  if (!known && notices_.size() < kMostNotices) notices_.push_back(std::move(clean));
}

void Net::say_notices() {
  while (notices_said_ < notices_.size()) {
    std::string line = notices_[notices_said_] + "\r\n";
    bool said = std::any_of(sessions_.begin(), sessions_.end(),
                            [&](const auto& session) { return session.second->say(line); });
    if (!said) return;
    ++notices_said_;
  }
}

// ---- the loop ---------------------------------------------------------------------------------------------

void Net::handle_monitor(const Message& message) {
  if (is_a<Disconnect>(message)) {
    auto order = open_message<Disconnect>(message);
    if (!order) std::_Exit(kExitBug);
    disconnect(order->reason);
  }
  if (is_a<ConnectReply>(message)) {
    auto reply = open_message<ConnectReply>(message);
    auto socket = reply ? duplicate(message.fds[0].get()) : Result<Fd>(reply.error());
    if (!socket) std::_Exit(kExitBug);
    return forward_.connected(*reply, std::move(*socket));
  }
  if (is_a<StatusRequest>(message)) return tell_traffic(message);
  if (is_a<ForwardEnd>(message)) {
    auto order = open_message<ForwardEnd>(message);
    if (!order) std::_Exit(kExitBug);
    notice(order->reason);
    return forward_.withdraw(order->id);
  }
  if (is_a<AuthReply>(message)) {
    auto reply = open_message<AuthReply>(message);
    if (!reply || !login_.answered(*reply)) std::_Exit(kExitBug);
    if (login_.logged_in()) logged_in();
    return;
  }
  auto exit = open_message<SessionExit>(message);
  if (!exit) std::_Exit(kExitBug);
  auto session = sessions_.find(exit->channel);
  if (session != sessions_.end()) session->second->process_ended(*exit);
}

// As sshd's ClientAliveInterval: what the client sends, whatever it is, shows that it lives.
void Net::keep_alive() {
  if (Clock::now() < alive_check_) return;
  alive_check_ = Clock::now() + plan_.settings.alive_wait();
  if (std::exchange(received_before_, received_.in_packets) != received_.in_packets) {
    unanswered_ = 0;
    return;
  }
  if (++unanswered_ > plan_.settings.alive_count_max) {
    break_off(kClientSilent);
  }
  ::ssh_send_keepalive(session_.get());
}

void Net::tell_traffic(const Message& message) {
  auto request = open_message<StatusRequest>(message);
  if (!request) std::_Exit(kExitBug);
  StatusReply reply{request->number, {}, 0, forward_.bytes_in(), forward_.bytes_out()};
  reply.forwards = static_cast<uint32_t>(forward_.streams() + forward_.listening());
  for (const auto& [id, session] : sessions_) {
    if (reply.channels.size() < kMostChannelsTold)
      reply.channels.push_back({id, session->bytes_in(), session->bytes_out()});
  }
  monitor_.tell(reply);
}

int Net::patience() const {
  int patience = forward_.patience();
  Deadline first = std::min(alive_check_, path_.look_again);
  if (first == Deadline::max()) return patience;
  int until = std::max(poll_timeout(first), 1);
  return patience < 0 ? until : std::min(patience, until);
}

void Net::turn() {
  if (!limit_turn()) std::_Exit(kExitSystem);
  path_.look_again = Deadline::max();
  // asking for messages costs a poll(2), so it is done when something has come
  if (seen_packets_ != received_.in_packets) {
    while (SshMessage message{::ssh_message_get(session_.get())}) handle_message(std::move(message));
    seen_packets_ = received_.in_packets;
    // what somebody types must not wait for the acknowledgement of what the client grants to a copy
    if (shared() && !plan_.inside_tunnel) acknowledge();
  }
  bool readable = monitor_ready_->take_ready();
  while (auto message = monitor_.next(std::exchange(readable, false))) handle_monitor(*message);
  sweep_sessions();
  forward_.turn(shared());
  if (notices_said_ < notices_.size()) say_notices();
  keep_alive();
  bool overrun = std::any_of(sessions_.begin(), sessions_.end(),
                             [](const auto& session) { return session.second->overrun(); });
  if (overrun || forward_.overrun()) break_off("more data than the channel's window allows");
  const char* error = ::ssh_get_error(session_.get());
  if (!is_connected() || old_error_ == error) return;
  old_error_ = error;
  // An answer that the library cannot read is lost in it: the client would wait for the grace time to end.
  if (login_.asked() && ::ssh_get_error_code(session_.get()) == SSH_FATAL)
    break_off("a malformed answer: " + old_error_);
}

// OpenSSH's client lets Nagle's algorithm hold its second message until the first is acknowledged. So that is
// done at once, not after the 40 ms in which an answer might take it along (tcp(7); the kernel forgets it).
void Net::acknowledge() {
  int on = 1;
  ::setsockopt(connection_.get(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

// The monitor ends a client that takes too long (login grace), so waiting here may last.
bool Net::exchange_keys() {
  for (;;) {
    int result = ::ssh_handle_key_exchange(session_.get());
    if (result != SSH_AGAIN) return result == SSH_OK;
    acknowledge();
    bool unsent = (::ssh_get_poll_flags(session_.get()) & SSH_WRITE_PENDING) != 0;
    pollfd waiting = {connection_.get(), static_cast<short>(unsent ? POLLIN | POLLOUT : POLLIN), 0};
    if (::poll(&waiting, 1, -1) < 0 && errno != EINTR) return false;
  }
}

// After an error the library says "connected" and does nothing more.
bool Net::is_connected() const {
  constexpr int kOver = SSH_CLOSED | SSH_CLOSED_ERROR;
  return ::ssh_is_connected(session_.get()) != 0 && (::ssh_get_status(session_.get()) & kOver) == 0;
}

void Net::run() {
  monitor_.tell(Hello{});
  ::ssh_set_blocking(session_.get(), 0);
  if (!exchange_keys()) leave();
  ::ssh_event_add_session(event_.get(), session_.get());
  auto monitor_fd = duplicate(monitor_.fd());
  if (!monitor_fd) die(kExitSystem, monitor_fd.error().text());
  monitor_ready_.emplace(event_.get(), std::move(*monitor_fd));
  monitor_ready_->want(POLLIN);
  // what came with the key exchange
  turn();
  while (is_connected()) {
    // packets that were read inside of a turn (libssh reads where it writes) want another one at once
    bool more = seen_packets_ != received_.in_packets;
    int result = ::ssh_event_dopoll(event_.get(), more ? 0 : patience());
    while (result != SSH_ERROR && bytes_ahead() > 0 && is_connected()) {
      result = ::ssh_event_dopoll(event_.get(), 0);
    }
    if (result == SSH_ERROR) break;
    turn();
  }
  leave();
}

void lock_in(const NetPlan& plan) {
  auto must = [](const Status& status) {
    if (!status) die(kExitSystem, "net: " + status.error().text());
  };
  if (plan.settings.privileged) {
    must(enter_empty_root(plan.settings.empty_root));
    must(become(plan.settings.net_uid, plan.settings.net_gid));
  }
  must(forbid_growth());
  must(limit_memory());
  must(forbid_files());
  must(load_filter(plan.filter));
}

}  // namespace

Result<SshPtr<ssh_bind>> make_bind(const Settings& settings, SshPtr<ssh_key> host_key) {
  if (::ssh_init() != SSH_OK) return Error{ErrorKind::kSystem, 0, "cannot initialise libssh"};
  SshPtr<ssh_bind> bind(::ssh_bind_new());
  if (bind == nullptr) return Error{ErrorKind::kSystem, 0, "cannot initialise libssh"};
  bool process_config = false;
  std::string banner = server_identification(settings.auth);
  auto set = [&](ssh_bind_options_e option, const void* value) {
    return ::ssh_bind_options_set(bind.get(), option, value) == SSH_OK;
  };
  if (!set(SSH_BIND_OPTIONS_PROCESS_CONFIG, &process_config) ||
      !set(SSH_BIND_OPTIONS_BANNER, banner.c_str()) ||
      !set(SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "ssh-ed25519") ||
      // No group exchange: it would read /etc/ssh/moduli, and net opens no files. The library leaves out what
      // it does not know: 0.10 all post-quantum ones.
      !set(SSH_BIND_OPTIONS_KEY_EXCHANGE,
           "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,"
           "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-"
           "nistp521,"
           "diffie-hellman-group18-sha512,diffie-hellman-group16-sha512") ||
      !set(SSH_BIND_OPTIONS_IMPORT_KEY, host_key.get())) {
    return input_error(std::string("cannot set up the SSH server: ") + ::ssh_get_error(bind.get()));
  }
  static_cast<void>(host_key.release());  // the bind frees it
  return bind;
}

void net_role(const NetPlan& plan, Fd connection, MessageSocket monitor) {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // standard error may be a file, and net may write none
  // The jail lets nobody connect to syslog, and an open socket to it would let a hostile net write the log.
  log_to_standard_error();
  if (auto kept = keep_only({connection.get(), monitor.fd()}); !kept)
    die(kExitSystem, "net: " + kept.error().text());
  Net net(plan, std::move(connection), std::move(monitor));
  lock_in(plan);
  net.run();
  std::_Exit(kExitOk);
}

}  // namespace qf
