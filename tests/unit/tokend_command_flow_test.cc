// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/command_flow.h"

#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "libqf/folders.h"
#include "libqf/text.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

// Whether a process runs; a dead one may wait for its parent.
bool runs(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  size_t state = text.rfind(") ");
  return state != std::string::npos && text[state + 2] != 'Z' && text[state + 2] != 'X';
}

class CommandFlowTest : public ::testing::Test {
 protected:
  CommandFlowTest() { record_.flow = LoginFlow::kCommand; }
  ~CommandFlowTest() override { flow_.reset(); }

  void start() {
    flow_ = std::make_unique<CommandFlow>(record_, request_, services_, listener_);
    flow_->start();
  }
  void turn() {
    std::vector<pollfd> polled;
    flow_->add(polled);
    ::poll(polled.data(), polled.size(), 100);
    flow_->event(polled);
  }
  // To its end; the flow's own clock stands still.
  void run() {
    start();
    Deadline until = Clock::now() + std::chrono::seconds(20);
    while (listener_.ends == 0 && Clock::now() < until) turn();
    EXPECT_EQ(listener_.ends, 1);
    EXPECT_EQ(flow_->deadline(), Deadline::max());
  }
  void run_script(const std::string& script) {
    record_.command = {"/bin/sh", "-c", script};
    run();
  }
  void run_file(const std::string& path) {
    record_.flow = LoginFlow::kFile;
    record_.file = path;
    run();
  }
  std::string message() { return listener_.refusal ? listener_.refusal->message : "taken"; }
  // The number that the command has written into a file.
  [[nodiscard]] pid_t wait_for_pid(const std::string& name) const {
    Deadline until = Clock::now() + std::chrono::seconds(20);
    while (Clock::now() < until) {
      std::ifstream file(folder_ + "/" + name);
      std::string line;
      if (std::getline(file, line) && !file.eof()) return static_cast<pid_t>(std::stoi(line));
      ::poll(nullptr, 0, 5);
    }
    ADD_FAILURE() << "no " << name;
    return -1;
  }
  static void expect_dead(pid_t pid) {
    ASSERT_GT(pid, 1);
    Deadline until = Clock::now() + std::chrono::seconds(20);
    while (runs(pid) && Clock::now() < until) ::poll(nullptr, 0, 5);
    EXPECT_FALSE(runs(pid));
  }

  test::Scratch scratch_;
  std::string folder_ = scratch_.path();
  LoginRecord record_ = corp();
  FlowRequest request_{"qf1.nonce"};
  FakeServices services_;
  FakeListener listener_;
  std::unique_ptr<CommandFlow> flow_;
};

TEST_F(CommandFlowTest, TokenWithWhiteSpaceAround) {
  run_script("printf ' \\t\\na.b.c\\r\\n\\n'");
  EXPECT_EQ(listener_.token, "a.b.c");
  EXPECT_EQ(listener_.refresh_token, "");
}

TEST_F(CommandFlowTest, ArgumentsAreNotAShells) {
  record_.command = {"/bin/echo", "$HOME", "*"};
  run();
  EXPECT_EQ(listener_.token, "$HOME *");
}

TEST_F(CommandFlowTest, WhatTheCommandIsTold) {
  record_.audiences = {"fabric", "second"};
  run_script("printf '%s|%s|%s' \"$QF_ISSUER\" \"$QF_AUDIENCE\" \"$QF_NONCE\"");
  EXPECT_EQ(listener_.token, "https://idp.example|fabric|qf1.nonce");
}

TEST_F(CommandFlowTest, WithoutAnAudienceItIsEmpty) {
  record_.audiences.clear();
  run_script("printf '%s%s' \"${QF_AUDIENCE-unset}\" x");
  EXPECT_EQ(listener_.token, "x");
}

TEST_F(CommandFlowTest, ItHasNoInput) {
  run_script("cat; echo a.b.c");
  EXPECT_EQ(listener_.token, "a.b.c");
}

