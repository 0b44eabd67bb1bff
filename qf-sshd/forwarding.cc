// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/forwarding.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "libqf/address.h"
#include "libqf/folders.h"
#include "libqf/forward_pattern.h"
#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "libqf/text.h"
#include "qf-sshd/helper_messages.h"
#include "qf-sshd/jail.h"
#include "qf-sshd/user_process.h"

namespace qf {

namespace {

constexpr const char* kNotAvailable = "Port forwarding not available";
constexpr unsigned kMostStarts = 16;  // of a helper, a connection: its user may kill it, but not keep us busy
constexpr size_t kMostQuestions = 1024;
constexpr size_t kMostListening = 256;  // listens that stand, a connection; net itself stops earlier
constexpr size_t kMostErrorBytes = 512;
constexpr auto kWithdrawal = std::chrono::milliseconds(1500);  // for net to close what is withdrawn
constexpr auto kSocketTime = std::chrono::seconds(2);          // for sockets that need no other machine

std::string place(const std::string& host, uint32_t port) {
  std::string shown = printable(host);
  bool v6 = shown.find(':') != std::string::npos;
  return (v6 ? "[" + shown + "]" : shown) + ":" + std::to_string(port);
}

// Addresses of the peer that the host names, as clients find it; none: it is no peer's name, and the system
// is asked. Peers come first: nobody's DNS may put another machine in a peer's place. localhost is always
// here.
Result<std::vector<std::string>> peer_addresses(const Settings& settings, const std::string& host) {
  if (canonical_address(host) || lower(host) == "localhost") return std::vector<std::string>();
  auto db = PeersDb::open(settings.folders.peers_mdb());
  auto peer = db ? db->find_peer(host) : Result<PeerRecord>(db.error());
  if (peer) return peer->addresses;
  if (peer.error().kind == ErrorKind::kNotFound) return std::vector<std::string>();
  return peer.error();
}

// In the child: only exec or _exit leads out.
[[noreturn]] void execute_helper(const Settings& settings, const Account& account, const UserContext& context,
                                 int socket) {
  std::string program = sibling_program("qf-helper");
  std::string number = std::to_string(socket);
  const char* words[] = {program.c_str(), "--fd", number.c_str(), nullptr};
  std::vector<std::string> variables = {"HOME=" + account.home, "USER=" + account.name,
                                        "LOGNAME=" + account.name, "PATH=/usr/bin:/bin"};
  std::vector<char*> environment;
  for (auto& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  hide_memory();
  reset_signals();
  // as the user this copy of the monitor can be stopped: it must hold nothing that is anybody else's
  if (auto kept = keep_only({socket}); !kept) fail_child(kept.error());
  if (auto became = become_user(settings, account, context); !became) fail_child(became.error());
  hide_memory();
  // Its user may take what it holds out of it by ptrace(2), so the server's log is not among that.
  int log = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (log >= 0 && ::dup2(STDOUT_FILENO, STDERR_FILENO) >= 0 && ::fcntl(socket, F_SETFD, 0) == 0 &&
      ::chdir("/") == 0) {
    ::execve(program.c_str(), const_cast<char**>(words), environment.data());
  }
  int error = errno;
  static_cast<void>(::dup2(log, STDERR_FILENO));
  errno = error;
  fail_child("cannot run " + program);
}

}  // namespace

void Forwarding::allow(Account account, const UserContext& context, const Decision& decision,
                       std::string identity) {
  identity_ = std::move(identity);
  context_ = &context;
  account_ = std::move(account);
  policy_ = decision.policy;
  permit_open_ = decision.permit_open;
  permit_listen_ = decision.permit_listen;
}

// ---- what the policy says ---------------------------------------------------------------------------------

// Why this is not for the user; empty: it is.
std::string Forwarding::judge(Asked asked, const Place& where) const {
  bool connect = asked == Asked::kConnect;
  if (dismissed_) return "this connection is ending";
  if (!(connect ? settings_.local_forwarding : settings_.remote_forwarding)) {
    return std::string(kNotAvailable) + "\nhint: ask the admin of this peer for qf-up " +
           (connect ? "--enable-ssh-local-port-forwarding" : "--enable-ssh-remote-port-forwarding");
  }
  if (where.port > 65535) return "port " + std::to_string(where.port) + " does not exist";
  if (where.host.find('\0') != std::string::npos) return "the address has a NUL in it";
  if (forward_permitted(connect ? permit_open_ : permit_listen_, where.host, where.port)) return "";
  return std::string(kNotAvailable) + ": " + place(where.host, where.port) + " is not among the \"" +
         (connect ? "permit_open" : "permit_listen") + "\" of policy \"" + printable(policy_) +
         "\"\nhint: ask the admin of the fabric to add it there";
}

Status Forwarding::judge_again(MessageSocket& net, const Decision& decision) {
  policy_ = decision.policy;
  permit_open_ = decision.permit_open;
  permit_listen_ = decision.permit_listen;
  for (auto& [id, question] : questions_) {
    if (question.asked != Asked::kSession) question.withdrawn = judge(question.asked, question.place);
  }
  for (auto& [id, forward] : standing_) {
    std::string reason = judge(forward.asked, forward.place);
    if (reason.empty() || forward.gone_by != Deadline::max()) continue;
    forward.gone_by = Clock::now() + kWithdrawal;
    audit_.revoked(connection_, {identity_, account_->name}, "forward", forward.target,
                   reason.substr(0, reason.find('\n')));
    std::string told = "a new policy ends the forward of " + forward.target + ": " + reason;
    if (auto sent = net.send(ForwardEnd{id, told.substr(0, kMostErrorBytes)}); !sent) return sent;
  }
  return Done{};
}

Deadline Forwarding::deadline() const {
  Deadline first = Deadline::max();
  for (const auto& [id, forward] : standing_) first = std::min(first, forward.gone_by);
  return first;
}

void Forwarding::record(Asked asked, const std::string& target, const std::string& error) {
  audit_.forward(connection_, {identity_, account_ ? account_->name : ""},
                 asked == Asked::kConnect ? "connect" : "listen", target, error);
}

size_t Forwarding::count(Asked asked) const {
  return static_cast<size_t>(std::count_if(standing_.begin(), standing_.end(), [asked](const auto& entry) {
    return entry.second.asked == asked;
  }));
}

// ---- the helper -------------------------------------------------------------------------------------------

Status Forwarding::start_helper() {
  if (helper_) return Done{};
  if (!account_) return refused("nobody is logged in");
  if (starts_ >= kMostStarts) return refused("the forwarding helper of this connection ended too often");
  auto ends = MessageSocket::pair();
  if (!ends) return ends.error();
  // Its user may stop it: what it does not read must not hold us up.
  if (auto set = set_nonblocking(ends->first.fd(), true); !set) return set;
  pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start a process");
  if (pid == 0) execute_helper(settings_, *account_, *context_, ends->second.fd());
  ++starts_;
  helper_ = std::move(ends->first);
  helper_pid_ = pid;
  return Done{};
}

void Forwarding::end_helper() {
  helper_.close();
  if (helper_pid_ < 0) return;
  // It ends by itself when its socket closes, unless its user has stopped it. The pid is ours until we reap
  // it.
  for (Deadline deadline = Clock::now() + std::chrono::seconds(1);;) {
    pid_t gone = ::waitpid(helper_pid_, nullptr, WNOHANG);
    if (gone != 0 && !(gone < 0 && errno == EINTR)) break;
    if (Clock::now() >= deadline) ::kill(helper_pid_, SIGKILL);
    ::usleep(2000);
  }
  helper_pid_ = -1;
}

template <class T>
Status Forwarding::ask(const T& message, Question question) {
  if (questions_.size() >= kMostQuestions) return refused("too many forwards are being made");
  if (auto started = start_helper(); !started) return started;
  if (auto sent = helper_.send(message); !sent) return sent;
  questions_.emplace(message.id, std::move(question));
  return Done{};
}

// ---- requests of net --------------------------------------------------------------------------------------

Status Forwarding::refuse_connect(MessageSocket& net, uint32_t id, const std::string& error) {
  auto null = open_file("/dev/null", O_RDWR);
  if (!null) return null.error();
  return net.send(ConnectReply{id, error.substr(0, kMostErrorBytes)}, {null->get()});
}

Status Forwarding::refuse_listen(MessageSocket& net, uint32_t id, const std::string& error) {
  auto null = open_file("/dev/null", O_RDWR);
  if (!null) return null.error();
  return net.send(ListenReply{id, 0, 0, error.substr(0, kMostErrorBytes)}, {null->get(), null->get()});
}

Status Forwarding::connect(MessageSocket& net, const ConnectRequest& request) {
  // net counts them, too
  if (count(Asked::kConnect) >= settings_.most_channels) return peer_error("net keeps too many connections");
  Place where{request.host, request.port};
  std::string target = place(where.host, where.port);
  std::string reason = judge(Asked::kConnect, where);
  if (reason.empty()) {
    uint32_t id = next_id_++;
    auto addresses = peer_addresses(settings_, where.host);
    auto asked = addresses ? ask(HelperConnect{id, where.host, where.port, *addresses},
                                 {Asked::kConnect, request.id, target, "", where})
                           : Status(addresses.error());
    if (asked) return Done{};
    reason = asked.error().text();
  }
  record(Asked::kConnect, target, reason);
  return refuse_connect(net, request.id, reason);
}

// The address that is listened on, by sshd's rules for GatewayPorts: "no" is always loopback, "yes" every
// address of the machine, "clientspecified" what the client asks for.
HelperListen listening_place(GatewayPorts gateway, const ListenRequest& request, uint32_t id) {
  HelperListen wanted{id, "", false, request.port};
  if (gateway == GatewayPorts::kNo) {
    // one of the two loopback addresses by itself is no gateway
    if (request.address == "127.0.0.1" || request.address == "::1") wanted.address = request.address;
    return wanted;
  }
  bool every = request.address.empty() || request.address == "*" || gateway == GatewayPorts::kYes;
  wanted.wildcard = every;
  // "localhost" means both loopback addresses, which is what no name at all means here (RFC 4254 section 7.1)
  if (!every && request.address != "localhost") wanted.address = request.address;
  return wanted;
}

Status Forwarding::listen(MessageSocket& net, const ListenRequest& request) {
  Place where{request.address, request.port};
  std::string target = place(where.host, where.port);
  std::string reason = judge(Asked::kListen, where);
  if (reason.empty() && count(Asked::kListen) >= kMostListening)
    reason = "too many forwards on this connection";
  if (reason.empty()) {
    uint32_t id = next_id_++;
    auto wanted = listening_place(settings_.gateway_ports, request, id);
    std::string address = wanted.wildcard ? "*" : wanted.address.empty() ? "localhost" : wanted.address;
    auto asked = ask(wanted, {Asked::kListen, request.id, target, address, where});
    if (asked) return Done{};
    reason = asked.error().text();
  }
  record(Asked::kListen, target, reason);
  return refuse_listen(net, request.id, reason);
}

void Forwarding::ended(const ConnectEnd& message) {
  auto found = standing_.find(message.id);
  if (found != standing_.end() && found->second.asked == Asked::kConnect) standing_.erase(found);
}

void Forwarding::refused_by_net(const ForwardRefused& message) {
  if (refused_by_net_++ >= kMostForwardRefusals) return;
  record(message.listen ? Asked::kListen : Asked::kConnect, place(message.address, message.port),
         message.reason.empty() ? "refused" : message.reason);
}

void Forwarding::cancel(const ListenCancel& request) {
  auto found = standing_.find(request.id);
  if (found == standing_.end() || found->second.asked != Asked::kListen) return;
  audit_.forward(connection_, {identity_, account_->name}, "listen-end", found->second.target, "");
  standing_.erase(found);
}

// ---- for sessions -----------------------------------------------------------------------------------------

Result<Forwarding::Sockets> Forwarding::wait_for_sockets(MessageSocket& net, uint32_t id) {
  Deadline deadline = Clock::now() + kSocketTime;
  while (arrived_.count(id) == 0) {
    auto message = helper_.receive(deadline);
    auto taken = message ? take(*message, net) : Status(message.error());
    if (taken) continue;
    questions_.erase(id);
    if (taken.error().kind == ErrorKind::kTimeout) {
      // it may be busy with a name that does not resolve; its sockets are given back when they come
      late_.insert(id);
      return taken.error();
    }
    auto lost = lose_helper(net, taken.error());
    return lost ? taken.error() : lost.error();
  }
  auto [reply, fds] = std::move(arrived_[id]);
  arrived_.erase(id);
  if (reply.sockets == 0) return Error{ErrorKind::kSystem, 0, printable(reply.error)};
  fds.resize(reply.sockets);
  return Sockets{std::move(fds), reply.path, reply.number};
}

Result<Forwarding::Sockets> Forwarding::open_agent(MessageSocket& net, uint32_t channel) {
  uint32_t id = next_id_++;
  if (auto asked = ask(HelperAgent{id}, {Asked::kSession, channel, "agent"}); !asked) return asked.error();
  auto sockets = wait_for_sockets(net, id);
  if (sockets) agents_[channel] = id;
  return sockets;
}

Result<Forwarding::Sockets> Forwarding::open_display(MessageSocket& net) {
  uint32_t id = next_id_++;
  if (auto asked = ask(HelperDisplay{id}, {Asked::kSession, 0, "x11"}); !asked) return asked.error();
  return wait_for_sockets(net, id);
}

void Forwarding::release(uint32_t channel) {
  auto found = agents_.find(channel);
  if (found == agents_.end()) return;
  if (helper_ && !helper_.send(HelperRelease{found->second})) end_helper();
  agents_.erase(found);
}

// ---- answers of the helper --------------------------------------------------------------------------------

Status Forwarding::take(const Message& message, MessageSocket& net) {
  auto connected = open_message<HelperConnected>(message);
  auto listening = open_message<HelperListening>(message);
  if (!connected && !listening) return peer_error("the helper sent a malformed message");
  uint32_t id = connected ? connected->id : listening->id;
  if (listening && late_.erase(id) != 0) return helper_.send(HelperRelease{id});
  auto found = questions_.find(id);
  if (found == questions_.end() || (found->second.asked == Asked::kConnect) != static_cast<bool>(connected)) {
    return peer_error("the helper answered what nobody asked");
  }
  if (listening && listening->sockets > HelperListening::kFds) return peer_error("the helper claims sockets");
  Question question = std::move(found->second);
  questions_.erase(found);
  if (question.asked == Asked::kSession) {
    auto& [reply, fds] = arrived_[id];
    reply = std::move(*listening);
    for (const auto& fd : message.fds) {
      auto copy = duplicate(fd.get());
      if (!copy) return copy.error();
      fds.push_back(std::move(*copy));
    }
    return Done{};
  }
  std::string error = printable(connected ? connected->error : listening->error).substr(0, kMostErrorBytes);
  bool connect = question.asked == Asked::kConnect;
  // the port that it has, not the 0 that was asked for
  if (!connect && listening->sockets > 0) question.target = place(question.address, listening->number);
  if (error.empty()) error = question.withdrawn;
  record(question.asked, question.target, error);
  if (!question.withdrawn.empty())
    return connect ? refuse_connect(net, question.net_id, error) : refuse_listen(net, question.net_id, error);
  if (connect ? error.empty() : listening->sockets > 0)
    standing_.insert_or_assign(question.net_id, Forward{question.asked, question.place, question.target});
  if (connect) return net.send(ConnectReply{question.net_id, error}, {message.fds[0].get()});
  return net.send(ListenReply{question.net_id, listening->sockets, listening->number, error},
                  {message.fds[0].get(), message.fds[1].get()});
}

// What was asked of a helper that is gone is refused; the next question starts another one. Its user may have
// killed it, so this is no fault of the client's.
Status Forwarding::lose_helper(MessageSocket& net, const Error& why) {
  log_warning("connection from " + connection_.address + ": the forwarding helper ended: " + why.text());
  end_helper();
  agents_.clear();
  late_.clear();
  auto questions = std::move(questions_);
  questions_.clear();
  for (const auto& [id, question] : questions) {
    Status refused = Done{};
    if (question.asked != Asked::kSession) record(question.asked, question.target, "the helper ended");
    if (question.asked == Asked::kConnect) refused = refuse_connect(net, question.net_id, "the helper ended");
    if (question.asked == Asked::kListen) refused = refuse_listen(net, question.net_id, "the helper ended");
    if (!refused) return refused;
  }
  return Done{};
}

Status Forwarding::read_helper(MessageSocket& net) {
  auto message = helper_.receive(Clock::now());
  if (!message && message.error().kind == ErrorKind::kTimeout) return Done{};
  auto taken = message ? take(*message, net) : Status(message.error());
  return taken ? taken : lose_helper(net, taken.error());
}

}  // namespace qf
