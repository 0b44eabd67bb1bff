// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/revocation.h"

#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

class RevocationsTest : public ::testing::Test {
 protected:
  RevocationsTest() {
    identity_.issuer_name = "corp";
    identity_.refresh_token = Secret("r&1");
    identity_.provider = corp_provider();
    identity_.record = corp();
  }
  void revoke() {
    revocations_->start(identity_, [this](bool revoked) { results_.push_back(revoked); });
  }

  FakeServices services_;
  Identity identity_;
  std::vector<bool> results_;
  std::optional<Revocations> revocations_{std::in_place, services_};
};

// RFC 7009 section 2.1
TEST_F(RevocationsTest, Revoked) {
  ASSERT_TRUE(Revocations::possible(identity_));
  revoke();
  EXPECT_EQ(services_.asked().url, "https://idp.example/revoke");
  EXPECT_EQ(services_.asked().form, "token=r%261&token_type_hint=refresh_token&client_id=qufabric-cli");
  EXPECT_EQ(services_.asked().limits.total_time, Revocations::kTime);
  revocations_->settle();
  EXPECT_TRUE(results_.empty());
  services_.answer(200, "");
  EXPECT_TRUE(results_.empty()) << "reported by settle() alone";
  revocations_->settle();
  EXPECT_EQ(results_, std::vector<bool>{true});
  revocations_->settle();
  EXPECT_EQ(results_.size(), 1U);
}

TEST_F(RevocationsTest, TheClientsSecretGoesAlong) {
  identity_.record.client_secret = "s";
  revoke();
  EXPECT_TRUE(services_.header("Authorization").starts_with("Basic "));
  EXPECT_EQ(services_.asked().form, "token=r%261&token_type_hint=refresh_token");
}

TEST_F(RevocationsTest, NotRevoked) {
  revoke();
  services_.answer(503, "");
  revocations_->settle();
  revoke();
  services_.answer(400, R"({"error":"unsupported_token_type"})");
  revocations_->settle();
  revoke();
  services_.answer(timeout_error("idp.example did not answer in time (5 s)"));
  revocations_->settle();
  EXPECT_EQ(results_, (std::vector<bool>{false, false, false}));
}

TEST_F(RevocationsTest, NothingToRevoke) {
  identity_.provider.revocation_endpoint.clear();
  EXPECT_FALSE(Revocations::possible(identity_));
  identity_.provider = corp_provider();
  identity_.refresh_token = Secret();
  EXPECT_FALSE(Revocations::possible(identity_));
}

TEST_F(RevocationsTest, SeveralAtOnceAndReportsThatStartMore) {
  revocations_->start(identity_, [this](bool revoked) {
    results_.push_back(revoked);
    revoke();
  });
  revoke();
  ASSERT_EQ(services_.sent.size(), 2U);
  for (int i = 0; i < 2; ++i) {
    auto callback = std::move(services_.sent[0].callback);
    services_.sent.erase(services_.sent.begin());
    HttpAnswer answer;
    answer.status = i == 0 ? 200 : 500;
    callback(Result<HttpAnswer>(std::move(answer)));
  }
  revocations_->settle();
  EXPECT_EQ(results_, (std::vector<bool>{true, false}));
  EXPECT_EQ(services_.sent.size(), 1U);
  revocations_.reset();
  EXPECT_EQ(services_.cancelled.size(), 1U);
}

}  // namespace
}  // namespace qf
