// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/protocol.h"

#include <gtest/gtest.h>

#include "libqf/json.h"

namespace qf {
namespace {

Request good(const std::string& line) {
  auto request = parse_request(line);
  if (!request) {
    ADD_FAILURE() << line << ": " << request.error().message;
    return {};
  }
  return *request;
}

Refusal bad(const std::string& line) {
  auto request = parse_request(line);
  if (request) {
    ADD_FAILURE() << "taken: " << line;
    return {};
  }
  return request.error();
}

constexpr const char* kMatch =
    R"({"version":1,"op":"match","peer":"db1","host":"DB1.Fabric.Example","pid":4711,"start":"123456"})";

TEST(Protocol, Match) {
  Request request = good(kMatch);
  EXPECT_EQ(request.operation, Operation::kMatch);
  EXPECT_EQ(request.version, 1);
  EXPECT_EQ(request.peer, "db1");
  EXPECT_EQ(request.host, "db1.fabric.example");
  EXPECT_EQ(request.pid, 4711);
  EXPECT_EQ(request.start, "123456");
}

TEST(Protocol, EveryOperation) {
  EXPECT_EQ(good(R"({"op":"detected","peer":"a","host":"a","detection":"jwt"})").operation,
            Operation::kDetected);
  EXPECT_EQ(good(R"({"op":"confirm","peer":"a","pid":1,"start":"2"})").operation, Operation::kConfirm);
  Request credential = good(R"({"op":"credential","peer":"a","host":"fd00::68","interactive":true})");
  EXPECT_EQ(credential.operation, Operation::kCredential);
  EXPECT_TRUE(credential.interactive);
  EXPECT_EQ(credential.host, "fd00::68");
  // ssh leaves addresses as they are typed
  EXPECT_EQ(good(R"({"op":"credential","peer":"a","host":"FD00::68"})").host, "FD00::68");
  EXPECT_EQ(good(R"({"op":"login","issuer":"corp"})").issuer, "corp");
  EXPECT_EQ(good(R"({"op":"show"})").operation, Operation::kShow);
  EXPECT_EQ(good(R"({"op":"status"})").operation, Operation::kStatus);
  EXPECT_EQ(good(R"({"op":"logout"})").operation, Operation::kLogout);
  EXPECT_EQ(good(R"({"op":"stop"})").operation, Operation::kStop);
  EXPECT_EQ(good(R"({"op":"issue","nonce":"n","audience":"a"})").operation, Operation::kIssue);
  EXPECT_EQ(good(R"({"op":"jwks"})").operation, Operation::kJwks);
}

TEST(Protocol, HowALoginIsWanted) {
  Request plain = good(R"({"op":"login"})");
  EXPECT_FALSE(plain.browser);
  EXPECT_FALSE(plain.renew);
  Request login = good(R"({"op":"login","issuer":"corp","browser":true,"renew":true})");
  EXPECT_TRUE(login.browser);
  EXPECT_TRUE(login.renew);
  EXPECT_TRUE(good(R"({"op":"credential","peer":"a","host":"a","browser":true})").browser);
}

TEST(Protocol, UnknownMembersAreIgnored) {
  EXPECT_EQ(good(R"({"op":"status","later":[1,{"x":null}]})").operation, Operation::kStatus);
}

TEST(Protocol, UnknownOperation) {
  EXPECT_EQ(bad(R"({"op":"become_root"})").code, "unknown_op");
  EXPECT_EQ(bad(R"({"op":""})").code, "unknown_op");
}

TEST(Protocol, EveryTruncationIsMalformed) {
  const std::string whole = kMatch;
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_EQ(bad(whole.substr(0, n)).code, "malformed") << n;
  EXPECT_EQ(bad(whole + "x").code, "malformed");
  EXPECT_EQ(bad(whole + whole).code, "malformed");
}

TEST(Protocol, WrongMembersAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"version":"1","op":"status"})", "\"version\""},
      {R"({"version":1.5,"op":"status"})", "\"version\""},
      {R"({"op":7})", "\"op\""},
      {R"({})", "\"op\""},
      {R"({"op":"match","host":"a"})", "\"peer\""},
      {R"({"op":"match","peer":"a"})", "\"host\""},
      {R"({"op":"match","peer":7,"host":"a"})", "\"peer\""},
      {R"({"op":"match","peer":"a","host":"../../etc/passwd"})", "\"host\""},
      {R"({"op":"match","peer":"a","host":"a/b"})", "\"host\""},
      {R"({"op":"match","peer":"a","host":".."})", "\"host\""},
      {R"({"op":"match","peer":"a","host":"a b"})", "\"host\""},
      {R"({"op":"match","peer":"a","host":"a","pid":0,"start":"1"})", "\"pid\""},
      {R"({"op":"match","peer":"a","host":"a","pid":4194305,"start":"1"})", "\"pid\""},
      {R"({"op":"match","peer":"a","host":"a","start":"1"})", "\"pid\""},
      {R"({"op":"match","peer":"a","host":"a","pid":1})", "\"start\""},
      {R"({"op":"match","peer":"a","host":"a","pid":1,"start":"x"})", "\"start\""},
      {R"({"op":"confirm","peer":"a"})", "\"pid\""},
      {R"({"op":"detected","peer":"a","host":"a"})", "\"detection\""},
      {R"({"op":"detected","peer":"a","host":"a","detection":"maybe"})", "\"detection\""},
      {R"({"op":"credential","peer":"a","host":"a","interactive":1})", "\"interactive\""},
      {R"({"op":"credential","peer":"a","host":"a","browser":"yes"})", "\"browser\""},
      {R"({"op":"login","browser":0})", "\"browser\""},
      {R"({"op":"login","renew":null})", "\"renew\""},
      {R"({"op":"login","issuer":["corp"]})", "\"issuer\""},
      {R"({"op":"issue"})", "\"nonce\""},
  };
  for (const auto& [line, member] : cases) {
    Refusal refusal = bad(line);
    EXPECT_EQ(refusal.code, "malformed") << line;
    EXPECT_NE(refusal.message.find(member), std::string::npos) << line << " -> " << refusal.message;
  }
}

