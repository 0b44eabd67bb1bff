// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "libqf/address.h"
#include "libqf/authorize.h"
#include "libqf/crypto.h"
#include "libqf/interface.h"
#include "libqf/log.h"
#include "libqf/secret.h"
#include "libqf/signals.h"
#include "qf-sshd/host_key.h"
#include "qf-sshd/key_service.h"
#include "qf-sshd/listener_device_logins.h"
#include "qf-sshd/listener_link.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/monitor.h"
#include "qf-sshd/net.h"
#include "qf-sshd/pam.h"
#include "qf-sshd/policy_watch.h"
#include "qf-sshd/refusals.h"
#include "qf-sshd/roster.h"
#include "qf-sshd/server_metrics.h"
#include "qf-sshd/status_server.h"
#include "qf-sshd/warm_up.h"

namespace qf {

namespace {

constexpr auto kAcceptPause = std::chrono::seconds(1);  // after running out of descriptors
constexpr auto kListenPause = std::chrono::seconds(5);  // before an address is tried again

unsigned random_percent() {
  return static_cast<unsigned char>(random_bytes(1)[0]) * 100U / 256U;
}

class Listener {
 public:
  Listener(Settings settings, SyscallFilter filter, SshPtr<ssh_bind> bind, AuditLog audit, Handed handed)
      : settings_(std::move(settings)),
        filter_(std::move(filter)),
        bind_(std::move(bind)),
        audit_(std::move(audit)),
        notifier_(std::move(handed.notifier)),
        life_(notifier_),
        handed_(std::move(handed.sockets)),
        keys_(settings_, {[this](uint64_t to, const KeysReply& reply, int fd) { tell_keys(to, reply, fd); },
                          [this](const Message& message) { hear_keyfetch(message); },
                          [this] { device_logins_.keyfetch_ended(); }}),
        device_logins_(settings_, {[this](const DeviceLoginStart& start) { return keys_.say(start); },
                                   [this](const DeviceLoginCancel& cancel) { give_up_login(cancel); },
                                   [this](const DeviceLoginPrompt& prompt) { tell_login(prompt); },
                                   [this](const DeviceLoginEnd& end) { tell_login(end); }}),
        // monitors of an earlier listener come on top of those that this one accepts
        roster_(settings_.net_blocks, size_t{2} * settings_.most_connections),
        refusals_(settings_.most_refusals_logged),
        policy_watch_(settings_.folders.policy_mdb()),
        metrics_rounds_(settings_.metrics_folder) {
    audit_.observe([this](Count count) { counts_.add(count); });
  }

  [[nodiscard]] Status start();
  void turn();
  void stop();
  [[nodiscard]] bool stopping() const { return stopping_; }

 private:
  [[nodiscard]] Status open_sockets();
  void open_local_sockets();
  void check_policy(bool asked = false);
  [[nodiscard]] std::string what_stays() const;
  [[nodiscard]] Status load_policy();
  void take_addresses(const std::vector<std::string>& all);
  void follow_addresses(bool say);
  void reload();
  void reload_host_key();
  void tell_keys(uint64_t connection, const KeysReply& reply, int fd);
  void hear_keyfetch(const Message& message);
  void give_up_login(const DeviceLoginCancel& cancel);
  void tell_login(const auto& message);
  [[nodiscard]] bool read_device_login(Connection& connection, Message& message);
  void accept_from(int listening);
  [[nodiscard]] Decision judge(const SocketAddress& client, AuditConnection& connection);
  void start_monitor(Fd connection, const SocketAddress& client, AuditConnection audit);
  void write_refusals(Deadline now);
  [[nodiscard]] std::string metrics();
  [[nodiscard]] bool read_monitor(Connection& connection);
  [[nodiscard]] Deadline wake() const;
  void read_signal();
  void reap();

