// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/logins.h"

#include "libqf/json.h"
#include "libqf/jwt.h"
#include "tests/unit/tokend_fakes.h"
#include "tests/unit/tokend_time.h"

namespace qf {
namespace {

// A flow that does what the test says.
class PuppetFlow final : public TokenFlow {
 public:
  PuppetFlow(std::string its_nonce, FlowListener& its_listener, int& alive)
      : nonce(std::move(its_nonce)), listener(its_listener), alive_(alive) {
    ++alive_;
  }
  ~PuppetFlow() override { --alive_; }
  PuppetFlow(const PuppetFlow&) = delete;
  PuppetFlow& operator=(const PuppetFlow&) = delete;
  void start() override { ++starts; }
  Deadline deadline() const override { return Deadline::max(); }
  void event(const std::vector<pollfd>&) override {}

  std::string nonce;
  FlowListener& listener;
  int starts = 0;

 private:
  int& alive_;
};

class LoginsTest : public ::testing::Test, public LoginObserver {
 protected:
  LoginsTest()
      : logins_(
            [this](const LoginRecord&, const std::string& nonce,
                   FlowListener& listener) -> Result<std::unique_ptr<TokenFlow>, Refusal> {
              if (refuse_) return *refuse_;
              auto flow = std::make_unique<PuppetFlow>(nonce, listener, alive_);
              flow_ = flow.get();
              ++made_;
              return std::unique_ptr<TokenFlow>(std::move(flow));
            },
            services_, *this, user_.ssh_public_blob()) {}

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
  void succeed() {
    JsonWriter claims;
    claims.set("iss", "https://idp.example").set("sub", "alice").set("aud", "qufabric-cli");
    claims.set("iat", kNow).set("exp", kNow + 300).set("nonce", flow_->nonce);
    flow_->listener.flow_done(TokenGrant{Secret(sign_jwt(user_, "k", claims.text()))});
    logins_.handle({}, kNow);
  }

  FakeServices services_;
  SigningKey user_ = std::move(*SigningKey::generate(KeyType::kEd25519));
  int alive_ = 0, made_ = 0;
  std::optional<Refusal> refuse_;
  PuppetFlow* flow_ = nullptr;
  std::vector<std::pair<uint64_t, std::string>> told_;
  std::vector<uint64_t> served_;
  std::string subject_;
  bool bound_ = false;
  std::optional<Refusal> failure_;
  Logins logins_;
};

TEST_F(LoginsTest, ManyClientsOneLogin) {
  for (uint64_t client = 1; client <= 100; ++client) logins_.join(corp(), client);
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
  logins_.join(corp(), 1);
  std::string first = flow_->nonce;
  succeed();
  logins_.join(corp(), 1);
  EXPECT_NE(flow_->nonce, first);
}

TEST_F(LoginsTest, PromptReachesAllAndLateComersToo) {
  logins_.join(corp(), 1);
  flow_->listener.flow_prompt({"https://idp.example/device", "", "ABCD", 100});
  services_.pass(30);
  logins_.join(corp(), 2);
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told_[0].second,
            R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/device",)"
            R"("user_code":"ABCD","expires_in":100})");
  EXPECT_EQ(told_[1].first, 2U);
  EXPECT_NE(told_[1].second.find("\"expires_in\":70"), std::string::npos) << told_[1].second;
}

TEST_F(LoginsTest, OneThatLeavesDoesNotEndIt) {
  logins_.join(corp(), 1);
  logins_.join(corp(), 2);
  logins_.leave(1);
  EXPECT_EQ(alive_, 1);
  succeed();
  EXPECT_EQ(served_, std::vector<uint64_t>{2});
}

TEST_F(LoginsTest, TheLastOneThatLeavesCancelsIt) {
  logins_.join(corp(), 1);
  logins_.join(corp(), 2);
  logins_.leave(2);
  logins_.leave(1);
  EXPECT_EQ(alive_, 0);
  EXPECT_FALSE(logins_.going_on("corp"));
  EXPECT_TRUE(served_.empty());
}

TEST_F(LoginsTest, IssuersDoNotMix) {
  auto other = corp();
  other.name = "other";
  logins_.join(corp(), 1);
  PuppetFlow* first = flow_;
  logins_.join(other, 2);
  EXPECT_EQ(made_, 2);
  first->listener.flow_done(Refusal{"access_denied", "no", ""});
  logins_.handle({}, kNow);
  EXPECT_EQ(served_, std::vector<uint64_t>{1});
  EXPECT_TRUE(logins_.going_on("other"));
}

TEST_F(LoginsTest, AFlowThatCannotBeMade) {
  refuse_ = Refusal{"unsupported", "no such flow", ""};
  logins_.join(corp(), 1);
  EXPECT_LE(logins_.deadline(), services_.now()) << "it must be dealt with at once";
  logins_.handle({}, kNow);
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->code, "unsupported");
  EXPECT_EQ(served_, std::vector<uint64_t>{1});
}

TEST_F(LoginsTest, ATokenThatIsNotOursFails) {
  logins_.join(corp(), 1);
  flow_->listener.flow_done(TokenGrant{Secret("a.b.c")});
  logins_.handle({}, kNow);
  ASSERT_TRUE(failure_);
  EXPECT_EQ(failure_->code, "provider");
}

TEST_F(LoginsTest, CancelTellsThoseWhoWait) {
  logins_.join(corp(), 1);
  logins_.cancel("corp", {"cancelled", "logout", ""});
  EXPECT_EQ(failure_->code, "cancelled");
  EXPECT_EQ(alive_, 0);
  logins_.cancel("corp", {"cancelled", "logout", ""});
}

}  // namespace
}  // namespace qf
