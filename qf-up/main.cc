// SPDX-License-Identifier: Apache-2.0
// qf-up: the admin's hand. Checks and applies the fabric document, writes the ssh_config file, starts qf-sshd
// and keeps it running. uid: the caller's, root for a whole machine. See qf-up(8).
#include <signal.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-up/audit.h"
#include "qf-up/commands.h"
#include "qf-up/watch.h"

namespace {

namespace po = boost::program_options;

// Options that mean something to a command; the folders do to all.
enum class Takes : unsigned {
  kNothing = 0,
  kFile = 1,
  kChoices = 2,
  kConfigFile = 4,
  kForce = 8,
  kJson = 16,
  kFollow = 32
};
constexpr Takes operator|(Takes a, Takes b) {
  return static_cast<Takes>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

struct Command {
  int (*run)(const qf::Invocation&);
  Takes takes;
  const char* usage;   // after "qf-up "
  const char* does;    // one line
  const char* result;  // each exit status that is the command's own
  [[nodiscard]] bool knows(Takes what) const {
    return (static_cast<unsigned>(takes) & static_cast<unsigned>(what)) != 0;
  }
};

const std::map<std::string, Command>& commands() {
  static const std::map<std::string, Command> kAll = {
      {"up",
       {qf::command_up, Takes::kChoices | Takes::kConfigFile | Takes::kForce, "[up] [options]",
        "Applies the fabric document and stays in the foreground; with --allow-server-ssh runs qf-sshd.",
        "0 ended by SIGTERM or SIGINT, 71 the system failed, 78 no document that is good is in force"}},
      {"check",
       {qf::command_check, Takes::kFile, "check [FILE]",
        "Says everything that is wrong with a fabric document, and changes nothing.",
        "0 the document is good, 1 it is wrong, 78 it cannot be read"}},
      {"apply",
       {qf::command_apply, Takes::kFile | Takes::kChoices | Takes::kConfigFile | Takes::kForce,
        "apply [options] [FILE]", "Puts a fabric document into force, all of it or nothing.",
        "0 it is in force, 71 the system failed, 78 it is refused and nothing was changed"}},
      {"refresh",
       {qf::command_refresh, Takes::kChoices | Takes::kConfigFile | Takes::kFollow, "refresh [options]",
        "Asks for a newer document where --document says, as the running qf-up does by itself.",
        "0 what is there is in force, 1 it cannot be had or is refused, and nothing was changed, "
        "78 there is no --document"}},
      {"down",
       {qf::command_down, Takes::kConfigFile, "down [options]",
        "Stops the running qf-up and removes the ssh_config file. Live sessions go on.",
        "0 none runs any more, 71 the system failed"}},
      {"status",
       {qf::command_status, Takes::kConfigFile | Takes::kJson,
        "status [-d] [--peers [PEER...]] [--watch [SECONDS]] [--json]",
        "Says what runs, what is in force and who is logged in; with --peers what answers at the peers.",
        "0 one runs, 1 none does, or it is not for you to see, 78 no such peer"}},
      {"metrics",
       {qf::command_metrics, Takes::kNothing, "metrics",
        "Prints the numbers of qf-up and qf-sshd for Prometheus.", "0 printed, 71 the system failed"}},
      {"host-key",
       {qf::command_host_key, Takes::kNothing, "host-key",
        "Prints this machine's host key as it goes into \"ssh_host_keys\" of its peer; made when missing.",
        "0 printed, 71 the system failed"}},
      {"machine-jwks",
       {qf::command_machine_jwks, Takes::kNothing, "machine-jwks",
        "Prints the key set of this machine's issuer as it goes into \"jwks\"; made when missing.",
        "0 printed, 71 the system failed"}},
  };
  return kAll;
}

// Commands with options of their own. Their argv[0] is the command.
const std::map<std::string, int (*)(int, char**)>& own_commands() {
  static const std::map<std::string, int (*)(int, char**)> kAll = {
      {"audit", qf::audit_main},
      {"diff", qf::command_diff},
      {"doctor", qf::command_doctor},
      {"enroll", qf::command_enroll},
      {"explain", qf::command_explain},
      {"publish", qf::command_publish},
      {"rotate-host-key", qf::command_rotate_host_key},
      {"test", qf::command_test},
  };
  return kAll;
}

[[noreturn]] void wrong_usage(const std::string& what) {
  qf::die(qf::kExitUsage, what, "run qf-up --help");
}

[[noreturn]] void no_command(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [other, command] : commands()) known.push_back(other);
  for (const auto& [other, run] : own_commands()) known.push_back(other);
  std::string near = qf::nearest_spelling(name, known);
  if (near.empty()) wrong_usage("no command " + qf::quoted(name));
  qf::die(qf::kExitUsage, "no command " + qf::quoted(name),
          "did you mean qf-up " + near + "? all are in qf-up --help");
}

void add_choices(po::options_description& options) {
  auto add = options.add_options();
  add("self", po::value<std::string>()->value_name("NAME"),
      "which peer of the fabric document this machine is");
  for (const auto& choice : qf::bool_choices())
    add(choice.flag, po::value<bool>()->value_name("[=false]"), choice.help);
  for (const auto& choice : qf::value_choices())
    add(choice.flag, po::value<std::string>()->value_name(choice.value_name), choice.help);
  add("ssh-jwt-cache-ttl", po::value<std::string>()->value_name("SECONDS"),
      "seconds that a login is good for; 0: each connection logs in");
}

// Those of one command, or of all when it is null.
po::options_description visible_options(const Command* command) {
  po::options_description options("options");
  auto add = options.add_options();
  auto knows = [&](Takes what) { return command == nullptr || command->knows(what); };
  if (knows(Takes::kChoices)) add_choices(options);
  if (knows(Takes::kConfigFile))
    add("ssh-config-file", po::value<std::string>()->value_name("FILE"),
        "where to write the ssh_config file");
  if (knows(Takes::kFollow)) add("follow", "with refresh: stay, and take each change (etcd)");
  if (knows(Takes::kForce)) add("force", "apply also an older serial, or another fabric's");
  if (knows(Takes::kJson)) {
    add("json", "print the status as JSON");
    add("detail,d", "with status: list the connections and sessions of the SSH server");
    add("peers", "with status: list the peers, or those that are named, and what answers there");
    add("watch", po::value<std::string>()->value_name("[SECONDS]"),
        "with status: show it again and again, every 2 seconds; q ends it");
  }
  auto folder = [](const char* usual) {
    return po::value<std::string>()->default_value("", usual)->value_name("FOLDER");
  };
  add("config-dir", folder("/etc/qufabric"), "folder of fabric.json");
  add("state-dir", folder("/var/lib/qufabric"), "folder of the databases");
  add("runtime-dir", folder("/run/qufabric"), "folder of sockets");
  add("help,h", "print this and exit");
  add("version", "print the version and exit");
  return options;
}

void print_help() {
  std::ostringstream options;
  options << visible_options(nullptr);
  std::printf(
      "usage: qf-up [up] [options]          apply the fabric document and run in the foreground\n"
      "       qf-up check [FILE]            say what is wrong with a fabric document\n"
      "       qf-up apply [FILE] [options]  put a fabric document into force\n"
      "       qf-up refresh                 ask for a newer document where --document says\n"
      "       qf-up down                    stop the running qf-up and remove the ssh_config file\n"
      "       qf-up status [-d] [--peers [PEER...]] [--watch [SECONDS]] [--json]\n"
      "                                     say what runs and what is in force; -d: who is connected\n"
      "       qf-up metrics                 print the numbers of qf-up and qf-sshd for Prometheus\n"
      "       qf-up doctor [--json] [PEER...]\n"
      "                                     say what is wrong here, and what to do about it\n"
      "       qf-up test [FILE]             run the tests of a fabric document, one line each\n"
      "       qf-up explain --user USER [--issuer ISSUER] [--groups GROUP,...] [--group GROUP]...\n"
      "                     [--claim NAME=VALUE]...\n"
      "                     --from PEER|ADDRESS --to PEER --login OSUSER [--file FILE] [--json]\n"
      "                                     say whether a user may log in, and why\n"
      "       qf-up explain --who OSUSER@PEER [--from PEER|ADDRESS] [--file FILE] [--json]\n"
      "                                     list everybody who may log in there\n"
      "       qf-up diff FILE [--from-file FILE] [--exit-code] [--json]\n"
      "                                     say which logins a document gives and takes\n"
      "       qf-up enroll [--interface NAME] [--self NAME] [--client]\n"
      "                    [--publish --sign-key KEY [--replace]]\n"
      "                                     print this machine's entry for the fabric document, or put "
      "it there\n"
      "       qf-up publish FILE [--one-key-per-part | --one-document] --sign-key KEY\n"
      "                                     sign a document and put it into etcd\n"
      "       qf-up host-key                print this machine's host key, made when missing\n"
      "       qf-up rotate-host-key [--finish]\n"
      "                                     make another host key beside it; change to it\n"
      "       qf-up machine-jwks            print the key set of this machine's issuer, made when missing\n"
      "       qf-up audit verify [--last HASH] [FILE...]\n"
      "                                     say whether lines of the server's audit log were changed or "
      "removed\n"
      "       qf-up audit show [--user NAME] [--login NAME] [--from PEER] [--event NAME]\n"
      "                        [--connection ID] [--refused] [--since TIME] [--until TIME]\n"
      "                        [--json] [FILE...]\n"
      "                                     say who did what\n"
      "switches are remembered; switch one off with =false (--enable-ssh-sftp=false)\n%s",
      options.str().c_str());
}

void print_help_of(const std::string& name) {
  const Command& command = commands().at(name);
  std::ostringstream options;
  options << visible_options(&command);
  std::printf("usage: qf-up %s\n%s\n%s%sexit status: %s, 64 wrong usage\nsee qf-up(8)\n", command.usage,
              command.does,
              command.knows(Takes::kChoices)
                  ? "switches are remembered; switch one off with =false (--enable-ssh-sftp=false)\n"
                  : "",
              options.str().c_str(), command.result);
}

// "--enable-ssh-sftp" as "--enable-ssh-sftp=true": the library would take the word after it for its value.
// And
// "--max-startups=" as two words, the second empty, which it refuses in one.
std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    for (const auto& choice : qf::bool_choices()) {
      if (word == std::string("--") + choice.flag) word += "=true";
    }
    // its number may be left out, which the library knows of --watch=SECONDS alone
    if (word == "--watch") {
      bool given = i + 1 < argc && qf::parse_seconds(argv[i + 1]);
      word += std::string("=") + (given ? argv[++i] : "2");
    }
    bool back = false;
    for (const auto& choice : qf::value_choices())
      back = back || word == std::string("--") + choice.flag + "=";
    if (back) word.pop_back();
    words.push_back(std::move(word));
    if (back) words.emplace_back();
  }
  return words;
}

