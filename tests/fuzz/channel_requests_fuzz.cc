// SPDX-License-Identifier: Apache-2.0
// fuzz-group: sshd
//
// What net makes of a client's channels: its NetSession and NetForward over a real connection to a libssh
// client in the same process. The input is a list of operations, one byte each and what they need: every kind
// of channel open and request that the client's library can send, data both ways, and what the monitor, the
// processes and the other ends of forwarded connections do. One key exchange serves many inputs. Aborts when
// a request that wants an answer gets none, when a message for the monitor is longer than it may be, when
// more is open than allowed, and when something is left after all channels are closed. (An answer of the
// monitor that cannot be read ends net, so it is not tried.)
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>

#include "libqf/address.h"
#include "qf-sshd/net_forward.h"
#include "qf-sshd/net_session.h"
#include "tests/fuzz/input.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace qf {
namespace {

constexpr size_t kMostSessions = 6, kMostStreams = 6, kMostOperations = 120, kMostClientChannels = 16;
// Until everything that was asked is answered: a side reads 4 KiB a turn, and an operation makes either say
// 32 KiB at most.
constexpr int kMostTurns = 400 + 2 * static_cast<int>(kMostOperations) * 32 / 4;

// ---- the connection ---------------------------------------------------------------------------------------

struct Line {
  SshPtr<ssh_session> server{::ssh_new()}, client{::ssh_new()};
  SshPtr<ssh_event> server_event{::ssh_event_new()}, client_event{::ssh_event_new()};
};

SshPtr<ssh_bind> make_server() {
  SshPtr<ssh_bind> bind(::ssh_bind_new());
  bool process_config = false;
  ssh_key key = nullptr;
  must(::ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) == SSH_OK);
  must(::ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_PROCESS_CONFIG, &process_config) == SSH_OK);
  must(::ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_IMPORT_KEY, key) == SSH_OK);
  return bind;
}

void log_in(Line& line) {
  bool process_config = false;
  must(::ssh_options_set(line.client.get(), SSH_OPTIONS_PROCESS_CONFIG, &process_config) == SSH_OK);
  int connected = SSH_AGAIN, exchanged = SSH_AGAIN, known = SSH_AUTH_AGAIN;
  for (int i = 0; i < 100'000 && (connected == SSH_AGAIN || exchanged == SSH_AGAIN); ++i) {
    if (connected == SSH_AGAIN) connected = ::ssh_connect(line.client.get());
    if (exchanged == SSH_AGAIN) exchanged = ::ssh_handle_key_exchange(line.server.get());
  }
  must(connected == SSH_OK && exchanged == SSH_OK);
  ::ssh_event_add_session(line.server_event.get(), line.server.get());
  ::ssh_event_add_session(line.client_event.get(), line.client.get());
  for (int i = 0; i < 1000 && known == SSH_AUTH_AGAIN; ++i) {
    known = ::ssh_userauth_none(line.client.get(), nullptr);
    ::ssh_event_dopoll(line.server_event.get(), 0);
    while (SshMessage message{::ssh_message_get(line.server.get())}) {
      if (::ssh_message_type(message.get()) == SSH_REQUEST_SERVICE) {
        ::ssh_message_service_reply_success(message.get());
      } else {
        ::ssh_message_auth_reply_success(message.get(), 0);
      }
    }
  }
  must(known == SSH_AUTH_SUCCESS);
}

