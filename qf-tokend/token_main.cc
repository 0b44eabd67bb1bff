// SPDX-License-Identifier: Apache-2.0
// qf-token: asks qf-tokend from a shell, as ssh-add asks ssh-agent. Options only; see token_commands.h and
// qf-token(1). Wrong usage exits 64.
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/text.h"
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

struct Subcommand {
  const char* name;
  const char* usage;  // its options
  const char* does;
  const char* result;
};
constexpr Subcommand kSubcommands[] = {
    {"login", "[--issuer NAME] [--renew]", "Logs in once for the next connections.",
     "0 logged in, 1 the login failed, 71 qf-tokend could not be started or went away"},
    {"show", "[--issuer NAME] [--claims]", "Prints the cached token, or its claims.",
     "0 printed, 1 there is none"},
    {"status", "[--issuer NAME] [--json]", "Says who is logged in at which issuer.",
     "0 an ssh now would ask nobody, 1 a person would have to log in"},
    {"logout", "[--issuer NAME]", "Forgets the tokens of one issuer or of all.", "0 forgotten"},
    {"stop", "", "Ends qf-tokend, which forgets everything.", "0 none runs any more"},
};

const Subcommand* find_subcommand(std::string_view name) {
  const auto* found = std::find_if(std::begin(kSubcommands), std::end(kSubcommands),
                                   [&](const Subcommand& one) { return one.name == name; });
  return found == std::end(kSubcommands) ? nullptr : found;
}

struct Options {
  qf::FolderOptions folders;
  std::string issuer;
  std::vector<std::string> words;
  bool claims = false, json = false, renew = false;
};

// Those of one subcommand, or all when it is null.
po::options_description describe(Options& o, const Subcommand* of) {
  po::options_description visible("options");
  auto add = visible.add_options();
  auto has = [&](const char* option) {
    return of == nullptr || std::string_view(of->usage).find(option) != std::string_view::npos;
  };
  if (has("--issuer"))
    add("issuer", po::value(&o.issuer)->value_name("NAME"), "an issuer of the fabric document");
  if (has("--renew"))
    add("renew", po::bool_switch(&o.renew), "with login: log in anew, although a token is cached");
  if (has("--claims"))
    add("claims", po::bool_switch(&o.claims), "with show: the decoded claims in place of the token");
  if (has("--json")) add("json", po::bool_switch(&o.json), "with status: the answer of qf-tokend as JSON");
  qf::add_folder_options(visible, o.folders);
  return visible;
}

[[noreturn]] void wrong_usage(const std::string& text) {
  qf::wrong_usage("qf-token", text);
}

// "login --help" and "help login" print what belongs to login, and exit.
void help_with_subcommand(int argc, char** argv) {
  if (argc != 3) return;
  std::string_view first = argv[1], second = argv[2];
  if (second == "--help" || second == "-h") std::swap(first, second);
  const Subcommand* of = find_subcommand(second);
  if (of == nullptr || (first != "--help" && first != "-h" && first != "help")) return;
  Options options;
  auto visible = describe(options, of);
  visible.add_options()("help,h", "print this");
  std::ostringstream text;
  text << "usage: qf-token " << of->name << (*of->usage == '\0' ? "" : " ") << of->usage << "\n"
       << of->does << "\n"
       << visible << "exit status: " << of->result << ", 64 wrong usage; see qf-token(1)\n";
  std::exit(qf::write_all(STDOUT_FILENO, text.str()) ? qf::kExitOk : qf::kExitSystem);
}

// Exits for --help and --version.
Options read_options(int argc, char** argv) {
  help_with_subcommand(argc, argv);
  std::string help = "--help";
  if (argc == 2 && std::string_view(argv[1]) == "help") argv[1] = help.data();
  Options options;
  auto visible = describe(options, nullptr);
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
  std::vector<std::string> known;
  for (const auto& one : kSubcommands) known.emplace_back(one.name);
  std::string near = qf::nearest_spelling(word, known);
  wrong_usage("there is no command \"" + word + "\"" +
              (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}
