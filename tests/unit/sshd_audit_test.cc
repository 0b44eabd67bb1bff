// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/audit.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "libqf/log.h"
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
    AuditOptions options;
    options.now = [] { return kMoment; };
    options.syslog = syslog_;
    options.required = required_;
    auto log = AuditLog::open(path_, options);
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
  std::string path_ = scratch_.path("audit.log"), syslog_;
  bool required_ = true;
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
  static_cast<void>(log.login(connection(), login));
  EXPECT_EQ(
      lines().at(0),
      R"({"n":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000",)"
      R"("time":"2024-05-01T12:34:56.789Z","event":"login","connection":"c1","source":"100.119.4.2",)"
      R"("port":40000,"peer":"laptop","allowed":true,"identity":"corp:alice","issuer":"corp","token":"t-1",)"
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
  static_cast<void>(log.login(connection(), login));
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
  AuditUser user{"corp:alice", "deploy"};
  log.session_start(connection(), {3, "exec", user, false, 4711});
  log.session_end(connection(), {3, "exec", user, 4711, false, 2, "", 10, 1'000'000'000'000, 1.5});
  log.session_end(connection(), {3, "exec", user, 4711, false, 0, "KILL", 0, 0, 0});
  log.session_end(connection(), {3, "exec", user, 4711, true, 0, "", 0, 0, 0});
  auto all = lines();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_NE(all[0].find(R"("event":"session-start")"), std::string::npos);
  EXPECT_NE(
      all[0].find(R"("kind":"exec","identity":"corp:alice","os_user":"deploy","terminal":false,"pid":4711})"),
      std::string::npos);
  EXPECT_NE(
      all[1].find(
          R"("kind":"exec","identity":"corp:alice","os_user":"deploy","pid":4711,"status":2,"bytes_in":10,"bytes_out":1000000000000,"milliseconds":1500})"),
      std::string::npos)
      << all[1];
  EXPECT_NE(all[2].find(R"("signal":"KILL")"), std::string::npos);
  EXPECT_EQ(all[2].find("status"), std::string::npos);
  EXPECT_NE(all[3].find(R"("left_running":true)"), std::string::npos);
  EXPECT_EQ(all[3].find("status"), std::string::npos);
}

TEST_F(AuditTest, SessionRefused) {
  auto log = open();
  log.session_refused(connection(), {"corp:alice", "deploy"}, "SFTP subsystem not available\nhint: ask");
  auto line = only_line();
  EXPECT_EQ(json_string(line.get(), "event"), "session-refused");
  EXPECT_EQ(json_string(line.get(), "identity"), "corp:alice");
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
  static_cast<void>(log.login({"c\n1", "a\"b", 1, "p\\"}, login));
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
  static_cast<void>(log.login(connection(), login));
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
  static_cast<void>(log.login(connection(), login));
  std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find(login.reason), text.rfind(login.reason)) << text;
  EXPECT_NE(text.find(login.reason), std::string::npos);
}