  Settings settings_;
  SyscallFilter filter_;
  SshPtr<ssh_bind> bind_;
  AuditLog audit_;
  Notifier notifier_;
  LifeSigns life_;
  std::vector<HandedSocket> handed_;
  KeyService keys_;
  DeviceLogins device_logins_;
  ListeningSockets listening_;
  Roster roster_;
  StatusServer status_;
  Refusals refusals_;
  Fd signals_;
  Fd local_lock_;  // who has the sockets in the runtime folder
  sigset_t old_mask_ = {};
  std::vector<std::string> own_addresses_;
  PolicyWatch policy_watch_;
  Counts counts_;
  MetricsRounds metrics_rounds_;
  std::time_t started_at_ = std::time(nullptr);
  std::optional<AuditPolicy> in_force_;
  Deadline policy_check_ = Deadline::min();
  Deadline accept_again_ = Deadline::min();
  Deadline listen_again_ = Deadline::max();
  std::string policy_fault_;  // why the policy cannot be used; said once
  bool key_refused_ = false;  // a host key waits for the document that lists it, or is listed no more
  bool started_ = false;
  bool stopping_ = false;
};

// ---- start ------------------------------------------------------------------------------------------------

// All of them, or the server does not start: half a server would not be noticed.
Status Listener::open_sockets() {
  auto policy = PolicyDb::open(settings_.folders.policy_mdb());
  if (!policy) return policy.error();
  auto self = policy->peer(settings_.self);
  if (!self) return input_error("the fabric document has no peer \"" + settings_.self + "\"");
  if (!self->ssh) log_warning("the fabric document says \"ssh\": false for \"" + settings_.self + "\"");
  if (!lists_key(*self, settings_.own_fingerprint)) return not_pinned(settings_, settings_.own_fingerprint);
  if (self->addresses.empty()) return input_error("the peer \"" + settings_.self + "\" has no address");
  auto own = addresses_on(self->addresses, settings_.interface);
  if (!own) return own.error();
  own_addresses_ = std::move(*own);
  if (auto adopted = listening_.adopt(std::move(handed_), own_addresses_); !adopted) return adopted;
  auto errors = listening_.follow(own_addresses_);
  if (!errors.empty()) return errors.front();
  return Done{};
}

// The server works without them, so what stands against them is only said. A record lock: a fork does not
// inherit it, so it goes with this process, whatever its monitors do.
void Listener::open_local_sockets() {
  if (settings_.socket_folder.empty()) return;
  std::string folder = settings_.socket_folder + "/";
  auto lock = open_lock_file(folder + "sshd.lock");
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (lock && ::fcntl(lock->get(), F_SETLK, &whole) != 0) {
    log_warning("another qf-sshd has its sockets in " + settings_.socket_folder +
                "; qf-up status does not see this one's connections");
    return;
  }
  Status opened = lock ? roster_.open(folder + kMonitorsSocket) : Status(lock.error());
  if (opened) opened = status_.open(folder + kStatusSocket);
  if (opened) opened = status_.open_metrics(folder + kMetricsSocket);
  if (!opened) return log_error("connections cannot be listed: " + opened.error().text());
  local_lock_ = std::move(*lock);
}

Status Listener::start() {
  auto signals = watch_signals({SIGCHLD, SIGTERM, SIGINT, SIGHUP}, &old_mask_);
  if (!signals) return signals.error();
  signals_ = std::move(*signals);
  ::signal(SIGHUP, SIG_DFL);  // main ignores it, and what is ignored never comes to a signalfd
  keys_.set_child_mask(old_mask_);
  ::signal(SIGPIPE, SIG_IGN);
  policy_watch_.notice_at_once();
  policy_watch_.forget();
  check_policy();
  if (auto opened = open_sockets(); !opened) return opened;
  started_ = true;
  open_local_sockets();
  metrics_rounds_.soon();
  notifier_.ready();
  return Done{};
}

// ---- the fabric document, and SIGHUP ----------------------------------------------------------------------

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
  keys_.configure(issuers);
  log_info("fabric document of serial " + std::to_string(meta->serial) + " in force");
  AuditPolicy now{meta->serial, meta->document_hash};
  if (!in_force_ || *in_force_ != now) audit_.policy(now, in_force_);
  in_force_ = std::move(now);
  if (!started_) return Done{};
  auto self = policy->peer(settings_.self);
  if (!self) return input_error("it has no peer \"" + settings_.self + "\", so nobody is let in");
  if (!lists_key(*self, settings_.own_fingerprint)) {
    log_warning(not_pinned(settings_, settings_.own_fingerprint).text());
    key_refused_ = true;
  }
  take_addresses(self->addresses);
  follow_addresses(true);
  return Done{};
}

// The interface may be away just now: then what was ours and is still in the document stays ours.
void Listener::take_addresses(const std::vector<std::string>& all) {
  auto own = addresses_on(all, settings_.interface);
  if (own) {
    own_addresses_ = std::move(*own);
    return;
  }
  log_error(own.error().text());
  std::erase_if(own_addresses_, [&](const std::string& address) {
    return std::find(all.begin(), all.end(), address) == all.end();
  });
}

// Decisions read policy.mdb themselves; here it is the issuers and this peer's own addresses that matter, and
// that live connections are judged again. They are told also when this server cannot use the policy: what it
// withdraws is withdrawn. `asked`: by SIGHUP, so what stands against the policy is said even if it is
// missing, or was said before.
void Listener::check_policy(bool asked) {
  policy_check_ = Clock::now() + kPolicyInterval;
  bool changed = policy_watch_.changed();
  if (!changed && !asked) return;
  auto loaded = load_policy();
  std::string fault = loaded ? "" : loaded.error().text();
  if (!fault.empty() && (asked || fault != policy_fault_))
    log_error("cannot use the new policy: " + fault + what_stays());
  policy_fault_ = fault;
  // too many open files, no memory: it may be readable in a moment
  if (!loaded && loaded.error().kind == ErrorKind::kSystem) policy_watch_.forget();
  if (key_refused_) reload_host_key();
  if (changed) roster_.policy_changed();
}

// As monitors do: see Monitor::judge_again(). Nothing when the policy was read and only says that this peer
// is not in it.
std::string Listener::what_stays() const {
  if (!in_force_ || PolicyDb::open(settings_.folders.policy_mdb())) return "";
  return "; serial " + std::to_string(in_force_->serial) +
         " stays in force for who is connected, and nobody new is let in; run qf-up apply";
}

// One address that cannot be listened on, in use for example, keeps nobody from the others; it is tried
// again.
void Listener::follow_addresses(bool say) {
  auto errors = listening_.follow(own_addresses_);
  listen_again_ = errors.empty() ? Deadline::max() : Clock::now() + kListenPause;
  if (!say) return;
  for (const auto& error : errors) log_error(error.text() + "; the other addresses are served");
}

void Listener::reload() {
  log_info("SIGHUP: reading the fabric document and the host key again");
  notifier_.reloading();
  policy_watch_.forget();
  check_policy(true);
  if (auto opened = audit_.reopen(); !opened)
    log_error("cannot open the audit log again: " + opened.error().text());
  reload_host_key();
  metrics_rounds_.soon();
  notifier_.ready();
}

// Connections that stand keep the key that they began with.
void Listener::reload_host_key() {
  key_refused_ = false;
  auto self = own_record(settings_);
  auto key = own_host_key(settings_, self);
  Status usable = Done{};
  if (!key || !self) {
    usable = key ? self.error() : key.error();
  } else if (key->fingerprint == settings_.own_fingerprint) {
    return;
  } else {
    key_refused_ = !lists_key(*self, key->fingerprint);
    if (key_refused_) usable = not_pinned(settings_, key->fingerprint);
  }
  if (usable) {
    auto bind = make_bind(settings_, std::move(key->key));
    if (bind) {
      bind_ = std::move(*bind);
      settings_.own_fingerprint = key->fingerprint;
      return log_info("the host key is now " + key->fingerprint);
    }
    usable = bind.error();
  }
  log_error("the host key stays as it was: " + usable.error().text());
}

// ---- connections ------------------------------------------------------------------------------------------

Count count_of(LoadFault fault) {
  switch (fault) {
    case LoadFault::kNone:
      return Count::kAccepted;
    case LoadFault::kConnections:
      return Count::kRefusedConnections;
    case LoadFault::kSource:
      return Count::kRefusedSource;
    case LoadFault::kSourceStartups:
      return Count::kRefusedSourceStartups;
    case LoadFault::kStartups:
      return Count::kRefusedStartups;
  }
  std::abort();
}

// Network and load; fills in what is known of the source.
Decision Listener::judge(const SocketAddress& client, AuditConnection& connection) {
  Decision decision;
  auto policy = PolicyDb::open(settings_.folders.policy_mdb());
  auto self = policy ? policy->peer(settings_.self) : Result<PeerPolicyRecord>(policy.error());
  auto from = policy ? policy->peer_at(client.address()) : Result<PeerPolicyRecord>(policy.error());
  std::string network = source_network(connection.address, settings_.net_blocks);
  Count outcome = Count::kRefusedPolicy;
  if (!self || !from) {
    decision.detail = self ? from.error().text() : self.error().text();
    // an address that is no peer's is the policy's matter, too
    if (!self || from.error().kind != ErrorKind::kNotFound) outcome = Count::kRefusedDocument;
  } else {
    connection.peer = from->name;
    decision = judge_network(*policy, *from, *self);
  }
  if (decision.allowed) {
    auto fault = judge_load(settings_, roster_.load(network), random_percent());
    outcome = count_of(fault);
    decision.detail = load_fault_text(fault);
    decision.allowed = fault == LoadFault::kNone;
  }
  counts_.add(outcome);
  if (decision.allowed || refusals_.note(network, connection, decision, Clock::now()))
    audit_.connection_judged(connection, decision);
  return decision;
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
  // closed before a byte is sent: what is not allowed learns nothing
  if (!judge(client, connection).allowed) return;
  int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  start_monitor(std::move(fd), client, std::move(connection));
}

void Listener::start_monitor(Fd connection, const SocketAddress& client, AuditConnection audit) {
  auto server = local_address(connection.get());
  auto ends = MessageSocket::pair();
  if (!server || !ends)
    return log_error("cannot take a connection: " + (server ? ends.error() : server.error()).text());
  pid_t pid = ::fork();
  if (pid < 0) return log_error("cannot take a connection: " + system_error("fork").text());
  if (pid == 0) {
    ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
    MonitorPlan plan{settings_, filter_,          bind_.get(), keys_.store(),
                     audit_,    std::move(audit), client,      *server};
    monitor_role(plan, std::move(connection), std::move(ends->second));
  }
  roster_.add(std::move(ends->first), pid, audit);
}

// What was counted and not written one by one.
void Listener::write_refusals(Deadline now) {
  for (const auto& summary : refusals_.take_over(now))
    audit_.connections_refused(summary.connection, summary.decision, summary.count, summary.seconds);
}

std::string Listener::metrics() {
  std::time_t now = std::time(nullptr);
  ServerFacts facts{counts_, roster_.connections(), {}, std::nullopt, started_at_, now};
  if (settings_.auth) facts.key_sets = keys_.store().ages(now);
  if (in_force_) facts.serial = in_force_->serial;
  return server_metrics(facts);
}

void Listener::tell_keys(uint64_t to, const KeysReply& reply, int fd) {
  Connection* connection = roster_.find(to);
  // a monitor that is gone is noticed when its socket closes
  if (connection != nullptr && !connection->monitor.send(reply, {fd})) log_debug("a monitor takes no keys");
}

void Listener::hear_keyfetch(const Message& message) {
  if (!device_logins_.hear_keyfetch(message)) log_error("keyfetch sent a malformed message");
}

void Listener::give_up_login(const DeviceLoginCancel& cancel) {
  if (Connection* connection = roster_.find(cancel.number)) connection->person_logs_in = false;
  if (!keys_.say(cancel)) log_debug("keyfetch is not told of a login that nobody waits for");
}

void Listener::tell_login(const auto& message) {
  Connection* connection = roster_.find(message.number);
  if (connection == nullptr) return;
  connection->person_logs_in = device_logins_.waits(message.number);
  if (!connection->monitor.send(message)) log_debug("a monitor takes no news of a device login");
}

// False: the message is about no device login.
bool Listener::read_device_login(Connection& connection, Message& message) {
  if (auto start = open_message<DeviceLoginStart>(message)) {
    wipe(message.body);
    device_logins_.start(connection.number, connection.network, std::move(*start), Clock::now());
    connection.person_logs_in = device_logins_.waits(connection.number);
    return true;
  }
  if (!open_message<DeviceLoginCancel>(message)) return false;
  device_logins_.give_up(connection.number);
  return true;
}

// False when the monitor is gone.
bool Listener::read_monitor(Connection& connection) {
  auto message = connection.monitor.receive();
  if (!message) return false;
  if (is_a<LoggedIn>(*message)) {
    connection.logged_in = true;
    return true;
  }
  if (auto report = open_message<ConnectionReport>(*message)) {
    status_.report(connection, *report);
    return true;
  }
  if (auto tally = open_message<Tally>(*message)) {
    if (take_tally(*tally, connection, counts_)) return true;
    log_error("a monitor sent numbers that there are not");
    return false;
  }
  if (read_device_login(connection, *message)) return true;
  auto wanted = open_message<KeysWanted>(*message);
  if (!wanted) {
    log_error("a monitor sent a malformed message");
    return false;
  }
  keys_.want(connection.number, *wanted);
  return true;
}

// ---- the loop ---------------------------------------------------------------------------------------------

void Listener::reap() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    if (keys_.reaped(pid)) log_debug("keyfetch has ended");
    auto ended = roster_.reaped(pid);
    if (!WIFSIGNALED(status)) continue;
    std::string signal = std::to_string(WTERMSIG(status));
    log_warning("process " + std::to_string(pid) + " was ended by signal " + signal);
    // a monitor could not write its own last lines: net dies with it, its sessions hang up
    if (ended) audit_.violation(*ended, "monitor was ended by signal " + signal);
  }
}

