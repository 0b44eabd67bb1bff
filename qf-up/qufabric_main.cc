// SPDX-License-Identifier: Apache-2.0
// qufabric: the front door, as git is. Looks its first words up in a table and becomes the program that does
// the work, with the other words as they are; OpenSSH's clients get a configuration file besides
// (qf-up/qufabric_config.h). Always exec, never fork: terminal, signals and exit status are the program's.
// See qufabric(1).
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/folders.h"
#include "libqf/log.h"
#include "libqf/ssh_words.h"
#include "qf-up/qufabric_config.h"

namespace {

using Words = std::vector<std::string>;

struct Route {
  std::string_view first, second;  // second empty: the first word alone decides
  const char* program;
  const char* command;  // put before the other words; null: nothing
};

constexpr std::array<Route, 7> kRoutes = {{
    {"ssh", "detect", "qf-detect", nullptr},
    {"ssh", "proxy", "qf-proxy", nullptr},
    {"up", "", "qf-up", "up"},
    {"down", "", "qf-up", "down"},
    {"status", "", "qf-up", "status"},
    {"doctor", "", "qf-up", "doctor"},
    {"login", "", "qf-token", "login"},
}};

constexpr const char* kHelp =
    "usage: qufabric [FOLDERS] up|down|status|doctor [OPTIONS] qf-up(8)\n"
    "       qufabric [FOLDERS] login [OPTIONS]                 qf-token(1)\n"
    "       qufabric [FOLDERS] ssh [OPTIONS] [USER@]PEER [COMMAND]\n"
    "       qufabric [FOLDERS] scp|sftp [OPTIONS] ...          ssh(1), scp(1), sftp(1) with the peers of the "
    "fabric,\n"
    "                                                          also where ssh_config cannot have them\n"
    "       qufabric [FOLDERS] ssh-config                      print the lines for one's own ~/.ssh/config\n"
    "       qufabric [FOLDERS] ssh detect HOST [PORT]          qf-detect(1)\n"
    "       qufabric [FOLDERS] ssh proxy HOST PORT             qf-proxy(1)\n"
    "       qufabric --help | --version\n"
    "\n"
    "FOLDERS:\n"
    "  --config-dir DIR                                        /etc/qufabric, or QF_CONFIG_DIR\n"
    "  --state-dir DIR                                         /var/lib/qufabric, or QF_STATE_DIR\n"
    "  --runtime-dir DIR                                       the user's own, or QF_RUNTIME_DIR\n";

[[noreturn]] void die_of(const qf::Error& error) {
  qf::die(error.kind == qf::ErrorKind::kSystem ? qf::kExitSystem : qf::kExitConfig, error.text(), error.hint);
}

[[noreturn]] void become(const std::string& program, Words words) {
  words.insert(words.begin(), program);
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execvp(program.c_str(), arguments.data());
  if (errno == ENOENT && program.find('/') == std::string::npos)
    qf::die(qf::kExitSystem, "no program \"" + program + "\" in PATH", "install the client of OpenSSH");
  qf::die(qf::kExitSystem, qf::system_error("cannot execute " + program).text(), "is it installed?");
}

struct FolderFlag {
  std::string_view flag;
  const char* variable;
};
constexpr std::array<FolderFlag, 3> kFolderFlags = {{{"--config-dir", "QF_CONFIG_DIR"},
                                                     {"--state-dir", "QF_STATE_DIR"},
                                                     {"--runtime-dir", "QF_RUNTIME_DIR"}}};

// Takes the folder options off the front; in the order of kFolderFlags, empty where there is none.
std::array<std::string, 3> take_folders(Words& words) {
  std::array<std::string, 3> values;
  size_t used = 0;
  for (; used < words.size() && words[used].starts_with("--"); ++used) {
    const std::string flag = words[used].substr(0, words[used].find('='));
    size_t which = 0;
    while (which < kFolderFlags.size() && kFolderFlags[which].flag != flag) ++which;
    if (which == kFolderFlags.size()) break;
    bool joined = flag.size() < words[used].size();
    if (!joined && used + 1 == words.size())
      qf::die(qf::kExitUsage, flag + " needs a value", "run qufabric --help");
    values[which] = joined ? words[used].substr(flag.size() + 1) : words[++used];
    if (values[which].empty()) qf::die(qf::kExitUsage, flag + " needs a value", "run qufabric --help");
  }
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(used));
  return values;
}

[[noreturn]] void become_client(const qf::SshClient& client, Words words, const qf::Folders& folders) {
  auto read = qf::read_client_words(client, words);
  // it says its version, or its usage
  if (!read.host) become(client.program, words);
  std::optional<std::string> own;
  if (read.own) own = words[read.own->word].substr(read.own->at);
  // it says what is wrong with the file
  if (own && *own != "none" && ::access(own->c_str(), R_OK) != 0) become(client.program, words);
  if (auto applied = qf::check_applied(folders); !applied) die_of(applied.error());
  auto text = qf::client_config(folders, own);
  if (!text) die_of(text.error());
  auto path = qf::keep_client_config(folders, *text);
  if (!path) die_of(path.error());
  become(client.program, qf::with_config(read.own, std::move(words), *path));
}

int print_ssh_config(const Words& words, const qf::Folders& folders) {
  if (!words.empty()) qf::die(qf::kExitUsage, "unexpected word \"" + words[0] + "\"", "run qufabric --help");
  if (auto applied = qf::check_applied(folders); !applied) die_of(applied.error());
  auto block = qf::config_block(folders);
  if (!block) die_of(block.error());
  if (auto reader = qf::includes_ours(folders); !reader.empty())
    qf::say("plain ssh needs no such lines here: " + reader + " includes the file");
  std::fputs(block->c_str(), stdout);
  return std::fflush(stdout) == 0 ? qf::kExitOk : qf::kExitSystem;
}

}  // namespace

int main(int argc, char** argv) {
  qf::open_log("qufabric");
  Words words(argv + 1, argv + argc);
  auto values = take_folders(words);
  std::string first = words.empty() ? "" : words[0];
  std::string second = words.size() < 2 ? "" : words[1];
  bool help = first == "--help" || first == "-h" || first == "help";
  if ((help || first == "--version") && words.size() > 1)
    qf::die(qf::kExitUsage, "unexpected word \"" + second + "\"", "run qufabric --help");
  if (help) {
    std::fputs(kHelp, stdout);
    return qf::kExitOk;
  }
  if (first == "--version") {
    std::printf("qufabric %s\n", QF_VERSION);
    return qf::kExitOk;
  }
  for (const auto& route : kRoutes) {
    if (route.first != first || (!route.second.empty() && route.second != second)) continue;
    words.erase(words.begin(), words.begin() + (route.second.empty() ? 1 : 2));
    if (route.command != nullptr) words.insert(words.begin(), route.command);
    for (size_t i = 0; i < values.size(); ++i) {
      if (!values[i].empty()) ::setenv(kFolderFlags[i].variable, values[i].c_str(), 1);
    }
    become(qf::sibling_program(route.program), std::move(words));
  }
  const qf::SshClient* client = qf::find_ssh_client(first);
  if (client != nullptr || first == "ssh-config") {
    words.erase(words.begin());
    auto folders = qf::find_folders(values[0], values[1], values[2]);
    if (client == nullptr) return print_ssh_config(words, folders);
    become_client(*client, std::move(words), folders);
  }
  qf::die(qf::kExitUsage, first.empty() ? "no command" : "no command \"" + first + "\"",
          "run qufabric --help");
}
