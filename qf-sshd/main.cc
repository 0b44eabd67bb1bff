// SPDX-License-Identifier: Apache-2.0
// qf-sshd: the SSH server of a peer, on port 22022. This file reads the options and what the machine offers;
// the roles are listener.cc, monitor.cc, net.cc and session.cc; keyfetch is a program of its own
// (keyfetch_main.cc).
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/peers_db.h"
#include "libqf/server_limits.h"
#include "libqf/text.h"
#include "qf-sshd/account.h"
#include "qf-sshd/listener.h"
#include "qf-sshd/pam.h"
#include "qf-sshd/process_title.h"
#include "qf-sshd/settings.h"
#include "qf-sshd/verify_token.h"

namespace po = boost::program_options;

namespace qf {
namespace {

constexpr const char* kSftpServers[] = {"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
                                        "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server"};

constexpr const char* kXauths[] = {"/usr/bin/xauth", "/usr/X11R6/bin/xauth", "/usr/local/bin/xauth"};

struct Flags {
  Settings settings;
  FolderOptions folders;
  VerifyTokenOptions verify;
  bool no_auth = false;
  bool no_pam = false;
  bool no_agent = false;
  bool no_audit_syslog = false;
  bool verbose = false;
};

// Options that are a number; libqf/server_limits.h knows their ranges.
struct Limit {
  const char* name;
  unsigned Settings::*member;
  const char* argument;
  const char* help;
};
constexpr Limit kLimits[] = {
    {"login-grace-time", &Settings::login_grace, "SECONDS", "time to log in (default: 120)"},
    {"max-connections", &Settings::most_connections, "N", "connections at once (default: 1000)"},
    {"per-source-max-connections", &Settings::most_source_connections, "N",
     "of them of one source (default: 200)"},
    {"per-source-max-startups", &Settings::most_source_startups, "N",
     "connections of one source that are not logged in (default: 20)"},
    {"max-device-logins", &Settings::most_device_logins, "N",
     "people at once who log in at a provider (\"server_login\"; default: 32)"},
    {"per-source-max-device-logins", &Settings::most_source_device_logins, "N",
     "of them of one source (default: 4)"},
    {"device-login-grace-time", &Settings::device_login_grace, "SECONDS",
     "time for a person to log in at a provider (default: 300)"},
    {"refusals-logged", &Settings::most_refusals_logged, "N",
     "refused connections of one source that are logged in a minute; more are counted (default: 10)"},
    {"max-sessions", &Settings::most_sessions, "N", "sessions at once on a connection (default: 64)"},
    {"max-channels", &Settings::most_channels, "N",
     "forwarded connections at once on a connection (default: 512)"},
    {"client-alive-interval", &Settings::alive_interval, "SECONDS",
     "of silence after which the client is asked whether it lives (default: 0, never)"},
    {"client-alive-count-max", &Settings::alive_count_max, "N", "times that it may not answer (default: 3)"},
    {"max-auth-tries", &Settings::most_attempts, "N", "failed logins on a connection (default: 6)"},
};

// An option whose value must be one that limit_fault() takes.
void add_checked(po::options_description& options, const char* name, const char* argument, const char* help,
                 const std::function<void(const std::string&)>& take) {
  auto check = [name, take](const std::string& text) {
    if (auto fault = limit_fault(name, text); !fault.empty()) wrong_usage("qf-sshd", fault);
    take(text);
  };
  options.add_options()(name, po::value<std::string>()->value_name(argument)->notifier(check), help);
}

void add_limits(po::options_description& options, Settings& settings) {
  for (const auto& limit : kLimits) {
    add_checked(options, limit.name, limit.argument, limit.help, [&](const std::string& text) {
      settings.*limit.member = static_cast<unsigned>(*parse_number(text, limit_range(limit.name)->most));
    });
  }
  add_checked(options, "gateway-ports", "WHERE",
              "where ports of -R listen: no (loopback, the default), clientspecified, yes (everywhere)",
              [&](const std::string& text) {
                settings.gateway_ports = text == "no"    ? GatewayPorts::kNo
                                         : text == "yes" ? GatewayPorts::kYes
                                                         : GatewayPorts::kClientSpecified;
              });
  add_checked(
      options, "max-startups", "START:RATE:FULL",
      "connections that are not logged in: from START on RATE percent of new ones are dropped, all from "
      "FULL on (default: 30:30:100)",
      [&](const std::string& text) {
        auto [start, rate, full] = *parse_startups(text);
        settings.startups = {start, rate, full};
      });
  add_checked(options, "per-source-net-block-size", "V4:V6",
              "bits of an address that make a source (default: 32:64)", [&](const std::string& text) {
                auto [v4, v6] = *parse_net_blocks(text);
                settings.net_blocks = {v4, v6};
              });
}

po::options_description describe(Flags& flags) {
  Settings& s = flags.settings;
  po::options_description options("options");
  auto add = options.add_options();
  add("help,h", "show this text");
  add("version,V", "show the version");
  add("self", po::value(&s.self)->value_name("NAME"), "this machine's peer name (default: what qf-up noted)");
  add("interface", po::value(&s.interface)->value_name("NAME"),
      "listen only on those addresses of this peer that are on this network interface");
  add_folder_options(options, flags.folders);
  add("enable-ssh-sftp", po::bool_switch(&s.sftp), "allow the SFTP subsystem (sftp, scp)");
  add("enable-ssh-local-port-forwarding", po::bool_switch(&s.local_forwarding),
      "let clients connect to other places through this peer (-L, -D, -W, -J)");
  add("enable-ssh-remote-port-forwarding", po::bool_switch(&s.remote_forwarding),
      "let clients listen on ports of this peer (-R)");
  add("disable-ssh-agent-forwarding", po::bool_switch(&flags.no_agent), "forward no agent (-A)");
  add("enable-ssh-x11", po::bool_switch(&s.x11_forwarding), "forward X11 (-X)");
  add("enable-ssh-root", po::bool_switch(&s.root_login), "allow logins as uid 0, where the policy does");
  add("disable-ssh-auth", po::bool_switch(&flags.no_auth), "want no JWT: the source peer alone decides");
  add("disable-audit-syslog", po::bool_switch(&flags.no_audit_syslog),
      "keep the audit log in its file alone, and not in syslog too");
  add("allow-without-audit", po::bool_switch(&s.allow_without_audit),
      "allow logins also when the audit log cannot be written");
  add("disable-ssh-pam", po::bool_switch(&flags.no_pam), "do without PAM, also where it is set up");
  add_limits(options, s);
  add("metrics-dir", po::value(&s.metrics_folder)->value_name("FOLDER"),
      "write numbers for Prometheus into qufabric-sshd.prom there, every 15 seconds");
  add("syslog", po::bool_switch(&s.use_syslog), "log to syslog instead of standard error");
  add("verbose,v", po::bool_switch(&flags.verbose), "log more");
  add_verify_token_options(options, flags.verify);
  return options;
}

// Ends the program for --help, --version and wrong usage.
void parse(int argc, char** argv, Flags& flags) {
  auto options = describe(flags);
  auto given =
      parse_options(argc, argv, {"qf-sshd", "qf-sshd: the SSH server of a peer of the fabric\n\n", options});
  check_verify_token_options(given, flags.verify);
  const std::string& metrics = flags.settings.metrics_folder;
  if (!metrics.empty() && !metrics.starts_with('/'))
    wrong_usage("qf-sshd", "--metrics-dir needs an absolute path");
}

Account system_user(const char* name) {
  auto account = find_account(name);
  if (!account) {
    die(kExitConfig, std::string("system user \"") + name + "\" does not exist",
        std::string("run: useradd --system --no-create-home --shell /usr/sbin/nologin ") + name +
            " (qf-up does it)");
  }
  if (account->uid == 0) die(kExitConfig, std::string("system user \"") + name + "\" must not be root");
  return *account;
}

// Sockets that systemd hands in, directly or through qf-up, and where it wants to hear from us. What else the
// caller left open is nobody's here, and would be inherited by every session's parent.
Handed take_handed() {
  Handed handed;
  auto names = handed_descriptors();
  if (!names) die(kExitConfig, names.error().text());
  int next = kFirstHandedFd;
  for (const auto& name : *names) handed.sockets.push_back({Fd(next++), name});
  if (::close_range(static_cast<unsigned>(next), ~0U, 0) != 0) die(kExitSystem, "cannot close descriptors");
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(variable);
  handed.notifier = Notifier::take();
  return handed;
}

// As root, roles get users of their own and net an empty folder to live in.
void prepare_privileged(Settings& settings) {
  Account net = system_user(kNetUser);
  Account fetch = system_user(kFetchUser);
  settings.net_uid = net.uid;
  settings.net_gid = net.gid;
  settings.fetch_uid = fetch.uid;
  settings.fetch_gid = fetch.gid;
  std::string runtime = system_runtime(settings.folders);
  settings.empty_root = runtime + "/empty";
  if (auto made = make_folder(runtime, 0755); !made) die(kExitSystem, made.error().text());
  if (auto made = make_folder(settings.empty_root, 0755); !made) die(kExitSystem, made.error().text());
  struct stat st = {};
  if (::lstat(settings.empty_root.c_str(), &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0 ||
      (st.st_mode & 022) != 0) {
    die(kExitConfig, settings.empty_root + " must be a folder that only root can write");
  }
}

// A descriptor a connection: the usual soft limit of 1,024 would be reached before --max-connections.
void raise_open_files(Settings& settings) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) die(kExitSystem, system_error("cannot read limits").text());
  settings.open_files = limit.rlim_cur;
  rlim_t wanted = std::min<rlim_t>(limit.rlim_max, settings.most_connections + 1024U);
  if (wanted <= limit.rlim_cur) return;
  limit.rlim_cur = wanted;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    die(kExitSystem, system_error("cannot raise the file limit").text());
}

void prepare(Flags& flags) {
  Settings& settings = flags.settings;
  settings.auth = !flags.no_auth;
  settings.agent_forwarding = !flags.no_agent;
  settings.folders = flags.folders.folders();
  settings.privileged = ::geteuid() == 0;
  settings.audit_syslog = settings.privileged && !flags.no_audit_syslog;
  settings.pam = settings.privileged && !flags.no_pam && pam_available();
  if (settings.self.empty()) {
    auto peers = PeersDb::open(settings.folders.peers_mdb());
    auto meta = peers ? peers->meta() : Result<PeersMeta>(peers.error());
    if (!meta) die(kExitConfig, meta.error().text(), "run qf-up apply");
    settings.self = meta->self;
  }
  if (settings.self.empty()) die(kExitConfig, "which peer is this machine?", "give --self NAME");
  raise_open_files(settings);
  if (settings.privileged) prepare_privileged(settings);
  auto sockets = server_runtime(settings.folders, true);
  if (!sockets) log_warning("qf-up status cannot list connections: " + sockets.error().text());
  settings.socket_folder = sockets ? *sockets : "";
  for (const char* path : kSftpServers) {
    if (settings.sftp_server.empty() && ::access(path, X_OK) == 0) settings.sftp_server = path;
  }
  for (const char* path : kXauths) {
    if (settings.xauth.empty() && ::access(path, X_OK) == 0) settings.xauth = path;
  }
  if (auto made = make_folder(settings.folders.state + "/keysets", 0700); !made)
    die(kExitSystem, made.error().text());
}

int verify(const Flags& flags) {
  bool privileged = ::geteuid() == 0;
  if (privileged && flags.verify.fetches()) static_cast<void>(system_user(kFetchUser));
  return verify_token(flags.verify, privileged);
}

}  // namespace
}  // namespace qf

int main(int argc, char** argv) {
  const std::string words = qf::join({argv, argv + argc}, " ");
  qf::keep_title_space(argc, argv);
  qf::open_log("qf-sshd");
  // everything is about to be read: a reload has nothing to do before the listener takes its signals
  ::signal(SIGHUP, SIG_IGN);
  // Host key and tokens: no core dump, no look from outside. Children inherit it until they execute
  // something; a core limit, which sessions would keep, is not needed for it.
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) qf::die(qf::kExitSystem, "cannot hide the process");
  qf::Flags flags;
  qf::parse(argc, argv, flags);
  // which closes what nobody knows: a key set of --verify-token may be a descriptor of the shell's
  qf::Handed handed = flags.verify.wanted ? qf::Handed() : qf::take_handed();
  qf::open_log("qf-sshd", flags.settings.use_syslog,
               flags.verbose ? qf::LogLevel::kDebug : qf::LogLevel::kInfo);
  if (flags.verify.wanted) return qf::verify(flags);
  qf::prepare(flags);
  // with its arguments, so that several servers on one machine can be told apart
  qf::set_title(words + " [listener]");
  return qf::listener_role(flags.settings, std::move(handed));
}
