// SPDX-License-Identifier: Apache-2.0
#include "libqf/oauth_client.h"

#include "libqf/base64.h"
#include "libqf/json.h"
#include "libqf/jwt.h"
#include "libqf/text.h"
#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

class OAuthClientTest : public ::testing::Test {
 protected:
  OAuthClient& client() {
    if (!client_) client_ = std::make_unique<OAuthClient>(record_, provider_, services_);
    return *client_;
  }
  OAuthClient::Handler remember() {
    return [this](Result<HttpAnswer>& answer) {
      ++answers_;
      status_ = answer ? answer->status : -1;
    };
  }
  void ask() { client().ask_token({{"a", "b c"}}, remember()); }
  void want_proof() {
    record_.access_token = true;
    provider_.dpop_algorithms = {"EdDSA"};
  }
  // The nonce in the proof of the request that is under way.
  std::string proof_nonce() {
    auto claims = unverified_payload(services_.header("DPoP"));
    if (!claims) return "no proof";
    auto json = parse_json(*claims);
    return json ? json_string(json->get(), "nonce").value_or("") : "no JSON";
  }

  LoginRecord record_ = corp();
  Discovery provider_ = corp_provider();
  FakeServices services_;
  std::unique_ptr<OAuthClient> client_;
  int answers_ = 0;
  long status_ = 0;
};

TEST_F(OAuthClientTest, APublicClientNamesItself) {
  client().post("https://idp.example/x", {{"a", "b c"}}, remember());
  EXPECT_EQ(services_.asked().url, "https://idp.example/x");
  EXPECT_EQ(services_.asked().form, "a=b%20c&client_id=qufabric-cli");
  EXPECT_TRUE(services_.asked().headers.empty());
  EXPECT_TRUE(client().busy());
  services_.answer(200, "");
  EXPECT_FALSE(client().busy());
  EXPECT_EQ(status_, 200);
}

// RFC 6749 section 2.3.1: form-encoded before they are joined, or a colon in the id would end it.
TEST_F(OAuthClientTest, TheSecretGoesIntoTheHeader) {
  record_.client_id = "my client:1";
  record_.client_secret = "p%&+:\xc3\xbc/";
  ask();
  EXPECT_EQ(services_.asked().form, "a=b%20c") << "not a second time";
  EXPECT_EQ(services_.header("Authorization"), "Basic " + base64("my%20client%3A1:p%25%26%2B%3A%C3%BC%2F"));
}

TEST_F(OAuthClientTest, TheSecretGoesIntoTheFormWhereOnlyThatIsTaken) {
  record_.client_secret = "s&cret";
  provider_.secret_in_form = true;
  ask();
  EXPECT_EQ(services_.asked().form, "a=b%20c&client_id=qufabric-cli&client_secret=s%26cret");
  EXPECT_TRUE(services_.asked().headers.empty());
}

TEST_F(OAuthClientTest, TheResourceIsAskedForAtTheTokenEndpoint) {
  record_.resource = "https://fabric.example/";
  ask();
  EXPECT_EQ(services_.asked().url, "https://idp.example/token");
  EXPECT_EQ(services_.asked().form,
            "a=b%20c&resource=https%3A%2F%2Ffabric.example%2F&client_id=qufabric-cli");
  services_.answer(200, "");
  client().post("https://idp.example/revoke", {}, remember());
  EXPECT_EQ(services_.asked().form, "client_id=qufabric-cli") << "elsewhere it is the caller's";
}

TEST_F(OAuthClientTest, AuthoritiesAndLimits) {
  record_.ca_file = "/etc/ca.pem";
  client().total_time = std::chrono::milliseconds(5000);
  client().get("https://idp.example/x", remember());
  EXPECT_EQ(services_.asked().ca_file, "/etc/ca.pem");
  EXPECT_EQ(services_.asked().limits.total_time.count(), 5000);
  EXPECT_LE(services_.asked().limits.most_bytes, 1U << 20);
  EXPECT_FALSE(services_.asked().form);
  EXPECT_TRUE(services_.asked().headers.empty());
}