TEST_F(CommandFlowTest, AFailureInItsOwnLastWords) {
  run_script("echo a.b.c; echo first >&2; printf 'no \\033ticket\\n\\n' >&2; exit 3");
  ASSERT_TRUE(listener_.refusal);
  EXPECT_EQ(listener_.refusal->code, "provider");
  EXPECT_EQ(message(), "issuer corp: the command /bin/sh exited with status 3: no ?ticket");
  EXPECT_NE(listener_.refusal->hint, "");
}

TEST_F(CommandFlowTest, AFailureWithoutWords) {
  run_script("exit 1");
  EXPECT_EQ(message(), "issuer corp: the command /bin/sh exited with status 1");
}

TEST_F(CommandFlowTest, KilledBySomebody) {
  run_script("kill -9 $$");
  EXPECT_NE(message().find("killed by signal 9"), std::string::npos) << message();
}

TEST_F(CommandFlowTest, LongWordsAreBounded) {
  run_script("head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo why >&2; exit 1");
  EXPECT_TRUE(message().ends_with("status 1: why")) << message();
  listener_ = {};
  run_script("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1");
  EXPECT_LT(message().size(), 500U);
}

TEST_F(CommandFlowTest, MissingProgram) {
  record_.command = {"/nonexistent/program"};
  run();
  EXPECT_EQ(message(),
            "issuer corp: the command /nonexistent/program exited with status 127: sh: 1: exec: "
            "/nonexistent/program: not found");
}

TEST_F(CommandFlowTest, Nothing) {
  run_script("true");
  EXPECT_EQ(message(), "issuer corp: the command /bin/sh gives nothing");
  listener_ = {};
  run_script("printf ' \\n'");
  EXPECT_EQ(message(), "issuer corp: the command /bin/sh gives nothing");
}

TEST_F(CommandFlowTest, AsLongAsATokenMayBe) {
  run_script("head -c 16384 /dev/zero | tr '\\0' x; echo");
  EXPECT_EQ(listener_.token.value_or("").size(), 16384U);
  listener_ = {};
  run_script("head -c 16385 /dev/zero | tr '\\0' x");
  EXPECT_NE(message().find("16384"), std::string::npos) << message();
}

TEST_F(CommandFlowTest, EndlessOutputEndsIt) {
  run_script("echo $$ >" + folder_ + "/pid; exec cat /dev/zero");
  EXPECT_NE(message().find("gives more than"), std::string::npos) << message();
  expect_dead(wait_for_pid("pid"));
}

