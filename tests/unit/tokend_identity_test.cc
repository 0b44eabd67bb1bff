// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/identity.h"

#include "libqf/json.h"
#include "libqf/jwt.h"
#include "qf-tokend/keys.h"
#include "tests/unit/tokend_fakes.h"
#include "tests/unit/tokend_time.h"

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
  Result<Identity, Refusal> accept(const JsonWriter& payload, const LoginRecord& record = corp()) {
    TokenGrant grant{Secret(sign_jwt(idp_, "k", payload.text()))};
    return accept_token(record, std::move(grant), binding_, user_blob_, kNow);
  }
  std::string fault(const JsonWriter& payload) {
    auto identity = accept(payload);
    if (identity) return "taken";
    EXPECT_EQ(identity.error().code, "provider");
    EXPECT_NE(identity.error().message.find("issuer corp"), std::string::npos);
    return identity.error().message;
  }

  SigningKey idp_ = std::move(*SigningKey::generate(KeyType::kEd25519));
  SigningKey user_ = std::move(*SigningKey::generate(KeyType::kEd25519));
  std::string user_blob_ = user_.ssh_public_blob();
  BindingRequest binding_ = make_binding(user_blob_);
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
  auto other = make_binding(user_blob_);
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
    TokenGrant grant{Secret(text)};
    EXPECT_FALSE(accept_token(corp(), std::move(grant), binding_, user_blob_, kNow)) << text;
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

}  // namespace
}  // namespace qf
