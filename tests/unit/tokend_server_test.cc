// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "libqf/tokend_client.h"
#include "qf-tokend/startup.h"

namespace qf {
namespace {

// Answers status at once, login never, and ends the loop at stop.
class EchoService final : public LineService {
 public:
  std::optional<Refusal> admit(const ucred&) override {
    if (refuse) return Refusal{"refused", "no", ""};
    return std::nullopt;
  }
  void request(uint64_t client, const Request& request) override {
    if (request.operation == Operation::kStop) server->stop();
    if (request.operation == Operation::kLogin) {
      server->progress(client, R"({"event":"notice"})");
      ++waiting;
      return;
    }
    server->answer(client, R"({"ok":true})");
  }
  void gone(uint64_t) override { ++gone_count; }
  [[nodiscard]] bool judges_process() const override { return judge; }

  Server* server = nullptr;
  std::atomic<bool> refuse = false, judge = false;
  std::atomic<int> gone_count = 0, waiting = 0;
};

class ServerTest : public ::testing::Test {
 protected:
  explicit ServerTest(ServerLimits limits = {}) {
    char folder[] = "/tmp/qf-server-XXXXXX";
    folder_ = ::mkdtemp(folder);
    path_ = folder_ + "/s.sock";
    auto listener = listen_unix(path_, 0600);
    server_.emplace(std::move(*listener), path_, service_, limits);
    service_.server = &*server_;
    thread_ = std::thread([this] { EXPECT_TRUE(server_->run()); });
  }
  ~ServerTest() override {
    service_.refuse = false;
    Fd fd = connect();
    type(fd, "{\"version\":1,\"op\":\"stop\"}\n");
    thread_.join();
    std::filesystem::remove_all(folder_);
  }
  Fd connect() { return std::move(*connect_unix(path_, static_cast<uid_t>(-1))); }
  static void type(const Fd& fd, const std::string& text) { EXPECT_TRUE(write_all(fd.get(), text)); }
  // One line, or "" at the end.
  static std::string line(const Fd& fd) {
    std::string out;
    char c = 0;
    while (wait_for(fd.get(), POLLIN, Clock::now() + std::chrono::seconds(5)) &&
           ::recv(fd.get(), &c, 1, 0) == 1) {
      if (c == '\n') return out;
      out += c;
    }
    return out;
  }
  void until(const std::function<bool()>& condition) {
    Deadline deadline = Clock::now() + std::chrono::seconds(5);
    while (!condition() && Clock::now() < deadline) std::this_thread::yield();
    EXPECT_TRUE(condition());
  }