std::unique_ptr<Line> make_line() {
  static const SshPtr<ssh_bind> bind = make_server();
  auto line = std::make_unique<Line>();
  auto ends = make_socketpair(SOCK_STREAM);
  must(static_cast<bool>(ends));
  for (int fd : {ends->first.get(), ends->second.get()}) must(static_cast<bool>(set_nonblocking(fd, true)));
  ::ssh_set_blocking(line->server.get(), 0);
  ::ssh_set_blocking(line->client.get(), 0);
  must(::ssh_bind_accept_fd(bind.get(), line->server.get(), ends->first.release()) == SSH_OK);
  socket_t fd = ends->second.release();
  ::ssh_options_set(line->client.get(), SSH_OPTIONS_HOST, "server");
  ::ssh_options_set(line->client.get(), SSH_OPTIONS_USER, "user");
  ::ssh_options_set(line->client.get(), SSH_OPTIONS_FD, &fd);
  log_in(*line);
  // ssh_connect() has made it blocking, and both ends are in this one process
  must(static_cast<bool>(set_nonblocking(::ssh_get_fd(line->client.get()), true)));
  return line;
}

Line& line() {
  static std::unique_ptr<Line> only;
  bool stands =
      only != nullptr && ::ssh_is_connected(only->server.get()) && ::ssh_is_connected(only->client.get());
  if (!stands) only = make_line();
  return *only;
}

// A socket that listens at a name of its own (unix(7), autobind).
Fd listening_socket() {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  must(::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where.sun_family) == 0);
  must(::listen(fd.get(), 8) == 0);
  return fd;
}

// net's end of a new stream; the other one is kept.
Fd make_stream(std::vector<Fd>& kept) {
  auto pair = make_socketpair(SOCK_STREAM);
  must(pair && set_nonblocking(pair->second.get(), true));
  kept.push_back(std::move(pair->second));
  return std::move(pair->first);
}

// ---- the server's side: what net.cc does, with a monitor that does what the input says --------------------

template <class T>
void must_fit(const T& message) {
  must(encode(message).size() <= T::kMostBytes);
}

class Server : public SessionOwner {
 public:
  Server(Line& line, MonitorClient& client, MessageSocket& monitor, Input& input)
      : line_(line),
        client_(client),
        monitor_(monitor),
        input_(input),
        forward_({{line.server.get(), line.server_event.get(), path_},
                  client,
                  kMostStreams,
                  [](const std::string&) {}}) {}

  bool start_session(NetSession& session, const SessionRequest& request) override {
    must_fit(request);
    must(request.environment.size() <= 64);
    if (input_.byte() % 8 == 0) {
      session.refuse(input_.text());
      return true;
    }
    auto& far = far_ends_[session.id()];
    std::vector<Fd> near;
    for (int i = 0; i < 3; ++i) near.push_back(make_stream(far));
    if (request.agent) forward_.add_agent(session.id(), listen_for_net());
    if (request.x11) {
      std::vector<Fd> sockets;
      sockets.push_back(listen_for_net());
      forward_.add_display(session.id(), std::move(sockets), *request.x11);
    }
    session.attach_session(std::move(near), request.terminal.has_value());
    return true;
  }
  bool start_tunnel(NetSession& session) override {
    if (input_.byte() % 2 == 0) return false;
    session.attach_stream(make_stream(far_ends_[session.id()]));
    return true;
  }
  void send_signal(NetSession& session, const std::string& name) override {
    must_fit(SignalRequest{session.id(), name});
  }
  [[nodiscard]] bool agent_allowed() const override { return true; }
  [[nodiscard]] bool x11_allowed() const override { return true; }

  [[nodiscard]] bool shared() const { return sessions_.size() + forward_.streams() > 1; }

