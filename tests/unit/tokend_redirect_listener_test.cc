// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/redirect_listener.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "libqf/address.h"
#include "libqf/text.h"

namespace qf {
namespace {

constexpr std::string_view kAuthority = "127.0.0.1:4711";

RedirectRequest ask_for(const std::string& target) {
  return parse_redirect_request("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\n", kAuthority);
}

TEST(RedirectRequest, Response) {
  auto request = ask_for("/callback?code=a%2Bb+c&state=%C3%A4&iss=https%3a%2f%2fidp.example&empty=&bare");
  EXPECT_EQ(request.status, 200);
  EXPECT_EQ(request.parameters, (QueryParameters{{"code", "a+b c"},
                                                 {"state", "\xc3\xa4"},
                                                 {"iss", "https://idp.example"},
                                                 {"empty", ""},
                                                 {"bare", ""}}));
  EXPECT_EQ(ask_for("/callback").status, 200);
  EXPECT_TRUE(ask_for("/callback?").parameters.empty());
  EXPECT_EQ(ask_for("/callback?&a=b&&").parameters, (QueryParameters{{"a", "b"}}));
  EXPECT_EQ(ask_for("/callback?a=b=c").parameters, (QueryParameters{{"a", "b=c"}}));
}

TEST(RedirectRequest, StatusOfWhatIsNone) {
  struct Case {
    std::string head;
    int status;
  };
  const std::string host = "Host: 127.0.0.1:4711\r\n\r\n";
  for (const auto& [head, status] : {
           Case{"POST /callback?code=a HTTP/1.1\r\n" + host, 405},
           Case{"HEAD /callback HTTP/1.1\r\n" + host, 405},
           Case{"get /callback HTTP/1.1\r\n" + host, 405},
           Case{"GET / HTTP/1.1\r\n" + host, 404},
           Case{"GET /favicon.ico HTTP/1.1\r\n" + host, 404},
           Case{"GET /callback/ HTTP/1.1\r\n" + host, 404},
           Case{"GET /callbackx?code=a HTTP/1.1\r\n" + host, 404},
           Case{"GET /x/../callback HTTP/1.1\r\n" + host, 404},
           Case{"GET http://127.0.0.1:4711/callback HTTP/1.1\r\n" + host, 404},
           Case{"GET /callback HTTP/1.0\r\n" + host, 200},
           Case{"GET /callback HTTP/2\r\n" + host, 400},
           Case{"GET /callback\r\n" + host, 400},
           Case{"GET  /callback HTTP/1.1\r\n" + host, 400},
           Case{"GET /call back HTTP/1.1\r\n" + host, 400},
           Case{"\r\n\r\n", 400},
           Case{"", 400},
           Case{"GET /callback HTTP/1.1", 400},
           Case{"\x16\x03\x01", 400},
       }) {
    EXPECT_EQ(parse_redirect_request(head, kAuthority).status, status) << head;
  }
}

// A page under another name that leads to our address (DNS rebinding) has its own name in Host.
TEST(RedirectRequest, Host) {
  auto status = [](const std::string& headers) {
    return parse_redirect_request("GET /callback HTTP/1.1\r\n" + headers + "\r\n", kAuthority).status;
  };
  EXPECT_EQ(status("Host: 127.0.0.1:4711\r\n"), 200);
  EXPECT_EQ(status("hOST:127.0.0.1:4711  \r\n"), 200);
  EXPECT_EQ(status("Accept: */*\r\nHost: 127.0.0.1:4711\r\n"), 200);
  for (const char* headers :
       {"", "Host: evil.example\r\n", "Host: 127.0.0.1\r\n", "Host: 127.0.0.1:471\r\n",
        "Host: localhost:4711\r\n", "Host: 127.0.0.1:4711.evil.example\r\n", "Host:\r\n",
        "X-Host: 127.0.0.1:4711\r\n", "Host: 127.0.0.1:4711\r\nHost: 127.0.0.1:4711\r\n",
        "Host: evil.example\r\nHost: 127.0.0.1:4711\r\n"}) {
    EXPECT_EQ(status(headers), 400) << headers;
  }
  EXPECT_EQ(parse_redirect_request("GET /callback HTTP/1.1\r\nHost: [::1]:9\r\n\r\n", "[::1]:9").status, 200);
}

TEST(RedirectRequest, ParametersThatAreWrong) {
  for (const char* query :
       {"code=%", "code=%4", "code=%4g", "code=%zz", "co%2=a", "code=a%0d%0aX", "code=%00", "code=%7f",
        "code=%1B[2J", "c%00de=a", "code=a&code=a", "code=a&code=b", "code=a&c%6fde=b", "a&a=", "=&="}) {
    auto request = ask_for(std::string("/callback?") + query);
    EXPECT_EQ(request.status, 400) << query;
    EXPECT_TRUE(request.parameters.empty());
  }
  EXPECT_EQ(ask_for("/callback?code=%41").parameters.at("code"), "A") << "an escape at the very end";
}

TEST(RedirectRequest, ThirtyTwoParametersAtMost) {
  std::string query = "/callback?";
  for (int i = 0; i < 32; ++i) query += "&p" + std::to_string(i) + "=x";
  EXPECT_EQ(ask_for(query).status, 200);
  EXPECT_EQ(ask_for(query + "&more=x").status, 400);
}

class RedirectListenerTest : public ::testing::Test {
 protected:
  RedirectListenerTest() {
    std::string uri = listener_.redirect_uri();
    port_ = static_cast<uint16_t>(parse_number(uri.substr(17, uri.find('/', 17) - 17), 65535).value_or(0));
  }
  [[nodiscard]] Fd connect() const {
    auto fd = dial({"127.0.0.1"}, port_, Clock::now() + std::chrono::seconds(10));
    EXPECT_TRUE(fd) << fd.error().text();
    return fd ? std::move(*fd) : Fd();
  }
  [[nodiscard]] Fd request(const std::string& target) const {
    Fd fd = connect();
    EXPECT_TRUE(write_all(
        fd.get(), "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) + "\r\n\r\n"));
    return fd;
  }
  std::optional<QueryParameters> turn() {
    std::vector<pollfd> polled;
    listener_.add(polled);
    ::poll(polled.data(), polled.size(), 20);
    return listener_.handle(polled, now_);
  }
  // Until a redirect has come.
  std::optional<QueryParameters> redirected() {
    Deadline until = Clock::now() + std::chrono::seconds(10);
    while (Clock::now() < until) {
      if (auto parameters = turn()) return parameters;
    }
    ADD_FAILURE() << "no redirect";
    return std::nullopt;
  }
  // Everything up to the end of the stream; the listener is served meanwhile.
  std::string answer_to(const Fd& fd) {
    std::string text;
    char buffer[4096];
    Deadline until = Clock::now() + std::chrono::seconds(10);
    while (Clock::now() < until) {
      EXPECT_FALSE(turn()) << "a second redirect";
      ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno == ECONNRESET)) return text;
      if (n > 0) text.append(buffer, static_cast<size_t>(n));
    }
    ADD_FAILURE() << "the connection stays open";
    return text;
  }

