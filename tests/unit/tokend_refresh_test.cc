// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/refresh.h"

#include "libqf/json.h"
#include "libqf/jwk.h"
#include "libqf/jwt.h"
#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

TEST(RefreshFailures, Table) {
  struct Case {
    long status;
    const char* body;
    bool for_good;
  };
  for (const auto& [status, body, for_good] : {
           Case{400, R"({"error":"invalid_grant"})", true},
           Case{400, R"({"error":"invalid_client"})", true},
           Case{400, "", true},
           Case{401, "", true},
           Case{401, "<html>", true},
           Case{403, "", true},
           Case{404, "", true},
           Case{400, R"({"error":"temporarily_unavailable"})", false},
           Case{408, "", false},
           Case{429, R"({"error":"slow_down"})", false},
           Case{500, "", false},
           Case{502, R"({"error":"invalid_grant"})", false},
           Case{503, "", false},
       }) {
    auto failure = judge_refresh_failure(http_answer(status, body));
    EXPECT_EQ(failure.for_good, for_good) << status << body;
    EXPECT_NE(failure.why, "");
  }
  for (ErrorKind kind : {ErrorKind::kTimeout, ErrorKind::kSystem, ErrorKind::kPeer}) {
    auto failure = judge_refresh_failure(Error{kind, 0, "no answer"});
    EXPECT_FALSE(failure.for_good);
    EXPECT_EQ(failure.why, "no answer");
  }
}

TEST(RefreshKeys, GoneOrNot) {
  const SigningKey& key = test_user_keys().ed25519.key;
  std::string token = sign_jwt(key, "k1", "{}");
  EXPECT_FALSE(key_is_gone(token, key_set_json(key, "k1")));
  EXPECT_TRUE(key_is_gone(token, key_set_json(key, "k2")));
  EXPECT_TRUE(key_is_gone(token, R"({"keys":[]})"));
  // what cannot be judged is left to the peers
  for (const char* broken : {"", "{}", "<html>", R"({"keys":{}})"}) EXPECT_FALSE(key_is_gone(token, broken));
  EXPECT_FALSE(key_is_gone("no token", key_set_json(key, "k2")));
  EXPECT_FALSE(key_is_gone(sign_jwt(key, "", "{}"), key_set_json(key, "k2"))) << "it names no key";
}

class RefreshesTest : public ::testing::Test {
 protected:
  RefreshesTest()
      : refreshes_(std::in_place, services_,
                   [this](const std::string& name, RefreshResult result) { done(name, std::move(result)); }) {
    before_ = accepted("r1");
  }

  JsonWriter claims(bool with_nonce = false) {
    JsonWriter out;
    out.set("iss", "https://idp.example").set("sub", "alice").set("aud", "qufabric-cli");
    out.set("iat", services_.wall_time()).set("exp", services_.wall_time() + 300);
    if (with_nonce) out.set("nonce", binding_.nonce);
    return out;
  }
  std::string token(const JsonWriter& payload) { return sign_jwt(idp_, "k1", payload.text()); }
  // The login that is to be refreshed.
  Identity accepted(const std::string& refresh_token, bool bound = true) {
    TokenGrant grant{Secret(token(claims(bound)))};
    grant.refresh_token = Secret(refresh_token);
    grant.provider = corp_provider();
    auto identity = accept_token(corp(), std::move(grant), binding_, test_user_keys(), kNow);
    EXPECT_TRUE(identity);
    return std::move(*identity);
  }
  void done(const std::string& name, RefreshResult result) {
    ended_.push_back(name);
    fresh_.reset();
    failure_.reset();
    if (result) {
      fresh_ = std::move(*result);
    } else {
      failure_ = result.error();
    }
    if (then_) then_();
  }
  void answer_token(const JsonWriter& payload, const std::string& rotated = "") {
    JsonWriter body;
    body.set("id_token", token(payload));
    if (!rotated.empty()) body.set("refresh_token", rotated);
    services_.answer(200, body.text());
  }
  // Starts one for before_, up to the answer of the token endpoint.
  void refresh(const JsonWriter& payload, const std::string& rotated = "") {
    refreshes_->start(record_, before_);
    answer_token(payload, rotated);
  }

  FakeServices services_;
  SigningKey idp_ = std::move(*SigningKey::generate(KeyType::kEd25519));
  BindingRequest binding_ = make_binding(test_user_keys().of(kUsualUserKey).blob);
  LoginRecord record_ = corp();
  Identity before_;
  std::vector<std::string> ended_;
  std::optional<Identity> fresh_;
  std::optional<RefreshFailure> failure_;
  std::function<void()> then_;
  std::optional<Refreshes> refreshes_;
};

