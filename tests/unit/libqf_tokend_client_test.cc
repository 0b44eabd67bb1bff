// SPDX-License-Identifier: Apache-2.0
#include "libqf/tokend_client.h"

#include <fcntl.h>

#include "tests/unit/detect_tools.h"

namespace qf {
namespace {

using test::FakeTokend;
using test::in_seconds;
using test::Scratch;

Folders folders_of(const Scratch& scratch) {
  return find_folders(scratch.path("config"), scratch.path("state"), scratch.path("run"));
}

TEST(TokendClient, NobodyListens) {
  Scratch scratch;
  auto client = TokendClient::connect(folders_of(scratch));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::kNotFound) << "no runtime folder yet";
  ASSERT_TRUE(make_folder(scratch.path("run"), 0700));
  client = TokendClient::connect(folders_of(scratch));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::kNotFound) << client.error().text();
}

TEST(TokendClient, RefusesAFolderThatOthersMayEnter) {
  Scratch scratch;
  FakeTokend daemon(scratch.path("run"), {});
  ASSERT_EQ(::chmod(scratch.path("run").c_str(), 0755), 0);
  auto client = TokendClient::connect(folders_of(scratch));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind, ErrorKind::kInput) << client.error().text();
}

TEST(TokendClient, AnswersInOrder) {
  Scratch scratch;
  FakeTokend daemon(scratch.path("run"), {{"match", R"({"ok":true})"}, {"detected", R"({"ok":false})"}});
  auto client = TokendClient::connect(folders_of(scratch));
  ASSERT_TRUE(client) << client.error().text();
  ASSERT_TRUE(client->send(R"({"version":1,"op":"match"})"));
  auto first = client->receive(in_seconds(5));
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(json_bool(first->get(), "ok"), true);
  ASSERT_TRUE(client->send(R"({"op":"detected"})"));
  auto second = client->receive(in_seconds(5));
  ASSERT_TRUE(second) << second.error().text();
  EXPECT_EQ(json_bool(second->get(), "ok"), false);
}

TEST(TokendClient, SeveralLinesAtOnce) {
  Scratch scratch;
  FakeTokend daemon(scratch.path("run"), {{"a", "{\"event\":\"notice\"}\n{\"ok\":true}"}});
  auto client = TokendClient::connect(folders_of(scratch));
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->send(R"({"version":1,"op":"a"})"));
  auto event = client->receive(in_seconds(5));
  ASSERT_TRUE(event);
  EXPECT_EQ(json_string(event->get(), "event"), "notice");
  auto last = client->receive(in_seconds(5));
  ASSERT_TRUE(last);
  EXPECT_FALSE(client->has_line());
}

TEST(TokendClient, TroubleHasItsKind) {
  Scratch scratch;
  FakeTokend daemon(scratch.path("run"),
                    {{"hang", ""}, {"broken", "{"}, {"long", std::string(kMostTokendLine + 1, ' ')}});
  auto ask = [&](const std::string& op, int milliseconds) {
    auto client = TokendClient::connect(folders_of(scratch));
    EXPECT_TRUE(client);
    EXPECT_TRUE(client->send("{\"version\":1,\"op\":\"" + op + "\"}"));
    auto answer = client->receive(Clock::now() + std::chrono::milliseconds(milliseconds));
    EXPECT_FALSE(answer);
    return answer.error().kind;
  };
  EXPECT_EQ(ask("hang", 50), ErrorKind::kTimeout);
  EXPECT_EQ(ask("broken", 5000), ErrorKind::kPeer);
  EXPECT_EQ(ask("long", 5000), ErrorKind::kPeer);
  EXPECT_EQ(ask("unknown", 5000), ErrorKind::kSystem);
}

TEST(ConnectUnix, OtherOwnersAreRefused) {
  Scratch scratch;
  FakeTokend daemon(scratch.path("run"), {});
  auto fd = connect_unix(scratch.path("run/tokend.sock"), ::geteuid() + 1);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(connect_unix(scratch.path("run/tokend.sock"), static_cast<uid_t>(-1)));
}

TEST(ConnectUnix, PathsThatAreTooLong) {
  auto fd = connect_unix("/" + std::string(120, 'x'), ::geteuid());
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().kind, ErrorKind::kInput);
}

}  // namespace
}  // namespace qf
