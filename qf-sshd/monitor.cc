// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/monitor.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <type_traits>
#include <utility>

#include "libqf/log.h"
#include "libqf/signals.h"
#include "qf-sshd/connection_status.h"
#include "qf-sshd/forwarding.h"
#include "qf-sshd/listener_link.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/live_session.h"
#include "qf-sshd/login.h"
#include "qf-sshd/monitor_key_sets.h"
#include "qf-sshd/monitor_nets.h"
#include "qf-sshd/monitor_sessions.h"
#include "qf-sshd/net.h"
#include "qf-sshd/policy_watch.h"
#include "qf-sshd/process_title.h"
#include "qf-sshd/session_clock.h"
#include "qf-sshd/standing.h"
#include "qf-sshd/tally.h"

namespace qf {

namespace {

constexpr auto kFarewell = std::chrono::seconds(10);  // for a refused client to hang up
constexpr auto kLastWords = std::chrono::seconds(2);  // for a net to end with its connection
constexpr auto kWithdrawn =
    std::chrono::milliseconds(900);     // for a client whose access is withdrawn to hang up
constexpr time_t kSendSeconds = 10;     // a net that does not read is ended
constexpr size_t kMostWords = 900;      // bytes of a Disconnect
constexpr int kTunnelBuffer = 1 << 20;  // bytes, each direction of a tunnel's stream

class Monitor {
 public:
  Monitor(const MonitorPlan& plan, ListenerLink listener)
      : plan_(plan),
        listener_(std::move(listener)),
        key_sets_(plan.key_sets, listener_, [this](const Message& message) { hear_listener(message); }),
        connection_(plan.connection),
        forwarding_(plan.settings, plan.audit, connection_),
        sessions_(plan, forwarding_, status_),
        policy_watch_(plan.settings.folders.policy_mdb()) {
    plan_.audit.observe([this](Count count) { tally_.add(count); });
  }
  [[noreturn]] void run(Fd connection);

 private:
  [[nodiscard]] Status spawn_net(Fd connection, bool inner);
  [[nodiscard]] Status handle(NetLink& link, const Message& message);
  [[nodiscard]] Status handle_login(NetLink& link, const AuthRequest& request);
  [[nodiscard]] Status carry_out(NetLink& link, LoginResult result);
  [[nodiscard]] bool hear_device_login(const Message& message);
  void end_device_login(const char* why);
  void grace_is_over();
  [[nodiscard]] Status handle_tunnel(NetLink& link, const TunnelRequest& request);
  void end_session_time();
  void watch_policy();
  void judge_again();
  [[nodiscard]] Standing standing() const;
  void withdraw(const Decision& decision);
  void hang_up(bool all);
  void dismiss(const std::string& words);
  void read_listener();
  void hear_listener(const Message& message);
  void answer_listener();
  void tell_tally(bool at_once);
  void turn();
  [[noreturn]] void end();

