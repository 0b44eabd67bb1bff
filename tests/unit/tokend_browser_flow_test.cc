// SPDX-License-Identifier: Apache-2.0
// The person's browser is the test: it visits the redirect over a real socket.
#include "qf-tokend/browser_flow.h"

#include <sys/socket.h>

#include "libqf/address.h"
#include "libqf/base64.h"
#include "libqf/crypto.h"
#include "libqf/jwk.h"
#include "libqf/text.h"
#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

// What a URL's query or a form holds.
QueryParameters fields_of(const std::string& query) {
  auto request = parse_redirect_request("GET /callback?" + query + " HTTP/1.1\r\nHost: h\r\n\r\n", "h");
  EXPECT_EQ(request.status, 200) << query;
  return request.parameters;
}

class BrowserFlowTest : public ::testing::Test {
 protected:
  void start() {
    flow_ = std::make_unique<BrowserFlow>(record_, provider_, request_, services_, listener_);
    flow_->start();
    if (listener_.prompts.empty()) return;
    const std::string& url = listener_.prompts.back().verification_uri;
    asked_ = fields_of(url.substr(url.find('?') + 1));
    std::string uri = asked_["redirect_uri"];
    port_ = static_cast<uint16_t>(parse_number(uri.substr(17, uri.find('/', 17) - 17), 65535).value_or(0));
  }
  void turn() {
    std::vector<pollfd> polled;
    flow_->add(polled);
    ::poll(polled.data(), polled.size(), 20);
    flow_->event(polled);
  }
  [[nodiscard]] Fd visit(const std::string& query) const {
    auto fd = dial({"127.0.0.1"}, port_, Clock::now() + std::chrono::seconds(10));
    if (!fd) {
      ADD_FAILURE() << fd.error().text();
      return Fd();
    }
    EXPECT_TRUE(write_all(fd->get(), "GET /callback?" + query + " HTTP/1.1\r\nHost: 127.0.0.1:" +
                                         std::to_string(port_) + "\r\n\r\n"));
    return std::move(*fd);
  }
  // The browser comes back with this response; what it is shown at last.
  std::string page_of(const Fd& browser) {
    std::string text;
    char buffer[4096];
    Deadline until = Clock::now() + std::chrono::seconds(10);
    while (Clock::now() < until) {
      if (flow_) turn();
      ssize_t n = ::recv(browser.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (n == 0) return text;
      if (n > 0) text.append(buffer, static_cast<size_t>(n));
    }
    ADD_FAILURE() << "no page";
    return text;
  }
  // A good response; up to the token request.
  Fd approve() {
    Fd browser = visit("code=c%2F1&state=" + asked_["state"]);
    Deadline until = Clock::now() + std::chrono::seconds(10);
    while (services_.sent.empty() && Clock::now() < until) turn();
    EXPECT_EQ(services_.sent.size(), 1U);
    return browser;
  }
  // The refusal that a response with our state ends in.
  Refusal refusal_of(const std::string& query) {
    start();
    std::string page = page_of(visit("state=" + asked_["state"] + "&" + query));
    EXPECT_TRUE(page.starts_with("HTTP/1.1 400 ")) << page;
    EXPECT_EQ(listener_.ends, 1);
    EXPECT_TRUE(services_.sent.empty()) << "no code must be exchanged";
    return listener_.refusal.value_or(Refusal{});
  }

  LoginRecord record_ = corp();
  Discovery provider_ = corp_provider();
  FlowRequest request_{"qf1.nonce", true, false};
  FakeServices services_;
  FakeListener listener_;
  std::unique_ptr<BrowserFlow> flow_;
  QueryParameters asked_;
  uint16_t port_ = 0;
};

TEST_F(BrowserFlowTest, WholeLogin) {
  start();
  ASSERT_EQ(listener_.prompts.size(), 1U);
  EXPECT_TRUE(listener_.prompts[0].verification_uri.starts_with("https://idp.example/auth?"));
  EXPECT_EQ(listener_.prompts[0].user_code, "");
  EXPECT_EQ(listener_.prompts[0].expires_in, 600);
  EXPECT_EQ(asked_["response_type"], "code");
  EXPECT_EQ(asked_["client_id"], "qufabric-cli");
  EXPECT_EQ(asked_["scope"], "openid groups");
  EXPECT_EQ(asked_["nonce"], "qf1.nonce");
  EXPECT_EQ(asked_["code_challenge_method"], "S256");
  EXPECT_EQ(base64url_decode(asked_["state"]).value_or("").size(), 32U);
  EXPECT_EQ(asked_["redirect_uri"], "http://127.0.0.1:" + std::to_string(port_) + "/callback");
  EXPECT_EQ(asked_.size(), 8U);

  Fd browser = approve();
  EXPECT_EQ(services_.asked().url, "https://idp.example/token");
  auto form = fields_of(services_.asked().form.value_or(""));
  EXPECT_EQ(form["grant_type"], "authorization_code");
  EXPECT_EQ(form["code"], "c/1");
  EXPECT_EQ(form["redirect_uri"], asked_["redirect_uri"]);
  EXPECT_EQ(form["client_id"], "qufabric-cli");
  EXPECT_EQ(form.size(), 5U);
  // RFC 7636 sections 4.1 and 4.2
  EXPECT_GE(form["code_verifier"].size(), 43U);
  EXPECT_EQ(base64url(sha256(form["code_verifier"])), asked_["code_challenge"]);

  services_.answer(200, R"({"id_token":"a.b.c","refresh_token":"r"})");
  EXPECT_EQ(listener_.token, "a.b.c");
  EXPECT_EQ(listener_.refresh_token, "r");
  EXPECT_EQ(listener_.token_endpoint, "https://idp.example/token");
  EXPECT_EQ(flow_->deadline(), Deadline::max());
  std::string page = page_of(browser);
  EXPECT_TRUE(page.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_NE(page.find("you are logged in"), std::string::npos);
  EXPECT_EQ(listener_.ends, 1);
}

TEST_F(BrowserFlowTest, EveryLoginHasItsOwnStateAndVerifier) {
  start();
  auto first = asked_;
  flow_.reset();
  start();
  EXPECT_NE(asked_["state"], first["state"]);
  EXPECT_NE(asked_["code_challenge"], first["code_challenge"]);
}

TEST_F(BrowserFlowTest, WhatElseIsAskedFor) {
  record_.access_token = true;
  record_.scopes = {"groups", "offline_access"};
  record_.resource = "https://fabric.example";
  provider_.authorization_endpoint = "https://idp.example/auth?tenant=1";
  provider_.dpop_algorithms = {"ES256", "EdDSA"};
  request_.refresh = true;
  start();
  EXPECT_EQ(asked_["tenant"], "1");
  EXPECT_EQ(asked_["scope"], "groups offline_access");
  EXPECT_EQ(asked_["prompt"], "consent") << "OpenID Connect Core section 11";
  EXPECT_EQ(asked_["resource"], "https://fabric.example");
  EXPECT_EQ(asked_["dpop_jkt"], *jwk_thumbprint(test_user_keys().p256.key.public_jwk()));
  EXPECT_FALSE(asked_.contains("nonce")) << "without openid nothing could carry it";
  Fd browser = approve();
  EXPECT_EQ(fields_of(*services_.asked().form)["resource"], "https://fabric.example");
  EXPECT_NE(services_.header("DPoP"), "");
  services_.answer(200, R"({"access_token":"a.b.c"})");
  EXPECT_EQ(listener_.token, "a.b.c");
  EXPECT_EQ(listener_.proof_key, KeyType::kEcdsaP256);
}

TEST_F(BrowserFlowTest, WithoutACacheNoRefreshTokenIsAskedFor) {
  record_.scopes = {"openid", "offline_access"};
  start();
  EXPECT_EQ(asked_["scope"], "openid");
  EXPECT_FALSE(asked_.contains("prompt"));
}

// Any page in the browser can make it visit our port: that must not end the login.
TEST_F(BrowserFlowTest, AForeignStateChangesNothing) {
  start();
  for (const std::string& query :
       {std::string("code=evil"), std::string("code=evil&state="), "code=evil&state=x" + asked_["state"],
        std::string("error=access_denied&state=AAAA"), std::string()}) {
    std::string page = page_of(visit(query));
    EXPECT_TRUE(page.starts_with("HTTP/1.1 400 ")) << page;
    EXPECT_NE(page.find("not this login"), std::string::npos);
  }
  EXPECT_EQ(listener_.ends, 0);
  EXPECT_TRUE(services_.sent.empty());
  Fd browser = approve();
  services_.answer(200, R"({"id_token":"a.b.c"})");
  EXPECT_EQ(listener_.token, "a.b.c");
}

// RFC 9207
TEST_F(BrowserFlowTest, AnotherIssuer) {
  Refusal refusal = refusal_of("code=c&iss=https%3A%2F%2Fevil.example");
  EXPECT_EQ(refusal.code, "provider");
  EXPECT_NE(refusal.message.find("\"https://evil.example\""), std::string::npos);
}

TEST_F(BrowserFlowTest, AnIssuerThatWasPromisedIsMissing) {
  provider_.names_issuer = true;
  Refusal refusal = refusal_of("code=c");
  EXPECT_EQ(refusal.code, "provider");
  EXPECT_NE(refusal.message.find("\"iss\""), std::string::npos);
}

TEST_F(BrowserFlowTest, AnErrorOfAnotherIssuerIsNotBelieved) {
  EXPECT_EQ(refusal_of("error=access_denied&iss=https%3A%2F%2Fevil.example").code, "provider");
}

TEST_F(BrowserFlowTest, TheRightIssuer) {
  provider_.names_issuer = true;
  start();
  Fd browser = visit("code=c&iss=https%3A%2F%2Fidp.example&state=" + asked_["state"]);
  for (int i = 0; i < 100 && services_.sent.empty(); ++i) turn();
  EXPECT_EQ(services_.sent.size(), 1U);
  EXPECT_EQ(listener_.ends, 0);
}

TEST_F(BrowserFlowTest, Denied) {
  Refusal refusal = refusal_of("error=access_denied&error_description=not+today");
  EXPECT_EQ(refusal.code, "access_denied");
  EXPECT_NE(refusal.message.find("access_denied: not today"), std::string::npos);
}

TEST_F(BrowserFlowTest, OtherErrorsInTheProvidersWordsAreBounded) {
  Refusal refusal = refusal_of("error=server_error&error_description=" + std::string(2000, 'x'));
  EXPECT_EQ(refusal.code, "provider");
  EXPECT_NE(refusal.message.find("server_error: xxx"), std::string::npos);
  EXPECT_LT(refusal.message.size(), 600U);
}

TEST_F(BrowserFlowTest, AnErrorBesideACodeIsAnError) {
  EXPECT_EQ(refusal_of("code=c&error=server_error").code, "provider");
}

TEST_F(BrowserFlowTest, NoCode) {
  EXPECT_NE(refusal_of("code=").message.find("\"code\""), std::string::npos);
}

TEST_F(BrowserFlowTest, Expires) {
  start();
  EXPECT_EQ(flow_->deadline(), services_.now() + BrowserFlow::kTime);
  services_.pass(599);
  flow_->event({});
  EXPECT_EQ(listener_.ends, 0);
  services_.pass(1);
  flow_->event({});
  ASSERT_TRUE(listener_.refusal);
  EXPECT_EQ(listener_.refusal->code, "expired");
  EXPECT_NE(listener_.refusal->message.find("10 minutes"), std::string::npos);
  EXPECT_EQ(flow_->deadline(), Deadline::max());
}

TEST_F(BrowserFlowTest, ItDoesNotExpireWhileTheTokenIsOnItsWay) {
  start();
  Fd browser = approve();
  services_.pass(601);
  flow_->event({});
  EXPECT_EQ(listener_.ends, 0);
  EXPECT_EQ(flow_->deadline(), Deadline::max());
  services_.answer(200, R"({"id_token":"a.b.c"})");
  EXPECT_EQ(listener_.token, "a.b.c");
}

TEST_F(BrowserFlowTest, TheRedirectTwiceIsOneLogin) {
  start();
  Fd browser = approve();
  Fd again = visit("code=c%2F1&state=" + asked_["state"]);
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_EQ(services_.sent.size(), 1U);
  services_.answer(200, R"({"id_token":"a.b.c"})");
  EXPECT_EQ(listener_.ends, 1);
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_TRUE(services_.sent.empty());
}

TEST_F(BrowserFlowTest, ThePageSaysWhyATokenIsOfNoUse) {
  listener_.unusable = Refusal{"provider", "the token is for <somebody> else", ""};
  start();
  Fd browser = approve();
  services_.answer(200, R"({"id_token":"a.b.c"})");
  std::string page = page_of(browser);
  EXPECT_TRUE(page.starts_with("HTTP/1.1 400 ")) << page;
  EXPECT_NE(page.find("the login did not work"), std::string::npos);
  EXPECT_NE(page.find("the token is for &lt;somebody&gt; else"), std::string::npos);
}

TEST_F(BrowserFlowTest, TheTokenEndpointRefuses) {
  start();
  Fd browser = approve();
  services_.answer(401, R"({"error":"invalid_client"})");
  ASSERT_TRUE(listener_.refusal);
  EXPECT_EQ(listener_.refusal->code, "provider");
  EXPECT_NE(listener_.refusal->hint.find("\"client_id\""), std::string::npos);
  EXPECT_NE(page_of(browser).find("invalid_client"), std::string::npos);
}

TEST_F(BrowserFlowTest, TheTokenEndpointIsDown) {
  start();
  Fd browser = approve();
  services_.answer(timeout_error("idp.example did not answer in time (15 s)"));
  ASSERT_TRUE(listener_.refusal);
  EXPECT_NE(listener_.refusal->message.find("did not answer"), std::string::npos);
  EXPECT_NE(page_of(browser).find("did not answer"), std::string::npos);
}

TEST_F(BrowserFlowTest, GivenUpBesideTheTokenRequest) {
  start();
  Fd browser = approve();
  flow_.reset();
  EXPECT_EQ(services_.cancelled.size(), 1U);
  EXPECT_NE(page_of(browser).find("the login was given up"), std::string::npos);
  EXPECT_EQ(listener_.ends, 0);
}

TEST_F(BrowserFlowTest, AFixedPort) {
  {
    auto free = RedirectListener::open(0);
    ASSERT_TRUE(free);
    std::string uri = free->redirect_uri();
    record_.redirect_port =
        static_cast<uint32_t>(parse_number(uri.substr(17, uri.find('/', 17) - 17), 65535).value_or(0));
  }
  start();
  EXPECT_EQ(port_, record_.redirect_port);
  FakeListener other;
  BrowserFlow second(record_, provider_, request_, services_, other);
  second.start();
  ASSERT_TRUE(other.refusal) << "the port is taken";
  EXPECT_EQ(other.refusal->code, "config");
  EXPECT_NE(other.refusal->message.find("port " + std::to_string(port_)), std::string::npos);
  EXPECT_NE(other.refusal->message.find("\"redirect_port\""), std::string::npos);
  EXPECT_NE(other.refusal->hint.find("ss -ltnp"), std::string::npos);
  EXPECT_TRUE(other.prompts.empty());
  EXPECT_EQ(second.deadline(), Deadline::max());
  std::vector<pollfd> polled;
  second.add(polled);
  EXPECT_TRUE(polled.empty());
}

}  // namespace
}  // namespace qf
