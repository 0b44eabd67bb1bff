// SPDX-License-Identifier: Apache-2.0
// qufabric: the front door, as git is. Looks its first words up in a table and becomes the program that does
// the work, with the other words as they are. See qufabric(1).
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/folders.h"
#include "libqf/log.h"

namespace {

struct Route {
  std::string_view first, second;  // second empty: the first word alone decides
  const char* program;             // of ours; null: the user's own ssh
  const char* command;             // put before the other words; null: nothing
};

// Longer routes first.
constexpr std::array<Route, 7> kRoutes = {{
    {"ssh", "detect", "qf-detect", nullptr},
    {"ssh", "proxy", "qf-proxy", nullptr},
    {"ssh", "", nullptr, nullptr},
    {"up", "", "qf-up", "up"},
    {"down", "", "qf-up", "down"},
    {"status", "", "qf-up", "status"},
    {"login", "", "qf-token", "login"},
}};

constexpr const char* kHelp =
    "usage: qufabric up|down|status [OPTIONS]   qf-up(8)\n"
    "       qufabric login [OPTIONS]            qf-token(1)\n"
    "       qufabric ssh [USER@]PEER [COMMAND]  ssh(1), as plain ssh\n"
    "       qufabric ssh detect HOST [PORT]     qf-detect(1)\n"
    "       qufabric ssh proxy HOST PORT        qf-proxy(1)\n"
    "       qufabric --help | --version\n";

[[noreturn]] void become(const Route& route, const std::vector<std::string>& rest) {
  std::string program = route.program == nullptr ? "ssh" : qf::sibling_program(route.program);
  std::vector<std::string> words = {program};
  if (route.command != nullptr) words.emplace_back(route.command);
  words.insert(words.end(), rest.begin(), rest.end());
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execvp(program.c_str(), arguments.data());
  qf::die(qf::kExitSystem, qf::system_error("cannot execute " + program).text(), "is it installed?");
}

}  // namespace

int main(int argc, char** argv) {
  qf::open_log("qufabric");
  std::vector<std::string> words(argv + 1, argv + argc);
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
    size_t used = route.second.empty() ? 1 : 2;
    become(route, {words.begin() + static_cast<std::ptrdiff_t>(used), words.end()});
  }
  qf::die(qf::kExitUsage, first.empty() ? "no command" : "no command \"" + first + "\"",
          "run qufabric --help");
}