  void turn() {
    ::ssh_event_dopoll(line_.server_event.get(), 0);
    while (SshMessage message{::ssh_message_get(line_.server.get())}) handle(std::move(message));
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      it->second->turn(shared());
      if (!it->second->finished()) {
        ++it;
        continue;
      }
      forward_.session_ended(it->first);
      far_ends_.erase(it->first);
      it = sessions_.erase(it);
    }
    forward_.turn(shared());
    read_monitor();
    must(sessions_.size() <= kMostSessions && forward_.streams() <= kMostStreams &&
         forward_.listening() <= 128 + 16);
  }

  // ---- what happens besides the client's requests
  void answer_connect(bool granted, const std::string& error) {
    if (asked_.empty()) return;
    uint32_t id = asked_.front();
    asked_.erase(asked_.begin());
    forward_.connected({id, granted ? "" : "no" + error}, make_stream(others_));
    if (!granted) others_.pop_back();
  }
  void end_process(Input& input) {
    NetSession* session = pick(input);
    if (session == nullptr || !session->known_to_monitor()) return;
    SessionExit exit{session->id(), input.byte(), "", false};
    if (exit.status % 4 == 3) exit.signal = "TERM";
    session->process_ended(exit);
  }
  void move_far_end(Input& input) {
    NetSession* session = pick(input);
    auto far = session == nullptr ? far_ends_.end() : far_ends_.find(session->id());
    move(far == far_ends_.end() ? others_ : far->second, input);
  }
  void say_notice(Input& input) {
    if (NetSession* session = pick(input)) static_cast<void>(session->say(input.text()));
  }
  void move_other_end(Input& input) { move(others_, input); }
  // A program connects to a socket that was listened on.
  void connect_to_listener(Input& input) {
    if (listening_.empty() || others_.size() > 64) return;
    const auto& name = listening_[input.byte() % listening_.size()];
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name.storage), name.length) != 0) return;
    std::string first = input.text();
    static_cast<void>(!::send(fd.get(), first.data(), first.size(), MSG_NOSIGNAL));
    others_.push_back(std::move(fd));
  }
  // A new policy.
  void withdraw(Input& input) {
    if (!known_.empty()) forward_.withdraw(known_[input.byte() % known_.size()]);
  }
  // Nobody is there any more but the client.
  void finish() {
    while (!asked_.empty()) answer_connect(false, "late");
    others_.clear();
    for (auto& [id, session] : sessions_) {
      auto far = far_ends_.find(id);
      if (far != far_ends_.end()) far->second.clear();
      if (session->known_to_monitor()) session->process_ended({id, 0, "", false});
    }
  }
  [[nodiscard]] bool idle() const { return sessions_.empty() && forward_.streams() == 0 && asked_.empty(); }

 private:
  void handle(SshMessage message) {
    switch (::ssh_message_type(message.get())) {
      case SSH_REQUEST_CHANNEL_OPEN:
        return open(std::move(message));
      case SSH_REQUEST_CHANNEL:
        return request(message.get());
      case SSH_REQUEST_GLOBAL:
        if (::ssh_message_subtype(message.get()) == SSH_GLOBAL_REQUEST_TCPIP_FORWARD) prepare_listen();
        return forward_.global_request(std::move(message));
      default:
        ::ssh_message_reply_default(message.get());
    }
  }
  void open(SshMessage message) {
    int type = ::ssh_message_subtype(message.get());
    if (type == SSH_CHANNEL_DIRECT_TCPIP) return forward_.connect(std::move(message));
    if (type != SSH_CHANNEL_SESSION || sessions_.size() >= kMostSessions) {
      ::ssh_message_reply_default(message.get());
      return;
    }
    ssh_channel channel = ::ssh_message_channel_request_open_reply_accept(message.get());
    if (channel == nullptr) return;
    uint32_t id = next_id_++;
    sessions_[id] = std::make_unique<NetSession>(
        *this, NetLoop{line_.server.get(), line_.server_event.get(), path_}, channel, id);
  }
  void request(ssh_message message) {
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
  Fd listen_for_net() {
    Fd fd = listening_socket();
    SocketAddress& name = listening_.emplace_back();
    name.length = sizeof name.storage;
    must(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name.storage), &name.length) == 0);
    return fd;
  }
  // The answer is there before the question: net waits for it. Its numbers may be anything.
  void prepare_listen() {
    uint8_t how = input_.byte();
    Fd first = how % 4 == 3 ? *open_file("/dev/null", O_RDWR) : listen_for_net();
    Fd second = listen_for_net();
    ListenReply reply{how, how % 4U, how * 257U, how % 4 == 0 ? input_.text().substr(0, 500) : ""};
    must(static_cast<bool>(monitor_.send(reply, {first.get(), second.get()})));
  }
  void read_monitor() {
    for (;;) {
      auto message = monitor_.receive(Clock::now());
      if (!message) break;
      if (auto connect = open_message<ConnectRequest>(*message)) {
        asked_.push_back(connect->id);
        known_.push_back(connect->id);
        continue;
      }
      if (auto listen = open_message<ListenRequest>(*message)) {
        known_.push_back(listen->id);
        continue;
      }
      must(open_message<ListenCancel>(*message) || open_message<ConnectEnd>(*message) ||
           open_message<ForwardRefused>(*message));
    }
    while (client_.next(true)) continue;  // an answer that was not asked for
  }
  NetSession* pick(Input& input) {
    if (sessions_.empty()) return nullptr;
    return std::next(sessions_.begin(), input.byte() % static_cast<int>(sessions_.size()))->second.get();
  }
  static void move(std::vector<Fd>& ends, Input& input) {
    if (ends.empty()) return;
    size_t which = input.byte() % ends.size();
    uint8_t how = input.byte() % 4;
    Fd& fd = ends[which];
    static char bytes[1 << 16];
    if (how == 0) {
      ends.erase(ends.begin() + static_cast<long>(which));
    } else if (how == 1) {
      static_cast<void>(!::read(fd.get(), bytes, sizeof bytes));
    } else if (how == 2) {
      ::shutdown(fd.get(), SHUT_WR);
    } else {
      std::string text = input.text();
      static_cast<void>(!::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL));
    }
  }

  Line& line_;
  MonitorClient& client_;
  MessageSocket& monitor_;
  Input& input_;
  LongPath path_{std::chrono::milliseconds(200)};
  NetForward forward_;
  uint32_t next_id_ = 1;
  std::map<uint32_t, std::unique_ptr<NetSession>> sessions_;
  std::map<uint32_t, std::vector<Fd>> far_ends_;  // of processes
  std::vector<Fd> others_;                        // of forwarded connections
  std::vector<SocketAddress> listening_;
  std::vector<uint32_t> asked_;  // connections that the monitor has not answered
  std::vector<uint32_t> known_;  // forwards, ended ones as well
};

