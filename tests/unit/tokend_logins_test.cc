// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/logins.h"

#include "libqf/json.h"
#include "libqf/jwt.h"
#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

// A flow that does what the test says.
class PuppetFlow final : public TokenFlow {
 public:
  PuppetFlow(FlowRequest its_request, FlowListener& its_listener, int& alive)
      : request(std::move(its_request)), listener(its_listener), alive_(alive) {
    ++alive_;
  }
  ~PuppetFlow() override { --alive_; }
  PuppetFlow(const PuppetFlow&) = delete;
  PuppetFlow& operator=(const PuppetFlow&) = delete;
  void start() override { ++starts; }
  Deadline deadline() const override { return Deadline::max(); }
  void event(const std::vector<pollfd>&) override {}

  FlowRequest request;
  FlowListener& listener;
  int starts = 0;

 private:
  int& alive_;
};

class LoginsTest : public ::testing::Test, public LoginObserver {
 protected:
  LoginsTest()
      : logins_(
            [this](const LoginRecord&, FlowRequest request, FlowListener& listener) {
              auto flow = std::make_unique<PuppetFlow>(std::move(request), listener, alive_);
              flow_ = flow.get();
              ++made_;
              return flow;
            },
            services_, *this) {}

  void login_progress(uint64_t client, const std::string& line) override { told_.emplace_back(client, line); }
  void login_succeeded(Identity identity, const std::vector<uint64_t>& clients) override {
    subject_ = identity.subject;
    bound_ = identity.bound;
    served_ = clients;
  }
  void login_failed(const std::string&, const Refusal& refusal,
                    const std::vector<uint64_t>& clients) override {
    failure_ = refusal;
    served_ = clients;
  }
  // What the listener says of the token.
  std::optional<Refusal> give_token(const std::string& nonce) {
    JsonWriter claims;
    claims.set("iss", "https://idp.example").set("sub", "alice").set("aud", "qufabric-cli");
    claims.set("iat", kNow).set("exp", kNow + 300).set("nonce", nonce);
    return flow_->listener.flow_done(TokenGrant{Secret(sign_jwt(idp_, "k", claims.text()))});
  }
  void succeed() {
    EXPECT_FALSE(give_token(flow_->request.nonce));
    logins_.handle({});
  }
  [[nodiscard]] std::vector<std::string> told_to(uint64_t client) const {
    std::vector<std::string> lines;
    for (const auto& [who, line] : told_) {
      if (who == client) lines.push_back(line);
    }
    return lines;
  }

  FakeServices services_;
  SigningKey idp_ = std::move(*SigningKey::generate(KeyType::kEd25519));
  int alive_ = 0, made_ = 0;
  PuppetFlow* flow_ = nullptr;
  std::vector<std::pair<uint64_t, std::string>> told_;
  std::vector<uint64_t> served_;
  std::string subject_;
  bool bound_ = false;
  std::optional<Refusal> failure_;
  Logins logins_;
};

TEST_F(LoginsTest, ManyClientsOneLogin) {
  for (uint64_t client = 1; client <= 100; ++client) logins_.join(corp(), client, {});
  EXPECT_EQ(made_, 1);
  EXPECT_EQ(flow_->starts, 1);
  EXPECT_TRUE(logins_.going_on("corp"));
  succeed();
  EXPECT_EQ(served_.size(), 100U);
  EXPECT_EQ(subject_, "alice");
  EXPECT_TRUE(bound_);
  EXPECT_FALSE(logins_.going_on("corp"));
  EXPECT_EQ(alive_, 0);
}

TEST_F(LoginsTest, EveryLoginHasANonceOfItsOwn) {
  logins_.join(corp(), 1, {});
  std::string first = flow_->request.nonce;
  succeed();
  logins_.join(corp(), 1, {});
  EXPECT_NE(flow_->request.nonce, first);
}

TEST_F(LoginsTest, PromptReachesAllAndLateComersToo) {
  logins_.join(corp(), 1, {});
  flow_->listener.flow_prompt({"https://idp.example/device", "", "ABCD", 100});
  services_.pass(30);
  logins_.join(corp(), 2, {});
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told_[0].second,
            R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/device",)"
            R"("user_code":"ABCD","expires_in":100})");
  EXPECT_EQ(told_[1].first, 2U);
  EXPECT_NE(told_[1].second.find("\"expires_in\":70"), std::string::npos) << told_[1].second;
}

TEST_F(LoginsTest, OneThatLeavesDoesNotEndIt) {
  logins_.join(corp(), 1, {});
  logins_.join(corp(), 2, {});
  logins_.leave(1);
  EXPECT_EQ(alive_, 1);
  succeed();
  EXPECT_EQ(served_, std::vector<uint64_t>{2});
}

TEST_F(LoginsTest, TheLastOneThatLeavesCancelsIt) {
  logins_.join(corp(), 1, {});
  logins_.join(corp(), 2, {});
  logins_.leave(2);
  logins_.leave(1);
  EXPECT_EQ(alive_, 0);
  EXPECT_FALSE(logins_.going_on("corp"));
  EXPECT_TRUE(served_.empty());
}