TEST_F(OAuthClientTest, ADestroyedClientAsksNoMore) {
  ask();
  client_.reset();
  EXPECT_EQ(services_.cancelled.size(), 1U);
  ask();
  services_.answer(200, "");
  client_.reset();
  EXPECT_EQ(services_.cancelled.size(), 1U) << "nothing was under way";
  EXPECT_EQ(answers_, 1);
}

TEST_F(OAuthClientTest, AHandlerMayDestroyTheClient) {
  want_proof();
  client().ask_token({}, [this](Result<HttpAnswer>&) {
    ++answers_;
    client_.reset();
  });
  services_.answer(200, "", "n1");
  EXPECT_EQ(answers_, 1);
  EXPECT_TRUE(services_.cancelled.empty());
}

TEST_F(OAuthClientTest, ProofsOnlyForAccessTokensOfProvidersThatHaveThem) {
  provider_.dpop_algorithms = {"EdDSA"};
  EXPECT_EQ(client().proof_key(), std::nullopt);
  ask();
  EXPECT_EQ(services_.header("DPoP"), "");
  services_.answer(200, "");
  client_.reset();
  record_.access_token = true;
  provider_.dpop_algorithms = {"RS256"};
  EXPECT_EQ(client().proof_key(), std::nullopt);
  ask();
  EXPECT_EQ(services_.header("DPoP"), "");
  services_.answer(200, "");
  client_.reset();
  provider_.dpop_algorithms = {"ES256"};
  EXPECT_EQ(client().proof_key(), KeyType::kEcdsaP256);
  ask();
  EXPECT_NE(services_.header("DPoP"), "");
  EXPECT_EQ(proof_nonce(), "");
}

TEST_F(OAuthClientTest, AProofIsForTheTokenEndpointAndNow) {
  want_proof();
  services_.pass(7);
  ask();
  auto claims = unverified_payload(services_.header("DPoP"));
  ASSERT_TRUE(claims);
  auto json = parse_json(*claims);
  ASSERT_TRUE(json);
  EXPECT_EQ(json_string(json->get(), "htu"), "https://idp.example/token");
  EXPECT_EQ(json_integer(json->get(), "iat"), kNow + 7);
}

// RFC 9449 section 8
TEST_F(OAuthClientTest, ANonceThatTheProviderWantsIsSentOnceMoreAndRemembered) {
  want_proof();
  record_.client_secret = "s";
  ask();
  std::string form = services_.asked().form.value_or("");
  std::string authorization = services_.header("Authorization");
  services_.answer(400, R"({"error":"use_dpop_nonce"})", "n1");
  EXPECT_EQ(answers_, 0);
  ASSERT_EQ(services_.sent.size(), 1U);
  EXPECT_EQ(services_.asked().form, form);
  EXPECT_EQ(services_.header("Authorization"), authorization);
  EXPECT_EQ(services_.asked().headers.size(), 2U) << "one proof, not two";
  EXPECT_EQ(proof_nonce(), "n1");
  services_.answer(400, R"({"error":"use_dpop_nonce"})", "n2");
  EXPECT_EQ(answers_, 1) << "a provider that is never content must not be a loop";
  EXPECT_EQ(status_, 400);
  EXPECT_TRUE(services_.sent.empty());
  ask();
  EXPECT_EQ(proof_nonce(), "n2");
  services_.answer(200, "{}", "n3");
  EXPECT_EQ(answers_, 2);
  ask();
  EXPECT_EQ(proof_nonce(), "n3") << "an answer of any kind may bring the next one";
  services_.answer(200, "{}");
  ask();
  EXPECT_EQ(proof_nonce(), "n3") << "good until there is another";
}

