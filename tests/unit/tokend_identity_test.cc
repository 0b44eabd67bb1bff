// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/identity.h"

#include "libqf/json.h"
#include "libqf/jwk.h"
#include "libqf/jwt.h"
#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

class Acceptance : public ::testing::Test {
 protected:
  JsonWriter claims() {
    JsonWriter out;
    out.set("iss", "https://idp.example").set("sub", "alice").set("aud", "qufabric-cli");
    out.set("iat", kNow).set("exp", kNow + 300);
    return out;
  }
  // As the issuer makes it; access tokens say so (RFC 9068).
  TokenGrant grant(const JsonWriter& payload, std::string_view typ = "JWT") {
    return TokenGrant{Secret(sign_jwt(idp_, "k", payload.text(), typ))};
  }
  Result<Identity, Refusal> accept(const JsonWriter& payload, const LoginRecord& record = corp()) {
    return accept_token(record, grant(payload), binding_, test_user_keys(), kNow);
  }
  std::string fault(const JsonWriter& payload) {
    auto identity = accept(payload);
    if (identity) return "taken";
    EXPECT_EQ(identity.error().code, "provider");
    EXPECT_NE(identity.error().message.find("issuer corp"), std::string::npos);
    return identity.error().message;
  }

  SigningKey idp_ = std::move(*SigningKey::generate(KeyType::kEd25519));
  BindingRequest binding_ = make_binding(test_user_keys().of(kUsualUserKey).blob);
};

TEST_F(Acceptance, Bound) {
  auto identity = accept(std::move(claims().set("nonce", binding_.nonce)));
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_TRUE(identity->bound);
  EXPECT_EQ(identity->salt, binding_.salt);
  EXPECT_EQ(identity->subject, "alice");
  EXPECT_EQ(identity->good_until(), kNow + 300);
}

TEST_F(Acceptance, BearerWhenTheProviderDropsTheNonce) {
  auto identity = accept(claims());
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_FALSE(identity->bound);
  EXPECT_TRUE(identity->salt.empty());
}

TEST_F(Acceptance, GoodOnlyAsLongAsPeersTakeIt) {
  auto record = corp();
  record.max_token_age = 120;
  auto identity = accept(claims(), record);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->good_until(), kNow + 120);
}

TEST_F(Acceptance, ABackdatedIatIsFine) {
  EXPECT_TRUE(accept(std::move(claims().set("iat", kNow - 300))));
}

TEST_F(Acceptance, ClockThatIsAMinuteOff) {
  EXPECT_TRUE(accept(std::move(claims().set("iat", kNow + 59))));
  EXPECT_TRUE(accept(std::move(claims().set("exp", kNow - 59).set("iat", kNow - 300))));
}

TEST_F(Acceptance, ForeignNonce) {
  EXPECT_NE(fault(std::move(claims().set("nonce", "another"))).find("nonce"), std::string::npos);
  auto other = make_binding(test_user_keys().of(kUsualUserKey).blob);
  EXPECT_NE(fault(std::move(claims().set("nonce", other.nonce))).find("nonce"), std::string::npos);
}

