// SPDX-License-Identifier: Apache-2.0
#include "libqf/device_flow.h"

#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

constexpr const char* kDeviceAuthorization = R"({"device_code":"dc","user_code":"ABCD-EFGH","expires_in":100,
    "verification_uri":"https://idp.example/device","interval":3})";

class DeviceFlowTest : public ::testing::Test {
 protected:
  void make(LoginRecord record = corp()) {
    flow_ = std::make_unique<DeviceFlow>(std::move(record), provider_, request_, services_, listener_);
  }
  // Up to the prompt.
  void prompt(const std::string& authorization = kDeviceAuthorization) {
    make();
    flow_->start();
    services_.answer(200, authorization);
  }
  void wake() { flow_->event({}); }
  [[nodiscard]] int seconds_to_poll() {
    return static_cast<int>(
        std::chrono::duration_cast<std::chrono::seconds>(flow_->deadline() - services_.now()).count());
  }
  // Waits as long as the flow wants to and answers the poll.
  void poll_answer(long status, const std::string& body) {
    services_.pass(seconds_to_poll());
    wake();
    services_.answer(status, body);
  }

  Discovery provider_ = corp_provider();
  FlowRequest request_{"qf1.nonce"};
  FakeServices services_;
  FakeListener listener_;
  std::unique_ptr<DeviceFlow> flow_;
};

TEST_F(DeviceFlowTest, WholeLogin) {
  make();
  flow_->start();
  EXPECT_EQ(services_.asked().url, "https://idp.example/device/auth");
  EXPECT_EQ(services_.asked().form, "scope=openid%20groups&nonce=qf1.nonce&client_id=qufabric-cli");
  services_.answer(200, kDeviceAuthorization);
  ASSERT_EQ(listener_.prompts.size(), 1U);
  EXPECT_EQ(listener_.prompts[0].user_code, "ABCD-EFGH");
  EXPECT_EQ(listener_.prompts[0].expires_in, 100);

  EXPECT_EQ(seconds_to_poll(), 3);
  wake();
  EXPECT_TRUE(services_.sent.empty()) << "polled before the interval was over";
  poll_answer(400, R"({"error":"authorization_pending"})");
  EXPECT_EQ(seconds_to_poll(), 3);
  services_.pass(3);
  wake();
  EXPECT_EQ(services_.asked().url, "https://idp.example/token");
  EXPECT_EQ(services_.asked().form,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=dc&client_id="
            "qufabric-cli");
  services_.answer(200, R"({"id_token":"a.b.c","access_token":"x","token_type":"bearer"})");
  EXPECT_EQ(listener_.token, "a.b.c");
  EXPECT_EQ(listener_.ends, 1);
  EXPECT_EQ(flow_->deadline(), Deadline::max());
}

TEST_F(DeviceFlowTest, OpenidIsAlwaysAskedFor) {
  auto record = corp();
  record.scopes = {"groups"};
  make(record);
  flow_->start();
  EXPECT_NE(services_.asked().form->find("scope=openid%20groups"), std::string::npos);
}