TEST_F(OAuthClientTest, OtherErrorsAreNotAskedAgain) {
  want_proof();
  for (const auto& [status, body, nonce] :
       {std::tuple(400L, R"({"error":"invalid_grant"})", "n1"), std::tuple(400L, "", "n1"),
        std::tuple(400L, R"({"error":"use_dpop_nonce"})", ""), std::tuple(200L, "{}", "n1")}) {
    int before = answers_;
    ask();
    services_.answer(status, body, nonce);
    EXPECT_EQ(answers_, before + 1) << body;
    EXPECT_TRUE(services_.sent.empty());
  }
  int before = answers_;
  ask();
  services_.answer(timeout_error("late"));
  EXPECT_EQ(answers_, before + 1);
  EXPECT_EQ(status_, -1);
}

TEST_F(OAuthClientTest, ANonceOfNoUseIsLeftAlone) {
  want_proof();
  for (const std::string& nonce :
       {std::string("a b"), std::string("a\x01"), std::string("\xc3\xa4"), std::string(257, 'n')}) {
    int before = answers_;
    ask();
    services_.answer(400, R"({"error":"use_dpop_nonce"})", nonce);
    EXPECT_EQ(answers_, before + 1) << nonce;
    ask();
    EXPECT_EQ(proof_nonce(), "");
    services_.answer(200, "{}");
  }
  ask();
  services_.answer(400, R"({"error":"use_dpop_nonce"})", std::string(256, 'n'));
  EXPECT_EQ(proof_nonce(), std::string(256, 'n'));
}

TEST_F(OAuthClientTest, WithoutAProofANonceIsNothing) {
  ask();
  services_.answer(400, R"({"error":"use_dpop_nonce"})", "n1");
  EXPECT_EQ(answers_, 1);
}

TEST_F(OAuthClientTest, NoncesNeedAnIdToken) {
  EXPECT_TRUE(client().takes_nonce());
  client_.reset();
  record_.access_token = true;
  EXPECT_TRUE(client().takes_nonce()) << "openid is among the scopes";
  client_.reset();
  record_.scopes = {"groups"};
  EXPECT_FALSE(client().takes_nonce());
  client_.reset();
  record_.access_token = false;
  EXPECT_TRUE(client().takes_nonce()) << "openid is asked for whatever the document says";
}

TEST(OAuth, Scopes) {
  LoginRecord record = corp();
  EXPECT_EQ(scopes_for(record, false), "openid groups");
  record.scopes = {"groups", "offline_access"};
  EXPECT_EQ(scopes_for(record, false), "openid groups");
  EXPECT_EQ(scopes_for(record, true), "openid groups offline_access");
  record.access_token = true;
  EXPECT_EQ(scopes_for(record, true), "groups offline_access");
  record.scopes = {};
  EXPECT_EQ(scopes_for(record, true), "");
}

TEST(OAuth, TokenAnswers) {
  LoginRecord record = corp();
  auto grant =
      read_token_answer(record, R"({"id_token":"i.d.t","access_token":"a.c.t","refresh_token":"r"})");
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->token.reveal(), "i.d.t");
  EXPECT_EQ(grant->refresh_token.reveal(), "r");
  record.access_token = true;
  grant = read_token_answer(record, R"({"id_token":"i.d.t","access_token":"a.c.t","token_type":"DPoP"})");
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->token.reveal(), "a.c.t");
  EXPECT_TRUE(grant->refresh_token.empty());
  EXPECT_TRUE(read_token_answer(record, R"({"access_token":")" + std::string(16384, 'x') + "\"}"));
}

