// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>

#include "libqf/base64.h"
#include "libqf/identification.h"
#include "libqf/log.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/net_channel.h"

namespace qf {

namespace {

// How long a client that was sent away may take to hang up, so that our last words are not lost in a reset.
constexpr auto kFarewell = std::chrono::seconds(2);
constexpr int kFlushMilliseconds = 2000;
// How long a monitor may think about one question: a key set may have to be fetched.
constexpr auto kMonitorPatience = std::chrono::seconds(60);
constexpr size_t kMostCredentialBytes = 80 * 1024;

// The connection: libssh's session, its channels, and the questions to the monitor.
class Net : public ChannelOwner {
 public:
  Net(const NetPlan& plan, Fd connection, MessageSocket monitor);
  void run();

  bool start_session(NetChannel& channel, const SessionRequest& request) override;
  bool start_tunnel(NetChannel& channel) override;
  void send_signal(NetChannel& channel, const std::string& name) override;

 private:
  static int on_none(ssh_session, const char* user, void* self);
  static int on_password(ssh_session, const char* user, const char* password, void* self);
  static int on_key(ssh_session, const char* user, ssh_key_struct* key, char state, void* self);
  static ssh_channel on_open(ssh_session session, void* self);
  static int on_message(ssh_session session, ssh_message message, void* self);

  int ask_login(const AuthRequest& request);
  template <class Reply>
  Result<std::pair<Reply, std::vector<Fd>>> ask();
  void handle(const Message& message);
  void read_monitor();
  void sweep();
  [[noreturn]] void end(const std::string& banner);
  [[noreturn]] void disconnect(const std::string& reason);