TEST_F(RefreshesTest, OneThatKeepsItsNonce) {
  refreshes_->start(record_, before_);
  EXPECT_TRUE(refreshes_->going_on("corp"));
  EXPECT_EQ(services_.asked().url, "https://idp.example/token");
  EXPECT_EQ(services_.asked().form, "grant_type=refresh_token&refresh_token=r1&client_id=qufabric-cli");
  EXPECT_EQ(services_.asked().limits.total_time, Refreshes::kTime);
  refreshes_->settle();
  EXPECT_TRUE(ended_.empty());
  services_.pass(100);
  answer_token(claims(true), "r2");
  EXPECT_TRUE(services_.sent.empty()) << "nothing else needs to be asked";
  EXPECT_TRUE(ended_.empty()) << "reported by settle() alone";
  refreshes_->settle();
  EXPECT_EQ(ended_, std::vector<std::string>{"corp"});
  ASSERT_TRUE(fresh_);
  EXPECT_EQ(fresh_->refresh_token.reveal(), "r2");
  EXPECT_EQ(fresh_->issued_at, kNow + 100);
  EXPECT_TRUE(fresh_->bound);
  EXPECT_TRUE(fresh_->original_token.empty());
  EXPECT_EQ(fresh_->provider.token_endpoint, "https://idp.example/token") << "or it was the last one";
  EXPECT_FALSE(refreshes_->going_on("corp"));
  refreshes_->settle();
  EXPECT_EQ(ended_.size(), 1U);
}

TEST_F(RefreshesTest, WithoutRotationTheRefreshTokenStays) {
  refresh(claims(true));
  refreshes_->settle();
  ASSERT_TRUE(fresh_);
  EXPECT_EQ(fresh_->refresh_token.reveal(), "r1");
}

// A provider that rotates takes a second use for a theft.
TEST_F(RefreshesTest, OneAtATimeForEachIssuer) {
  refreshes_->start(record_, before_);
  refreshes_->start(record_, before_);
  EXPECT_EQ(services_.sent.size(), 1U);
  auto other = record_;
  other.name = "other";
  refreshes_->start(other, before_);
  EXPECT_EQ(services_.sent.size(), 2U);
}

TEST_F(RefreshesTest, ProofAndResourceGoAlong) {
  record_.access_token = true;
  record_.resource = "https://fabric.example";
  before_.provider.dpop_algorithms = {"ES256"};
  refreshes_->start(record_, before_);
  EXPECT_NE(services_.asked().form->find("resource=https%3A%2F%2Ffabric.example"), std::string::npos);
  EXPECT_NE(services_.header("DPoP"), "");
}

TEST_F(RefreshesTest, CancelledOnesBringNothingBack) {
  refreshes_->start(record_, before_);
  refreshes_->cancel("corp");
  EXPECT_EQ(services_.cancelled.size(), 1U);
  EXPECT_FALSE(refreshes_->going_on("corp"));
  refreshes_->settle();
  refreshes_->cancel("corp");
  refresh(claims(true));
  refreshes_->cancel("corp");  // it has ended, but is not reported yet
  refreshes_->settle();
  EXPECT_TRUE(ended_.empty());
  refreshes_->start(record_, before_);
  refreshes_.reset();
  EXPECT_EQ(services_.cancelled.size(), 2U);
}

TEST_F(RefreshesTest, ReportsMayStartAndCancel) {
  auto other = record_;
  other.name = "other";
  then_ = [&] {
    then_ = nullptr;
    refreshes_->cancel("other");
    refreshes_->start(record_, before_);
  };
  refreshes_->start(other, before_);
  auto callback = std::move(services_.sent[0].callback);
  services_.sent.clear();
  refreshes_->start(record_, before_);
  services_.answer(503, "");
  callback(Result<HttpAnswer>(http_answer(503, "")));
  refreshes_->settle();
  EXPECT_EQ(ended_, std::vector<std::string>{"corp"});
  EXPECT_TRUE(refreshes_->going_on("corp"));
  EXPECT_FALSE(refreshes_->going_on("other"));
}

TEST_F(RefreshesTest, FailuresThatPassAndThoseThatDoNot) {
  refreshes_->start(record_, before_);
  services_.answer(503, "");
  refreshes_->settle();
  ASSERT_TRUE(failure_);
  EXPECT_FALSE(failure_->for_good);
  refreshes_->start(record_, before_);
  services_.answer(timeout_error("idp.example did not answer in time (10 s)"));
  refreshes_->settle();
  EXPECT_FALSE(failure_->for_good);
  refreshes_->start(record_, before_);
  services_.answer(400, R"({"error":"invalid_grant","error_description":"it was revoked"})");
  refreshes_->settle();
  EXPECT_TRUE(failure_->for_good);
  EXPECT_NE(failure_->why.find("it was revoked"), std::string::npos);
}

