// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/session.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "qf-sshd/account.h"

namespace qf {
namespace {

const ConnectionEnds kEnds{"100.64.0.9", "100.64.0.1", 40000, 22022};
const Settings kSettings;
const UserContext kNothing;

SessionRequest request_of(SessionKind kind, const std::string& command,
                          std::optional<PtyRequest> terminal = std::nullopt) {
  SessionRequest request;
  request.kind = kind;
  request.command = command;
  request.terminal = std::move(terminal);
  return request;
}

Account somebody() {
  return {"ann", 1234, 1234, "/home/ann", "/bin/sh"};
}

bool has(const std::vector<std::string>& environment, const std::string& variable) {
  return std::find(environment.begin(), environment.end(), variable) != environment.end();
}

bool names(const std::vector<std::string>& environment, const std::string& name) {
  return std::any_of(environment.begin(), environment.end(),
                     [&](const std::string& variable) { return variable.rfind(name + "=", 0) == 0; });
}

TEST(Session, EnvironmentOfACommand) {
  auto request = request_of(SessionKind::kExec, "true");
  request.environment = {{"LANG", "de_DE.UTF-8"}, {"LD_PRELOAD", "/x.so"}};
  auto environment = session_environment({kSettings, somebody(), kNothing, kEnds}, request, {}, "");
  EXPECT_TRUE(has(environment, "USER=ann"));
  EXPECT_TRUE(has(environment, "LOGNAME=ann"));
  EXPECT_TRUE(has(environment, "HOME=/home/ann"));
  EXPECT_TRUE(has(environment, "SHELL=/bin/sh"));
  EXPECT_TRUE(has(environment, "MAIL=/var/mail/ann"));
  EXPECT_TRUE(has(environment, "LANG=de_DE.UTF-8"));
  EXPECT_TRUE(has(environment, "SSH_CLIENT=100.64.0.9 40000 22022"));
  EXPECT_TRUE(has(environment, "SSH_CONNECTION=100.64.0.9 40000 100.64.0.1 22022"));
  EXPECT_FALSE(names(environment, "LD_PRELOAD"));
  EXPECT_FALSE(names(environment, "SSH_TTY"));
  EXPECT_FALSE(names(environment, "TERM"));
  EXPECT_FALSE(names(environment, "SSH_AUTH_SOCK"));
  EXPECT_FALSE(names(environment, "DISPLAY"));
}

TEST(Session, EnvironmentNamesTheAgentAndTheDisplay) {
  SessionForwards forwards;
  forwards.agent_socket = "/tmp/ssh-x/agent.1";
  forwards.display = 10;
  forwards.x11.screen = 1;
  auto environment = session_environment({kSettings, somebody(), kNothing, kEnds},
                                         request_of(SessionKind::kShell, ""), forwards, "");
  EXPECT_TRUE(has(environment, "SSH_AUTH_SOCK=/tmp/ssh-x/agent.1"));
  EXPECT_TRUE(has(environment, "DISPLAY=localhost:10.1"));
}

TEST(Session, EnvironmentOfATerminal) {
  auto request = request_of(SessionKind::kShell, "", PtyRequest{"xterm-256color", 80, 24, 0, 0});
  auto environment = session_environment({kSettings, somebody(), kNothing, kEnds}, request, {}, "/dev/pts/7");
  EXPECT_TRUE(has(environment, "TERM=xterm-256color"));
  EXPECT_TRUE(has(environment, "SSH_TTY=/dev/pts/7"));
}

TEST(Session, EnvironmentOfTheSystemBeatsTheClientsAndTheDefaults) {
  UserContext context;
  context.environment = {"PATH=/opt/bin:/bin",
                         "LANG=C",
                         "XDG_SESSION_ID=4",
                         "MAIL=/m",
                         "HOME=/elsewhere",
                         "USER=root",
                         "SHELL=/bin/x",
                         "SSH_TTY=/x",
                         "SSH_CLIENT=x",
                         "broken",
                         "=x"};
  auto request = request_of(SessionKind::kShell, "");
  request.environment = {{"LANG", "de_DE.UTF-8"}};
  auto environment = session_environment({kSettings, somebody(), context, kEnds}, request, {}, "");
  EXPECT_TRUE(has(environment, "PATH=/opt/bin:/bin"));
  EXPECT_TRUE(has(environment, "LANG=C"));
  EXPECT_TRUE(has(environment, "XDG_SESSION_ID=4"));
  EXPECT_TRUE(has(environment, "MAIL=/m"));
  // these are ours
  EXPECT_TRUE(has(environment, "HOME=/home/ann"));
  EXPECT_TRUE(has(environment, "USER=ann"));
  EXPECT_TRUE(has(environment, "SHELL=/bin/sh"));
  EXPECT_TRUE(has(environment, "SSH_CLIENT=100.64.0.9 40000 22022"));
  EXPECT_FALSE(names(environment, "SSH_TTY"));
  EXPECT_FALSE(names(environment, ""));
}

TEST(Session, RootHasTheAdministrationFoldersInItsPath) {
  Account root{"root", 0, 0, "/root", "/bin/sh"};
  auto environment = session_environment({kSettings, root, kNothing, kEnds}, SessionRequest{}, {}, "");
  auto path = std::find_if(environment.begin(), environment.end(),
                           [](const std::string& variable) { return variable.rfind("PATH=", 0) == 0; });
  ASSERT_NE(path, environment.end());
  EXPECT_NE(path->find("/usr/sbin"), std::string::npos);
}

// Runs a command as ourselves; what it prints on standard output and how it ended.
std::pair<std::string, int> run(SessionRequest request, const std::string& input = "") {
  Settings settings;
  auto account = own_account();
  EXPECT_TRUE(account);
  account->shell = "/bin/sh";
  auto spawned = spawn_session({settings, *account, kNothing, kEnds}, request);
  EXPECT_TRUE(spawned);
  if (!spawned) return {};
  EXPECT_TRUE(write_all(spawned->fds[0].get(), input));
  if (!request.terminal) spawned->fds[0].reset();
  std::string out;
  char buffer[4096];
  Deadline deadline = Clock::now() + std::chrono::seconds(20);
  while (wait_for(spawned->fds[1].get(), POLLIN, deadline)) {
    ssize_t n = ::read(spawned->fds[1].get(), buffer, sizeof buffer);
    if (n <= 0) break;
    out.append(buffer, static_cast<size_t>(n));
  }
  int status = -1;
  ::waitpid(spawned->pid, &status, 0);
  return {out, status};
}

TEST(Session, CommandGetsItsInputAndItsStatusComesBack) {
  auto [out, status] = run(request_of(SessionKind::kExec, "cat; exit 7"), "in\n");
  EXPECT_EQ(out, "in\n");
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(Session, CommandHoldsNoOtherDescriptor) {
  auto [out, status] = run(request_of(SessionKind::kExec, "ls /proc/self/fd"));
  EXPECT_EQ(out, "0\n1\n2\n3\n");  // 3 is the folder that ls reads
  EXPECT_EQ(status, 0);
}

TEST(Session, TerminalHasItsSizeAndIsTheControllingOne) {
  auto [out, status] =
      run(request_of(SessionKind::kExec, "stty size; tty >/dev/tty", PtyRequest{"vt100", 132, 43, 0, 0}));
  EXPECT_NE(out.find("43 132"), std::string::npos) << out;
  EXPECT_NE(out.find("/dev/pts/"), std::string::npos) << out;
  EXPECT_EQ(status, 0);
}

TEST(Session, MissingHomeFolderIsSaidAndTheSessionStartsInTheRoot) {
  Settings settings;
  auto account = own_account();
  ASSERT_TRUE(account);
  account->shell = "/bin/sh";
  account->home = "/nonexistent/home";
  auto spawned =
      spawn_session({settings, *account, kNothing, kEnds}, request_of(SessionKind::kExec, "pwd >&2"));
  ASSERT_TRUE(spawned);
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(spawned->fds[2].get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  EXPECT_EQ(text, "could not change to the home folder /nonexistent/home: No such file or directory\n/\n");
  int status = 0;
  ::waitpid(spawned->pid, &status, 0);
}

TEST(Session, AccountsAreFoundByName) {
  auto root = find_account("root");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->uid, 0U);
  auto none = find_account("no-such-user-here");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(find_account(""));
  EXPECT_FALSE(find_account(std::string("root\0x", 6)));
}

TEST(Session, NologinKeepsEverybodyButRootOut) {
  char path[] = "/tmp/qf-nologin-XXXXXX";
  Fd file(::mkstemp(path));
  ASSERT_TRUE(file);
  ASSERT_TRUE(write_all(file.get(), "back at noon\n"));
  auto closed = check_open({"nobody", 65534, 65534, "/", "/bin/sh"}, path);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().text(), "logins are closed on this peer: back at noon");
  EXPECT_TRUE(check_open({"root", 0, 0, "/root", "/bin/sh"}, path));
  ::unlink(path);
  EXPECT_TRUE(check_open({"nobody", 65534, 65534, "/", "/bin/sh"}, path));
}

TEST(Session, ShellMustExistAndBeExecutable) {
  EXPECT_TRUE(check_shell({"ann", 1, 1, "/", "/bin/sh"}));
  EXPECT_FALSE(check_shell({"ann", 1, 1, "/", "/nonexistent/shell"}));
  EXPECT_FALSE(check_shell({"ann", 1, 1, "/", "/etc/passwd"}));
  EXPECT_FALSE(check_shell({"ann", 1, 1, "/", "/bin"}));
}

}  // namespace
}  // namespace qf