void Listener::read_signal() {
  while (int number = next_signal(signals_)) {
    switch (number) {
      case SIGCHLD:
        reap();
        break;
      case SIGHUP:
        reload();
        break;
      default:
        stopping_ = true;
    }
  }
}

Deadline Listener::wake() const {
  return std::min({policy_check_, listen_again_, life_.next(), roster_.deadline(), status_.deadline(),
                   metrics_rounds_.next()});
}

void Listener::turn() {
  Deadline now = Clock::now();
  life_.give(now);
  if (now >= policy_check_) {
    check_policy();
    write_refusals(now);
  }
  roster_.tell_late();
  if (now >= listen_again_) follow_addresses(false);
  keys_.request_due();
  if (metrics_rounds_.begins(now)) status_.ask(roster_);
  status_.turn(now, roster_, listening_.addresses(), [this] { return metrics(); });
  if (!status_.busy()) metrics_rounds_.end([this] { return metrics(); });

  std::vector<pollfd> polled = {
      {signals_.get(), POLLIN, 0}, {keys_.fd(), POLLIN, 0}, {policy_watch_.fd(), POLLIN, 0}};
  size_t first_door = polled.size();
  bool accepting = now >= accept_again_;
  std::vector<int> doors;  // a reload changes the sockets themselves
  for (const auto& socket : listening_.all()) {
    doors.push_back(accepting && socket.wanted ? socket.fd.get() : -1);
    polled.push_back({doors.back(), POLLIN, 0});
  }
  size_t first_monitor = polled.size();
  size_t monitors = roster_.connections().size();
  for (const auto& connection : roster_.connections()) polled.push_back({connection.monitor.fd(), POLLIN, 0});
  size_t first_newcomer = polled.size();
  roster_.poll(polled);
  size_t first_client = polled.size();
  status_.poll(polled);
  if (::poll(polled.data(), polled.size(), poll_timeout(wake())) <= 0) return;

  if (polled[1].revents != 0) keys_.read();
  auto connection = roster_.connections().begin();
  for (size_t i = 0; i < monitors; ++i) {
    bool gone = polled[first_monitor + i].revents != 0 && !read_monitor(*connection);
    if (gone) device_logins_.give_up(connection->number);
    connection = gone ? roster_.remove(connection) : std::next(connection);
  }
  roster_.settle(polled, first_newcomer);
  status_.serve(polled, first_client, roster_);
  for (size_t i = 0; i < doors.size(); ++i) {
    if (polled[first_door + i].revents != 0) accept_from(doors[i]);
  }
  // last: these may change what was polled
  if (polled[2].revents != 0) check_policy();
  if (polled[0].revents != 0) read_signal();
}