// ---- the client's side ------------------------------------------------------------------------------------

struct ChannelFree {
  // twice: while output waits the first close is only an EOF
  void operator()(ssh_channel channel) const {
    if (::ssh_channel_is_open(channel)) ::ssh_channel_close(channel);
    ::ssh_channel_free(channel);
  }
};
using Channel = std::unique_ptr<ssh_channel_struct, ChannelFree>;

class Client {
 public:
  Client(Line& line, Server& server, Input& input) : line_(line), server_(server), input_(input) {}

  void operate() {
    uint8_t what = input_.byte() % 25;
    if (what == 0) return open([](ssh_channel c) { return ::ssh_channel_open_session(c); }, true);
    if (what == 1) return open_forward();
    if (what == 2) return open_strange();
    if (what >= 3 && what <= 5) return global(what);
    if (what >= 6 && what <= 12) return beside(what);
    if (what == 24) return server_.withdraw(input_);
    if (ssh_channel channel = pick()) on_channel(channel, what);
  }
  void turn() {
    server_.turn();
    ::ssh_event_dopoll(line_.client_event.get(), 0);
    // channels that the server opens: forwarded-tcpip, agent, X11
    while (SshMessage message{::ssh_message_get(line_.client.get())}) {
      bool taken = ::ssh_message_type(message.get()) == SSH_REQUEST_CHANNEL_OPEN && input_.byte() % 4 != 0;
      ssh_channel channel = taken ? ::ssh_message_channel_request_open_reply_accept(message.get()) : nullptr;
      if (channel != nullptr) channels_.emplace_back(channel);
      if (!taken) ::ssh_message_reply_default(message.get());
    }
    for (auto it = opening_.begin(); it != opening_.end();) {
      int result = it->second(it->first.get());
      if (result == SSH_OK) channels_.push_back(std::move(it->first));
      it = result == SSH_AGAIN ? std::next(it) : opening_.erase(it);
    }
  }
  [[nodiscard]] bool connected() const {
    return ::ssh_is_connected(line_.client.get()) && ::ssh_is_connected(line_.server.get());
  }
  void close_all() { channels_.clear(); }
  // An answer comes behind all that was said before: nothing lies in the line for the next input.
  void drain() {
    finish([&] { return ::ssh_channel_cancel_forward(line_.client.get(), "nowhere", 1); });
  }
  [[nodiscard]] bool idle() const { return opening_.empty(); }