  const NetPlan& plan_;
  int connection_ = -1;  // libssh owns it
  MessageSocket monitor_;
  SshPtr<ssh_session> session_;
  SshPtr<ssh_event> event_;
  ssh_server_callbacks_struct callbacks_ = {};
  bool logged_in_ = false;
  bool outer_ = false;        // logged in as the outer connection of a tunnel
  bool tunnel_open_ = false;  // its one stream was asked for
  uint32_t next_id_ = 1;
  std::map<uint32_t, std::unique_ptr<NetChannel>> channels_;
  std::deque<Message> early_;  // came while an answer was waited for
};

Net::Net(const NetPlan& plan, Fd connection, MessageSocket monitor)
    : plan_(plan), monitor_(std::move(monitor)), session_(::ssh_new()), event_(::ssh_event_new()) {
  if (session_ == nullptr || event_ == nullptr) die(kExitSystem, "out of memory");
  connection_ = connection.get();
  // libssh writes only after poll(2) has said that it may; a blocking socket would still hold up everything
  // until all of a large buffer is gone
  if (auto set = set_nonblocking(connection_, true); !set) die(kExitSystem, set.error().text());
  if (::ssh_bind_accept_fd(plan.bind, session_.get(), connection.release()) != SSH_OK) {
    die(kExitSystem, std::string("cannot accept the connection: ") + ::ssh_get_error(plan.bind));
  }
  callbacks_.userdata = this;
  callbacks_.auth_none_function = &Net::on_none;
  callbacks_.auth_password_function = &Net::on_password;
  callbacks_.auth_pubkey_function = &Net::on_key;
  callbacks_.channel_open_request_session_function = &Net::on_open;
  ssh_callbacks_init(&callbacks_);
  ::ssh_set_server_callbacks(session_.get(), &callbacks_);
  ::ssh_set_message_callback(session_.get(), &Net::on_message, this);
  // keyboard-interactive is offered so that a client without our certificate asks once more and can be told
  // why
  int methods = SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_INTERACTIVE;
  if (plan.password_offered || plan.inside_tunnel) methods |= SSH_AUTH_METHOD_PASSWORD;
  ::ssh_set_auth_methods(session_.get(), methods);
}

// The next answer of this type; what the monitor says of its own accord in between is kept for later.
template <class Reply>
Result<std::pair<Reply, std::vector<Fd>>> Net::ask() {
  Deadline deadline = Clock::now() + kMonitorPatience;
  for (;;) {
    auto message = monitor_.receive(deadline);
    if (!message) return message.error();
    if (message->type == static_cast<uint32_t>(Reply::kType)) {
      auto reply = open_message<Reply>(*message);
      if (!reply) return reply.error();
      return std::pair(std::move(*reply), std::move(message->fds));
    }
    early_.push_back(std::move(*message));
  }
}

// ---- login ------------------------------------------------------------------------------------------------

int Net::ask_login(const AuthRequest& request) {
  if (logged_in_) return SSH_AUTH_DENIED;
  if (request.user.size() > 256 || request.credential.size() > kMostCredentialBytes) return SSH_AUTH_DENIED;
  if (!monitor_.send(request)) std::_Exit(kExitSystem);
  auto answer = ask<AuthReply>();
  if (!answer) std::_Exit(kExitSystem);
  const AuthReply& reply = answer->first;
  if (reply.verdict == AuthVerdict::kEnd) end(reply.banner);
  if (!reply.banner.empty()) {
    std::string text = printable(reply.banner, true) + "\r\n";
    SshPtr<ssh_string> banner(::ssh_string_from_char(text.c_str()));
    if (banner != nullptr) ::ssh_send_issue_banner(session_.get(), banner.get());
  }
  if (reply.verdict != AuthVerdict::kAllowed) return SSH_AUTH_DENIED;
  bool probe = request.method == AuthMethod::kCertificate && !request.proved;
  logged_in_ = !probe;
  outer_ = reply.tunnel;
  if (logged_in_ && !allow_more_memory()) std::_Exit(kExitSystem);
  return SSH_AUTH_SUCCESS;
}

int Net::on_none(ssh_session, const char* user, void* self) {
  return static_cast<Net*>(self)->ask_login({user == nullptr ? "" : user, AuthMethod::kNone, "", false});
}

int Net::on_password(ssh_session, const char* user, const char* password, void* self) {
  return static_cast<Net*>(self)->ask_login(
      {user == nullptr ? "" : user, AuthMethod::kPassword, password == nullptr ? "" : password, true});
}

int Net::on_key(ssh_session, const char* user, ssh_key_struct* key, char state, void* self) {
  if (state != SSH_PUBLICKEY_STATE_NONE && state != SSH_PUBLICKEY_STATE_VALID) return SSH_AUTH_DENIED;
  AuthRequest request{user == nullptr ? "" : user, AuthMethod::kPublicKey, "",
                      state == SSH_PUBLICKEY_STATE_VALID};
  if (::ssh_key_type(key) == SSH_KEYTYPE_ED25519_CERT01) {
    char* text = nullptr;
    if (::ssh_pki_export_pubkey_base64(key, &text) != SSH_OK) return SSH_AUTH_DENIED;
    SshPtr<char*> owner(text);
    request.method = AuthMethod::kCertificate;
    auto blob = base64_decode(text);
    if (!blob) return SSH_AUTH_DENIED;
    request.credential = std::move(*blob);
  }
  return static_cast<Net*>(self)->ask_login(request);
}

int Net::on_message(ssh_session, ssh_message message, void* self_) {
  auto* self = static_cast<Net*>(self_);
  // Whatever method is left: the monitor knows whether that is enough (inside a tunnel) or what to tell the
  // user.
  if (::ssh_message_type(message) == SSH_REQUEST_AUTH) {
    const char* user = ::ssh_message_auth_user(message);
    if (self->ask_login({user == nullptr ? "" : user, AuthMethod::kOther, "", true}) == SSH_AUTH_SUCCESS) {
      ::ssh_message_auth_reply_success(message, 0);
      return 0;
    }
  }
  return 1;  // libssh's own answer: refused
}

// The banner and a disconnect message, then the connection ends: a refused user is not asked for a password.
void Net::end(const std::string& banner) {
  std::string text = printable(banner, true);
  SshPtr<ssh_string> string(::ssh_string_from_char((text + "\r\n").c_str()));
  if (string != nullptr && !text.empty()) ::ssh_send_issue_banner(session_.get(), string.get());
  disconnect(text.empty() ? "login refused" : text.substr(0, text.find('\n')));
}

void Net::disconnect(const std::string& reason) {
  // ssh_disconnect() drops what libssh still holds back, and its own message too unless the socket was just
  // seen to be writable: so first everything goes out, then one turn notices that more may
  if (::ssh_blocking_flush(session_.get(), kFlushMilliseconds) == SSH_OK) {
    ::ssh_event_dopoll(event_.get(), kFlushMilliseconds);
  }
  auto line = duplicate(connection_);
  ::ssh_session_set_disconnect_message(session_.get(), printable(reason).c_str());
  ::ssh_disconnect(session_.get());
  if (line) {
    ::shutdown(line->get(), SHUT_WR);
    Deadline deadline = Clock::now() + kFarewell;
    char rest[4096];
    while (wait_for(line->get(), POLLIN, deadline) && ::read(line->get(), rest, sizeof rest) > 0) continue;
  }
  std::_Exit(kExitNegative);
}

// ---- sessions ---------------------------------------------------------------------------------------------

ssh_channel Net::on_open(ssh_session session, void* self_) {
  auto* self = static_cast<Net*>(self_);
  if (self->channels_.size() >= self->plan_.settings.most_sessions) return nullptr;
  ssh_channel channel = ::ssh_channel_new(session);
  if (channel == nullptr) return nullptr;
  uint32_t id = self->next_id_++;
  self->channels_[id] = std::make_unique<NetChannel>(*self, session, self->event_.get(), channel, id);
  return channel;
}

bool Net::start_session(NetChannel& channel, const SessionRequest& request) {
  if (outer_) {
    channel.refuse("this login carries a tunnel and nothing else\nhint: log in as an OS user of this peer");
    return true;
  }
  if (!monitor_.send(request)) return false;
  auto answer = ask<SessionReply>();
  if (!answer) std::_Exit(kExitSystem);
  auto& [reply, fds] = *answer;
  if (reply.started) {
    channel.attach_session(std::move(fds), request.terminal.has_value());
  } else {
    channel.refuse(reply.reason);
  }
  return true;
}

bool Net::start_tunnel(NetChannel& channel) {
  if (!outer_ || std::exchange(tunnel_open_, true) || !monitor_.send(TunnelRequest{channel.id()}))
    return false;
  auto answer = ask<TunnelReply>();
  if (!answer) std::_Exit(kExitSystem);
  channel.attach_stream(std::move(answer->second[0]));
  return true;
}

void Net::send_signal(NetChannel& channel, const std::string& name) {
  if (!monitor_.send(SignalRequest{channel.id(), name})) std::_Exit(kExitSystem);
}

void Net::handle(const Message& message) {
  if (message.type == static_cast<uint32_t>(MessageType::kDisconnect)) {
    auto order = open_message<Disconnect>(message);
    if (!order) std::_Exit(kExitBug);
    disconnect(order->reason);
  }
  auto exit = open_message<SessionExit>(message);
  if (!exit) std::_Exit(kExitBug);
  auto channel = channels_.find(exit->channel);
  if (channel != channels_.end()) channel->second->process_ended(*exit);
}

// The message that made the socket ready may already be taken: by a callback that waited for an answer (ask).
void Net::read_monitor() {
  auto message = monitor_.receive(Clock::now());
  if (!message && message.error().kind == ErrorKind::kTimeout) return;
  if (!message) std::_Exit(message.error().kind == ErrorKind::kNotFound ? kExitOk : kExitSystem);
  handle(*message);
}

void Net::sweep() {
  while (!early_.empty()) {
    Message message = std::move(early_.front());
    early_.pop_front();
    handle(message);
  }
  for (auto it = channels_.begin(); it != channels_.end();) {
    NetChannel& channel = *it->second;
    channel.turn();
    if (!channel.finished()) {
      ++it;
      continue;
    }
    // the monitor hangs up what still runs there
    if (channel.known_to_monitor() &&
        !monitor_.send(SessionClose{channel.id(), channel.bytes_in(), channel.bytes_out()})) {
      std::_Exit(kExitSystem);
    }
    it = channels_.erase(it);
  }
}

void Net::run() {
  if (!monitor_.send(Hello{})) die(kExitSystem, "the monitor is gone");
  // The monitor ends a client that takes too long (login grace), so waiting here may block.
  if (::ssh_handle_key_exchange(session_.get()) != SSH_OK) std::_Exit(kExitNegative);
  ::ssh_event_add_session(event_.get(), session_.get());
  auto monitor_fd = duplicate(monitor_.fd());
  if (!monitor_fd) die(kExitSystem, monitor_fd.error().text());
  Watched monitor(event_.get(), std::move(*monitor_fd));
  monitor.want(POLLIN);
  while (::ssh_is_connected(session_.get()) != 0) {
    int patience = -1;
    for (const auto& [id, channel] : channels_) {
      int wanted = channel->patience();
      if (wanted >= 0 && (patience < 0 || wanted < patience)) patience = wanted;
    }
    if (::ssh_event_dopoll(event_.get(), patience) == SSH_ERROR) break;
    if (monitor.take_ready()) read_monitor();
    sweep();
  }
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

Result<SshPtr<ssh_bind>> make_bind(const Settings& settings) {
  if (::ssh_init() != SSH_OK) return Error{ErrorKind::kSystem, 0, "cannot initialise libssh"};
  SshPtr<ssh_bind> bind(::ssh_bind_new());
  if (bind == nullptr) return Error{ErrorKind::kSystem, 0, "cannot initialise libssh"};
  bool process_config = false;
  std::string banner = server_identification(settings.auth);
  std::string key = settings.folders.host_key();
  auto set = [&](ssh_bind_options_e option, const void* value) {
    return ::ssh_bind_options_set(bind.get(), option, value) == SSH_OK;
  };
  if (!set(SSH_BIND_OPTIONS_PROCESS_CONFIG, &process_config) ||
      !set(SSH_BIND_OPTIONS_BANNER, banner.c_str()) || !set(SSH_BIND_OPTIONS_HOSTKEY, key.c_str()) ||
      !set(SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "ssh-ed25519") ||
      // no group exchange: it would read /etc/ssh/moduli, and net opens no files
      !set(SSH_BIND_OPTIONS_KEY_EXCHANGE,
           "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-"
           "nistp521,"
           "diffie-hellman-group18-sha512,diffie-hellman-group16-sha512")) {
    return input_error(std::string("cannot set up the SSH server: ") + ::ssh_get_error(bind.get()));
  }
  return bind;
}

void net_role(const NetPlan& plan, Fd connection, MessageSocket monitor) {
  ::signal(SIGPIPE, SIG_IGN);
  if (auto kept = keep_only({connection.get(), monitor.fd()}); !kept)
    die(kExitSystem, "net: " + kept.error().text());
  Net net(plan, std::move(connection), std::move(monitor));
  lock_in(plan);
  net.run();
  std::_Exit(kExitOk);
}

}  // namespace qf
