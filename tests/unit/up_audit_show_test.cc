// SPDX-License-Identifier: Apache-2.0
#include "qf-up/audit_show.h"

#include <gtest/gtest.h>

#include "libqf/json.h"

namespace qf::test {
namespace {

constexpr int64_t kNow = 1'714'566'896'789;  // 2024-05-01T12:34:56.789Z

std::string columns(const std::string& line) {
  auto json = parse_json(line);
  return json ? audit_columns(json->get()) : "no JSON";
}

TEST(AuditColumns, EachEvent) {
  const std::string who =
      R"("time":"2024-05-01T12:34:56.789Z","connection":"0123456789abcdef","peer":"laptop","source":"100.119.4.2","identity":"corp:alice","os_user":"deploy",)";
  const std::string start =
      "2024-05-01T12:34:56Z 01234567 corp:alice               deploy       laptop (100.119.4.2)       ";
  const std::pair<const char*, const char*> cases[] = {
      {R"("event":"login","allowed":true,"method":"certificate","policy":"dba")",
       "login            allowed, certificate, policy dba"},
      {R"("event":"login","allowed":false,"refusal":"Authentication failed","reason":"too old")",
       "login            refused: Authentication failed, too old"},
      {R"("event":"login","allowed":false,"refusal":"no: too old","reason":"too old")",
       "login            refused: no: too old"},
      {R"("event":"connection","allowed":false,"reason":"denied","policy":"p")",
       "connection       refused: denied, policy p"},
      {R"("event":"session-start","kind":"shell","terminal":true)", "session-start    shell with terminal"},
      {R"("event":"session-end","kind":"exec","status":2,"bytes_in":1,"bytes_out":20,"milliseconds":1500)",
       "session-end      exec status 2, 1 bytes in, 20 out, 1.5 s"},
      {R"("event":"session-end","kind":"exec","signal":"KILL")",
       "session-end      exec signal KILL, 0 bytes in, 0 out, 0.0 s"},
      {R"("event":"session-end","kind":"exec","left_running":true)",
       "session-end      exec left running, 0 bytes in, 0 out, 0.0 s"},
      {R"("event":"session-refused","reason":"no sftp")", "session-refused  no sftp"},
      {R"("event":"forward","kind":"connect","target":"db:1","allowed":true)",
       "forward          connect db:1"},
      {R"("event":"forward","kind":"agent","allowed":false,"reason":"off")",
       "forward          agent, refused: off"},
      {R"("event":"forward","kind":"connect","target":"db:1","allowed":false,"reason":"cannot connect to db:1: Connection refused")",
       "forward          connect db:1, failed: cannot connect to db:1: Connection refused"},
      {R"("event":"forward","kind":"connect","target":"cannot :1","allowed":false,"reason":"Port forwarding not available: cannot :1 is not among")",
       "forward          connect cannot :1, refused: Port forwarding not available: cannot :1 is not among"},
      {R"("event":"revoked","what":"forward","target":"db:1","reason":"gone")",
       "revoked          forward db:1: gone"},
      {R"("event":"violation","reason":"bad")", "violation        bad"},
      {R"("event":"connections-refused","count":3,"seconds":60,"reason":"denied")",
       "connections-refused 3 more in 60 s: denied"},
      {R"("event":"policy","serial":42,"document_hash":"0123456789abcdef")",
       "policy           serial 42, document 0123456789ab"},
      {R"("event":"of a later version")", "of a later version"},
  };
  for (const auto& [fields, text] : cases) EXPECT_EQ(columns("{" + who + fields + "}"), start + text);
  EXPECT_EQ(audit_columns_head().find("IDENTITY"), start.find("corp:alice"));
  EXPECT_EQ(audit_columns_head().find("WHAT"), start.size() + 17);
}

TEST(AuditColumns, OfAForeignFile) {
  EXPECT_EQ(
      columns("{}"),
      "-                    -        -                        -            -                          -");
  // nothing reaches the terminal
  std::string shown =
      columns(R"({"event":"\u001b[2J\u009b\u202e\n","time":7,"identity":["x"],"os_user":null})");
  EXPECT_NE(shown.find("?[2J???"), std::string::npos) << shown;
  for (char c : shown) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
}

TEST(AuditFilterTest, RefusedIsWhatWasNotAllowedAndNotWhatFailed) {
  auto takes = [](const std::string& line) {
    auto json = parse_json(line);
    EXPECT_TRUE(json) << line;
    AuditFilter filter;
    filter.refused = true;
    return json && filter.takes(json->get());
  };
  for (const char* refused :
       {R"({"event":"login","allowed":false,"reason":"cannot be"})",
        R"({"event":"connection","allowed":false})", R"({"event":"session-refused","reason":"no sftp"})",
        R"({"event":"connections-refused","count":3})",
        R"({"event":"forward","allowed":false,"reason":"Port forwarding not available"})",
        R"({"event":"forward","allowed":false,"reason":"no address"})"})
    EXPECT_TRUE(takes(refused)) << refused;
  for (const char* other :
       {R"({"event":"login","allowed":true})", R"({"event":"session-start"})", R"({"event":"policy"})",
        R"({"event":"revoked","reason":"gone"})", R"({"event":"forward","allowed":true})",
        R"({"event":"forward","allowed":false,"reason":"cannot connect to port 1: Connection refused"})",
        R"({"event":"forward","allowed":false,"reason":"no answer from port 1 in time"})",
        R"({"event":"forward","allowed":false,"reason":"the helper ended"})"})
    EXPECT_FALSE(takes(other)) << other;
}

TEST(AuditFilterTest, EachWord) {
  auto json = parse_json(
      R"({"time":"2024-05-01T12:34:56.789Z","event":"login","peer":"laptop","source":"100.119.4.2",)"
      R"("connection":"0123456789abcdef","identity":"corp:auth0|61","os_user":"deploy"})");
  ASSERT_TRUE(json);
  auto takes = [&](std::string AuditFilter::*member, const char* word) {
    AuditFilter filter;
    filter.*member = word;
    return filter.takes(json->get());
  };
  EXPECT_TRUE(AuditFilter().takes(json->get()));
  EXPECT_TRUE(takes(&AuditFilter::user, "corp:auth0|61"));
  EXPECT_TRUE(takes(&AuditFilter::user, "auth0|61"));
  EXPECT_FALSE(takes(&AuditFilter::user, "61"));
  EXPECT_FALSE(takes(&AuditFilter::user, "corp"));
  EXPECT_TRUE(takes(&AuditFilter::login, "deploy"));
  EXPECT_FALSE(takes(&AuditFilter::login, "root"));
  EXPECT_TRUE(takes(&AuditFilter::from, "laptop"));
  EXPECT_TRUE(takes(&AuditFilter::from, "100.119.4.2"));
  EXPECT_FALSE(takes(&AuditFilter::from, "lap"));
  EXPECT_TRUE(takes(&AuditFilter::event, "login"));
  EXPECT_FALSE(takes(&AuditFilter::event, "session-start"));
  EXPECT_TRUE(takes(&AuditFilter::connection, "01234567"));
  EXPECT_FALSE(takes(&AuditFilter::connection, "1234"));
  EXPECT_TRUE(takes(&AuditFilter::since, "2024-05-01T12:34:56.789Z"));
  EXPECT_FALSE(takes(&AuditFilter::since, "2024-05-01T12:34:56.790Z"));
  EXPECT_FALSE(takes(&AuditFilter::until, "2024-05-01T12:34:56.789Z"));
  EXPECT_TRUE(takes(&AuditFilter::until, "2024-05-01T12:34:56.790Z"));
}

TEST(AuditMoment, EachForm) {
  const std::pair<const char*, const char*> good[] = {
      {"2024-05-01T12:34:56Z", "2024-05-01T12:34:56.000Z"},
      {"2024-05-01 12:34:56z", "2024-05-01T12:34:56.000Z"},
      {"2024-05-01T12:34:56.7Z", "2024-05-01T12:34:56.700Z"},
      {"2024-05-01T12:34:56.7891234Z", "2024-05-01T12:34:56.789Z"},
      {"2024-05-01T12:34:56+02:00", "2024-05-01T10:34:56.000Z"},
      {"2024-05-01T12:34:56-05:30", "2024-05-01T18:04:56.000Z"},
      {"2024-05-01", "2024-05-01T00:00:00.000Z"},
      {"2024-02-29", "2024-02-29T00:00:00.000Z"},
      {"0s", "2024-05-01T12:34:56.789Z"},
      {"90s", "2024-05-01T12:33:26.789Z"},
      {"30m", "2024-05-01T12:04:56.789Z"},
      {"2h", "2024-05-01T10:34:56.789Z"},
      {"3d", "2024-04-28T12:34:56.789Z"},
      {"1w", "2024-04-24T12:34:56.789Z"},
      {"100000000w", "1970-01-01T00:00:00.000Z"},
  };
  for (const auto& [text, moment] : good) EXPECT_EQ(audit_moment(text, kNow), moment) << text;
  for (const char* bad : {"",
                          "h",
                          "2",
                          "2x",
                          "-2h",
                          "2 h",
                          "100000001s",
                          "yesterday",
                          "2024-13-01",
                          "2023-02-29",
                          "2024-05-32",
                          "24-5-1",
                          "2024-05-01T",
                          "2024-05-01T12:34",
                          "2024-05-01T12:34:56",
                          "2024-05-01T25:00:00Z",
                          "2024-05-01T12:34:56+2:00",
                          "2024-05-01T12:34:56.Z",
                          "2024-05-01T12:34:56Zx",
                          "2024-05-01x12:34:56Z"})
    EXPECT_EQ(audit_moment(bad, kNow), std::nullopt) << bad;
}

}  // namespace
}  // namespace qf::test
