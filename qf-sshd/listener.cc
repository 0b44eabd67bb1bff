// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <list>
#include <map>

#include "libqf/address.h"
#include "libqf/crypto.h"
#include "libqf/log.h"
#include "qf-sshd/authorize.h"
#include "qf-sshd/memory_file.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/monitor.h"
#include "qf-sshd/net.h"
#include "qf-sshd/warm_up.h"

namespace qf {

namespace {

constexpr int kBacklog = 128;
constexpr auto kPolicyInterval = std::chrono::seconds(1);  // how often a new policy.mdb is looked for
constexpr auto kAcceptPause = std::chrono::seconds(1);     // after running out of descriptors
constexpr auto kKeyfetchPause = std::chrono::seconds(5);   // before a keyfetch that ended is started again

struct Connection {
  MessageSocket monitor;
  pid_t pid = -1;
  std::string source;  // address
  bool logged_in = false;
};

// A login that waits for a key set.
struct Waiting {
  pid_t monitor = -1;
  std::string issuer;
};

unsigned random_percent() {
  return static_cast<unsigned char>(random_bytes(1)[0]) * 100U / 256U;
}

class Listener {
 public:
  Listener(const Settings& settings, SyscallFilter filter, SshPtr<ssh_bind> bind, AuditLog audit)
      : settings_(settings),
        filter_(std::move(filter)),
        bind_(std::move(bind)),
        audit_(std::move(audit)),
        key_sets_(settings.folders.state + "/keysets") {}

  [[nodiscard]] Status start();
  void turn();
  [[nodiscard]] bool stopping() const { return stopping_; }

 private:
  [[nodiscard]] Status open_sockets();
  void check_policy();
  [[nodiscard]] Status load_policy();
  void start_keyfetch();
  void request_fetches();
  void read_keyfetch();
  void answer_waiting(const std::string& issuer, bool changed);
  [[nodiscard]] std::string judge_load(const std::string& source) const;
  void accept_from(int listening);
  void start_monitor(Fd connection, const SocketAddress& client, PeerPolicyRecord source,
                     AuditConnection audit);
  [[nodiscard]] bool read_monitor(Connection& connection);
  void read_signal();
  void reap();