TEST_F(RefreshesTest, NoTokenThatIsOfUse) {
  const std::pair<std::string, const char*> cases[] = {
      {R"({"access_token":"x"})", "\"id_token\""},
      {"no JSON", "JSON"},
      {R"({"id_token":"a.b.c"})", "issuer corp"},
      {R"({"id_token":")" + token(std::move(claims(true).set("sub", "mallory"))) + "\"}", "mallory"},
      {R"({"id_token":")" + token(std::move(claims(true).set("aud", "another"))) + "\"}", "issuer corp"},
      {R"({"id_token":")" + token(std::move(claims(true).set("exp", kNow - 120))) + "\"}", "expired"},
      {R"({"id_token":")" + token(std::move(claims(true).set("exp", kNow + 10))) + "\"}", "too old"},
      {R"({"id_token":")" + token(std::move(claims(true).set("iat", kNow - 590))) + "\"}", "too old"},
  };
  for (const auto& [body, why] : cases) {
    refreshes_->start(record_, before_);
    services_.answer(200, body);
    refreshes_->settle();
    ASSERT_TRUE(failure_) << body;
    EXPECT_TRUE(failure_->for_good) << body;
    EXPECT_NE(failure_->why.find(why), std::string::npos) << failure_->why;
  }
}

TEST_F(RefreshesTest, WithoutItsNonceTheKeyOfTheFirstTokenIsLookedFor) {
  std::string first(before_.token.reveal());
  refresh(claims());
  ASSERT_EQ(services_.sent.size(), 1U);
  EXPECT_EQ(services_.asked().url, "https://idp.example/jwks");
  EXPECT_FALSE(services_.asked().form);
  services_.answer(200, key_set_json(idp_, "k1"));
  refreshes_->settle();
  ASSERT_TRUE(fresh_);
  EXPECT_TRUE(fresh_->bound);
  EXPECT_EQ(fresh_->original_token.reveal(), first);
  EXPECT_EQ(fresh_->salt, binding_.salt);

  // and again: it is still the first one that goes along
  before_ = std::move(*fresh_);
  services_.pass(60);
  refresh(claims(), "r3");
  services_.answer(200, key_set_json(idp_, "k1"));
  refreshes_->settle();
  ASSERT_TRUE(fresh_);
  EXPECT_EQ(fresh_->original_token.reveal(), first);
  EXPECT_EQ(fresh_->refresh_token.reveal(), "r3");
  EXPECT_EQ(fresh_->issued_at, kNow + 60);
}

TEST_F(RefreshesTest, ADroppedKeyNeedsANewLogin) {
  refresh(claims());
  services_.answer(200, key_set_json(idp_, "k2"));
  refreshes_->settle();
  ASSERT_TRUE(failure_);
  EXPECT_TRUE(failure_->for_good);
  EXPECT_NE(failure_->why.find("key"), std::string::npos);
}

TEST_F(RefreshesTest, AKeySetThatCannotBeHadIsNoReason) {
  for (int what = 0; what < 3; ++what) {
    refresh(claims());
    if (what == 0) services_.answer(503, key_set_json(idp_, "k2"));
    if (what == 1) services_.answer(timeout_error("late"));
    if (what == 2) services_.answer(200, "<html>");
    refreshes_->settle();
    EXPECT_TRUE(fresh_) << what;
  }
  before_.provider.jwks_uri.clear();
  refresh(claims());
  EXPECT_TRUE(services_.sent.empty()) << "there is nowhere to look";
  refreshes_->settle();
  EXPECT_TRUE(fresh_);
}

TEST_F(RefreshesTest, TheDocumentsKeySetComesFirst) {
  record_.jwks_uri = "https://keys.example/jwks";
  refresh(claims());
  EXPECT_EQ(services_.asked().url, "https://keys.example/jwks");
  refreshes_->cancel("corp");
  record_.jwks_uri.reset();
  record_.jwks = key_set_json(idp_, "k2");
  refresh(claims());
  EXPECT_TRUE(services_.sent.empty());
  refreshes_->settle();
  ASSERT_TRUE(failure_);
  EXPECT_TRUE(failure_->for_good);
}

TEST_F(RefreshesTest, ABearerTokenHasNoOriginal) {
  before_ = accepted("r1", false);
  refresh(claims());
  EXPECT_TRUE(services_.sent.empty());
  refreshes_->settle();
  ASSERT_TRUE(fresh_);
  EXPECT_FALSE(fresh_->bound);
  EXPECT_TRUE(fresh_->original_token.empty());
}

}  // namespace
}  // namespace qf