  std::string folder_, path_;
  EchoService service_;
  std::optional<Server> server_;
  std::thread thread_;
};

constexpr const char* kStatus = "{\"version\":1,\"op\":\"status\"}\n";

TEST_F(ServerTest, ManyRequestsOnAConnection) {
  Fd fd = connect();
  type(fd, kStatus);
  EXPECT_EQ(line(fd), R"({"ok":true})");
  type(fd, "{\"op\":\"status\"}\n{\"op\":\"bogus\"}\n{\"op\":\"status\"}\n");
  EXPECT_EQ(line(fd), R"({"ok":true})");
  EXPECT_NE(line(fd).find("unknown_op"), std::string::npos);
  EXPECT_EQ(line(fd), R"({"ok":true})");
}

TEST_F(ServerTest, WhoAsksMuchAndShutsDownReadsAllAnswers) {
  Fd fd = connect();
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += kStatus;
  type(fd, lines);
  ::shutdown(fd.get(), SHUT_WR);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(line(fd), R"({"ok":true})") << i;
  EXPECT_EQ(line(fd), "");
}

TEST_F(ServerTest, VersionFirst) {
  for (const char* text : {"{\"op\":\"status\"}\n", "{\"version\":9,\"op\":\"status\"}\n"}) {
    Fd fd = connect();
    type(fd, text);
    EXPECT_NE(line(fd).find("\"version\""), std::string::npos);
    EXPECT_EQ(line(fd), "") << "the connection is closed";
  }
}

TEST_F(ServerTest, ForeignProtocolIsToldAndDropped) {
  Fd fd = connect();
  type(fd, "GET / HTTP/1.1\r\n");
  EXPECT_NE(line(fd).find("malformed"), std::string::npos);
  EXPECT_EQ(line(fd), "");
}

TEST_F(ServerTest, OversizeLineIsToldAndDropped) {
  Fd fd = connect();
  EXPECT_TRUE(
      write_all(fd.get(), std::string(kMostTokendLine + 1, 'x'), Clock::now() + std::chrono::seconds(5)));
  EXPECT_NE(line(fd).find("too_long"), std::string::npos);
  EXPECT_EQ(line(fd), "");
}

TEST_F(ServerTest, HalfLineAndGone) {
  { type(connect(), "{\"version\":1,"); }
  until([&] { return service_.gone_count == 1; });
}

TEST_F(ServerTest, WhoGoesWhileWaitingIsNoticed) {
  Fd fd = connect();
  type(fd, "{\"version\":1,\"op\":\"login\"}\n");
  EXPECT_NE(line(fd).find("notice"), std::string::npos);
  fd.reset();
  until([&] { return service_.gone_count == 1; });
}

TEST_F(ServerTest, AskingAheadDoesNotOvertake) {
  Fd fd = connect();
  type(fd, "{\"version\":1,\"op\":\"login\"}\n{\"op\":\"status\"}\n");
  EXPECT_NE(line(fd).find("notice"), std::string::npos);
  EXPECT_FALSE(wait_for(fd.get(), POLLIN, Clock::now() + std::chrono::milliseconds(50)));
}

TEST_F(ServerTest, RefusedClientsReadWhy) {
  service_.refuse = true;
  Fd fd = connect();
  EXPECT_NE(line(fd).find("refused"), std::string::npos);
  EXPECT_EQ(line(fd), "");
}

// A connection whose process is gone, so that its pid may be another's: made by a child, held by us.
Fd connected_by_the_dead(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.sun_path);
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status == 0 ? std::move(fd) : Fd();
}

TEST(ServerOfTheLiving, WhoConnectedAndEndedIsRefused) {
  char folder[] = "/tmp/qf-server-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  std::string path = std::string(folder) + "/s.sock";
  for (bool judge : {false, true}) {
    EchoService service;
    service.judge = judge;
    Server server(std::move(*listen_unix(path, 0600)), path, service);
    service.server = &server;
    Fd fd = connected_by_the_dead(path);
    ASSERT_TRUE(fd);
    int pidfd = -1;
    socklen_t length = sizeof pidfd;
    bool unknown = ::getsockopt(fd.get(), SOL_SOCKET, 77, &pidfd, &length) != 0 && errno == ENOPROTOOPT;
    if (pidfd >= 0) ::close(pidfd);
    ASSERT_TRUE(write_all(fd.get(), kStatus));
    Fd other = std::move(*connect_unix(path, static_cast<uid_t>(-1)));
    ASSERT_TRUE(write_all(other.get(), "{\"version\":1,\"op\":\"stop\"}\n"));
    EXPECT_TRUE(server.run());
    char text[4096] = {};
    ASSERT_GT(::recv(fd.get(), text, sizeof text - 1, MSG_DONTWAIT), 0);
    EXPECT_EQ(std::string(text).find("has ended") != std::string::npos, judge && !unknown) << text;
  }
  std::filesystem::remove_all(folder);
}

TEST(ServerSocket, IsRemovedUnlessItIsAnothers) {
  char folder[] = "/tmp/qf-server-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  std::string path = std::string(folder) + "/s.sock";
  EchoService service;
  Server first(std::move(*listen_unix(path, 0600)), path, service);
  Server second(std::move(*listen_unix(path, 0600)), path, service);
  first.remove_socket();
  EXPECT_TRUE(std::filesystem::exists(path));
  second.remove_socket();
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::remove_all(folder);
}

TEST_F(ServerTest, IdleClientsMakeRoom) {
  std::vector<Fd> idle;
  // not more descriptors than the process may have
  size_t count = 200;
  for (size_t i = 0; i < count; ++i) idle.push_back(connect());
  Fd fd = connect();
  type(fd, kStatus);
  EXPECT_EQ(line(fd), R"({"ok":true})");
}

class CrowdedServer : public ServerTest {
 protected:
  CrowdedServer() : ServerTest({20, 8}) {}
  // Clients that wait for an answer that never comes, so they make no room.
  void fill(std::vector<Fd>& clients, int count) {
    for (int i = 0; i < count; ++i) {
      clients.push_back(connect());
      type(clients.back(), "{\"version\":1,\"op\":\"login\"}\n");
      EXPECT_NE(line(clients.back()).find("notice"), std::string::npos);
    }
  }
};

TEST_F(CrowdedServer, OneUserHasAShare) {
  std::vector<Fd> clients;
  fill(clients, 8);
  Fd refused = connect();
  EXPECT_NE(line(refused).find("busy"), std::string::npos);
  EXPECT_EQ(line(refused), "");
  clients.pop_back();
  until([&] { return service_.gone_count >= 1; });
  refused.reset();
  fill(clients, 1);
  clients.clear();
}

TEST_F(CrowdedServer, WhoOnlyConnectsIsDroppedForTheNextOfThatUser) {
  std::vector<Fd> idle;
  for (int i = 0; i < 8; ++i) idle.push_back(connect());
  Fd fd = connect();
  type(fd, kStatus);
  EXPECT_EQ(line(fd), R"({"ok":true})");
}

TEST_F(CrowdedServer, AFloodOfRefusedOnesIsNotKept) {
  std::vector<Fd> clients;
  fill(clients, 8);
  std::vector<Fd> refused;
  for (int i = 0; i < 200; ++i) refused.push_back(connect());
  // each made room for the next one
  until([&] { return service_.gone_count >= 199; });
  clients.clear();
}

TEST(ClientLimits, FitTheDescriptors) {
  for (rlim_t descriptors : {20, 100, 256, 1024, 4096, 5000, 100'000}) {
    auto limits = client_limits(descriptors);
    EXPECT_GE(limits.most_clients, 1U);
    EXPECT_LE(limits.most_clients, kMostClients);
    EXPECT_LT(limits.most_clients, descriptors);
    EXPECT_EQ(limits.most_of_user, limits.most_clients) << "the user's own daemon has no other users";
  }
  EXPECT_EQ(client_limits(1024).most_clients, 896U);
  EXPECT_EQ(client_limits(RLIM_INFINITY).most_clients, kMostClients);
}

}  // namespace
}  // namespace qf