  const MonitorPlan& plan_;
  ListenerLink listener_;
  MonitorKeySets key_sets_;
  ConnectionStatus status_;
  TallySheet tally_{Clock::now()};
  const AuditConnection& connection_;
  Forwarding forwarding_;
  MonitorSessions sessions_;
  NetLinks nets_;
  std::optional<Account> account_;
  std::optional<UserLogin> login_;  // set with account_
  Fd ending_;                       // SIGTERM, SIGINT: an orderly end
  sigset_t old_mask_ = {};
  std::optional<Identity> identity_;
  PolicyWatch policy_watch_;
  Deadline policy_check_ = Deadline::max();  // without a listener
  Deadline judge_at_ = Deadline::max();      // the policy could not be read
  bool policy_changed_ = false;              // the listener says so
  bool dismissed_ = false;                   // the user may not stay: told, and on the way out
  Deadline grace_ = Deadline::max();         // to be logged in
  SessionClock session_clock_;
  Deadline end_by_ = Deadline::max();  // the inner connection has ended: for the outer one to follow
};

// ---- the connection's net processes -----------------------------------------------------------------------

Status Monitor::spawn_net(Fd connection, bool inner) {
  auto ends = MessageSocket::pair();
  if (!ends) return ends.error();
  timeval patience = {kSendSeconds, 0};
  if (::setsockopt(ends->first.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
    return system_error("cannot set up a socket");
  }
  NetPlan plan{plan_.settings, plan_.filter, plan_.bind, inner, offers(plan_.settings).password};
  pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start a process");
  if (pid == 0) {
    set_title(role_title("net"));
    ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
    net_role(plan, std::move(connection), std::move(ends->second));
  }
  NetLink link;
  link.socket = std::move(ends->first);
  link.pid = pid;
  link.inner = inner;
  link.login = std::make_unique<Login>(plan_, connection_, key_sets_, inner ? identity_ : std::nullopt);
  nets_.push_back(std::move(link));
  return Done{};
}

// Opens the message as a T and acts on it; what `act` returns, if anything, is the outcome.
template <class T, class Act>
Status opened(const Message& message, Act act) {
  auto body = open_message<T>(message);
  if (!body) return peer_error("net sent a malformed message of type " + std::to_string(message.type));
  if constexpr (std::is_void_v<decltype(act(*body))>) {
    act(*body);
    return Done{};
  } else {
    return act(*body);
  }
}

Status Monitor::handle(NetLink& link, const Message& message) {
  if (!net_may_say(message.type, link.state)) {
    return peer_error("net sent a message of type " + std::to_string(message.type) + " out of turn");
  }
  if (is_a<Hello>(message))
    return opened<Hello>(message, [&](const Hello& hello) -> Status {
      if (hello.version != kMessageVersion) return peer_error("net speaks another version");
      link.state = NetState::kUnknown;
      return Done{};
    });
  if (is_a<AuthRequest>(message))
    return opened<AuthRequest>(message, [&](const auto& request) { return handle_login(link, request); });
  if (is_a<SessionRequest>(message))
    return opened<SessionRequest>(message,
                                  [&](const auto& request) { return sessions_.start(link.socket, request); });
  if (is_a<SignalRequest>(message))
    return opened<SignalRequest>(message, [&](const auto& request) { sessions_.signal(request); });
  if (is_a<SessionClose>(message))
    return opened<SessionClose>(message, [&](const auto& close) { sessions_.close(close); });
  if (is_a<TunnelRequest>(message))
    return opened<TunnelRequest>(message, [&](const auto& request) { return handle_tunnel(link, request); });
  if (is_a<ConnectRequest>(message))
    return opened<ConnectRequest>(
        message, [&](const auto& request) { return forwarding_.connect(link.socket, request); });
  if (is_a<ListenRequest>(message))
    return opened<ListenRequest>(
        message, [&](const auto& request) { return forwarding_.listen(link.socket, request); });
  if (is_a<ListenCancel>(message))
    return opened<ListenCancel>(message, [&](const auto& request) { forwarding_.cancel(request); });
  if (is_a<ConnectEnd>(message))
    return opened<ConnectEnd>(message, [&](const auto& ended) { forwarding_.ended(ended); });
  if (is_a<ForwardRefused>(message))
    return opened<ForwardRefused>(message, [&](const auto& refused) { forwarding_.refused_by_net(refused); });
  if (is_a<ProtocolError>(message))
    return opened<ProtocolError>(message, [&](const ProtocolError& last) -> Status {
      return peer_error((last.reason == kClientSilent ? "" : "the client broke the protocol: ") +
                        printable(last.reason));
    });
  if (is_a<ForwardTraffic>(message))
    return opened<ForwardTraffic>(message, [&](const auto& traffic) { status_.forwards_ended(traffic); });
  if (is_a<StatusReply>(message))
    return opened<StatusReply>(message, [&](const auto& reply) -> Status {
      return status_.counted(reply) ? Status(Done{}) : peer_error("net answered what nobody has asked");
    });
  return peer_error("net sent a message that is not its own");
}

Status Monitor::handle_login(NetLink& link, const AuthRequest& request) {
  if (dismissed_) {
    link.state = NetState::kRefused;
    return link.socket.send(AuthReply{AuthVerdict::kEnd, "this connection is ending", false, "", ""});
  }
  if (link.login->owes_reply()) return peer_error("net asks for a login while it waits for one");
  return carry_out(link, link.login->judge(request));
}

Status Monitor::carry_out(NetLink& link, LoginResult result) {
  if (result.account || result.tunnel) {
    identity_ = result.identity;
    link.state = result.tunnel ? NetState::kOuter : NetState::kSession;
    status_.identity = identity_ ? identity_->name() : "";
    if (!link.inner) status_.method = result.method;
    status_.tunnel = result.tunnel || link.inner;
    if (result.account) {
      account_ = std::move(result.account);
      status_.os_user = account_->name;
      login_ = std::move(result.login);
      set_title(role_title("monitor", account_->name));
      grace_ = Deadline::max();
      if (auto started = session_clock_.start(); !started) return started;
      forwarding_.allow(*account_, login_->context(), result.decision, status_.identity);
      sessions_.logged_in(*account_, login_->context());
      if (auto limited = session_clock_.limit(result.decision.max_session); !limited) return limited;
      listener_.logged_in(link.inner);
    }
  }
  if (result.device_login) {
    // a person is slower than a program
    grace_ = std::max(grace_, Clock::now() + std::chrono::seconds(plan_.settings.device_login_grace));
    if (!listener_.send(*result.device_login)) {
      DeviceLoginEnd nobody{0, "", "this peer cannot reach identity providers now", "try again in a minute"};
      return carry_out(link, link.login->device_end(nobody));
    }
    return Done{};
  }
  // nothing to be said yet, and nothing to be shown
  if (result.reply.verdict == AuthVerdict::kLater && result.reply.banner.empty()) return Done{};
  bool over = link.state == NetState::kSession || link.state == NetState::kOuter ||
              result.reply.verdict == AuthVerdict::kEnd;
  if (over && link.login->device_under_way()) listener_.send(DeviceLoginCancel{});
  if (result.reply.verdict == AuthVerdict::kEnd) {
    // net says its last words and ends; one that does not is ended
    link.state = NetState::kRefused;
    end_by_ = std::min(end_by_, Clock::now() + kFarewell);
  }
  return link.socket.send(result.reply);
}

Status Monitor::handle_tunnel(NetLink& link, const TunnelRequest& request) {
  if (dismissed_) end();
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

// ---- the listener -----------------------------------------------------------------------------------------

void Monitor::read_listener() {
  auto message = listener_.receive(Deadline::max());
  if (message) return hear_listener(*message);
  listener_.lost();
}

void Monitor::hear_listener(const Message& message) {
  // a set of keys that came too late for the login that wanted it
  if (is_a<KeysReply>(message)) return;
  if (is_a<PolicyChanged>(message)) {
    policy_changed_ = true;
    return;
  }
  if (hear_device_login(message)) return;
  auto query = open_message<ConnectionQuery>(message);
  if (!query) return listener_.lost();
  auto net = std::find_if(nets_.begin(), nets_.end(), [](const NetLink& link) {
    return link.state == NetState::kSession && !link.ended;
  });
  bool ask = status_.asked(query->number, net != nets_.end(), Clock::now());
  // one that does not read is dealt with when something has to be sent to it
  if (ask && !net->socket.send(StatusRequest{query->number})) log_debug("net does not take a question");
  answer_listener();
}

// A login that nobody waits for any more is none of ours.
bool Monitor::hear_device_login(const Message& message) {
  auto prompt = open_message<DeviceLoginPrompt>(message);
  auto end = open_message<DeviceLoginEnd>(message);
  if (!prompt && !end) return false;
  for (auto& link : nets_) {
    if (!link.login->device_under_way() || dismissed_ || link.state != NetState::kUnknown) continue;
    auto result = prompt ? link.login->device_prompt(*prompt) : link.login->device_end(*end);
    if (auto done = carry_out(link, std::move(result)); !done) {
      log_warning("connection from " + connection_.address + " ended: " + done.error().text());
      this->end();
    }
    return true;
  }
  if (end) wipe(end->token);
  return true;
}

// Nobody else would say so: what a listener was about to tell is lost with it.
void Monitor::end_device_login(const char* why) {
  Message message;
  message.type = static_cast<uint32_t>(MessageType::kDeviceLoginEnd);
  message.body = encode(DeviceLoginEnd{0, "", why, "try again"});
  static_cast<void>(hear_device_login(message));
}

void Monitor::grace_is_over() {
  plan_.audit.violation(connection_, "not logged in within the login grace time");
  // a person who has been asked for something is told; others break the rules
  for (auto& link : nets_) {
    if (link.state == NetState::kUnknown && link.login->device_begun() &&
        !say_soon(link.socket, Disconnect{"nobody has logged in within the time that this peer gives"}))
      log_debug("net does not hear that the time is over");
  }
  end();
}

void Monitor::answer_listener() {
  auto report = status_.take_due(Clock::now());
  if (!report) return;
  // first, so that who asks counts all of it
  tell_tally(true);
  listener_.send(*report);
}

void Monitor::tell_tally(bool at_once) {
  Deadline now = Clock::now();
  tally_.look(status_, now);
  auto tally = tally_.due(now, at_once);
  if (tally && listener_ && listener_.send(*tally)) tally_.sent(now);
}

// ---- the loop ---------------------------------------------------------------------------------------------

void Monitor::turn() {
  watch_policy();
  if (!listener_) end_device_login("the server of this peer was started anew in the meantime");
  bool alone = !listener_;
  listener_.turn(Clock::now());
  if (alone && listener_) tally_.forget_told();
  answer_listener();
  tell_tally(false);
  std::vector<pollfd> polled;
  for (const auto& link : nets_) polled.push_back({link.ended ? -1 : link.socket.fd(), POLLIN, 0});
  size_t helper = polled.size();
  polled.push_back({forwarding_.helper_fd(), POLLIN, 0});
  size_t ending = polled.size();
  polled.push_back({ending_.get(), POLLIN, 0});
  size_t listener = polled.size();
  polled.push_back({listener_.fd(), POLLIN, 0});
  size_t session_end = polled.size();
  polled.push_back({dismissed_ ? -1 : session_clock_.fd(), POLLIN, 0});
  size_t sessions = polled.size();
  sessions_.others(net_pids(nets_));
  sessions_.poll(polled);
  Deadline wake = std::min({grace_, end_by_, status_.deadline(), listener_.next_try(), sessions_.deadline(),
                            policy_check_, judge_at_, forwarding_.deadline(),
                            listener_ ? tally_.deadline() : Deadline::max()});
  int ready = ::poll(polled.data(), polled.size(), poll_timeout(wake));
  if (ready < 0 && errno != EINTR) {
    log_error(system_error("monitor: poll").text());
    end();
  }
  if (polled[ending].revents != 0) end();
  if (Clock::now() >= grace_) grace_is_over();
  if (Clock::now() >= end_by_) end();
  if (forwarding_.overdue()) {
    plan_.audit.violation(connection_, "net keeps a forward that was withdrawn");
    dismissed_ = true;  // it gets no time for last words
    end();
  }
  if (polled[session_end].revents != 0 && !dismissed_) end_session_time();
  // sessions belong to the connection that is logged in as an OS user
  NetLink* user = session_net(nets_);
  if (!sessions_.settle(polled, sessions, user == nullptr ? nullptr : &user->socket)) end();
  if (ready <= 0) return;
  if (polled[listener].revents != 0) read_listener();
  // what net asks for is for the new policy to judge
  if (policy_changed_) return;
  if (polled[helper].revents != 0 && user != nullptr && !forwarding_.read_helper(user->socket)) end();
  size_t index = 0;
  // a message may add a net (tunnel), so only those that were polled are looked at
  size_t count = nets_.size();
  auto link = nets_.begin();
  for (size_t i = 0; i < count; ++i, ++link) {
    if (polled[index++].revents == 0) continue;
    auto message = link->socket.receive();
    bool malformed = !message && message.error().kind == ErrorKind::kPeer;
    if (!message && !malformed && link->inner) {
      // what it sent last is still on its way through the outer connection, which ends by itself
      link->ended = true;
      end_by_ = std::min(end_by_, Clock::now() + kLastWords);
      continue;
    }
    if (!message && !malformed) end();
    auto handled = message ? handle(*link, *message) : Status(peer_error("net sent a malformed message"));
    if (!handled) {
      plan_.audit.violation(connection_, handled.error().text());
      log_warning("connection from " + connection_.address + " ended: " + handled.error().text());
      end();
    }
  }
}

void Monitor::end_session_time() {
  const char* words = "the time of this session is over (\"max_session\" of the policy)";
  // What was left behind is as good as after a hang-up: its user is still welcome.
  hang_up(false);
  plan_.audit.revoked(connection_, {status_.identity, status_.os_user}, "session", "", words);
  dismiss(words);
}

// ---- another policy ---------------------------------------------------------------------------------------

// The listener says when there is a new policy. Without one, and when another one was found, we look.
void Monitor::watch_policy() {
  bool alone = !listener_;
  bool was_alone = policy_check_ != Deadline::max();
  if (alone != was_alone || Clock::now() >= policy_check_) {
    policy_check_ = alone ? Clock::now() + kPolicyInterval : Deadline::max();
    policy_changed_ = policy_watch_.changed() || policy_changed_;
  }
  if (std::exchange(policy_changed_, false) || Clock::now() >= judge_at_) judge_again();
}

Standing Monitor::standing() const {
  Standing standing;
  standing.stage = account_    ? Standing::Stage::kLoggedIn
                   : identity_ ? Standing::Stage::kTunnel
                               : Standing::Stage::kConnected;
  standing.source_address = plan_.client.address();
  standing.source_peer = connection_.peer;
  standing.identity = identity_;
  if (account_) {
    standing.os_user = account_->name;
    standing.os_user_is_root = account_->uid == 0;
  }
  return standing;
}

void Monitor::judge_again() {
  if (dismissed_) return;
  auto policy = PolicyDb::open(plan_.settings.folders.policy_mdb());
  // Nobody new gets in then. Whoever is in stays for as long as there is no other document that can be read.
  if (!policy) {
    if (judge_at_ == Deadline::max())
      log_error("a connection cannot be judged again yet: " + policy.error().text());
    judge_at_ = Clock::now() + kPolicyInterval;
    return;
  }
  judge_at_ = Deadline::max();
  Verdict verdict = judge_standing(*policy, plan_.settings, standing(), std::time(nullptr));
  if (!verdict.decision.allowed) return withdraw(verdict.decision);
  identity_ = std::move(verdict.identity);
  for (auto& link : nets_) link.login->policy_changed(identity_);
  if (!account_) return;
  if (auto limited = session_clock_.limit(verdict.decision.max_session); !limited) {
    log_error(limited.error().text());
    end();
  }
  NetLink* link = session_net(nets_);
  if (link != nullptr && !forwarding_.judge_again(link->socket, verdict.decision)) end();
}

void Monitor::withdraw(const Decision& decision) {
  std::string words = refusal_text(decision, identity_, status_.os_user);
  std::string by = decision.policy.empty() ? "" : " (policy \"" + printable(decision.policy) + "\")";
  hang_up(true);
  plan_.audit.revoked(connection_, {status_.identity, status_.os_user}, account_ ? "session" : "connection",
                      "", words + by);
  dismiss("access withdrawn by a new policy: " + words);
}

// Everything ends in a moment: sessions are hung up, then killed. Before anything that may take time, an
// audit log that somebody has locked, or a net that does not read.
void Monitor::hang_up(bool all) {
  dismissed_ = true;
  end_by_ = std::min(end_by_, Clock::now() + kWithdrawn);
  sessions_.dismiss(all);
  forwarding_.dismiss();
}

// Tells the user, who is hung up on.
void Monitor::dismiss(const std::string& words) {
  NetLink* link = session_net(nets_);
  for (auto& outer : nets_) {
    bool alone = outer.state == NetState::kOuter || outer.state == NetState::kTunnelling;
    if (link == nullptr && alone) link = &outer;
  }
  if (link == nullptr || !say_soon(link->socket, Disconnect{words.substr(0, kMostWords)})) end();
}

// Outer and inner connection end together, and with them what ran on a terminal (its last descriptor closes).
void Monitor::end() {
  for (auto& link : nets_) {
    for (const auto& message : last_counts(link)) static_cast<void>(handle(link, message));
    link.socket.close();
    // most have ended by themselves; the others get a moment for their last packets
    int signal = reap_net(link, dismissed_ ? Deadline::min() : Clock::now() + kLastWords);
    if (signal == 0) continue;
    std::string how = signal_name(signal);
    plan_.audit.violation(connection_, "net was ended by signal " + how);
    log_error("connection from " + connection_.address + ": net was ended by signal " + how +
              (signal == SIGSYS ? " (a system call that it may not make)" : ""));
  }
  sessions_.end();
  forwarding_.stop();
  if (login_) login_->close();
  tell_tally(true);
  std::_Exit(kExitOk);
}

void Monitor::run(Fd connection) {
  // A session's scope of systemd is ended with SIGTERM, and PAM and utmp must then be told, too.
  auto ending = watch_signals({SIGTERM, SIGINT}, &old_mask_);
  if (!ending) die(kExitSystem, "monitor: " + ending.error().text());
  ending_ = std::move(*ending);
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
  // where a user's limit on file sizes holds for us too (restore_limits), a log that is too long is an error
  ::signal(SIGXFSZ, SIG_IGN);
  set_title(role_title("monitor"));
  auto needed = plan.audit.fds();
  needed.insert(needed.end(), {connection.get(), listener.fd()});
  auto kept = keep_only(needed);
  if (!kept) die(kExitSystem, "monitor: " + kept.error().text());
  const AuditConnection& from = plan.connection;
  std::string path =
      plan.settings.socket_folder.empty() ? "" : plan.settings.socket_folder + "/" + kMonitorsSocket;
  Register card{kMessageVersion, from.id, from.address, from.port, from.peer, system_milliseconds(), false};
  Monitor monitor(plan, ListenerLink(std::move(listener), std::move(path), std::move(card)));
  monitor.run(std::move(connection));
}

}  // namespace qf