TEST_F(AuditTest, LongTextsAreCut) {
  auto log = open();
  AuditLogin login;
  login.os_user = std::string(90'000, 'x');
  static_cast<void>(log.login(connection(), login));
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

TEST_F(AuditTest, ForwardsNameTheirUser) {
  auto log = open();
  log.forward(connection(), {"corp:alice", "deploy"}, "connect", "db:5432", "refused\nhint: ask");
  auto line = only_line();
  EXPECT_EQ(json_string(line.get(), "event"), "forward");
  EXPECT_EQ(json_string(line.get(), "identity"), "corp:alice");
  EXPECT_EQ(json_string(line.get(), "os_user"), "deploy");
  EXPECT_EQ(json_string(line.get(), "target"), "db:5432");
  EXPECT_EQ(json_bool(line.get(), "allowed"), false);
  EXPECT_EQ(json_string(line.get(), "reason"), "refused");
}

TEST_F(AuditTest, PolicyHasBothDocuments) {
  auto log = open();
  log.policy({42, "ab"}, std::nullopt);
  log.policy({43, "cd"}, AuditPolicy{42, "ab"});
  auto all = lines();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_NE(all[0].find(R"("event":"policy","serial":42,"document_hash":"ab"})"), std::string::npos)
      << all[0];
  EXPECT_NE(
      all[1].find(R"("serial":43,"document_hash":"cd","serial_before":42,"document_hash_before":"ab"})"),
      std::string::npos)
      << all[1];
}

// Each text that comes from outside, in each of its places, with everything that a terminal or a reader of
// lines could take for something else.
TEST_F(AuditTest, ControlCharactersReachNoField) {
  // C0, DEL, C1, line and paragraph separators, overrides of direction, broken UTF-8
  const std::string evil =
      "a\n\r\t\x1b["
      "2J\x7f\xc2\x85\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae\xe2\x81\xa6\xff\xc3\xed\xa0\x80z";
  auto log = open();
  AuditConnection from{evil, evil, 1, evil};
  AuditUser user{evil, evil};
  AuditLogin login;
  login.identity = alice();
  login.identity->issuer_name = login.identity->subject = login.identity->token_id = evil;
  login.method = login.os_user = login.refusal = login.reason = login.policy = evil;
  static_cast<void>(log.login(from, login));
  Decision decision;
  decision.policy = decision.detail = evil;
  log.connection_judged(from, decision);
  log.connections_refused(from, decision, 2, 60);
  log.session_start(from, {1, evil, user, true, 1});
  log.session_refused(from, user, evil);
  log.session_end(from, {1, evil, user, 1, false, 0, evil, 0, 0, 0});
  log.forward(from, user, evil, evil, evil);
  log.revoked(from, {evil, evil}, evil, evil, evil);
  log.violation(from, evil);
  log.policy({1, evil}, AuditPolicy{2, evil});
  auto all = lines();
  ASSERT_EQ(all.size(), 10U);
  for (const auto& line : all) {
    EXPECT_EQ(printable(line), line);
    auto json = parse_json(line);
    ASSERT_TRUE(json) << line;
    // nor by an escape
    for (const cJSON* field = (*json)->child; field != nullptr; field = field->next) {
      std::string text = cJSON_IsString(field) ? field->valuestring : "";
      EXPECT_EQ(printable(text), text) << line;
    }
    EXPECT_LT(line.size(), 8192U);
  }
}

TEST_F(AuditTest, NoLineIsLongerThanItsReaderTakes) {
  const std::string quotes(100'000, '"');
  auto log = open();
  AuditLogin login;
  login.identity = alice();
  login.identity->issuer_name = login.identity->subject = login.identity->token_id = quotes;
  login.method = login.os_user = login.refusal = login.reason = login.policy = quotes;
  static_cast<void>(log.login({quotes, quotes, 1, quotes}, login));
  EXPECT_LT(lines().at(0).size(), kMostAuditLineBytes / 2);
}

TEST_F(AuditTest, ALoginThatCannotBeWrittenIsNotAllowed) {
  AuditLogin login;
  login.os_user = "deploy";
  login.allowed = true;
  auto try_login = [&] {
    AuditOptions options;
    options.required = required_;
    AuditLog log(scratch_.path("missing/audit.log"), options);
    return log.login(connection(), login);
  };
  testing::internal::CaptureStderr();
  EXPECT_FALSE(try_login());
  std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("cannot write to the audit log"), std::string::npos) << text;
  EXPECT_NE(text.find("login refused"), std::string::npos) << text;
  EXPECT_EQ(text.find("login allowed"), std::string::npos) << text;
  required_ = false;
  EXPECT_TRUE(try_login());
  required_ = true;
  login.allowed = false;
  EXPECT_TRUE(try_login()) << "it is refused already";
}

TEST_F(AuditTest, SyslogGetsTheSameLine) {
  syslog_ = scratch_.path("log");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, syslog_.c_str(), sizeof address.sun_path - 1);
  Fd receiver(::socket(AF_UNIX, SOCK_DGRAM, 0));
  ASSERT_EQ(::bind(receiver.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  auto log = open();
  log.violation(connection(), "one");
  char bytes[8192];
  ssize_t n = ::recv(receiver.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  ASSERT_GT(n, 0);
  std::string message(bytes, static_cast<size_t>(n));
  // authpriv.info
  EXPECT_TRUE(message.starts_with("<86>")) << message;
  EXPECT_NE(message.find(" qf-audit[" + std::to_string(::getpid()) + "]: " + lines().at(0)),
            std::string::npos)
      << message;
}

TEST_F(AuditTest, ALogThatIsFullOrGoneHoldsNobodyUp) {
  syslog_ = scratch_.path("log");
  auto log = open();
  log.violation(connection(), "nobody there");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, syslog_.c_str(), sizeof address.sun_path - 1);
  Fd receiver(::socket(AF_UNIX, SOCK_DGRAM, 0));
  ASSERT_EQ(::bind(receiver.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  // more than any queue takes, and nobody reads
  for (int i = 0; i < 2000; ++i) log.violation(connection(), std::string(900, 'x'));
  EXPECT_EQ(lines().size(), 2001U);
}

}  // namespace
}  // namespace qf::test
