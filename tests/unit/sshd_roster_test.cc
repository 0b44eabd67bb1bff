// SPDX-License-Identifier: Apache-2.0
// The roster, the link of monitors to it, and the status socket, over real sockets in a scratch folder.
#include "qf-sshd/roster.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include "libqf/json.h"
#include "libqf/unix_socket.h"
#include "qf-sshd/listener_link.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/status_server.h"
#include "tests/unit/libqf_tools.h"

namespace qf::test {
namespace {

class RosterTest : public ::testing::Test {
 protected:
  // One turn of the listener's loop for roster and status.
  void turn() {
    std::vector<pollfd> polled;
    roster_.poll(polled);
    size_t first_client = polled.size();
    if (serving_) status_.poll(polled);
    ::poll(polled.data(), polled.size(), 20);
    roster_.settle(polled, 0);
    if (serving_) {
      status_.serve(polled, first_client, roster_);
      status_.turn(Clock::now(), roster_, {"::1"});
    }
  }
  // A monitor of the roster; its end of the socket.
  MessageSocket monitor() {
    auto ends = MessageSocket::pair();
    if (!ends) std::abort();
    roster_.add(std::move(ends->first), 7, {"id", "fd00::1", 1, "laptop"});
    return std::move(ends->second);
  }
  Scratch scratch_;
  Roster roster_{NetBlocks{}, 3};
  StatusServer status_;
  bool serving_ = false;
};

TEST_F(RosterTest, CountsThoseThatAreNotLoggedInByNetwork) {
  auto a = monitor();
  auto b = monitor();
  roster_.connections().back().logged_in = true;
  Load load = roster_.load("fd00::/64");
  EXPECT_EQ(load.all, 2U);
  EXPECT_EQ(load.startups, 1U);
  EXPECT_EQ(load.startups_of_source, 1U);
  EXPECT_EQ(roster_.load("fd01::/64").startups_of_source, 0U);
}

TEST_F(RosterTest, AMonitorComesToTheNextListener) {
  std::string path = scratch_.path("monitors");
  ListenerLink link(MessageSocket(), path, {kMessageVersion, "c1", "fd00::2", 9, "p", 1234, false});
  link.lost();
  EXPECT_NE(link.next_try(), Deadline::max());
  link.turn(Clock::now() + std::chrono::hours(1));  // nobody there: later
  EXPECT_FALSE(link);
  ASSERT_TRUE(roster_.open(path));
  struct stat st = {};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  link.logged_in(false);
  link.turn(Clock::now() + std::chrono::hours(2));
  ASSERT_TRUE(link);
  for (int i = 0; i < 100 && roster_.connections().empty(); ++i) turn();
  ASSERT_EQ(roster_.connections().size(), 1U);
  const Connection& connection = roster_.connections().front();
  EXPECT_EQ(connection.pid, ::getpid());
  EXPECT_EQ(connection.source.id, "c1");
  EXPECT_FALSE(connection.child);
  EXPECT_EQ(connection.network, "fd00::/64");
  EXPECT_EQ(connection.since, 1234U);
  EXPECT_TRUE(connection.logged_in);
}

TEST_F(RosterTest, WhatIsNoMonitorIsDropped) {
  std::string path = scratch_.path("monitors");
  ASSERT_TRUE(roster_.open(path));
  Register old{kMessageVersion + 1, "c1", "::1", 1, "", 0, false};
  auto other = connect_unix(path, ::geteuid(), SOCK_SEQPACKET);
  auto wrong = connect_unix(path, ::geteuid(), SOCK_SEQPACKET);
  ASSERT_TRUE(other && wrong);
  MessageSocket a(std::move(*other)), b(std::move(*wrong));
  ASSERT_TRUE(a.send(old));
  ASSERT_TRUE(b.send(LoggedIn{}));
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_TRUE(roster_.connections().empty());
  EXPECT_FALSE(a.receive(Clock::now() + std::chrono::seconds(5)));
  EXPECT_FALSE(b.receive(Clock::now() + std::chrono::seconds(5)));
}

TEST_F(RosterTest, TheStatusSocketTellsWhatAnswersAndWhatDoesNot) {
  std::string path = scratch_.path("status");
  ASSERT_TRUE(status_.open(path));
  serving_ = true;
  auto good = monitor();
  auto stuck = monitor();
  auto client = connect_unix(path, ::geteuid());
  ASSERT_TRUE(client);
  turn();
  auto query = good.receive(Clock::now() + std::chrono::seconds(5));
  ASSERT_TRUE(query);
  auto asked = open_message<ConnectionQuery>(*query);
  ASSERT_TRUE(asked);
  ConnectionReport report;
  report.number = asked->number;
  report.identity = "corp:ann";
  status_.report(roster_.connections().front(), report);
  Deadline until = Clock::now() + std::chrono::seconds(10);
  std::string text;
  while (Clock::now() < until && text.find('\n') == std::string::npos) {
    turn();
    char chunk[4096];
    ssize_t n = ::recv(client->get(), chunk, sizeof chunk, MSG_DONTWAIT);
    if (n > 0) text.append(chunk, static_cast<size_t>(n));
  }
  auto json = parse_json(text.substr(0, text.find('\n')));
  ASSERT_TRUE(json) << text;
  EXPECT_EQ(json_strings(json->get(), "listening"), std::vector<std::string>{"::1"});
  const cJSON* list = json_member(json->get(), "connections");
  ASSERT_EQ(::cJSON_GetArraySize(list), 2);
  EXPECT_EQ(json_string(::cJSON_GetArrayItem(list, 0), "identity"), "corp:ann");
  EXPECT_EQ(json_bool(::cJSON_GetArrayItem(list, 0), "answers"), true);
  EXPECT_EQ(json_bool(::cJSON_GetArrayItem(list, 1), "answers"), false);
}

}  // namespace
}  // namespace qf::test
