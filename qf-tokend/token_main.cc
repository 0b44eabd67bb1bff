// SPDX-License-Identifier: Apache-2.0
// qf-token: asks qf-tokend from a shell, as ssh-add asks ssh-agent. Options only; see token_commands.h and
// qf-token(1). Wrong usage exits 64.

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "qf-tokend/token_commands.h"

namespace {

namespace po = boost::program_options;

constexpr const char* kUsage =
    "usage: qf-token login [--issuer NAME] [--renew]\n"
    "       qf-token show [--issuer NAME] [--claims]\n"
    "       qf-token status [--issuer NAME] [--json]\n"
    "       qf-token logout [--issuer NAME]\n"
    "       qf-token stop\n"
    "\n"
    "Logs in once for the next connections, and shows or forgets what qf-tokend keeps.\n\n";

struct Options {
  qf::FolderOptions folders;
  std::string issuer;
  std::vector<std::string> words;
  bool claims = false, json = false, renew = false;
};

po::options_description describe(Options& o) {
  po::options_description visible("options");
  auto add = visible.add_options();
  add("issuer", po::value(&o.issuer)->value_name("NAME"), "an issuer of the fabric document");
  add("renew", po::bool_switch(&o.renew), "with login: log in anew, although a token is cached");
  add("claims", po::bool_switch(&o.claims), "with show: the decoded claims in place of the token");
  add("json", po::bool_switch(&o.json), "with status: the answer of qf-tokend as JSON");
  qf::add_folder_options(visible, o.folders);
  return visible;
}

[[noreturn]] void wrong_usage(const std::string& text) {
  qf::wrong_usage("qf-token", text);
}

// Exits for --help and --version.
Options read_options(int argc, char** argv) {
  Options options;
  auto visible = describe(options);
  qf::parse_options(argc, argv, {"qf-token", kUsage, visible, &options.words});
  if (options.words.size() != 1) wrong_usage("expected one of login, show, status, logout, stop");
  const std::string& word = options.words[0];
  bool takes_issuer = word != "stop";
  if (!options.issuer.empty() && !takes_issuer) wrong_usage("--issuer does not belong to " + word);
  if (options.renew && word != "login") wrong_usage("--renew belongs to login");
  if (options.claims && word != "show") wrong_usage("--claims belongs to show");
  if (options.json && word != "status") wrong_usage("--json belongs to status");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  qf::open_log("qf-token");
  Options options = read_options(argc, argv);
  qf::Folders folders = options.folders.folders();
  const std::string& word = options.words[0];
  if (word == "login") return qf::token_login(folders, options.issuer, options.renew);
  if (word == "show") return qf::token_show(folders, options.issuer, options.claims);
  if (word == "status") return qf::token_status(folders, options.issuer, options.json);
  if (word == "logout") return qf::token_logout(folders, options.issuer);
  if (word == "stop") return qf::token_stop(folders);
  wrong_usage("there is no command \"" + word + "\"");
}