po::variables_map parse(int argc, char** argv) {
  po::options_description all = visible_options(nullptr);
  all.add_options()("words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  po::variables_map map;
  // the one place where the library's exceptions are caught
  try {
    po::store(po::command_line_parser(arguments(argc, argv))
                  .options(all)
                  .positional(positional)
                  .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing)
                  .run(),
              map);
    po::notify(map);
  } catch (const po::error& error) {
    wrong_usage(error.what());
  }
  return map;
}

// An option that means nothing to the command is a mistake of the person's.
void check_options(const po::variables_map& map, const std::string& name) {
  const Command& command = commands().at(name);
  auto check = [&](const char* option, Takes group) {
    if (map.contains(option) && !command.knows(group))
      wrong_usage("--" + std::string(option) + " does not belong to " + name);
  };
  check("force", Takes::kForce);
  check("follow", Takes::kFollow);
  check("json", Takes::kJson);
  check("ssh-config-file", Takes::kConfigFile);
  check("detail", Takes::kJson);
  check("peers", Takes::kJson);
  check("watch", Takes::kJson);
  check("self", Takes::kChoices);
  check("ssh-jwt-cache-ttl", Takes::kChoices);
  for (const auto& choice : qf::bool_choices()) check(choice.flag, Takes::kChoices);
  for (const auto& choice : qf::value_choices()) check(choice.flag, Takes::kChoices);
}

