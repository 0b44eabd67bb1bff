// SPDX-License-Identifier: Apache-2.0
#include "qf-detect/match.h"

#include "qf-detect/host_keys.h"
#include "tests/unit/detect_tools.h"

namespace qf {
namespace {

using test::FakeTokend;
using test::own_address;
using test::says;
using test::Server;

constexpr const char* kKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA";
constexpr const char* kJwtLine = "SSH-2.0-QuFabric-SSH-Server-0.61.0 QuFabric-JWT-Required\r\n";

class Match : public ::testing::Test {
 protected:
  Match() {
    PeerRecord db1{"db1", {address_}, true, "0.61.0", {kKey}, {}};
    PeerRecord laptop{"laptop", {"127.0.0.9"}, false, "0.61.0", {kKey}, {}};
    PeerRecord bare{"bare", {address_}, true, "0.61.0", {}, {}};
    test::write_peers(scratch_.path("peers.mdb"), {bare, laptop, db1});
    ::unsetenv("QF_SSH");
  }
  ~Match() override { ::unsetenv("QF_SSH"); }

  MatchAnswer match(const std::string& host, const std::string& port = "22") {
    return match_host(find_folders(scratch_.path(), scratch_.path(), scratch_.path("run")), host, port);
  }

  test::Scratch scratch_;
  std::string address_ = own_address(1);
};

TEST_F(Match, OnlyPeersWithAServerAndAKey) {
  Server server(says(kJwtLine), address_, kFabricPort);
  EXPECT_TRUE(match("db1").applies);
  EXPECT_TRUE(match("DB1").applies);
  EXPECT_TRUE(match("db1.fabric.example", "22022").applies);
  EXPECT_TRUE(match(address_).applies);
  EXPECT_EQ(server.accepted(), 4U);
  EXPECT_FALSE(match("db2").applies);
  EXPECT_FALSE(match("laptop").applies);
  EXPECT_FALSE(match("bare").applies);
  EXPECT_FALSE(match("").applies);
  EXPECT_EQ(server.accepted(), 4U) << "a host that is none is not dialed";
}

TEST_F(Match, OnlyTwoPorts) {
  Server server(says(kJwtLine), address_, kFabricPort);
  for (const auto* port : {"2222", "", "0", "022", "22022 ", "220222"})
    EXPECT_FALSE(match("db1", port).applies) << port;
  EXPECT_EQ(server.accepted(), 0U);
}

TEST_F(Match, SwitchedOff) {
  Server server(says(kJwtLine), address_, kFabricPort);
  ::setenv("QF_SSH", "off", 1);
  EXPECT_FALSE(match("db1").applies);
  EXPECT_EQ(server.accepted(), 0U);
  ::setenv("QF_SSH", "tunnel", 1);
  EXPECT_TRUE(match("db1").applies);
}

TEST_F(Match, WhatAnswersDecides) {
  auto applies = [&](Server::Serve serve) {
    Server server(std::move(serve), address_, kFabricPort);
    return match("db1").applies;
  };
  EXPECT_TRUE(applies(says("SSH-2.0-QuFabric-SSH-Server-0.61.0\r\n")));
  EXPECT_FALSE(applies(says("SSH-2.0-OpenSSH_9.2\r\n")));
  EXPECT_FALSE(applies(says("HTTP/1.1 400 Bad Request\r\n\r\n")));
  EXPECT_TRUE(applies([](int, int) {}))
      << "closed without a byte: this source is refused, and qf-proxy says so";
  EXPECT_FALSE(match("db1").applies) << "nothing listens";
}

TEST_F(Match, AServerThatHangsCostsASecond) {
  Server server([](int, int over) { test::hang(over); }, address_, kFabricPort);
  auto before = Clock::now();
  EXPECT_FALSE(match("db1").applies);
  EXPECT_LT(Clock::now() - before, std::chrono::milliseconds(1800));
}

TEST_F(Match, NoDatabaseDoesNotApply) {
  auto answer = match_host(find_folders("/nonexistent", "/nonexistent", "/nonexistent"), "db1", "22");
  EXPECT_FALSE(answer.applies);
  EXPECT_FALSE(answer.reason.empty());
}

TEST_F(Match, ACachedAnswerNeedsNoConnection) {
  Server server(says("SSH-2.0-OpenSSH_9.2\r\n"), address_, kFabricPort);
  FakeTokend daemon(scratch_.path("run"), {{"match", R"({"ok":true,"detection":"jwt","credential":true})"}});
  EXPECT_TRUE(match("Db1").applies);
  EXPECT_EQ(server.accepted(), 0U);
  ASSERT_EQ(daemon.heard().size(), 1U) << "one round trip";
  auto request = parse_json(daemon.heard()[0]);
  ASSERT_TRUE(request);
  EXPECT_EQ(json_integer(request->get(), "version"), 1);
  EXPECT_EQ(json_string(request->get(), "peer"), "db1");
  EXPECT_EQ(json_string(request->get(), "host"), "Db1")
      << "as it was typed: qf-tokend names the certificate file as ssh will";
  EXPECT_EQ(json_member(request->get(), "pid"), nullptr) << "the parent of this test is no ssh";
}

TEST_F(Match, CachedRefusals) {
  Server server(says(kJwtLine), address_, kFabricPort);
  for (const auto* word : {"other", "none"}) {
    FakeTokend daemon(scratch_.path("run"),
                      {{"match", R"({"ok":true,"detection":")" + std::string(word) + "\"}"}});
    EXPECT_FALSE(match("db1").applies) << word;
    ::unlink(scratch_.path("run/tokend.sock").c_str());
  }
  EXPECT_EQ(server.accepted(), 0U);
}

TEST_F(Match, TellsWhatItFound) {
  Server server(says(kJwtLine), address_, kFabricPort);
  FakeTokend daemon(scratch_.path("run"), {{"match", R"({"ok":true,"credential":false})"},
                                           {"detected", R"({"ok":true,"detection":"jwt"})"}});
  EXPECT_TRUE(match("db1.fabric.example").applies);
  ASSERT_EQ(daemon.heard().size(), 2U);
  auto told = parse_json(daemon.heard()[1]);
  ASSERT_TRUE(told);
  EXPECT_EQ(json_string(told->get(), "op"), "detected");
  EXPECT_EQ(json_string(told->get(), "peer"), "db1");
  EXPECT_EQ(json_string(told->get(), "host"), "db1.fabric.example");
  EXPECT_EQ(json_string(told->get(), "detection"), "jwt");
}

TEST_F(Match, ADaemonInTroubleIsAsGoodAsNone) {
  Server server(says(kJwtLine), address_, kFabricPort);
  for (const auto* answer :
       {"", "{", R"({"ok":false,"error":"bug"})", R"({"ok":true,"detection":"maybe"})", "[]"}) {
    FakeTokend daemon(scratch_.path("run"), {{"match", answer}});
    EXPECT_TRUE(match("db1").applies) << answer;
    ::unlink(scratch_.path("run/tokend.sock").c_str());
  }
}

TEST_F(Match, HostKeys) {
  auto db = PeersDb::open(scratch_.path("peers.mdb"));
  ASSERT_TRUE(db);
  std::string line = std::string(" ") + kKey + "\n";
  EXPECT_EQ(known_hosts_lines(*db, "db1"), "db1" + line);
  EXPECT_EQ(known_hosts_lines(*db, "[db1]:22022"), "[db1]:22022" + line);
  EXPECT_EQ(known_hosts_lines(*db, "[db1.fabric.example]:22"), "[db1.fabric.example]:22" + line);
  EXPECT_EQ(known_hosts_lines(*db, address_), address_ + line);
  for (const auto* name :
       {"db2", "[db1]:2222", "[db1]", "[db1", "db1]:22022", "", "laptop", "bare", "db1\nevil"}) {
    EXPECT_EQ(known_hosts_lines(*db, name), "") << name;
  }
}

}  // namespace
}  // namespace qf