 private:
  using Call = std::function<int(ssh_channel)>;

  // Until the library has its answer, which must come.
  void finish(const std::function<int()>& call) {
    for (int i = 0; i < kMostTurns && connected(); ++i) {
      if (call() != SSH_AGAIN) return;
      turn();
    }
    must(!connected());
  }
  void open(Call call, bool at_once) {
    if (channels_.size() + opening_.size() >= kMostClientChannels) return;
    Channel channel(::ssh_channel_new(line_.client.get()));
    if (channel == nullptr) return;
    if (!at_once) {
      if (call(channel.get()) == SSH_AGAIN) opening_.emplace_back(std::move(channel), std::move(call));
      return;
    }
    int result = SSH_ERROR;
    finish([&] { return result = call(channel.get()); });
    if (result == SSH_OK) channels_.push_back(std::move(channel));
  }
  // Answered by the monitor, later.
  void open_forward() {
    std::string host = input_.text();
    int port = input_.byte() * 300;
    if (host.empty()) return;
    open([=](ssh_channel c) { return ::ssh_channel_open_forward(c, host.c_str(), port, "from", 1); }, false);
  }
  // Kinds that a client has no business to open.
  void open_strange() {
    std::string path = input_.text() + "x";
    switch (input_.byte() % 4) {
      case 0:
        return open([](ssh_channel c) { return ::ssh_channel_open_x11(c, "from", 1); }, true);
      case 1:
        return open([](ssh_channel c) { return ::ssh_channel_open_auth_agent(c); }, true);
      case 2:
        return open([](ssh_channel c) { return ::ssh_channel_open_reverse_forward(c, "to", 1, "from", 2); },
                    true);
      default:
        return open(
            [=](ssh_channel c) { return ::ssh_channel_open_forward_unix(c, path.c_str(), "from", 1); }, true);
    }
  }
  void global(uint8_t what) {
    std::string address = input_.text();
    int port = input_.byte();
    int bound = 0;
    ssh_session session = line_.client.get();
    if (what == 3)
      finish([&] { return ::ssh_channel_listen_forward(session, address.c_str(), port, &bound); });
    if (what == 4) finish([&] { return ::ssh_channel_cancel_forward(session, address.c_str(), port * 257); });
    if (what == 5) ::ssh_send_ignore(session, address.c_str());
  }
  void beside(uint8_t what) {
    if (what == 6) server_.answer_connect(true, "");
    if (what == 7) server_.answer_connect(false, input_.text());
    if (what == 8) server_.end_process(input_);
    if (what == 9) server_.move_far_end(input_);
    if (what == 10) server_.move_other_end(input_);
    if (what == 11) server_.connect_to_listener(input_);
    if (what == 12) server_.say_notice(input_);
  }
  void on_channel(ssh_channel channel, uint8_t what) {
    std::string text = input_.text();
    // nothing is answered on a channel that the client has closed (RFC 4254 section 5.3)
    if (what < 20 && !::ssh_channel_is_open(channel)) return;
    switch (what) {
      case 13: {
        int columns = input_.byte() * 5 - 3, rows = input_.byte() - 2;
        return finish([&] { return ::ssh_channel_request_pty_size(channel, text.c_str(), columns, rows); });
      }
      case 14: {
        std::string value = input_.text(), name = input_.byte() % 2 == 0 ? "LC_" + text : text;
        return finish([&] { return ::ssh_channel_request_env(channel, name.c_str(), value.c_str()); });
      }
      case 15:
        return finish([&] { return ::ssh_channel_request_exec(channel, text.c_str()); });
      case 16:
        return finish([&] { return ::ssh_channel_request_shell(channel); });
      case 17: {
        std::string name = input_.byte() % 2 == 0 ? "qufabric-tunnel" : text;
        return finish([&] { return ::ssh_channel_request_subsystem(channel, name.c_str()); });
      }
      case 18:
        return finish([&] { return ::ssh_channel_request_auth_agent(channel); });
      case 19: {
        std::string protocol = input_.text();
        int screen = input_.byte() - 1;
        return finish([&] {
          return ::ssh_channel_request_x11(channel, screen % 2, protocol.c_str(), text.c_str(), screen);
        });
      }
      case 20:
        return without_answer(channel, text);
      case 21:
        // more than the window waits in the library
        if (text.size() <= ::ssh_channel_window_size(channel)) {
          ::ssh_channel_write(channel, text.data(), static_cast<uint32_t>(text.size()));
        }
        return;
      case 22:
        if (text.size() <= ::ssh_channel_window_size(channel)) {
          ::ssh_channel_write_stderr(channel, text.data(), static_cast<uint32_t>(text.size()));
        }
        return;
      default:
        return leave(channel);
    }
  }
  void without_answer(ssh_channel channel, const std::string& text) {
    uint8_t what = input_.byte() % 5;
    if (what == 0) ::ssh_channel_request_send_signal(channel, text.c_str());
    if (what == 1) ::ssh_channel_change_pty_size(channel, input_.byte(), input_.byte());
    if (what == 2) ::ssh_channel_request_send_exit_status(channel, input_.byte());
    if (what == 3) ::ssh_channel_request_send_break(channel, input_.byte());
    if (what == 4) ::ssh_send_debug(line_.client.get(), text.c_str(), 1);
  }
  void leave(ssh_channel channel) {
    uint8_t how = input_.byte() % 4;
    static char bytes[1 << 16];
    if (how == 0) ::ssh_channel_send_eof(channel);
    if (how == 1) ::ssh_channel_close(channel);
    if (how == 2) ::ssh_channel_read_nonblocking(channel, bytes, sizeof bytes, 0);
    if (how == 3) {
      channels_.erase(std::find_if(channels_.begin(), channels_.end(),
                                   [&](const Channel& other) { return other.get() == channel; }));
    }
  }
  ssh_channel pick() {
    return channels_.empty() ? nullptr : channels_[input_.byte() % channels_.size()].get();
  }

  Line& line_;
  Server& server_;
  Input& input_;
  std::vector<Channel> channels_;
  std::vector<std::pair<Channel, Call>> opening_;
};

}  // namespace
}  // namespace qf

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  ::signal(SIGPIPE, SIG_IGN);  // as net does
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace qf;
  Input input(data, size);
  Line& connection = line();
  auto ends = MessageSocket::pair();
  must(static_cast<bool>(ends));
  MonitorClient to_monitor(std::move(ends->second));
  Server server(connection, to_monitor, ends->first, input);
  Client client(connection, server, input);
  for (size_t i = 0; i < kMostOperations && !input.empty() && client.connected(); ++i) {
    client.operate();
    client.turn();
  }
  client.close_all();
  for (int i = 0; i < kMostTurns && client.connected() && !(client.idle() && server.idle()); ++i) {
    server.finish();
    client.turn();
    client.close_all();
  }
  must(!client.connected() || (client.idle() && server.idle()));
  client.drain();
  return 0;
}