void take_words(const po::variables_map& map, qf::Invocation& invocation) {
  std::vector<std::string> words;
  if (map.contains("words")) words = map["words"].as<std::vector<std::string>>();
  if (!words.empty()) invocation.command = words[0];
  auto found = commands().find(invocation.command);
  if (found == commands().end()) no_command(invocation.command);
  size_t most = found->second.knows(Takes::kFile) ? 2 : 1;
  if (map.contains("peers")) {
    invocation.words.assign(words.begin() + 1, words.end());
    words.resize(1);
  }
  if (words.size() > most) wrong_usage("unexpected word \"" + words[most] + "\"");
  check_options(map, invocation.command);
  if (words.size() == 2) invocation.file = words[1];
}

qf::Invocation read_invocation(const po::variables_map& map) {
  qf::Invocation invocation;
  take_words(map, invocation);
  invocation.folders =
      qf::find_folders(map["config-dir"].as<std::string>(), map["state-dir"].as<std::string>(),
                       map["runtime-dir"].as<std::string>());
  invocation.force = map.contains("force");
  invocation.json = map.contains("json");
  invocation.follow = map.contains("follow");
  invocation.detail = map.contains("detail");
  invocation.peers = map.contains("peers");
  if (map.contains("watch")) {
    invocation.watch = qf::parse_seconds(map["watch"].as<std::string>());
    if (!invocation.watch) wrong_usage("--watch needs seconds from 0.1 to 86400");
  }
  if (map.contains("self")) invocation.self = map["self"].as<std::string>();
  if (map.contains("ssh-config-file")) {
    invocation.ssh_config_file = map["ssh-config-file"].as<std::string>();
    if (!invocation.ssh_config_file->empty() && !invocation.ssh_config_file->starts_with('/'))
      wrong_usage("--ssh-config-file needs an absolute path");
  }
  if (map.contains("ssh-jwt-cache-ttl")) {
    constexpr uint64_t kMostTtl = 30 * 86400;  // seconds, as in qf-tokend
    auto ttl = qf::parse_number(map["ssh-jwt-cache-ttl"].as<std::string>(), kMostTtl);
    if (!ttl) wrong_usage("--ssh-jwt-cache-ttl needs a number of seconds, at most 30 days");
    invocation.ssh_jwt_cache_ttl = static_cast<uint32_t>(*ttl);
  }
  for (const auto& choice : qf::bool_choices()) {
    if (map.contains(choice.flag)) invocation.switches.emplace_back(&choice, map[choice.flag].as<bool>());
  }
  for (const auto& choice : qf::value_choices()) {
    if (!map.contains(choice.flag)) continue;
    auto value = map[choice.flag].as<std::string>();
    // empty: the default again
    if (auto good = qf::check_value(choice, value); !good) {
      const qf::Error& error = good.error();
      qf::die(qf::kExitUsage, error.what, error.hint.empty() ? "run qf-up --help" : error.hint);
    }
    invocation.limits.emplace_back(&choice, std::move(value));
  }
  return invocation;
}

}  // namespace

int main(int argc, char** argv) {
  qf::open_log("qf-up");
  ::signal(SIGPIPE, SIG_IGN);  // a closed terminal must not end the supervisor
  std::vector<char*> words(argv, argv + argc);
  std::string help = "--help";
  // "help" and "help check", as --help and as check --help
  if (argc > 1 && std::string_view(argv[1]) == "help") {
    words.erase(words.begin() + 1);
    words.push_back(help.data());
  }
  auto count = static_cast<int>(words.size());
  auto own = count > 1 ? own_commands().find(words[1]) : own_commands().end();
  if (own != own_commands().end()) return own->second(count - 1, words.data() + 1);
  auto map = parse(count, words.data());
  auto invocation = read_invocation(map);
  if (map.contains("help")) {
    if (map.contains("words")) {
      print_help_of(invocation.command);
    } else {
      print_help();
    }
    return qf::kExitOk;
  }
  if (map.contains("version")) {
    std::printf("qf-up %s\n", QF_VERSION);
    return qf::kExitOk;
  }
  return commands().at(invocation.command).run(invocation);
}