TEST_F(Acceptance, BoundToAnotherKey) {
  JsonWriter confirmation;
  confirmation.set("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
  EXPECT_NE(fault(std::move(claims().set("cnf", confirmation.take()))).find("key"), std::string::npos);
}

TEST_F(Acceptance, WrongClaims) {
  EXPECT_NE(fault(std::move(claims().set("iss", "https://evil.example"))), "taken");
  EXPECT_NE(fault(std::move(claims().set("aud", "another-client"))), "taken");
  EXPECT_NE(fault(std::move(claims().set("sub", ""))), "taken");
  EXPECT_NE(fault(std::move(claims().set("exp", kNow - 61))), "taken");
  EXPECT_NE(fault(std::move(claims().set("exp", "soon"))), "taken");
}

TEST_F(Acceptance, NoJwt) {
  for (const char* text : {"", "a", "a.b", "a.b.c", "e30.e30.", "....", "e30.e30.e30"}) {
    EXPECT_FALSE(accept_token(corp(), TokenGrant{Secret(text)}, binding_, test_user_keys(), kNow)) << text;
  }
}

TEST_F(Acceptance, MachineTokensAreForTheAudience) {
  auto record = corp();
  record.flow = LoginFlow::kMachine;
  record.client_id = "";
  record.audiences = {"qufabric"};
  EXPECT_TRUE(accept(std::move(claims().set("aud", "qufabric")), record));
  EXPECT_FALSE(accept(claims(), record));
}

TEST_F(Acceptance, FileAndCommandTokensAreForTheAudience) {
  auto record = corp();
  record.audiences = {"fabric"};
  for (LoginFlow flow : {LoginFlow::kFile, LoginFlow::kCommand}) {
    record.flow = flow;
    EXPECT_TRUE(accept(std::move(claims().set("aud", "fabric")), record));
    EXPECT_FALSE(accept(claims(), record)) << "the client is not whom they are for";
  }
}

TEST_F(Acceptance, AccessTokensAreForTheAudienceAndSayWhatTheyAre) {
  auto record = corp();
  record.access_token = true;
  record.audiences = {"https://fabric.example"};
  auto payload = std::move(claims().set("aud", "https://fabric.example"));
  auto accepted = [&](const JsonWriter& what, std::string_view typ) {
    return static_cast<bool>(accept_token(record, grant(what, typ), binding_, test_user_keys(), kNow));
  };
  EXPECT_TRUE(accepted(payload, "at+jwt"));
  EXPECT_FALSE(accepted(payload, "JWT"));
  EXPECT_FALSE(accepted(claims(), "at+jwt")) << "the client is not whom they are for";
  record.access_token = false;
  record.client_id = "https://fabric.example";
  EXPECT_FALSE(accepted(payload, "at+jwt"));
}

// cnf.jkt of the key that proved possession, and of no other (RFC 9449 section 6.1).
TEST_F(Acceptance, BoundByProofOfPossession) {
  for (KeyType type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    auto thumbprint = jwk_thumbprint(test_user_keys().of(type).key.public_jwk());
    ASSERT_TRUE(thumbprint);
    auto payload = std::move(claims().set("cnf", JsonWriter().set("jkt", *thumbprint).take()));
    for (KeyType proof : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
      auto given = grant(payload);
      given.proof_key = proof;
      auto identity = accept_token(corp(), std::move(given), binding_, test_user_keys(), kNow);
      ASSERT_EQ(static_cast<bool>(identity), proof == type);
      if (!identity) continue;
      EXPECT_TRUE(identity->bound);
      EXPECT_EQ(identity->key, type);
      EXPECT_TRUE(identity->salt.empty()) << "a salt is for nonces";
    }
  }
}

TEST_F(Acceptance, TakesAlongWhatARefreshNeeds) {
  auto given = grant(claims());
  given.refresh_token = Secret("r");
  given.provider = corp_provider();
  auto identity = accept_token(corp(), std::move(given), binding_, test_user_keys(), kNow);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->refresh_token.reveal(), "r");
  EXPECT_EQ(identity->provider.token_endpoint, "https://idp.example/token");
  EXPECT_EQ(identity->binding.nonce, binding_.nonce);
  EXPECT_EQ(identity->record.client_id, "qufabric-cli");
  EXPECT_TRUE(identity->original_token.empty());
  Identity copy = identity->clone();
  EXPECT_EQ(copy.refresh_token.reveal(), "r");
  EXPECT_EQ(copy.token.reveal(), identity->token.reveal());
  EXPECT_EQ(copy.good_until(), identity->good_until());
  EXPECT_EQ(copy.provider.token_endpoint, identity->provider.token_endpoint);
}

class Refreshed : public Acceptance {
 protected:
  Refreshed() {
    auto given = grant(std::move(claims().set("nonce", binding_.nonce)));
    given.refresh_token = Secret("r1");
    before_ = std::move(*accept_token(corp(), std::move(given), binding_, test_user_keys(), kNow));
  }
  Result<Identity, Refusal> refresh(const JsonWriter& payload, const std::string& rotated = "") {
    auto given = grant(payload);
    given.refresh_token = Secret(rotated);
    return accept_refreshed(corp(), std::move(given), before_, test_user_keys(), kNow);
  }
  Identity before_;
};

TEST_F(Refreshed, WithItsNonceItStandsAlone) {
  auto fresh = refresh(std::move(claims().set("nonce", binding_.nonce)), "r2");
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_TRUE(fresh->bound);
  EXPECT_EQ(fresh->salt, binding_.salt);
  EXPECT_TRUE(fresh->original_token.empty());
  EXPECT_EQ(fresh->refresh_token.reveal(), "r2");
}

TEST_F(Refreshed, WithoutRotationTheOldRefreshTokenStays) {
  auto fresh = refresh(claims());
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->refresh_token.reveal(), "r1");
}

TEST_F(Refreshed, TheFirstBoundTokenGoesAlongHoweverOften) {
  std::string first(before_.token.reveal());
  auto second = refresh(claims());
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->bound);
  EXPECT_EQ(second->salt, binding_.salt);
  EXPECT_EQ(second->original_token.reveal(), first);
  std::string refreshed_once(second->token.reveal());
  before_ = std::move(*second);
  auto third = refresh(std::move(claims().set("iat", kNow + 1)));
  ASSERT_TRUE(third);
  EXPECT_EQ(third->original_token.reveal(), first);
  EXPECT_NE(third->token.reveal(), refreshed_once);
}

TEST_F(Refreshed, ABearerTokenStaysOne) {
  before_ = std::move(*accept(claims()));
  auto fresh = refresh(claims());
  ASSERT_TRUE(fresh);
  EXPECT_FALSE(fresh->bound);
  EXPECT_TRUE(fresh->original_token.empty());
}

TEST_F(Refreshed, AnotherPersonIsRefused) {
  auto fresh = refresh(std::move(claims().set("sub", "mallory")));
  ASSERT_FALSE(fresh);
  EXPECT_EQ(fresh.error().code, "provider");
  EXPECT_NE(fresh.error().message.find("\"mallory\""), std::string::npos) << fresh.error().message;
  EXPECT_FALSE(refresh(std::move(claims().set("sub", "mallory\n"))));
}

TEST_F(Refreshed, AForeignNonceIsRefused) {
  EXPECT_FALSE(refresh(std::move(claims().set("nonce", "another"))));
}

}  // namespace
}  // namespace qf
