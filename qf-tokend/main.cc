// SPDX-License-Identifier: Apache-2.0
// qf-tokend: the user's token daemon, or with --machine-issuer this machine's own issuer. Options only; see
// daemon.h, machine_issuer.h and qf-tokend(1). Wrong usage exits 64.

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/text.h"
#include "qf-tokend/daemon.h"
#include "qf-tokend/machine_issuer.h"

namespace {

namespace po = boost::program_options;

constexpr uint64_t kMostTtl = 30ULL * 86'400;  // seconds
constexpr const char* kUsage =
    "usage: qf-tokend [--foreground] [--ttl SECONDS]\n"
    "       qf-tokend --machine-issuer [--foreground] [--issuer ISS] [--audience AUD] [--allow-root]\n"
    "       qf-tokend --machine-issuer --print-jwks\n"
    "\n"
    "Keeps the user's tokens and mints credentials for ssh; or is this machine's own issuer.\n\n";

struct Options {
  qf::FolderOptions folders;
  std::optional<std::string> ttl, issuer, audience;
  bool foreground = false, machine_issuer = false, allow_root = false, print_jwks = false;
};

po::options_description describe(Options& o) {
  po::options_description visible("options");
  auto take = [](std::optional<std::string>& to) {
    return po::value<std::string>()->notifier([&to](const std::string& value) { to = value; });
  };
  auto add = visible.add_options();
  add("ttl", take(o.ttl)->value_name("SECONDS"),
      "keep tokens this long, 0 not at all (default: as qf-up says)");
  add("foreground", po::bool_switch(&o.foreground), "stay in the foreground, log to stderr");
  add("machine-issuer", po::bool_switch(&o.machine_issuer), "be this machine's own issuer");
  add("issuer", take(o.issuer)->value_name("ISS"), "iss of its tokens, default qufabric-machine:HOSTNAME");
  add("audience", take(o.audience)->value_name("AUD"), "aud of its tokens, default qufabric");
  add("allow-root", po::bool_switch(&o.allow_root), "give tokens to root too");
  add("print-jwks", po::bool_switch(&o.print_jwks), "print its key set for the fabric document, then exit");
  qf::add_folder_options(visible, o.folders);
  return visible;
}

[[noreturn]] void wrong_usage(const std::string& text) {
  qf::wrong_usage("qf-tokend", text);
}

// Exits for --help and --version.
Options read_options(int argc, char** argv) {
  Options options;
  auto visible = describe(options);
  qf::parse_options(argc, argv, {"qf-tokend", kUsage, visible});
  if (!options.machine_issuer &&
      (options.issuer || options.audience || options.allow_root || options.print_jwks)) {
    wrong_usage("--issuer, --audience, --allow-root and --print-jwks belong to --machine-issuer");
  }
  if (options.machine_issuer && options.ttl) wrong_usage("--ttl does not belong to --machine-issuer");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  qf::open_log("qf-tokend");
  Options options = read_options(argc, argv);
  qf::Folders folders = options.folders.folders();
  if (options.machine_issuer) {
    qf::MachineIssuerOptions issuer{folders, options.issuer.value_or(""), options.audience.value_or(""),
                                    options.allow_root, options.foreground};
    return options.print_jwks ? qf::print_machine_key_set(issuer) : qf::run_machine_issuer(issuer);
  }
  std::optional<int64_t> ttl;
  if (options.ttl) {
    auto seconds = qf::parse_number(*options.ttl, kMostTtl);
    if (!seconds) {
      wrong_usage("--ttl must be a number of seconds up to " + std::to_string(kMostTtl) + ", not \"" +
                  *options.ttl + "\"");
    }
    ttl = static_cast<int64_t>(*seconds);
  }
  return qf::run_daemon({folders, ttl, options.foreground});
}
