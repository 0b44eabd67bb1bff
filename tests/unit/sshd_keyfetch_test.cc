// SPDX-License-Identifier: Apache-2.0
// keyfetch as a process of its own, against providers on loopback that behave and that do not.
#include "qf-sshd/keyfetch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "libqf/address.h"
#include "libqf/text.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/memory_file.h"
#include "qf-sshd/messages.h"

namespace qf::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// An HTTP server on 127.0.0.1 that knows some paths. A path with an empty answer hangs.
class Provider {
 public:
  Provider() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    auto any = make_socket_address("127.0.0.1", 0);
    if (!any || ::bind(socket_.get(), any->get(), any->length) != 0 || ::listen(socket_.get(), 64) != 0)
      std::abort();
    auto own = local_address(socket_.get());
    if (!own) std::abort();
    url_ = "http://127.0.0.1:" + std::to_string(own->port());
    thread_ = std::thread([this] { serve(); });
  }
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;
  ~Provider() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] const std::string& url() const { return url_; }
  void answer(const std::string& path, const std::string& body, const std::string& status = "200 OK",
              const std::string& headers = "") {
    std::lock_guard lock(mutex_);
    answers_[path] = "HTTP/1.1 " + status +
                     "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
                     headers + "\r\n" + body;
  }
  void raw(const std::string& path, const std::string& bytes) {
    std::lock_guard lock(mutex_);
    answers_[path] = bytes;
  }

 private:
  struct Client {
    Fd fd;
    std::string request;
  };
  void serve() {
    std::vector<Client> clients;
    while (!stop_) {
      std::vector<pollfd> polled = {{socket_.get(), POLLIN, 0}};
      for (const auto& client : clients) polled.push_back({client.fd.get(), POLLIN, 0});
      if (::poll(polled.data(), polled.size(), 20) <= 0) continue;
      for (size_t i = clients.size(); i-- > 0;) {
        if (polled[i + 1].revents != 0 && !read_client(clients[i]))
          clients.erase(clients.begin() + static_cast<long>(i));
      }
      if (polled[0].revents != 0)
        clients.push_back({Fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)), ""});
    }
  }
  // False when the client is done with.
  bool read_client(Client& client) {
    char buffer[4096];
    ssize_t n = ::read(client.fd.get(), buffer, sizeof buffer);
    if (n <= 0) return false;
    client.request.append(buffer, static_cast<size_t>(n));
    if (client.request.find("\r\n\r\n") == std::string::npos) return true;
    auto words = split(client.request, ' ');
    std::lock_guard lock(mutex_);
    auto found = answers_.find(words.size() > 1 ? words[1] : "");
    std::string answer =
        found == answers_.end() ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" : found->second;
    if (answer.empty()) return true;
    static_cast<void>(!write_all(client.fd.get(), answer, Clock::now() + seconds(5)));
    return false;
  }
  Fd socket_;
  std::string url_;
  std::thread thread_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::map<std::string, std::string> answers_;
};

struct Reply {
  FetchReply head;
  std::string body;
};

// Started before any thread of the test, as the listener does it.
class KeyfetchProcess {
 public:
  explicit KeyfetchProcess(const std::function<int(MessageSocket)>& role) {
    auto ends = MessageSocket::pair();
    if (!ends) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ends->first.close();
      ::_exit(role(std::move(ends->second)));
    }
    socket_ = std::move(ends->first);
  }
  KeyfetchProcess(const KeyfetchProcess&) = delete;
  KeyfetchProcess& operator=(const KeyfetchProcess&) = delete;
  ~KeyfetchProcess() {
    if (pid_ > 0) end();
  }
  void ask(const FetchRequest& request) { ASSERT_TRUE(socket_.send(request)); }
  Reply reply() {
    auto message = socket_.receive(Clock::now() + seconds(15));
    if (!message) return {{"", "no reply: " + message.error().text(), 0}, ""};
    auto head = open_message<FetchReply>(*message);
    auto body = read_memory_file(message->fds.at(0).get(), 2 << 20);
    EXPECT_TRUE(head && body);
    return head && body ? Reply{*head, *body} : Reply{{"", "malformed", 0}, ""};
  }
  Reply ask_one(const FetchRequest& request) {
    ask(request);
    return reply();
  }
  int end() {
    socket_.close();
    int status = 0;
    EXPECT_EQ(::waitpid(std::exchange(pid_, -1), &status, 0) > 0, true);
    return status;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  MessageSocket& socket() { return socket_; }

 private:
  pid_t pid_ = -1;
  MessageSocket socket_;
};

