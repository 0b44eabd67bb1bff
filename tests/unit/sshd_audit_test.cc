// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/audit.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "libqf/text.h"
#include "tests/unit/libqf_tools.h"

namespace qf::test {
namespace {

constexpr int64_t kMoment = 1'714'566'896'789;  // 2024-05-01T12:34:56.789Z

AuditConnection connection() {
  return {"c1", "100.119.4.2", 40000, "laptop"};
}

class AuditTest : public ::testing::Test {
 protected:
  AuditLog open() {
    auto log = AuditLog::open(path_, [] { return kMoment; });
    if (!log) std::abort();
    return std::move(*log);
  }
  std::vector<std::string> lines() {
    auto text = read_file(path_, 1 << 24);
    if (!text) return {};
    EXPECT_TRUE(text->empty() || text->back() == '\n');
    auto all = split(*text, '\n');
    all.pop_back();
    return all;
  }
  JsonPtr only_line() {
    auto all = lines();
    EXPECT_EQ(all.size(), 1U);
    auto json = parse_json(all.empty() ? "{}" : all[0]);
    EXPECT_TRUE(json) << all[0];
    return json ? std::move(*json) : nullptr;
  }
  Scratch scratch_;
  std::string path_ = scratch_.path("audit.log");
};

Identity alice() {
  Identity identity;
  identity.issuer_name = "corp";
  identity.subject = "alice";
  identity.key_bound = true;
  identity.token_id = "t-1";
  identity.certificate_serial = 18'446'744'073'709'551'615ULL;
  identity.token_expires = kMoment / 1000;
  return identity;
}

TEST(AuditTime, IsUtcWithMilliseconds) {
  EXPECT_EQ(rfc3339(kMoment), "2024-05-01T12:34:56.789Z");
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(951'782'400'005), "2000-02-29T00:00:00.005Z");
  EXPECT_EQ(rfc3339(-1), "1970-01-01T00:00:00.000Z");
}

TEST_F(AuditTest, FileIsForItsOwnerAlone) {
  ::umask(0);
  auto log = open();
  struct stat st = {};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600U);
  ASSERT_EQ(::symlink("/etc/passwd", scratch_.path("link").c_str()), 0);
  EXPECT_FALSE(AuditLog::open(scratch_.path("link")));
  EXPECT_FALSE(AuditLog::open(scratch_.path("missing/audit.log")));
}

TEST_F(AuditTest, LoginHasEverythingThatExplainsIt) {
  auto log = open();
  AuditLogin login;
  login.identity = alice();
  login.method = "certificate";
  login.os_user = "deploy";
  login.allowed = true;
  login.policy = "dba";
  login.tunnel = true;
  log.login(connection(), login);
  EXPECT_EQ(lines().at(0),
            R"({"time":"2024-05-01T12:34:56.789Z","event":"login","connection":"c1","source":"100.119.4.2",)"
            R"("port":40000,"peer":"laptop","allowed":true,"identity":"corp:alice","token":"t-1",)"
            R"("key_bound":true,"serial":"18446744073709551615","token_expires":"2024-05-01T12:34:56.000Z",)"
            R"("os_user":"deploy","method":"certificate","policy":"dba","tunnel":true})");
}

TEST_F(AuditTest, RefusedLogin) {
  auto log = open();
  AuditLogin login;
  login.method = "password";
  login.os_user = "root";
  login.refusal = "Authentication failed";
  login.reason = "the token has expired (90 s ago)";
  log.login(connection(), login);
  auto line = only_line();
  EXPECT_EQ(json_bool(line.get(), "allowed"), false);
  EXPECT_EQ(json_string(line.get(), "refusal"), "Authentication failed");
  EXPECT_EQ(json_string(line.get(), "reason"), "the token has expired (90 s ago)");
  EXPECT_EQ(json_member(line.get(), "identity"), nullptr);
}

TEST_F(AuditTest, ConnectionJudged) {
  auto log = open();
  Decision decision;
  decision.detail = "denied by policy";
  decision.policy = "no-laptops";
  log.connection_judged(connection(), decision);
  auto line = only_line();
  EXPECT_EQ(json_string(line.get(), "event"), "connection");
  EXPECT_EQ(json_string(line.get(), "policy"), "no-laptops");
  EXPECT_EQ(json_bool(line.get(), "allowed"), false);
}

TEST_F(AuditTest, AStrangerHasNoPeer) {
  auto log = open();
  log.connection_judged({"c2", "192.0.2.1", 1, ""}, {});
  EXPECT_EQ(json_member(only_line().get(), "peer"), nullptr);
}

TEST_F(AuditTest, SessionStartAndEnd) {
  auto log = open();
  log.session_start(connection(), {3, "exec", "corp:alice", "deploy", false, 4711});
  log.session_end(connection(), {3, 4711, false, 2, "", 10, 1'000'000'000'000, 1.5});
  log.session_end(connection(), {3, 4711, false, 0, "KILL", 0, 0, 0});
  log.session_end(connection(), {3, 4711, true, 0, "", 0, 0, 0});
  auto all = lines();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_NE(all[0].find(R"("event":"session-start")"), std::string::npos);
  EXPECT_NE(
      all[0].find(R"("kind":"exec","identity":"corp:alice","os_user":"deploy","terminal":false,"pid":4711})"),
      std::string::npos);
  EXPECT_NE(all[1].find(R"("status":2,"bytes_in":10,"bytes_out":1000000000000,"milliseconds":1500})"),
            std::string::npos)
      << all[1];
  EXPECT_NE(all[2].find(R"("signal":"KILL")"), std::string::npos);
  EXPECT_EQ(all[2].find("status"), std::string::npos);
  EXPECT_NE(all[3].find(R"("left_running":true)"), std::string::npos);
  EXPECT_EQ(all[3].find("status"), std::string::npos);
}

TEST_F(AuditTest, SessionRefused) {
  auto log = open();
  log.session_refused(connection(), "deploy", "SFTP subsystem not available\nhint: ask");
  auto line = only_line();
  EXPECT_EQ(json_string(line.get(), "event"), "session-refused");
  EXPECT_EQ(json_string(line.get(), "os_user"), "deploy");
  EXPECT_EQ(json_string(line.get(), "reason"), "SFTP subsystem not available") << "the hint is for the user";
}

TEST_F(AuditTest, ALineWithoutFieldsIsStillJson) {
  auto log = open();
  log.violation({"c", "", 0, ""}, "");
  EXPECT_TRUE(only_line());
}

TEST_F(AuditTest, NothingFromOutsideForgesALine) {
  auto log = open();
  AuditLogin login;
  login.os_user = "x\n{\"event\":\"login\",\"allowed\":true}\r\x1b[2J\xff\xc2\x85";
  login.method = "none";
  log.login({"c\n1", "a\"b", 1, "p\\"}, login);
  auto all = lines();
  ASSERT_EQ(all.size(), 1U);
  for (char c : all[0]) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  auto json = parse_json(all[0]);
  ASSERT_TRUE(json);
  EXPECT_EQ(json_string(json->get(), "source"), "a\"b");
  EXPECT_EQ(json_string(json->get(), "os_user"), "x?{\"event\":\"login\",\"allowed\":true}??[2J??");
}

// What somebody may choose must not look like the rest of a line that people read.
TEST_F(AuditTest, ASubjectForgesNoLogLine) {
  auto log = open();
  AuditLogin login;
  login.identity = alice();
  login.identity->subject = R"(ann" as "root" from client, method certificate, policy all)";
  login.os_user = R"(x" from y)";
  login.method = "password";
  testing::internal::CaptureStderr();
  log.login(connection(), login);
  std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(
      text.find(
          R"(refused: "corp:ann\" as \"root\" from client, method certificate, policy all" as "x\" from y" from laptop)"),
      std::string::npos)
      << text;
}

