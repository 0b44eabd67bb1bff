// SPDX-License-Identifier: Apache-2.0
// libqf/http against a server on loopback that misbehaves as told. (Here and not in the group of libqf, since
// only programs that fetch link libcurl.)
#include "libqf/http.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <mutex>
#include <thread>

#include "libqf/address.h"

namespace qf {
namespace {

TEST(Http, Urls) {
  EXPECT_TRUE(check_url("https://idp.example/x"));
  EXPECT_TRUE(check_url("http://127.0.0.1:8080/x"));
  EXPECT_TRUE(check_url("http://127.9.8.7/"));
  EXPECT_TRUE(check_url("http://[::1]:1/"));
  EXPECT_TRUE(check_url("http://localhost/"));
  for (const char* url :
       {"http://idp.example/", "http://127.0.0.1.evil.example/", "http://localhost.evil.example/",
        "ftp://127.0.0.1/", "file:///etc/passwd", "https://user@idp.example/", "https://user:pw@idp.example/",
        "", "x", "https://", "//idp.example", "http://[::ffff:10.0.0.1]/", "javascript:alert(1)"}) {
    auto checked = check_url(url);
    ASSERT_FALSE(checked) << url;
    EXPECT_EQ(checked.error().kind, ErrorKind::kInput);
    EXPECT_EQ(checked.error().what.find("pw"), std::string::npos);
  }
  EXPECT_EQ(url_host("https://IdP.example:8443/x?y"), "idp.example:8443");
  EXPECT_EQ(url_host("https://idp.example/"), "idp.example");
  EXPECT_EQ(url_host("nonsense url"), "?");
}

TEST(Http, Forms) {
  EXPECT_EQ(form_encode({}), "");
  EXPECT_EQ(form_encode({{"a", "b c&d=e"}, {"f", "\xc3\xa4-._~"}}), "a=b%20c%26d%3De&f=%C3%A4-._~");
}

TEST(Http, Lifetimes) {
  auto of = [](const char* control, const char* age, const char* expires, const char* date) {
    return http_lifetime({control, age, expires, date, "", "", "", ""});
  };
  EXPECT_EQ(of("", "", "", ""), std::nullopt);
  EXPECT_EQ(of("public, max-age=300", "", "", ""), 300);
  EXPECT_EQ(of("MAX-AGE=\"300\"", "100", "", ""), 200);
  EXPECT_EQ(of("max-age=300", "400", "", ""), 0);
  EXPECT_EQ(of("max-age=300, no-store", "", "", ""), 0);
  EXPECT_EQ(of("no-cache", "", "Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:01 GMT"), 0);
  EXPECT_EQ(of("max-age=-5", "", "", ""), 0);
  EXPECT_EQ(of("max-age=99999999999999999999", "", "", ""), 0);
  EXPECT_EQ(of("private", "", "Thu, 01 Jan 2026 00:01:00 GMT", "Thu, 01 Jan 2026 00:00:00 GMT"), 60);
  EXPECT_EQ(of("", "", "Thu, 01 Jan 2026 00:01:00 GMT", ""), 0);
  EXPECT_EQ(of("", "", "0", "Thu, 01 Jan 2026 00:00:00 GMT"), 0);
}

// Answers each connection, one after the other, with the same bytes.
class MiniServer {
 public:
  explicit MiniServer(std::string answer, bool keep_open = false)
      : answer_(std::move(answer)), keep_open_(keep_open) {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto address = make_socket_address("127.0.0.1", 0);
    EXPECT_EQ(::bind(listener_.get(), address->get(), address->length), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    port_ = local_address(listener_.get())->port();
    thread_ = std::thread([this] { serve(); });
  }
  ~MiniServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  MiniServer(const MiniServer&) = delete;
  MiniServer& operator=(const MiniServer&) = delete;
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/x"; }
  // What the last connection has sent first; of use once it was answered.
  [[nodiscard]] std::string last_request() {
    std::lock_guard<std::mutex> lock(mutex_);
    return last_request_;
  }

 private:
  void serve() {
    std::vector<Fd> open;
    for (;;) {
      Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) return;
      char request[4096];
      ssize_t n = ::recv(fd.get(), request, sizeof request, 0);
      if (n <= 0) continue;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        last_request_.assign(request, static_cast<size_t>(n));
      }
      ::send(fd.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
      if (keep_open_) open.push_back(std::move(fd));
    }
  }
  std::string answer_;
  bool keep_open_;
  Fd listener_;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::string last_request_;
  std::thread thread_;
};

HttpLimits short_limits() {
  HttpLimits limits;
  limits.most_bytes = 1000;
  limits.total_time = std::chrono::milliseconds(300);
  return limits;
}

TEST(Http, Get) {
  MiniServer server(
      "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nAge: 5\r\nRetry-After: 7\r\nDate: Thu, 01 Jan 2026 "
      "00:00:00 "
      "GMT\r\nContent-Length: 2\r\n\r\nhi");
  auto answer = http_get(server.url(), "");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hi");
  EXPECT_EQ(answer->lifetime, 55);
  EXPECT_EQ(answer->retry_after, 7);
  EXPECT_EQ(answer->date, 1767225600);
  EXPECT_EQ(answer->age, 5);
}

TEST(Http, TheNonceForProofsIsRead) {
  MiniServer server(
      "HTTP/1.1 400 No\r\ndpop-nonce:  eyJ7S_zG.eyJH0-Z  \r\nX-DPoP-Nonce: x\r\nContent-Length: 0\r\n\r\n");
  auto answer = http_get(server.url(), "");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->dpop_nonce, "eyJ7S_zG.eyJH0-Z");
  MiniServer other("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  answer = http_get(other.url(), "");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->dpop_nonce, "");
}

TEST(Http, ErrorStatusIsAnAnswer) {
  MiniServer server("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
  auto answer = http_get(server.url(), "");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
}

TEST(Http, TooLong) {
  MiniServer exact("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x'));
  EXPECT_TRUE(http_get(exact.url(), "", short_limits()));
  MiniServer long_one("HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x'));
  auto answer = http_get(long_one.url(), "", short_limits());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kPeer);
  EXPECT_NE(answer.error().what.find(url_host(long_one.url())), std::string::npos);
}

TEST(Http, RedirectsAreNotFollowed) {
  MiniServer target("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  MiniServer server("HTTP/1.1 302 Found\r\nLocation: " + target.url() + "\r\nContent-Length: 0\r\n\r\n");
  auto answer = http_get(server.url(), "");
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().what.find("redirect"), std::string::npos);
}

TEST(Http, Hanging) {
  MiniServer server("", true);
  auto answer = http_get(server.url(), "", short_limits());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kTimeout);
  EXPECT_NE(answer.error().what.find("127.0.0.1:"), std::string::npos);
}

TEST(Http, NoHttp) {
  MiniServer server("SSH-2.0-OpenSSH_9.2\r\n");
  auto answer = http_get(server.url(), "", short_limits());
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().what.find("127.0.0.1:"), std::string::npos);
}

TEST(Http, NobodyListens) {
  std::string url;
  {
    MiniServer gone("");
    url = gone.url();
  }
  auto answer = http_get(url, "", short_limits());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kSystem);
}

class Async : public ::testing::Test {
 protected:
  // Turns the loop until `done` or two seconds have passed.
  void run(const std::function<bool()>& done) {
    Deadline until = Clock::now() + std::chrono::seconds(2);
    while (!done() && Clock::now() < until) {
      std::vector<pollfd> polled;
      client_.add(polled);
      ::poll(polled.data(), polled.size(), poll_timeout(std::min(until, client_.deadline())));
      client_.handle(polled);
    }
  }
  HttpClient client_;
};

TEST_F(Async, ManyAtOnceAndNoneWaitsForASlowOne) {
  MiniServer server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  MiniServer slow("", true);
  int good = 0;
  std::optional<ErrorKind> failed;
  client_.start({slow.url(), "", std::nullopt, short_limits()},
                [&](const Result<HttpAnswer>& answer) { failed = answer.error().kind; });
  for (int i = 0; i < 3; ++i) {
    client_.start({server.url(), "", "a=b", {}}, [&](const Result<HttpAnswer>& answer) {
      if (answer) good += static_cast<int>((*answer).body.size() == 2);
    });
  }
  run([&] { return good == 3; });
  EXPECT_EQ(good, 3);
  EXPECT_FALSE(failed);
  run([&] { return failed.has_value(); });
  EXPECT_EQ(failed, ErrorKind::kTimeout);
}

TEST_F(Async, HeadersOfARequestAreSent) {
  MiniServer server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  int answers = 0;
  client_.start({server.url(), "", "a=b", {}, {"Authorization: Basic eDp5", "DPoP: a.b.c"}},
                [&](auto) { ++answers; });
  run([&] { return answers == 1; });
  std::string request = server.last_request();
  EXPECT_TRUE(request.starts_with("POST /x HTTP/1.1\r\n")) << request;
  for (const char* line :
       {"\r\nAuthorization: Basic eDp5\r\n", "\r\nDPoP: a.b.c\r\n", "\r\nAccept: application/json\r\n",
        "\r\nContent-Type: application/x-www-form-urlencoded\r\n"}) {
    EXPECT_NE(request.find(line), std::string::npos) << line << request;
  }
  client_.start({server.url(), "", std::nullopt, {}, {}}, [&](auto) { ++answers; });
  run([&] { return answers == 2; });
  EXPECT_TRUE(server.last_request().starts_with("GET /x HTTP/1.1\r\n"));
  EXPECT_EQ(server.last_request().find("Authorization"), std::string::npos) << "of one request only";
}

TEST_F(Async, CancelledOnesAreNeverAnswered) {
  MiniServer slow("", true);
  bool called = false;
  auto id = client_.start({slow.url(), "", std::nullopt, short_limits()}, [&](auto) { called = true; });
  run([tries = 0]() mutable { return ++tries > 3; });
  client_.cancel(id);
  client_.cancel(id);
  run([deadline = Clock::now() + std::chrono::milliseconds(400)] { return Clock::now() > deadline; });
  EXPECT_FALSE(called);
}

TEST_F(Async, BadUrlsFailLaterToo) {
  std::optional<Error> error;
  client_.start({"http://idp.example/", "", std::nullopt, {}},
                [&](const Result<HttpAnswer>& answer) { error = answer.error(); });
  EXPECT_FALSE(error) << "a callback from start() surprises its caller";
  run([&] { return error.has_value(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kInput);
}

TEST_F(Async, CallbacksMayStartAndCancel) {
  MiniServer server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  int second = 0;
  HttpClient::Id other = 0;
  client_.start({server.url(), "", std::nullopt, {}}, [&](auto) {
    client_.cancel(other);
    client_.start({server.url(), "", std::nullopt, {}}, [&](auto) { ++second; });
  });
  MiniServer slow("", true);
  other = client_.start({slow.url(), "", std::nullopt, {}}, [&](auto) { second += 100; });
  run([&] { return second != 0; });
  EXPECT_EQ(second, 1);
}

}  // namespace
}  // namespace qf