  const Settings& settings_;
  SyscallFilter filter_;
  SshPtr<ssh_bind> bind_;
  AuditLog audit_;
  KeySetStore key_sets_;
  std::vector<Fd> listening_;
  Fd signals_;
  sigset_t old_mask_ = {};
  MessageSocket keyfetch_;
  pid_t keyfetch_pid_ = -1;
  Deadline keyfetch_start_ = Deadline::min();  // not before
  std::list<Connection> connections_;
  std::list<Waiting> waiting_;
  struct stat policy_file_ = {};
  Deadline policy_check_ = Deadline::min();
  Deadline accept_again_ = Deadline::min();
  bool stopping_ = false;
};

// ---- start ------------------------------------------------------------------------------------------------

Result<Fd> listen_on(const std::string& text) {
  auto address = make_socket_address(text, kFabricPort);
  if (!address) return input_error("\"" + text + "\" is not an address");
  bool v6 = address->storage.ss_family == AF_INET6;
  Fd fd(::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  int on = 1;
  bool set = ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
             // the fabric's interface may come up later than we do
             ::setsockopt(fd.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on,
                          sizeof on) == 0 &&
             (!v6 || ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
  if (!set) return system_error("cannot set socket options");
  if (::bind(fd.get(), address->get(), address->length) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return system_error("cannot listen on " + text + " port " + std::to_string(kFabricPort));
  }
  return fd;
}

Status Listener::open_sockets() {
  auto policy = PolicyDb::open(settings_.folders.policy_mdb());
  if (!policy) return policy.error();
  auto self = policy->peer(settings_.self);
  if (!self) return input_error("the fabric document has no peer \"" + settings_.self + "\"");
  if (!self->ssh) log_warning("the fabric document says \"ssh\": false for \"" + settings_.self + "\"");
  const auto& pinned = self->host_key_fingerprints;
  if (std::find(pinned.begin(), pinned.end(), settings_.own_fingerprint) == pinned.end()) {
    return input_error("the fabric document does not list this server's host key " +
                       settings_.own_fingerprint + " among the \"ssh_host_keys\" of \"" + settings_.self +
                       "\"");
  }
  for (const auto& address : self->addresses) {
    auto fd = listen_on(address);
    if (!fd) return fd.error();
    listening_.push_back(std::move(*fd));
    log_info("listening on " + address + " port " + std::to_string(kFabricPort));
  }
  if (listening_.empty()) return input_error("the peer \"" + settings_.self + "\" has no address");
  return Done{};
}

Status Listener::load_policy() {
  auto policy = PolicyDb::open(settings_.folders.policy_mdb());
  if (!policy) return policy.error();
  auto meta = policy->meta();
  if (!meta) return meta.error();
  std::vector<IssuerRecord> issuers;
  for (const auto& name : meta->issuers) {
    auto issuer = policy->issuer(name);
    if (!issuer) return issuer.error();
    issuers.push_back(std::move(*issuer));
  }
  if (settings_.auth) key_sets_.configure(issuers, std::time(nullptr));
  log_info("fabric document of serial " + std::to_string(meta->serial) + " in force");
  return Done{};
}

// policy.mdb is replaced by rename, so another inode or time means another policy. Decisions read it
// themselves; here it is the issuers that matter.
void Listener::check_policy() {
  policy_check_ = Clock::now() + kPolicyInterval;
  struct stat now = {};
  if (::stat(settings_.folders.policy_mdb().c_str(), &now) != 0) return;
  if (now.st_ino == policy_file_.st_ino && now.st_mtim.tv_sec == policy_file_.st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == policy_file_.st_mtim.tv_nsec) {
    return;
  }
  policy_file_ = now;
  if (auto loaded = load_policy(); !loaded) log_error("cannot use the new policy: " + loaded.error().text());
}

Status Listener::start() {
  sigset_t handled;
  sigemptyset(&handled);
  for (int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&handled, number);
  if (::sigprocmask(SIG_BLOCK, &handled, &old_mask_) != 0) return system_error("cannot block signals");
  signals_ = Fd(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return system_error("cannot watch signals");
  ::signal(SIGPIPE, SIG_IGN);
  check_policy();
  return open_sockets();
}

// ---- key sets ---------------------------------------------------------------------------------------------

// In the child. keyfetch gives up its rights itself, before the first byte from outside.
[[noreturn]] void execute_keyfetch(const Settings& settings, int socket) {
  std::string program = sibling_program("qf-keyfetch");
  std::string number = std::to_string(socket);
  std::vector<const char*> words = {program.c_str(), "--fd", number.c_str()};
  if (settings.privileged) words.insert(words.end(), {"--user", kFetchUser});
  if (settings.use_syslog) words.push_back("--syslog");
  words.push_back(nullptr);
  if (::fcntl(socket, F_SETFD, 0) == 0) ::execv(program.c_str(), const_cast<char**>(words.data()));
  log_error(system_error("cannot run " + program).text());
  std::_Exit(kExitSystem);
}

void Listener::start_keyfetch() {
  auto ends = MessageSocket::pair();
  if (!ends) return log_error("cannot start keyfetch: " + ends.error().text());
  pid_t pid = ::fork();
  if (pid < 0) return log_error("cannot start keyfetch: " + system_error("fork").text());
  if (pid == 0) {
    ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
    execute_keyfetch(settings_, ends->second.fd());
  }
  keyfetch_ = std::move(ends->first);
  keyfetch_pid_ = pid;
}

void Listener::request_fetches() {
  auto due = key_sets_.due(std::time(nullptr));
  if (due.empty()) return;
  if (!keyfetch_ && Clock::now() >= keyfetch_start_) start_keyfetch();
  for (const auto& issuer : due) {
    if (keyfetch_ &&
        keyfetch_.send(FetchRequest{issuer.name, issuer.issuer, issuer.jwks_uri, issuer.ca_file}))
      continue;
    key_sets_.fetch_failed(issuer.name, "keyfetch does not run", std::time(nullptr));
  }
}

void Listener::read_keyfetch() {
  auto message = keyfetch_.receive();
  if (!message) {
    log_warning("keyfetch has ended; it is started again when it is needed");
    keyfetch_.close();
    keyfetch_start_ = Clock::now() + kKeyfetchPause;
    auto waiting = waiting_;
    for (const auto& login : waiting) answer_waiting(login.issuer, false);
    return;
  }
  auto reply = open_message<FetchReply>(*message);
  if (!reply) return log_error("keyfetch sent a malformed message");
  std::time_t now = std::time(nullptr);
  bool changed = false;
  if (reply->error.empty()) {
    auto json = read_memory_file(message->fds[0].get(), kMostKeySetBytes);
    auto stored =
        json ? key_sets_.store(reply->name, *json, reply->lifetime, now) : Result<bool>(json.error());
    if (stored) {
      changed = *stored;
    } else {
      reply->error = stored.error().text();
    }
  }
  if (!reply->error.empty()) key_sets_.fetch_failed(reply->name, reply->error, now);
  answer_waiting(reply->name, changed);
}

void Listener::answer_waiting(const std::string& issuer, bool changed) {
  auto file = make_memory_file(changed ? key_sets_.json(issuer) : "");
  for (auto login = waiting_.begin(); login != waiting_.end();) {
    if (login->issuer != issuer) {
      ++login;
      continue;
    }
    for (auto& connection : connections_) {
      if (connection.pid != login->monitor || !file) continue;
      // a monitor that is gone is noticed when its socket closes
      static_cast<void>(!connection.monitor.send(KeysReply{issuer, changed}, {file->get()}));
    }
    login = waiting_.erase(login);
  }
}

// ---- connections ------------------------------------------------------------------------------------------

// Why there is no room for another connection of this source; empty: there is.
std::string Listener::judge_load(const std::string& source) const {
  if (connections_.size() >= settings_.most_connections) return "too many connections";
  unsigned all = 0;
  unsigned of_source = 0;
  for (const auto& connection : connections_) {
    if (connection.logged_in) continue;
    ++all;
    if (connection.source == source) ++of_source;
  }
  if (of_source >= settings_.most_source_startups)
    return "too many connections of one source that are not logged in";
  if (drop_startup(settings_.startups, all, random_percent()))
    return "too many connections that are not logged in";
  return "";
}

void Listener::accept_from(int listening) {
  SocketAddress client;
  client.length = sizeof client.storage;
  Fd fd(::accept4(listening, reinterpret_cast<sockaddr*>(&client.storage), &client.length, SOCK_CLOEXEC));
  if (!fd) {
    // out of descriptors or memory: the connection stays in the queue, and asking again at once would only
    // spin
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      log_error(system_error("cannot accept a connection").text());
      accept_again_ = Clock::now() + kAcceptPause;
    }
    return;
  }
  AuditConnection connection{hex(random_bytes(8)), client.address(), client.port(), ""};
  auto policy = PolicyDb::open(settings_.folders.policy_mdb());
  auto self = policy ? policy->peer(settings_.self) : Result<PeerPolicyRecord>(policy.error());
  auto source = policy ? policy->peer_at(client.address()) : Result<PeerPolicyRecord>(policy.error());
  Decision decision;
  if (!self || !source) {
    decision.detail = self ? source.error().text() : self.error().text();
  } else {
    connection.peer = source->name;
    decision = judge_network(*policy, *source, *self);
  }
  if (decision.allowed) {
    decision.detail = judge_load(connection.address);
    decision.allowed = decision.detail.empty();
  }
  audit_.connection_judged(connection, decision);
  // closed before a byte is sent: what is not allowed learns nothing
  if (!decision.allowed) return;
  int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  start_monitor(std::move(fd), client, std::move(*source), std::move(connection));
}

void Listener::start_monitor(Fd connection, const SocketAddress& client, PeerPolicyRecord source,
                             AuditConnection audit) {
  auto server = local_address(connection.get());
  auto ends = MessageSocket::pair();
  if (!server || !ends)
    return log_error("cannot take a connection: " + (server ? ends.error() : server.error()).text());
  pid_t pid = ::fork();
  if (pid < 0) return log_error("cannot take a connection: " + system_error("fork").text());
  if (pid == 0) {
    ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
    MonitorPlan plan{settings_,         filter_,          bind_.get(), key_sets_, audit_,
                     std::move(source), std::move(audit), client,      *server};
    monitor_role(plan, std::move(connection), std::move(ends->second));
  }
  connections_.push_back({std::move(ends->first), pid, client.address(), false});
}

// False when the monitor is gone.
bool Listener::read_monitor(Connection& connection) {
  auto message = connection.monitor.receive();
  if (!message) return false;
  if (message->type == static_cast<uint32_t>(MessageType::kLoggedIn)) {
    connection.logged_in = true;
    return true;
  }
  auto wanted = open_message<KeysWanted>(*message);
  if (!wanted) {
    log_error("a monitor sent a malformed message");
    return false;
  }
  waiting_.push_back({connection.pid, wanted->issuer});
  auto issuer = key_sets_.want(wanted->issuer, std::time(nullptr));
  if (!issuer) {
    // inline, or fetched a moment ago: what we hold may still be newer than what the connection started with
    if (!key_sets_.pending(wanted->issuer, std::time(nullptr))) answer_waiting(wanted->issuer, true);
    return true;
  }
  if (!keyfetch_) start_keyfetch();
  if (!keyfetch_ ||
      !keyfetch_.send(FetchRequest{issuer->name, issuer->issuer, issuer->jwks_uri, issuer->ca_file})) {
    answer_waiting(wanted->issuer, false);
  }
  return true;
}

// ---- the loop ---------------------------------------------------------------------------------------------

void Listener::reap() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == keyfetch_pid_) keyfetch_pid_ = -1;
    if (WIFSIGNALED(status)) {
      log_warning("process " + std::to_string(pid) + " was ended by signal " +
                  std::to_string(WTERMSIG(status)));
    }
  }
}

void Listener::read_signal() {
  signalfd_siginfo info = {};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    switch (info.ssi_signo) {
      case SIGCHLD:
        reap();
        break;
      case SIGHUP:
        policy_file_ = {};
        policy_check_ = Deadline::min();
        break;
      default:
        stopping_ = true;
    }
  }
}