int whole_role(MessageSocket socket) {
  Settings settings;
  return keyfetch_role(settings, std::move(socket));
}

class Keyfetch : public ::testing::Test {
 protected:
  FetchRequest by_uri(const std::string& path) {
    return {"corp", "https://idp.example/", provider_.url() + path, std::nullopt};
  }
  FetchRequest by_discovery(const std::string& issuer_path = "") {
    return {"corp", provider_.url() + issuer_path, std::nullopt, std::nullopt};
  }
  void expect_error(const FetchRequest& request, const std::string& words) {
    auto reply = keyfetch_.ask_one(request);
    EXPECT_EQ(reply.head.name, request.name);
    EXPECT_NE(reply.head.error.find(words), std::string::npos) << reply.head.error;
    EXPECT_EQ(reply.body, "");
  }
  KeyfetchProcess keyfetch_{whole_role};  // first: it is forked before the provider's thread
  Provider provider_;
};

TEST_F(Keyfetch, BringsTheKeySet) {
  provider_.answer("/jwks", R"({"keys":[]})", "200 OK", "Cache-Control: max-age=600\r\n");
  auto reply = keyfetch_.ask_one(by_uri("/jwks"));
  EXPECT_EQ(reply.head.error, "");
  EXPECT_EQ(reply.head.name, "corp");
  EXPECT_EQ(reply.head.lifetime, 600U);
  EXPECT_EQ(reply.body, R"({"keys":[]})");
}

TEST_F(Keyfetch, Lifetimes) {
  provider_.answer("/silent", "{}");
  EXPECT_EQ(keyfetch_.ask_one(by_uri("/silent")).head.lifetime, 0U);
  provider_.answer("/no-store", "{}", "200 OK", "Cache-Control: no-store\r\n");
  EXPECT_EQ(keyfetch_.ask_one(by_uri("/no-store")).head.lifetime, 1U) << "not the same as nothing said";
}

TEST_F(Keyfetch, Discovery) {
  for (const std::string issuer : {"", "/", "/tenant", "/tenant/"}) {
    SCOPED_TRACE(issuer);
    std::string path = issuer.ends_with('/') ? issuer.substr(0, issuer.size() - 1) : issuer;
    provider_.answer(
        path + "/.well-known/openid-configuration",
        R"({"issuer":")" + provider_.url() + issuer + R"(","jwks_uri":")" + provider_.url() + "/k\"}");
    provider_.answer("/k", "the keys");
    auto reply = keyfetch_.ask_one(by_discovery(issuer));
    EXPECT_EQ(reply.head.error, "");
    EXPECT_EQ(reply.body, "the keys");
  }
}