TEST(OAuth, TokenAnswersOfNoUse) {
  LoginRecord record = corp();
  for (const std::string& body :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"access_token":"a.c.t"})"),
        std::string(R"({"id_token":""})"), std::string(R"({"id_token":["a"]})"),
        R"({"id_token":")" + std::string(16385, 'x') + "\"}"}) {
    auto grant = read_token_answer(record, body);
    ASSERT_FALSE(grant) << body;
    EXPECT_EQ(grant.error().code, "provider");
    EXPECT_NE(grant.error().message.find("issuer corp"), std::string::npos);
    EXPECT_EQ(grant.error().message.find("xxx"), std::string::npos) << "a token in a message";
  }
  record.access_token = true;
  auto grant = read_token_answer(record, R"({"id_token":"i.d.t"})");
  ASSERT_FALSE(grant);
  EXPECT_NE(grant.error().message.find("\"access_token\""), std::string::npos);
}

TEST(OAuth, RefreshTokensOfNoUseAreLeftOut) {
  for (const std::string& value : {std::string("7"), std::string("null"), std::string("\"\"")}) {
    auto grant = read_token_answer(corp(), R"({"id_token":"i.d.t","refresh_token":)" + value + "}");
    ASSERT_TRUE(grant) << value;
    EXPECT_TRUE(grant->refresh_token.empty());
  }
}

// The one before would be used a second time.
TEST(OAuth, ARefreshTokenThatIsTooLongIsNotLeftOut) {
  auto grant =
      read_token_answer(corp(), R"({"id_token":"i.d.t","refresh_token":")" + std::string(16385, 'r') + "\"}");
  ASSERT_FALSE(grant);
  EXPECT_NE(grant.error().message.find("\"refresh_token\" of the token answer is longer than 16384"),
            std::string::npos);
}

TEST_F(OAuthClientTest, TheAnswersBodyIsWiped) {
  want_proof();
  HttpAnswer answer;
  answer.status = 200;
  answer.body = R"({"access_token":"a.c.t"})";
  auto grant = read_token_answer(client(), answer);
  ASSERT_TRUE(grant);
  EXPECT_EQ(answer.body.find("a.c.t"), std::string::npos);
  EXPECT_EQ(grant->provider.token_endpoint, "https://idp.example/token");
  EXPECT_EQ(grant->proof_key, KeyType::kEd25519);
}

TEST(OAuth, RefusalsNameWhatInTheDocumentIsMeant) {
  LoginRecord record = corp();
  record.resource = "https://fabric.example";
  HttpAnswer answer;
  answer.status = 400;
  for (const auto& [error, key] :
       {std::pair("invalid_client", "\"client_id\""), std::pair("unauthorized_client", "\"client_id\""),
        std::pair("invalid_scope", "\"scopes\""), std::pair("invalid_target", "\"resource\"")}) {
    answer.body = std::string(R"({"error":")") + error + "\"}";
    Refusal refusal = turned_down(record, "the token", answer);
    EXPECT_EQ(refusal.code, "provider");
    EXPECT_NE(refusal.message.find(error), std::string::npos);
    EXPECT_NE(refusal.hint.find(key), std::string::npos) << error;
  }
  EXPECT_NE(turned_down(record, "the token", answer).hint.find("https://fabric.example"), std::string::npos);
}

TEST(OAuth, RefusalsNameTheClientOfTheDocumentThatWasUsed) {
  LoginRecord record = corp();
  HttpAnswer answer;
  answer.status = 401;
  for (const char* entry : {"client", "server_login"}) {
    record.client_entry = entry;
    std::string place = std::string(" in \"") + entry + "\" of issuer \"corp\" in the fabric document ";
    answer.body = R"({"error":"invalid_client"})";
    EXPECT_TRUE(turned_down(record, "the token", answer).hint.starts_with("\"client_id\"" + place));
    EXPECT_TRUE(turned_down(record, "the token", answer).hint.ends_with("it is \"qufabric-cli\""));
    answer.body = R"({"error":"invalid_scope"})";
    EXPECT_EQ(turned_down(record, "the token", answer).hint, "\"scopes\"" + place + "are openid, groups");
    EXPECT_EQ(read_token_answer(record, "{}").error().hint,
              "\"scopes\"" + place + "must hold openid, and the client must get id_tokens");
  }
}

}  // namespace
}  // namespace qf