TEST_F(DeviceFlowTest, MissingIntervalIsFiveSeconds) {
  prompt(
      R"({"device_code":"dc","user_code":"A","expires_in":100,"verification_uri":"https://idp.example/d"})");
  EXPECT_EQ(seconds_to_poll(), 5);
}

TEST_F(DeviceFlowTest, SlowDownAddsFiveSecondsForGood) {
  prompt();
  poll_answer(400, R"({"error":"slow_down"})");
  EXPECT_EQ(seconds_to_poll(), 8);
  poll_answer(400, R"({"error":"authorization_pending"})");
  EXPECT_EQ(seconds_to_poll(), 8);
  poll_answer(400, R"({"error":"slow_down"})");
  EXPECT_EQ(seconds_to_poll(), 13);
}

TEST_F(DeviceFlowTest, ACodeIsShortAndCanBeTyped) {
  for (const std::string code : {"", "AB CD", "AB\\nhint: run this", "\\u00c4BCD", "A\\u001b[2J",
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"}) {
    listener_ = {};
    prompt(
        R"({"device_code":"dc","expires_in":100,"verification_uri":"https://idp.example/d","user_code":")" +
        code + "\"}");
    ASSERT_TRUE(listener_.refusal) << code;
    EXPECT_NE(listener_.refusal->message.find("\"user_code\""), std::string::npos);
  }
}

TEST_F(DeviceFlowTest, TheAddressToOpenIsAscii) {
  for (const std::string url :
       {"https://idp.ex\\u0430mple/d", "https://idp.example/a b", "https://idp.example/\\n"}) {
    listener_ = {};
    prompt(R"({"device_code":"dc","user_code":"A","expires_in":100,"verification_uri":")" + url + "\"}");
    ASSERT_TRUE(listener_.refusal) << url;
    EXPECT_NE(listener_.refusal->message.find("\"verification_uri\""), std::string::npos);
  }
}

TEST_F(DeviceFlowTest, AClientThatTheProviderDoesNotKnowNamesTheDocumentsKey) {
  make();
  flow_->start();
  services_.answer(401, R"({"error":"invalid_client"})");
  ASSERT_TRUE(listener_.refusal);
  EXPECT_NE(listener_.refusal->hint.find("\"client_id\""), std::string::npos);
  EXPECT_NE(listener_.refusal->hint.find("qufabric-cli"), std::string::npos);
}

TEST_F(DeviceFlowTest, Denied) {
  prompt();
  poll_answer(400, R"({"error":"access_denied"})");
  ASSERT_TRUE(listener_.refusal);
  EXPECT_EQ(listener_.refusal->code, "access_denied");
  EXPECT_NE(listener_.refusal->message.find("corp"), std::string::npos);
  EXPECT_NE(listener_.refusal->hint, "");
}

TEST_F(DeviceFlowTest, ExpiredAsTheProviderSays) {
  prompt();
  poll_answer(400, R"({"error":"expired_token"})");
  ASSERT_TRUE(listener_.refusal);
  EXPECT_EQ(listener_.refusal->code, "expired");
}

TEST_F(DeviceFlowTest, ExpiresByItself) {
  prompt();
  for (int polls = 0; listener_.ends == 0; ++polls) {
    ASSERT_LT(polls, 40);
    services_.pass(seconds_to_poll());
    wake();
    if (listener_.ends == 0) services_.answer(400, R"({"error":"authorization_pending"})");
  }
  EXPECT_EQ(listener_.refusal->code, "expired");
}

TEST_F(DeviceFlowTest, ProviderTroubleIsWaitedOutWithGrowingPauses) {
  prompt();
  poll_answer(503, "");
  EXPECT_EQ(seconds_to_poll(), 6);
  ASSERT_EQ(listener_.notices.size(), 1U);
  services_.pass(6);
  wake();
  services_.answer(timeout_error("idp.example did not answer in time (15 s)"));
  EXPECT_EQ(seconds_to_poll(), 12);
  poll_answer(429, R"({"error":"temporarily_unavailable"})");
  EXPECT_EQ(seconds_to_poll(), 24);
  EXPECT_EQ(listener_.notices.size(), 1U) << "the person needs to read it once";
  poll_answer(400, R"({"error":"authorization_pending"})");
  EXPECT_EQ(seconds_to_poll(), 3);
  poll_answer(200, R"({"id_token":"a.b.c"})");
  EXPECT_EQ(listener_.token, "a.b.c");
}

TEST_F(DeviceFlowTest, AProviderThatComesAndGoesIsNoticedOnceAndOnceWhenItIsBack) {
  prompt(
      R"({"device_code":"dc","user_code":"A","expires_in":1800,"interval":3,"verification_uri":"https://idp.example/d"})");
  for (int i = 0; i < 40; ++i) {
    poll_answer(503, "");
    EXPECT_EQ(seconds_to_poll(), 6) << "the pause grew over a good answer";
    poll_answer(400, R"({"error":"authorization_pending"})");
    EXPECT_EQ(seconds_to_poll(), 3);
  }
  ASSERT_EQ(listener_.notices.size(), 1U);
  for (int i = 0; i < 10; ++i) poll_answer(400, R"({"error":"authorization_pending"})");
  ASSERT_EQ(listener_.notices.size(), 2U);
  EXPECT_EQ(listener_.notices[1], "idp.example answers again");
  poll_answer(503, "");
  EXPECT_EQ(listener_.notices.size(), 3U);
}

TEST_F(DeviceFlowTest, SlowDownWithoutEndEndsWithTheCode) {
  prompt();
  std::vector<int> pauses;
  while (listener_.ends == 0) {
    ASSERT_LT(pauses.size(), 20U) << "asked too often";
    pauses.push_back(seconds_to_poll());
    services_.pass(seconds_to_poll());
    wake();
    if (listener_.ends == 0) services_.answer(400, R"({"error":"slow_down"})");
  }
  EXPECT_EQ(pauses, (std::vector<int>{3, 8, 13, 18, 23, 28, 7}));
  EXPECT_EQ(listener_.refusal->code, "expired");
}

TEST_F(DeviceFlowTest, TimesThatNoProviderMeansAreBounded) {
  for (const auto& [times, interval, expiry] :
       {std::tuple(R"("interval":0,"expires_in":100)", 1, 100),
        std::tuple(R"("interval":-5,"expires_in":100)", 1, 100),
        std::tuple(R"("interval":1e30,"expires_in":100)", 5, 100),
        std::tuple(R"("interval":9007199254740991,"expires_in":100)", 60, 100),
        std::tuple(R"("interval":"2","expires_in":"x")", 5, 600),
        std::tuple(R"("interval":null,"expires_in":0)", 1, 1),
        std::tuple(R"("interval":1,"expires_in":-1)", 1, 1),
        std::tuple(R"("interval":60,"expires_in":9007199254740991)", 60, 1800)}) {
    listener_ = {};
    prompt(R"({"device_code":"dc","user_code":"A","verification_uri":"https://idp.example/d",)" +
           std::string(times) + "}");
    ASSERT_EQ(listener_.prompts.size(), 1U) << times;
    EXPECT_EQ(listener_.prompts[0].expires_in, expiry) << times;
    EXPECT_EQ(seconds_to_poll(), std::min(interval, expiry)) << times;
  }
}

TEST_F(DeviceFlowTest, RetryAfterIsHeeded) {
  prompt();
  services_.pass(3);
  wake();
  HttpAnswer answer;
  answer.status = 429;
  answer.retry_after = 20;
  services_.answer(Result<HttpAnswer>(answer));
  EXPECT_EQ(seconds_to_poll(), 20);
}

TEST_F(DeviceFlowTest, DeadProviderEndsWithTheCode) {
  prompt();
  int polls = 0;
  for (; listener_.ends == 0; ++polls) {
    ASSERT_LT(polls, 20) << "a dead provider is asked too often";
    services_.pass(seconds_to_poll());
    wake();
    if (listener_.ends == 0) services_.answer(timeout_error("idp.example did not answer in time (15 s)"));
  }
  EXPECT_EQ(listener_.refusal->code, "expired");
  EXPECT_EQ(listener_.refusal->message,
            "the login at issuer corp (https://idp.example) did not end within 100 s: idp.example did not "
            "answer in "
            "time (15 s)");
  EXPECT_EQ(listener_.refusal->hint, "is the network up, and the provider?");
}

TEST_F(DeviceFlowTest, OtherErrorsEndTheLogin) {
  for (const auto& [status, body] :
       {std::pair(400L, R"({"error":"invalid_grant"})"), std::pair(400L, ""), std::pair(403L, "no"),
        std::pair(200L, "no JSON"), std::pair(200L, "{}"), std::pair(200L, R"({"id_token":7})")}) {
    listener_ = {};
    prompt();
    poll_answer(status, body);
    ASSERT_TRUE(listener_.refusal) << body;
    EXPECT_EQ(listener_.refusal->code, "provider") << body;
    EXPECT_NE(listener_.refusal->message.find("issuer corp (https://idp.example)"), std::string::npos);
  }
}

TEST_F(DeviceFlowTest, MissingIdTokenIsNamed) {
  prompt();
  poll_answer(200, R"({"access_token":"x"})");
  EXPECT_NE(listener_.refusal->message.find("\"id_token\""), std::string::npos);
  EXPECT_NE(listener_.refusal->hint.find("openid"), std::string::npos);
}

TEST_F(DeviceFlowTest, TokenOfMoreThan16KiB) {
  prompt();
  poll_answer(200, R"({"id_token":")" + std::string(16385, 'x') + "\"}");
  ASSERT_TRUE(listener_.refusal);
  EXPECT_NE(listener_.refusal->message.find("16384"), std::string::npos);
}

TEST_F(DeviceFlowTest, ProviderDown) {
  make();
  flow_->start();
  services_.answer(Error{ErrorKind::kSystem, 0, "cannot reach idp.example: Connection refused"});
  ASSERT_TRUE(listener_.refusal);
  EXPECT_NE(listener_.refusal->message.find("Connection refused"), std::string::npos);
  EXPECT_FALSE(listener_.refusal->hint.empty());
}

TEST_F(DeviceFlowTest, RefreshTokensAreAskedForOnlyWhereTheyAreKept) {
  auto record = corp();
  record.scopes = {"openid", "offline_access"};
  make(record);
  flow_->start();
  EXPECT_EQ(services_.asked().form, "scope=openid&nonce=qf1.nonce&client_id=qufabric-cli");
  request_.refresh = true;
  make(record);
  services_.sent.clear();
  flow_->start();
  EXPECT_EQ(services_.asked().form, "scope=openid%20offline_access&nonce=qf1.nonce&client_id=qufabric-cli");
  services_.answer(200, kDeviceAuthorization);
  poll_answer(200, R"({"id_token":"a.b.c","refresh_token":"r"})");
  EXPECT_EQ(listener_.refresh_token, "r");
  EXPECT_EQ(listener_.token_endpoint, "https://idp.example/token") << "or nothing could be refreshed";
}

TEST_F(DeviceFlowTest, AccessTokenWithResourceAndProof) {
  auto record = corp();
  record.scopes = {"groups"};
  record.access_token = true;
  record.resource = "https://fabric.example";
  provider_.dpop_algorithms = {"ES256"};
  make(record);
  flow_->start();
  EXPECT_EQ(services_.asked().form,
            "scope=groups&resource=https%3A%2F%2Ffabric.example&client_id=qufabric-cli")
      << "no openid, so no nonce";
  EXPECT_EQ(services_.header("DPoP"), "") << "proofs belong to the token endpoint";
  services_.answer(200, kDeviceAuthorization);
  services_.pass(3);
  wake();
  EXPECT_EQ(services_.asked().form,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=dc&resource="
            "https%3A%2F%2Ffabric.example&client_id=qufabric-cli");
  EXPECT_NE(services_.header("DPoP"), "");
  services_.answer(200, R"({"id_token":"i.d.t","access_token":"a.b.c","token_type":"DPoP"})");
  EXPECT_EQ(listener_.token, "a.b.c");
  EXPECT_EQ(listener_.proof_key, KeyType::kEcdsaP256);
}

// A DPoP nonce is asked for by an error that must not count as an answer to the poll.
TEST_F(DeviceFlowTest, ANonceForTheProofIsNoEndOfPolling) {
  auto record = corp();
  record.access_token = true;
  provider_.dpop_algorithms = {"EdDSA"};
  make(record);
  flow_->start();
  services_.answer(200, kDeviceAuthorization);
  services_.pass(3);
  wake();
  services_.answer(400, R"({"error":"use_dpop_nonce"})", "n1");
  ASSERT_EQ(services_.sent.size(), 1U) << "asked again at once";
  services_.answer(400, R"({"error":"authorization_pending"})", "n1");
  EXPECT_EQ(listener_.ends, 0);
  EXPECT_EQ(seconds_to_poll(), 3);
}

TEST_F(DeviceFlowTest, CancelledInEveryState) {
  make();
  flow_->start();
  flow_.reset();
  EXPECT_EQ(services_.cancelled.size(), 1U);
  prompt();
  flow_.reset();
  EXPECT_EQ(services_.cancelled.size(), 1U) << "nothing was under way";
  prompt();
  services_.pass(3);
  wake();
  flow_.reset();
  EXPECT_EQ(services_.cancelled.size(), 2U);
  EXPECT_EQ(listener_.ends, 0);
}

TEST_F(DeviceFlowTest, DeviceAuthorizationsThatAreWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"user_code":"A","verification_uri":"https://i/d"})", "\"device_code\""},
      {R"({"device_code":"d","verification_uri":"https://i/d"})", "\"user_code\""},
      {R"({"device_code":"d","user_code":"A\u001b[2J","verification_uri":"https://i/d"})", "\"user_code\""},
      {R"({"device_code":"d","user_code":"A"})", "\"verification_uri\""},
      {R"({"device_code":"d","user_code":"A","verification_uri":"javascript:x"})", "\"verification_uri\""},
      {R"({"device_code":"d","user_code":"A","verification_uri":"http://evil.example/d"})",
       "\"verification_uri\""},
      {R"({"device_code":"d","user_code":"A","verification_uri":"https://i/d","verification_uri_complete":"x y"})",
       "\"verification_uri_complete\""},
      {"[]", "JSON object"},
  };
  for (const auto& [body, field] : cases) {
    HttpAnswer answer;
    answer.status = 200;
    answer.body = body;
    auto read = read_device_authorization(corp(), answer);
    ASSERT_FALSE(read) << body;
    EXPECT_NE(read.error().message.find(field), std::string::npos) << read.error().message;
  }
}

TEST_F(DeviceFlowTest, NumbersFromTheProviderAreBounded) {
  HttpAnswer answer;
  answer.status = 200;
  answer.body =
      R"({"device_code":"d","user_code":"A","verification_url":"https://i/d","expires_in":1e9,"interval":1e6})";
  auto read = read_device_authorization(corp(), answer);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->prompt.verification_uri, "https://i/d");
  EXPECT_EQ(read->prompt.expires_in, 1800);
  EXPECT_EQ(read->interval.count(), 60);
  answer.body =
      R"({"device_code":"d","user_code":"A","verification_uri":"https://i/d","expires_in":-5,"interval":0})";
  read = read_device_authorization(corp(), answer);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->prompt.expires_in, 1);
  EXPECT_EQ(read->interval.count(), 1);
}

}  // namespace
}  // namespace qf