TEST_F(Keyfetch, BadDiscoveries) {
  const std::string kPath = "/.well-known/openid-configuration";
  auto configuration = [&](const std::string& text) { provider_.answer(kPath, text); };
  expect_error(by_discovery(), "404");
  configuration("<html>");
  expect_error(by_discovery(), "not JSON");
  configuration("{}");
  expect_error(by_discovery(), "not \"" + provider_.url());
  configuration(R"({"issuer":"https://evil.example","jwks_uri":")" + provider_.url() + "/k\"}");
  expect_error(by_discovery(), "https://evil.example");
  configuration(R"({"issuer":")" + provider_.url() + "\"}");
  expect_error(by_discovery(), "no jwks_uri");
  configuration(R"({"issuer":")" + provider_.url() + R"(","jwks_uri":"http://192.0.2.1/k"})");
  expect_error(by_discovery(), "https");
  configuration(R"({"issuer":")" + provider_.url() + R"(","jwks_uri":"file:///etc/passwd"})");
  expect_error(by_discovery(), "not a URL");
  provider_.answer(kPath, std::string(300'000, ' '));
  expect_error(by_discovery(), "longer");
}

TEST(KeyfetchDiscovery, APublicProviderCannotPointUsAtOurselves) {
  const std::string kIssuer = "https://idp.example";
  auto at = [&](const std::string& uri) {
    return read_jwks_uri(kIssuer, R"({"issuer":"https://idp.example","jwks_uri":")" + uri + "\"}");
  };
  EXPECT_TRUE(at("https://keys.example/jwks"));
  EXPECT_FALSE(at("http://127.0.0.1:8500/v1/kv"));
  EXPECT_FALSE(at("http://localhost/"));
}

TEST_F(Keyfetch, BadAnswers) {
  expect_error(by_uri("/missing"), "404");
  provider_.answer("/down", "sorry", "503 Service Unavailable");
  expect_error(by_uri("/down"), "503");
  provider_.answer("/moved", "", "302 Found", "Location: /jwks\r\n");
  expect_error(by_uri("/moved"), "redirect");
  provider_.answer("/large", std::string(kMostKeySetBytes + 1, ' '));
  expect_error(by_uri("/large"), "longer");
  provider_.raw("/junk", "hello\n");
  expect_error(by_uri("/junk"), "127.0.0.1");
  FetchRequest request = by_uri("/jwks");
  request.jwks_uri = "http://192.0.2.1/jwks";
  expect_error(request, "https");
  request.jwks_uri = "http://127.0.0.1:1/jwks";
  expect_error(request, "cannot reach");
  // and after all that it still works
  provider_.answer("/jwks", "{}");
  EXPECT_EQ(keyfetch_.ask_one(by_uri("/jwks")).body, "{}");
}

TEST_F(Keyfetch, ResolvesNamesInItsJail) {
  provider_.answer("/jwks", "{}");
  FetchRequest request = by_uri("/jwks");
  request.jwks_uri->replace(request.jwks_uri->find("127.0.0.1"), 9, "localhost");
  auto reply = keyfetch_.ask_one(request);
  EXPECT_EQ(reply.head.error, "");
}

TEST_F(Keyfetch, EndsWithTheListener) {
  int status = keyfetch_.end();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Keyfetch, EndsWithAFetchUnderWay) {
  provider_.raw("/hang", "");
  keyfetch_.ask(by_uri("/hang"));
  int status = keyfetch_.end();
  EXPECT_TRUE(WIFEXITED(status));
}

TEST_F(Keyfetch, AMalformedRequestEndsIt) {
  ASSERT_TRUE(keyfetch_.socket().send(Hello{}));
  auto message = keyfetch_.socket().receive(Clock::now() + seconds(5));
  EXPECT_FALSE(message);
  int status = keyfetch_.end();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 70);
}

TEST(KeyfetchDeadline, AHangingProviderDelaysNobody) {
  KeyfetchProcess keyfetch(
      [](MessageSocket socket) { return serve_fetches(std::move(socket), milliseconds(700)); });
  Provider provider;
  provider.raw("/hang", "");
  provider.answer("/jwks", "{}");
  auto start = Clock::now();
  for (int i = 0; i < 20; ++i)
    keyfetch.ask({"hanging", "https://a/", provider.url() + "/hang", std::nullopt});
  keyfetch.ask({"fine", "https://b/", provider.url() + "/jwks", std::nullopt});
  EXPECT_EQ(keyfetch.reply().head.name, "fine");
  EXPECT_LT(Clock::now() - start, milliseconds(700));
  for (int i = 0; i < 20; ++i) {
    auto reply = keyfetch.reply();
    EXPECT_EQ(reply.head.name, "hanging");
    EXPECT_NE(reply.head.error.find("in time"), std::string::npos) << reply.head.error;
  }
  EXPECT_LT(Clock::now() - start, seconds(5));
}

TEST(KeyfetchDeadline, CoversDiscoveryAndKeysTogether) {
  KeyfetchProcess keyfetch(
      [](MessageSocket socket) { return serve_fetches(std::move(socket), milliseconds(500)); });
  Provider provider;
  provider.answer("/.well-known/openid-configuration",
                  R"({"issuer":")" + provider.url() + R"(","jwks_uri":")" + provider.url() + "/hang\"}");
  provider.raw("/hang", "");
  auto start = Clock::now();
  keyfetch.ask({"corp", provider.url(), std::nullopt, std::nullopt});
  EXPECT_NE(keyfetch.reply().head.error, "");
  EXPECT_LT(Clock::now() - start, seconds(3));
}

// ---- the jail ---------------------------------------------------------------------------------------------

// Runs `work` in a locked process; its wait status.
int locked(const std::function<int()>& work) {
  pid_t pid = ::fork();
  if (pid == 0) {
    if (!lock_in_keyfetch()) ::_exit(99);
    ::_exit(work());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

bool killed(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}
bool fine(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(KeyfetchJail, WhatOnlyAnIntruderTriesKills) {
  EXPECT_TRUE(killed(locked([] { return ::execl("/bin/true", "true", nullptr); })));
  EXPECT_TRUE(killed(locked([] { return ::kill(::getppid(), 0); })));
  EXPECT_TRUE(killed(locked([] { return static_cast<int>(::syscall(SYS_ptrace, 0, 0, 0, 0)); })));
  EXPECT_TRUE(killed(locked([] { return static_cast<int>(::syscall(SYS_fork)); })));
  EXPECT_TRUE(killed(locked([] { return ::setuid(0); })));
  EXPECT_TRUE(killed(locked([] {
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    return ::listen(fd, 1);
  })));
}

TEST(KeyfetchJail, WhatLibrariesMightTryFails) {
  auto refused = [](bool failed) { return failed ? 0 : 1; };
  EXPECT_TRUE(
      fine(locked([&] { return refused(::open("/tmp/qf-must-not-exist", O_CREAT | O_WRONLY, 0600) < 0); })));
  EXPECT_TRUE(fine(locked([&] { return refused(::open("/dev/null", O_RDWR) < 0); })));
  EXPECT_TRUE(fine(locked([&] { return refused(::open("/dev/null", O_WRONLY | O_APPEND) < 0); })));
  EXPECT_TRUE(
      fine(locked([&] { return refused(::unlink("/tmp/qf-must-not-exist") < 0 && errno == ENOSYS); })));
  EXPECT_TRUE(fine(locked([&] { return refused(::socket(AF_PACKET, SOCK_RAW, 0) < 0); })));
  // a new process by the call that glibc makes
  EXPECT_TRUE(fine(locked([&] { return refused(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0); })));
  EXPECT_TRUE(
      fine(locked([&] { return refused(::syscall(SYS_clone3, nullptr, 0) < 0 && errno == ENOSYS); })));
}

TEST(KeyfetchJail, WhatFetchingNeedsWorks) {
  EXPECT_TRUE(fine(locked([] {
    int answer = 1;
    std::thread thread([&answer] {
      addrinfo* found = nullptr;
      if (::getaddrinfo("localhost", "443", nullptr, &found) == 0) answer = 0;
      if (found != nullptr) ::freeaddrinfo(found);
    });
    thread.join();
    return answer;
  })));
  EXPECT_TRUE(fine(locked([] { return ::open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : 1; })));
  EXPECT_TRUE(fine(locked([] { return make_memory_file("x") ? 0 : 1; })));
}

TEST(KeyfetchJail, AsThePagePromises) {
  int leaked = ::open("/etc/passwd", O_RDONLY);  // not close-on-exec, as a careless library would
  Settings settings;
  settings.privileged = ::geteuid() == 0;
  settings.fetch_uid = 65534;
  settings.fetch_gid = 65534;
  KeyfetchProcess keyfetch([&](MessageSocket socket) { return keyfetch_role(settings, std::move(socket)); });
  ::close(leaked);
  // an answer shows that the jail stands
  keyfetch.ask({"corp", "https://idp.example/", "ftp://127.0.0.1/", std::nullopt});
  EXPECT_NE(keyfetch.reply().head.error, "");
  auto status = read_file("/proc/" + std::to_string(keyfetch.pid()) + "/status", 1 << 16);
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("Name:\tqf-keyfetch\n"), std::string::npos);
  EXPECT_NE(status->find("Seccomp:\t2\n"), std::string::npos);
  EXPECT_NE(status->find("NoNewPrivs:\t1\n"), std::string::npos);
  if (!settings.privileged)
    GTEST_SKIP() << "not root: users are not switched, and /proc/PID/fd cannot be read";
  EXPECT_NE(status->find("Uid:\t65534\t65534\t65534\t65534\n"), std::string::npos);
  EXPECT_NE(status->find("Gid:\t65534\t65534\t65534\t65534\n"), std::string::npos);
  EXPECT_NE(status->find("Groups:\t \n"), std::string::npos) << *status;
  EXPECT_NE(status->find("CapEff:\t0000000000000000\n"), std::string::npos);
  for (const auto& fd :
       std::filesystem::directory_iterator("/proc/" + std::to_string(keyfetch.pid()) + "/fd")) {
    std::error_code closed;  // meanwhile
    auto target = std::filesystem::read_symlink(fd.path(), closed).string();
    EXPECT_EQ(target.find("passwd"), std::string::npos) << target;
  }
}

}  // namespace
}  // namespace qf::test
