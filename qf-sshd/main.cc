// SPDX-License-Identifier: Apache-2.0
// qf-sshd: the SSH server of a peer, on port 22022. This file reads the options and what the machine offers;
// the roles are listener.cc, monitor.cc, net.cc and session.cc; keyfetch is a program of its own
// (keyfetch_main.cc).
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <iostream>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "libqf/text.h"
#include "qf-sshd/account.h"
#include "qf-sshd/host_key.h"
#include "qf-sshd/listener.h"
#include "qf-sshd/settings.h"

namespace po = boost::program_options;

namespace qf {
namespace {

constexpr const char* kSftpServers[] = {"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
                                        "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server"};

struct Flags {
  Settings settings;
  std::string config, state, runtime, startups;
  bool no_auth = false;
  bool verbose = false;
};

po::options_description describe(Flags& flags) {
  Settings& s = flags.settings;
  po::options_description options("qf-sshd: the SSH server of a peer of the fabric\n\noptions");
  auto add = options.add_options();
  add("help,h", "show this text");
  add("version,V", "show the version");
  add("self", po::value(&s.self)->value_name("NAME"), "this machine's peer name (default: what qf-up noted)");
  add("config-dir", po::value(&flags.config)->value_name("DIR"), "configuration (default: /etc/qufabric)");
  add("state-dir", po::value(&flags.state)->value_name("DIR"), "state (default: /var/lib/qufabric)");
  add("runtime-dir", po::value(&flags.runtime)->value_name("DIR"), "runtime files (default: /run/qufabric)");
  add("enable-ssh-sftp", po::bool_switch(&s.sftp), "allow the SFTP subsystem (sftp, scp)");
  add("enable-ssh-root", po::bool_switch(&s.root_login), "allow logins as uid 0, where the policy does");
  add("disable-ssh-auth", po::bool_switch(&flags.no_auth), "want no JWT: the source peer alone decides");
  add("login-grace-time", po::value(&s.login_grace)->value_name("SECONDS"), "time to log in (default: 120)");
  add("max-connections", po::value(&s.most_connections)->value_name("N"),
      "connections at once (default: 1000)");
  add("max-startups", po::value(&flags.startups)->value_name("START:RATE:FULL"),
      "connections that are not logged in: from START on RATE percent of new ones are dropped, all from FULL "
      "on "
      "(default: 30:30:100)");
  add("per-source-max-startups", po::value(&s.most_source_startups)->value_name("N"),
      "such connections of one source address (default: 20)");
  add("max-sessions", po::value(&s.most_sessions)->value_name("N"),
      "sessions at once on a connection (default: 64)");
  add("max-auth-tries", po::value(&s.most_attempts)->value_name("N"),
      "failed logins on a connection (default: 6)");
  add("syslog", po::bool_switch(&s.use_syslog), "log to syslog instead of standard error");
  add("verbose,v", po::bool_switch(&flags.verbose), "log more");
  return options;
}

// "30:30:100", or one number for START and FULL alike.
bool read_startups(const std::string& text, StartupLimit& limit) {
  if (text.empty()) return true;
  std::vector<unsigned> numbers;
  for (const auto& part : split(text, ':')) {
    auto number = parse_number(part, 1'000'000);
    if (!number) return false;
    numbers.push_back(static_cast<unsigned>(*number));
  }
  if (numbers.size() == 1) numbers = {numbers[0], 100, numbers[0]};
  if (numbers.size() != 3 || numbers[0] > numbers[2] || numbers[1] > 100 || numbers[2] == 0) return false;
  limit = {numbers[0], numbers[1], numbers[2]};
  return true;
}

// Ends the program for --help, --version and wrong usage.
void parse(int argc, char** argv, Flags& flags) {
  auto options = describe(flags);
  po::variables_map values;
  try {
    auto parsed = po::command_line_parser(argc, argv).options(options).positional({}).run();
    po::store(parsed, values);
    po::notify(values);
  } catch (const po::error& error) {
    die(kExitUsage, error.what(), "run qf-sshd --help");
  }
  if (values.count("help") != 0) {
    std::cout << options;
    std::exit(kExitOk);
  }
  if (values.count("version") != 0) {
    std::cout << "qf-sshd " QF_VERSION "\n";
    std::exit(kExitOk);
  }
  if (!read_startups(flags.startups, flags.settings.startups)) {
    die(kExitUsage, "--max-startups wants START:RATE:FULL, with START at most FULL and RATE at most 100",
        "run qf-sshd --help");
  }
  if (flags.settings.most_sessions == 0 || flags.settings.most_connections == 0 ||
      flags.settings.login_grace == 0 || flags.settings.most_source_startups == 0) {
    die(kExitUsage, "limits must be at least 1", "run qf-sshd --help");
  }
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
  settings.folders = find_folders(flags.config, flags.state, flags.runtime);
  settings.privileged = ::geteuid() == 0;
  if (settings.self.empty()) {
    auto peers = PeersDb::open(settings.folders.peers_mdb());
    auto meta = peers ? peers->meta() : Result<PeersMeta>(peers.error());
    if (!meta) die(kExitConfig, meta.error().text(), "run qf-up apply");
    settings.self = meta->self;
  }
  if (settings.self.empty()) die(kExitConfig, "which peer is this machine?", "give --self NAME");
  raise_open_files(settings);
  if (settings.privileged) prepare_privileged(settings);
  auto key = host_key_fingerprint(settings.folders.host_key());
  if (!key) die(kExitConfig, key.error().text(), "run qf-up host-key");
  settings.own_fingerprint = *key;
  for (const char* path : kSftpServers) {
    if (settings.sftp_server.empty() && ::access(path, X_OK) == 0) settings.sftp_server = path;
  }
  if (auto made = make_folder(settings.folders.state + "/keysets", 0700); !made)
    die(kExitSystem, made.error().text());
}

}  // namespace
}  // namespace qf

int main(int argc, char** argv) {
  qf::open_log("qf-sshd");
  // what the caller left open is nobody's here, and would be inherited by every session's parent
  // Host key and tokens: no core dump, no look from outside. Children inherit it until they execute
  // something; a core limit, which sessions would keep, is not needed for it.
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) qf::die(qf::kExitSystem, "cannot hide the process");
  if (::close_range(3, ~0U, 0) != 0) qf::die(qf::kExitSystem, "cannot close descriptors");
  qf::Flags flags;
  qf::parse(argc, argv, flags);
  qf::open_log("qf-sshd", flags.settings.use_syslog,
               flags.verbose ? qf::LogLevel::kDebug : qf::LogLevel::kInfo);
  qf::prepare(flags);
  return qf::listener_role(flags.settings);
}
