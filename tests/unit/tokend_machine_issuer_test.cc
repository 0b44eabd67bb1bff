// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/machine_issuer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "libqf/binding.h"
#include "libqf/jwt.h"
#include "tests/unit/tokend_time.h"

namespace qf {
namespace {

class Machine : public ::testing::Test {
 protected:
  Machine() {
    request_.nonce = binding_nonce(std::string(32, 's'), "key");
    request_.issuer = "qufabric-machine:test";
    request_.audience = "qufabric";
  }
  std::string code(const std::string& user = "alice") {
    auto token = issuer_.sign(request_, user, kNow);
    return token ? "signed" : token.error().code;
  }

  MachineIssuer issuer_{{{}, "qufabric-machine:test", "", false, true},
                        std::move(*SigningKey::generate(KeyType::kEd25519))};
  Request request_;
};

TEST_F(Machine, TokenVerifiesWithThePublishedKey) {
  auto token = issuer_.sign(request_, "alice", kNow);
  ASSERT_TRUE(token);
  auto keys = parse_key_set(issuer_.key_set());
  ASSERT_TRUE(keys);
  auto payload = verify_jws(*token, *keys);
  ASSERT_TRUE(payload);
  auto claims = parse_claims(*payload);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->issuer, "qufabric-machine:test");
  EXPECT_EQ(claims->subject, "alice");
  EXPECT_EQ(claims->audience, std::vector<std::string>{"qufabric"});
  EXPECT_EQ(claims->issued_at, kNow);
  EXPECT_EQ(claims->expires, kNow + 600);
  EXPECT_EQ(claims->nonce, request_.nonce);
  EXPECT_FALSE(claims->token_id.empty());
  EXPECT_EQ(check_binding(*claims, std::string(32, 's'), "key"), Binding::kBound);
}

TEST_F(Machine, OwnIssuerAndAudienceOnly) {
  EXPECT_EQ(code(), "signed");
  request_.issuer = request_.audience = "";
  EXPECT_EQ(code(), "signed");
  request_.issuer = "https://idp.example";
  EXPECT_EQ(code(), "no_issuer");
  request_.issuer = "";
  request_.audience = "another";
  EXPECT_EQ(code(), "no_issuer");
}

TEST_F(Machine, NeverABearerToken) {
  for (const char* nonce : {"", "n", "qf1.", "qf1.short", "qf2.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                            "qf1.!!!!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
    request_.nonce = nonce;
    EXPECT_EQ(code(), "malformed") << nonce;
  }
}

TEST_F(Machine, WithoutAPasswdEntry) {
  EXPECT_EQ(code(""), "refused");
}

TEST_F(Machine, CallersFromElsewhere) {
  ucred who = {0, ::geteuid() == 0 ? 1000 : ::geteuid(), 1000};
  EXPECT_TRUE(issuer_.admit(who)) << "no pid: another pid namespace";
  if (::geteuid() == 0) {
    EXPECT_TRUE(issuer_.admit({::getpid(), 0, 0})) << "root";
    EXPECT_FALSE(issuer_.admit({::getpid(), 1000, 1000}));
    EXPECT_TRUE(issuer_.admit({1 << 22, 1000, 1000})) << "a process that is not there";
  } else {
    EXPECT_TRUE(issuer_.admit({::getpid(), ::geteuid() + 1, 1000})) << "rootless: another user";
    EXPECT_FALSE(issuer_.admit({::getpid(), ::geteuid(), 1000}));
  }
}

}  // namespace
}  // namespace qf