TEST_F(AuditTest, ARefusedLoginSaysItsReasonOnce) {
  auto log = open();
  AuditLogin login;
  login.refusal = "User is not authorized to access this peer: \"corp:alice\" (not a user of this fabric)";
  login.reason = "not a user of this fabric";
  testing::internal::CaptureStderr();
  log.login(connection(), login);
  std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find(login.reason), text.rfind(login.reason)) << text;
  EXPECT_NE(text.find(login.reason), std::string::npos);
}

TEST_F(AuditTest, LongTextsAreCut) {
  auto log = open();
  AuditLogin login;
  login.os_user = std::string(90'000, 'x');
  log.login(connection(), login);
  EXPECT_LT(lines().at(0).size(), 2000U);
}

TEST_F(AuditTest, GoesOnInANewFileAfterRotation) {
  auto log = open();
  log.violation(connection(), "one");
  ASSERT_EQ(std::rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  log.violation(connection(), "two");
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_NE(lines()[0].find("two"), std::string::npos);
}

TEST_F(AuditTest, AFullDiskIsNoCrash) {
  auto log = AuditLog::open("/dev/full");
  ASSERT_TRUE(log) << log.error().text();
  log->violation(connection(), "lost");
}

TEST_F(AuditTest, ManyProcessesWriteWholeLines) {
  constexpr int kWriters = 8, kEach = 200;
  std::vector<pid_t> children;
  for (int i = 0; i < kWriters; ++i) {
    pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      auto log = open();
      for (int n = 0; n < kEach; ++n)
        log.session_start(connection(), {1, std::string(500, 'k'), "", "", false, n});
      ::_exit(0);
    }
    children.push_back(pid);
  }
  for (pid_t pid : children) EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  auto all = lines();
  EXPECT_EQ(all.size(), static_cast<size_t>(kWriters * kEach));
  for (const auto& line : all) EXPECT_TRUE(parse_json(line)) << line;
}

}  // namespace
}  // namespace qf::test