TEST(Protocol, NotAnObject) {
  for (const char* line : {"", "null", "[]", "7", "\"status\"", "{\"op\":\"status\",\"op\":\"stop\"}"}) {
    EXPECT_EQ(bad(line).code, "malformed") << line;
  }
}

TEST(Protocol, LongMembers) {
  EXPECT_EQ(bad(R"({"op":"login","issuer":")" + std::string(1025, 'a') + "\"}").code, "malformed");
  EXPECT_EQ(good(R"({"op":"login","issuer":")" + std::string(1024, 'a') + "\"}").issuer.size(), 1024U);
  EXPECT_EQ(bad(R"({"op":"match","peer":"a","host":")" + std::string(254, 'a') + "\"}").code, "malformed");
}

TEST(Protocol, Versions) {
  Request none = good(R"({"op":"status"})");
  ASSERT_TRUE(check_version(none, true));
  EXPECT_EQ(check_version(none, true)->code, "version");
  EXPECT_FALSE(check_version(none, false));
  Request ours = good(R"({"version":1,"op":"status"})");
  EXPECT_FALSE(check_version(ours, true));
  // operations of a later version must not be refused as unknown
  Request later = good(R"({"version":2,"op":"teleport"})");
  ASSERT_TRUE(check_version(later, true));
  EXPECT_NE(check_version(later, false)->message.find("version 2"), std::string::npos);
}

TEST(Protocol, RefusalLine) {
  EXPECT_EQ(refusal_line({"no_peer", "there is no \"x\"", ""}),
            R"({"ok":false,"error":"no_peer","message":"there is no \"x\""})");
  EXPECT_EQ(refusal_line({"expired", "late", "hurry"}),
            R"({"ok":false,"error":"expired","message":"late","hint":"hurry"})");
}

}  // namespace
}  // namespace qf