void Listener::turn() {
  if (Clock::now() >= policy_check_) check_policy();
  if (settings_.auth) request_fetches();
  std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0}, {keyfetch_ ? keyfetch_.fd() : -1, POLLIN, 0}};
  bool accepting = Clock::now() >= accept_again_;
  for (const auto& fd : listening_) polled.push_back({accepting ? fd.get() : -1, POLLIN, 0});
  size_t first_monitor = polled.size();
  for (const auto& connection : connections_) polled.push_back({connection.monitor.fd(), POLLIN, 0});
  if (::poll(polled.data(), polled.size(), poll_timeout(policy_check_)) <= 0) return;
  if (polled[0].revents != 0) read_signal();
  if (polled[1].revents != 0) read_keyfetch();
  size_t index = first_monitor;
  for (auto connection = connections_.begin(); connection != connections_.end();) {
    bool gone = polled[index++].revents != 0 && !read_monitor(*connection);
    connection = gone ? connections_.erase(connection) : std::next(connection);
  }
  for (size_t i = 0; i < listening_.size(); ++i) {
    if (polled[2 + i].revents != 0) accept_from(listening_[i].get());
  }
}

}  // namespace

bool drop_startup(const StartupLimit& limit, unsigned count, unsigned chance) {
  if (count < limit.start) return false;
  if (count >= limit.full) return true;
  unsigned percent = limit.rate + (100 - limit.rate) * (count - limit.start) / (limit.full - limit.start);
  return chance < percent;
}

int listener_role(const Settings& settings) {
  auto filter = make_net_filter();
  if (!filter) die(kExitSystem, filter.error().text());
  auto bind = make_bind(settings);
  if (!bind) die(kExitConfig, bind.error().text(), "run qf-up host-key to make the host key");
  auto audit = AuditLog::open(settings.folders.audit_log());
  if (!audit) die(kExitSystem, audit.error().text());
  warm_up();
  Listener listener(settings, std::move(*filter), std::move(*bind), std::move(*audit));
  if (auto started = listener.start(); !started) {
    bool config = started.error().kind == ErrorKind::kInput || started.error().kind == ErrorKind::kNotFound;
    die(config ? kExitConfig : kExitSystem, started.error().text(),
        "check the fabric document, then run qf-up apply");
  }
  while (!listener.stopping()) listener.turn();
  log_info("stopped; sessions that stand go on");
  return kExitOk;
}

}  // namespace qf
