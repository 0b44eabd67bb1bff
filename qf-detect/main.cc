// SPDX-License-Identifier: Apache-2.0
// qf-detect: says what answers on a host. Options and modes only; see probe.h, match.h and qf-detect(1).
// Runs as the user, on every ssh to a peer: it loads nothing heavy and its --match mode prints nothing.
#include <charconv>
#include <cmath>
#include <optional>

#include "libqf/address.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/text.h"
#include "qf-detect/ask.h"
#include "qf-detect/host_keys.h"
#include "qf-detect/match.h"

namespace {

namespace po = boost::program_options;

constexpr const char* kUsage =
    "usage: qf-detect [--json | --quiet] [--timeout SECONDS] HOST [PORT]\n"
    "       qf-detect --match [--verbose] HOST PORT\n"
    "       qf-detect --host-keys NAME\n"
    "\n"
    "Says what answers on HOST: exit 0 a QuFabric SSH server that wants a JWT, 1 one that wants none,\n"
    "2 another SSH server, 3 nothing; 64 wrong usage. With --match 0 applies, 1 does not.\n\n";

struct Options {
  qf::FolderOptions folders;
  std::optional<std::string> timeout;  // seconds
  std::vector<std::string> words;
  bool json = false, quiet = false, match = false, verbose = false, host_keys = false;
};

po::options_description describe(Options& o) {
  po::options_description visible("options");
  auto add = visible.add_options();
  add("json", po::bool_switch(&o.json), "print the answer as a JSON object");
  add("quiet", po::bool_switch(&o.quiet), "print nothing, exit code only");
  auto take = [](std::optional<std::string>& to) {
    return po::value<std::string>()->notifier([&to](const std::string& value) { to = value; });
  };
  add("timeout", take(o.timeout)->value_name("SECONDS"), "for the whole probe, default 5");
  add("match", po::bool_switch(&o.match), "for ssh_config: does the QuFabric block apply");
  add("verbose", po::bool_switch(&o.verbose), "with --match: say why on stderr");
  add("host-keys", po::bool_switch(&o.host_keys), "print the peer's pinned keys as known_hosts lines");
  qf::add_folder_options(visible, o.folders);
  return visible;
}

[[noreturn]] void wrong_usage(const std::string& text) {
  qf::wrong_usage("qf-detect", text);
}

// Exits for --help and --version.
Options read_options(int argc, char** argv) {
  Options options;
  auto visible = describe(options);
  qf::parse_options(argc, argv, {"qf-detect", kUsage, visible, &options.words});
  return options;
}

std::chrono::milliseconds parse_timeout(const std::string& text) {
  double seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(seconds) || seconds <= 0 ||
      seconds > 3600) {
    wrong_usage("--timeout must be a number of seconds above 0 and at most 3600, not \"" + text + "\"");
  }
  return std::chrono::milliseconds(static_cast<int64_t>(std::ceil(seconds * 1000)));
}

int run_match(const Options& options, const qf::Folders& folders) {
  if (options.words.size() != 2) wrong_usage("--match takes HOST and PORT and nothing else");
  auto answer = qf::match_host(folders, options.words[0], options.words[1]);
  if (options.verbose)
    qf::say(options.words[0] + (answer.applies ? ": applies, " : ": does not apply, ") + answer.reason);
  return answer.applies ? 0 : 1;
}

// Exits 0 also for a host that is no peer: ssh gives up on a KnownHostsCommand that fails.
int run_host_keys(const Options& options, const qf::Folders& folders) {
  if (options.words.size() != 1) wrong_usage("--host-keys takes one NAME: host or [host]:port");
  auto db = qf::PeersDb::open(folders.peers_mdb());
  if (!db) {
    if (options.verbose) qf::say(db.error().text());
    return qf::kExitOk;
  }
  auto lines = qf::known_hosts_lines(*db, options.words[0]);
  return qf::write_all(STDOUT_FILENO, lines) ? qf::kExitOk : qf::kExitSystem;
}

int run_ask(const Options& options, const qf::Folders& folders) {
  if (options.words.empty() || options.words.size() > 2) wrong_usage("expected HOST and perhaps PORT");
  if (options.words[0].empty()) wrong_usage("the host is empty");
  auto port = options.words.size() == 2 ? qf::parse_number(options.words[1], 65535) : 22;
  if (!port || *port == 0) wrong_usage("\"" + options.words[1] + "\" is not a port");
  auto report = qf::ask_host(folders, options.words[0], static_cast<uint16_t>(*port),
                             parse_timeout(options.timeout.value_or("5")));
  std::string text = options.json ? qf::report_json(report) : qf::report_text(report);
  if (!options.quiet && !qf::write_all(STDOUT_FILENO, text)) return qf::kExitSystem;
  return qf::detection_exit_code(report.result.detection);
}

}  // namespace

int main(int argc, char** argv) {
  qf::open_log("qf-detect");
  Options options = read_options(argc, argv);
  if (options.match + options.host_keys > 1) wrong_usage("--match and --host-keys exclude each other");
  if ((options.match || options.host_keys) && (options.json || options.quiet || options.timeout))
    wrong_usage("--json, --quiet and --timeout belong to a probe, not to --match and --host-keys");
  if (options.verbose && !options.match && !options.host_keys)
    wrong_usage("--verbose belongs to --match and --host-keys");
  if (options.json && options.quiet) wrong_usage("--json and --quiet exclude each other");
  auto folders = options.folders.folders();
  if (options.match) return run_match(options, folders);
  if (options.host_keys) return run_host_keys(options, folders);
  return run_ask(options, folders);
}