  RedirectListener listener_ = std::move(*RedirectListener::open(0));
  uint16_t port_ = 0;
  Deadline now_ = Clock::now();
};

TEST_F(RedirectListenerTest, BringsTheRedirectAndItsPage) {
  EXPECT_EQ(listener_.redirect_uri(), "http://127.0.0.1:" + std::to_string(port_) + "/callback");
  EXPECT_EQ(listener_.deadline(), Deadline::max());
  Fd browser = request("/callback?code=a&state=b");
  EXPECT_EQ(redirected(), (QueryParameters{{"code", "a"}, {"state", "b"}}));
  listener_.answer({200, "you are logged in", "Close it."});
  std::string page = answer_to(browser);
  EXPECT_TRUE(page.starts_with("HTTP/1.1 200 OK\r\n")) << page;
  for (const char* header :
       {"Connection: close\r\n", "Cache-Control: no-store\r\n", "Referrer-Policy: no-referrer\r\n",
        "Content-Security-Policy: default-src 'none'", "Content-Type: text/html; charset=utf-8\r\n"}) {
    EXPECT_NE(page.find(header), std::string::npos) << header;
  }
  size_t body = page.find("\r\n\r\n") + 4;
  EXPECT_NE(page.find("Content-Length: " + std::to_string(page.size() - body) + "\r\n"), std::string::npos);
  EXPECT_NE(page.find("<h1>you are logged in</h1><p>Close it.</p>", body), std::string::npos);
}

TEST_F(RedirectListenerTest, TheTextsOfAPageAreEscaped) {
  Fd browser = request("/callback");
  ASSERT_TRUE(redirected());
  listener_.answer({400, "<script>", "a & \"b\" <img src=x>"});
  std::string page = answer_to(browser);
  EXPECT_TRUE(page.starts_with("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_NE(page.find("<h1>&lt;script&gt;</h1><p>a &amp; &quot;b&quot; &lt;img src=x&gt;</p>"),
            std::string::npos)
      << page;
}

TEST_F(RedirectListenerTest, OtherRequestsAreTurnedAway) {
  Fd icon = request("/favicon.ico");
  EXPECT_TRUE(answer_to(icon).starts_with("HTTP/1.1 404 Not Found\r\n"));
  Fd noise = connect();
  ASSERT_TRUE(write_all(noise.get(), "SSH-2.0-x\r\n\r\n"));
  EXPECT_TRUE(answer_to(noise).starts_with("HTTP/1.1 400 Bad Request\r\n"));
  Fd post = connect();
  ASSERT_TRUE(write_all(post.get(),
                        "POST /callback HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) + "\r\n\r\n"));
  EXPECT_TRUE(answer_to(post).starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
  listener_.answer({200, "x", "x"});  // nobody waits for it
  Fd browser = request("/callback?code=a");
  EXPECT_TRUE(redirected());
}

TEST_F(RedirectListenerTest, AHeadMayComeInPieces) {
  Fd browser = connect();
  std::string head = "GET /callback?code=a HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) + "\r\n\r\n";
  for (size_t i = 0; i + 1 < head.size(); ++i) {
    ASSERT_TRUE(write_all(browser.get(), head.substr(i, 1)));
    if (i % 16 == 0) {
      EXPECT_FALSE(turn());
    }
  }
  ASSERT_TRUE(write_all(browser.get(), "\n"));
  EXPECT_TRUE(redirected());
}

TEST_F(RedirectListenerTest, AHeadIsBounded) {
  Fd browser = connect();
  ASSERT_TRUE(write_all(browser.get(), "GET /callback?code="));
  Deadline until = Clock::now() + std::chrono::seconds(10);
  bool closed = false;
  size_t sent = 0;
  while (!closed && Clock::now() < until) {
    ssize_t n = ::send(browser.get(), std::string(1024, 'a').data(), 1024, MSG_NOSIGNAL | MSG_DONTWAIT);
    closed = n < 0 && errno != EAGAIN;
    if (n > 0) sent += static_cast<size_t>(n);
    EXPECT_FALSE(turn());
  }
  EXPECT_TRUE(closed);
  EXPECT_LT(sent, 10 * kMostRedirectBytes);
}

TEST_F(RedirectListenerTest, ASlowHeadIsGivenUp) {
  Fd slow = connect();
  ASSERT_TRUE(write_all(slow.get(), "GET /callb"));
  while (listener_.deadline() == Deadline::max()) EXPECT_FALSE(turn());
  EXPECT_EQ(listener_.deadline(), now_ + RedirectListener::kHeadTime);
  now_ += RedirectListener::kHeadTime - std::chrono::seconds(1);
  ASSERT_TRUE(write_all(slow.get(), "ack"));
  EXPECT_FALSE(turn());
  EXPECT_NE(listener_.deadline(), Deadline::max()) << "bytes that trickle in earn no more time";
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(answer_to(slow), "");
  EXPECT_EQ(listener_.deadline(), Deadline::max());
}

TEST_F(RedirectListenerTest, IdleConnectionsDoNotKeepTheRedirectOut) {
  std::vector<Fd> idle;
  for (size_t i = 0; i < 3 * RedirectListener::kMostConnections; ++i) {
    idle.push_back(connect());
    EXPECT_FALSE(turn());
  }
  std::vector<pollfd> polled;
  EXPECT_EQ(answer_to(idle[0]), "") << "the oldest one goes";
  listener_.add(polled);
  EXPECT_LE(polled.size(), RedirectListener::kMostConnections + 1);
  Fd browser = request("/callback?code=a");
  EXPECT_TRUE(redirected());
}

TEST_F(RedirectListenerTest, WhileOneWaitsForItsPageNoOtherIsRead) {
  Fd first = request("/callback?code=a");
  ASSERT_TRUE(redirected());
  Fd second = request("/callback?code=b");
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(turn());
  listener_.answer({200, "done", "done"});
  EXPECT_EQ(redirected(), (QueryParameters{{"code", "b"}}));
  EXPECT_NE(answer_to(first).find("done"), std::string::npos);
}

// poll(2) reports a reset even of descriptors that it is asked nothing about.
TEST_F(RedirectListenerTest, AResetMeanwhileMakesNoBusyLoop) {
  Fd other = connect();
  while (listener_.deadline() == Deadline::max()) EXPECT_FALSE(turn());
  Fd first = request("/callback?code=a");
  ASSERT_TRUE(redirected());
  linger at_once = {1, 0};
  ASSERT_EQ(::setsockopt(other.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  other.reset();
  EXPECT_FALSE(turn());
  std::vector<pollfd> polled;
  listener_.add(polled);
  EXPECT_EQ(::poll(polled.data(), polled.size(), 100), 0);
}

TEST_F(RedirectListenerTest, ATakenPort) {
  auto second = RedirectListener::open(port_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kSystem);
  EXPECT_EQ(second.error().sys, EADDRINUSE);
}

TEST_F(RedirectListenerTest, AFixedPortCanBeUsedAgainAtOnce) {
  Fd browser = request("/callback?code=a");
  ASSERT_TRUE(redirected());
  listener_.answer({200, "x", "x"});
  uint16_t port = port_;
  listener_ = std::move(*RedirectListener::open(0));
  auto again = RedirectListener::open(port);
  EXPECT_TRUE(again) << again.error().text();
}

}  // namespace
}  // namespace qf
