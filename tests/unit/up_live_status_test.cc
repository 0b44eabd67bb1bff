// SPDX-License-Identifier: Apache-2.0
#include "qf-up/live_status.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

std::string table(const std::string& connections) {
  auto json = parse_json("{\"connections\":[" + connections + "]}");
  if (!json) return json.error().text();
  return live_table(json->get());
}

TEST(LiveStatus, BytesAreShort) {
  EXPECT_EQ(short_bytes(0), "0 B");
  EXPECT_EQ(short_bytes(999), "999 B");
  EXPECT_EQ(short_bytes(1000), "1.0 kB");
  EXPECT_EQ(short_bytes(1240), "1.2 kB");
  EXPECT_EQ(short_bytes(34'000'000), "34 MB");
  EXPECT_EQ(short_bytes(999'600), "1.0 MB");
  EXPECT_EQ(short_bytes(9'007'199'254'740'992), "9.0 PB");
}

TEST(LiveStatus, ALineForEachSession) {
  EXPECT_EQ(table(""), "no connections\n");
  std::string text = table(
      R"({"peer":"laptop","address":"fd00::1","port":9,"since":"2026-01-02T03:04:05.678Z","logged_in":true,"answers":true,
      "identity":"corp:ann","os_user":"deploy","method":"certificate","tunnel":true,"forwards":2,"bytes_in":3,"bytes_out":4,
      "sessions":[{"kind":"shell","command":"","since":"2026-01-02T03:04:06.000Z","bytes_in":1,"bytes_out":2},
      {"kind":"exec","command":"rsync","bytes_in":2000,"bytes_out":2}],"more_sessions":0})");
  EXPECT_EQ(text,
            "IDENTITY  OS USER  FROM                SINCE                 METHOD               RUNS   "
            "FORWARDS  IN      "
            "OUT\n"
            "corp:ann  deploy   laptop [fd00::1]:9  2026-01-02T03:04:06Z  certificate, tunnel  shell  2      "
            "   1 B     "
            "2 B\n"
            "corp:ann  deploy   laptop [fd00::1]:9  -                     certificate, tunnel  rsync  2      "
            "   2.0 kB  "
            "2 B\n");
}

TEST(LiveStatus, WhoDoesNotAnswerAndWhoIsNotLoggedIn) {
  EXPECT_NE(table(R"({"address":"10.0.0.1","port":9,"answers":false})").find("does not answer"),
            std::string::npos);
  EXPECT_NE(
      table(R"({"address":"10.0.0.1","port":9,"answers":true,"logged_in":false})").find("not logged in"),
      std::string::npos);
}

TEST(LiveStatus, ControlCharactersDoNotReachTheTerminal) {
  std::string text = table(R"({"identity":"a\u001b[2J\u0007\nb","peer":"\u009b2J","answers":true})");
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
  EXPECT_NE(text.find("a?[2J??b"), std::string::npos);
}

}  // namespace
}  // namespace qf