void Listener::stop() {
  notifier_.stopping();
  write_refusals(Deadline::max());
  metrics_rounds_.forget();
  log_info("stopped; sessions that stand go on");
}

}  // namespace

int listener_role(const Settings& settings, Handed handed) {
  auto filter = make_net_filter();
  if (!filter) die(kExitSystem, filter.error().text());
  auto key = own_host_key(settings, own_record(settings));
  if (!key) die(kExitConfig, key.error().text(), host_key_hint(key.error(), settings.folders.host_key()));
  auto bind = make_bind(settings, std::move(key->key));
  if (!bind) die(kExitConfig, bind.error().text());
  AuditLog audit = open_audit_log(settings);
  warm_up();
  // Loads PAM's modules once, for all monitors; nobody logs in with this.
  std::optional<Result<PamLogin>> modules;
  if (settings.pam) {
    modules = PamLogin::start("root", "", "");
    if (!*modules) log_warning("cannot load PAM's modules ahead: " + modules->error().text());
    log_info(std::string("using PAM, service ") + kPamService);
  }
  Settings own = settings;
  own.own_fingerprint = key->fingerprint;
  Listener listener(std::move(own), std::move(*filter), std::move(*bind), std::move(audit),
                    std::move(handed));
  if (auto started = listener.start(); !started) {
    const Error& error = started.error();
    bool config = error.kind == ErrorKind::kInput || error.kind == ErrorKind::kNotFound;
    die(config ? kExitConfig : kExitSystem, error.text(),
        error.sys == EADDRINUSE ? "another qf-sshd runs here already, perhaps one of qf-up: see qf-up status"
        : config && error.hint.empty() ? "check the fabric document, then run qf-up apply"
                                       : error.hint);
  }
  while (!listener.stopping()) listener.turn();
  listener.stop();
  return kExitOk;
}

}  // namespace qf