TEST_F(LoginsTest, IssuersDoNotMix) {
  auto other = corp();
  other.name = "other";
  logins_.join(corp(), 1, {});
  PuppetFlow* first = flow_;
  logins_.join(other, 2, {});
  EXPECT_EQ(made_, 2);
  first->listener.flow_done(Refusal{"access_denied", "no", ""});
  logins_.handle({});
  EXPECT_EQ(served_, std::vector<uint64_t>{1});
  EXPECT_TRUE(logins_.going_on("other"));
}

TEST_F(LoginsTest, WhoBeginsItSaysHow) {
  logins_.join(corp(), 1, {true, true});
  EXPECT_TRUE(flow_->request.browser);
  EXPECT_TRUE(flow_->request.refresh);
  EXPECT_TRUE(flow_->request.nonce.starts_with("qf1."));
  PuppetFlow* first = flow_;
  logins_.join(corp(), 2, {false, false});
  EXPECT_EQ(flow_, first);
  auto other = corp();
  other.name = "other";
  logins_.join(other, 3, {});
  EXPECT_FALSE(flow_->request.browser);
  EXPECT_FALSE(flow_->request.refresh);
}

TEST_F(LoginsTest, OnlyTheOneThatBeganItOpensTheBrowser) {
  logins_.join(corp(), 1, {true, false});
  logins_.join(corp(), 2, {true, false});
  flow_->listener.flow_prompt({"https://idp.example/auth?x", "", "", 600});
  logins_.join(corp(), 3, {true, false});
  EXPECT_EQ(told_to(1),
            std::vector<std::string>{R"({"event":"prompt","issuer":"corp",)"
                                     R"("verification_uri":"https://idp.example/auth?x","open":true,)"
                                     R"("expires_in":600})"});
  std::vector<std::string> quiet = {
      R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/auth?x","expires_in":600})"};
  EXPECT_EQ(told_to(2), quiet);
  EXPECT_EQ(told_to(3), quiet);
}

TEST_F(LoginsTest, NobodyOpensAPageThatIsForAnotherDevice) {
  logins_.join(corp(), 1, {true, false});
  flow_->listener.flow_prompt({"https://idp.example/device", "https://idp.example/device?c=A", "A", 600});
  EXPECT_EQ(told_to(1),
            std::vector<std::string>{
                R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/device",)"
                R"("verification_uri_complete":"https://idp.example/device?c=A","user_code":"A",)"
                R"("expires_in":600})"});
}

TEST_F(LoginsTest, ClientsWithoutABrowserOpenNone) {
  logins_.join(corp(), 1, {});
  flow_->listener.flow_prompt({"https://idp.example/auth", "", "", 600});
  ASSERT_EQ(told_to(1).size(), 1U);
  EXPECT_EQ(told_to(1)[0].find("\"open\""), std::string::npos);
}

TEST_F(LoginsTest, ApprovalIsToldToAllWhoSawThePrompt) {
  logins_.join(corp(), 1, {});
  logins_.join(corp(), 2, {});
  flow_->listener.flow_prompt({"https://idp.example/device", "", "A", 600});
  succeed();
  for (uint64_t client : {1U, 2U}) {
    ASSERT_EQ(told_to(client).size(), 2U);
    EXPECT_TRUE(told_to(client)[1].starts_with(R"({"event":"approved","issuer":"corp","subject":")"));
  }
}

TEST_F(LoginsTest, NoApprovalWithoutAPrompt) {
  logins_.join(corp(), 1, {});
  succeed();
  EXPECT_TRUE(told_.empty());
}

TEST_F(LoginsTest, NoticesReachAll) {
  logins_.join(corp(), 1, {});
  logins_.join(corp(), 2, {});
  flow_->listener.flow_notice("idp.example is slow");
  EXPECT_EQ(told_to(1), std::vector<std::string>{R"({"event":"notice","message":"idp.example is slow"})"});
  EXPECT_EQ(told_to(2), told_to(1));
}

TEST_F(LoginsTest, TheFlowLearnsThatItsTokenIsOfNoUse) {
  logins_.join(corp(), 1, {});
  flow_->listener.flow_prompt({"https://idp.example/auth", "", "", 600});
  auto why = give_token("somebody-elses");
  ASSERT_TRUE(why);
  EXPECT_EQ(why->code, "provider");
  EXPECT_NE(why->message.find("nonce"), std::string::npos);
  EXPECT_EQ(alive_, 1) << "the flow still has its page to send";
  logins_.handle({});
  EXPECT_EQ(alive_, 0);
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->message, why->message);
  EXPECT_EQ(told_to(1).size(), 1U) << "nothing was approved";
}

TEST_F(LoginsTest, ATokenThatIsNotOursFails) {
  logins_.join(corp(), 1, {});
  flow_->listener.flow_done(TokenGrant{Secret("a.b.c")});
  logins_.handle({});
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->code, "provider");
}

TEST_F(LoginsTest, CancelTellsThoseWhoWait) {
  logins_.join(corp(), 1, {});
  logins_.cancel("corp", {"cancelled", "logout", ""});
  EXPECT_EQ(failure_->code, "cancelled");
  EXPECT_EQ(alive_, 0);
  logins_.cancel("corp", {"cancelled", "logout", ""});
}

}  // namespace
}  // namespace qf