// Its end may be seen before what it has printed is.
TEST_F(CommandFlowTest, TooMuchAtTheVeryEndIsNoToken) {
  record_.command = {"/bin/sh", "-c", "echo evil; head -c 17500 /dev/zero | tr '\\0' ' '; echo a.b.c"};
  start();
  std::vector<pollfd> polled;
  flow_->add(polled);
  ASSERT_EQ(polled.size(), 3U);
  pollfd ended = polled[2];
  ASSERT_EQ(::poll(&ended, 1, 20'000), 1);
  flow_->event({ended});
  ASSERT_EQ(listener_.ends, 1);
  EXPECT_NE(message().find("gives more than"), std::string::npos) << message();
}

TEST_F(CommandFlowTest, WhatItLeavesRunningHoldsNothingUp) {
  run_script("sleep 100 & echo $! >" + folder_ + "/pid; echo a.b.c");
  EXPECT_EQ(listener_.token, "a.b.c");
  ::kill(wait_for_pid("pid"), SIGKILL);
}

TEST_F(CommandFlowTest, AHangingOneIsEndedWithAllThatItStarted) {
  record_.command = {"/bin/sh", "-c",
                     "sleep 1000 & echo $! >" + folder_ + "/child; echo $$ >" + folder_ + "/pid; wait"};
  start();
  EXPECT_EQ(flow_->deadline(), services_.now() + CommandFlow::kTime);
  pid_t child = wait_for_pid("child"), pid = wait_for_pid("pid");
  services_.pass(29);
  turn();
  EXPECT_EQ(listener_.ends, 0);
  EXPECT_TRUE(runs(child));
  services_.pass(1);
  turn();
  EXPECT_EQ(message(), "issuer corp: the command /bin/sh gave no token within 30 s");
  expect_dead(pid);
  expect_dead(child);
}

TEST_F(CommandFlowTest, AHungGrandchildDoesNotHideInTheOutput) {
  record_.command = {"/bin/sh", "-c", "echo $$ >" + folder_ + "/pid; exec sleep 1000"};
  start();
  pid_t pid = wait_for_pid("pid");
  flow_.reset();
  expect_dead(pid);
  EXPECT_EQ(listener_.ends, 0) << "cancelled";
}

TEST_F(CommandFlowTest, File) {
  std::ofstream(folder_ + "/token") << "\n a.b.c \n";
  run_file(folder_ + "/token");
  EXPECT_EQ(listener_.token, "a.b.c");
  // the projected token of Kubernetes is a symlink that is replaced
  std::filesystem::create_symlink(folder_ + "/token", folder_ + "/link");
  listener_ = {};
  run_file(folder_ + "/link");
  EXPECT_EQ(listener_.token, "a.b.c");
  std::ofstream(folder_ + "/token") << "d.e.f";
  listener_ = {};
  run_file(folder_ + "/link");
  EXPECT_EQ(listener_.token, "d.e.f") << "read anew";
}

TEST_F(CommandFlowTest, AFileWithAnOddName) {
  std::ofstream(folder_ + "/a: b $(x)") << "a.b.c";
  run_file(folder_ + "/a: b $(x)");
  EXPECT_EQ(listener_.token, "a.b.c");
  listener_ = {};
  run_file(folder_ + "/c: d");
  EXPECT_EQ(message(), "issuer corp: the token file " + folder_ + "/c: d: No such file or directory");
}

TEST_F(CommandFlowTest, FilesOfNoUse) {
  std::string path = folder_ + "/token";
  run_file(path);
  EXPECT_EQ(message(), "issuer corp: the token file " + path + ": No such file or directory");
  listener_ = {};
  std::ofstream(path) << "";
  run_file(path);
  EXPECT_EQ(message(), "issuer corp: the token file " + path + " gives nothing");
  listener_ = {};
  std::ofstream(path) << std::string(16385, 'x');
  run_file(path);
  EXPECT_NE(message().find("16384"), std::string::npos) << message();
  listener_ = {};
  run_file(folder_);
  EXPECT_EQ(message(), "issuer corp: the token file " + folder_ + ": Is a directory");
}

// fabric.json(5): a regular file. A pipe would be waited for, a device read for ever.
TEST_F(CommandFlowTest, OnlyARegularFile) {
  std::string path = folder_ + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  run_file(path);
  EXPECT_EQ(message(), "issuer corp: the token file " + path + ": it is no regular file");
  listener_ = {};
  run_file("/dev/null");
  EXPECT_EQ(message(), "issuer corp: the token file /dev/null: it is no regular file");
}

TEST_F(CommandFlowTest, FileInTheHomeFolder) {
  auto home = home_folder();
  ASSERT_TRUE(home);
  std::string path = *home + "/.qf-command-test-XXXXXX";
  Fd made(::mkstemp(path.data()));
  if (!made) GTEST_SKIP() << *home << " cannot be written to";
  ASSERT_TRUE(write_all(made.get(), "a.b.c\n"));
  run_file("~/" + path.substr(home->size() + 1));
  std::filesystem::remove(path);
  EXPECT_EQ(listener_.token, "a.b.c");
}

}  // namespace
}  // namespace qf
