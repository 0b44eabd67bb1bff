// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/authenticate.h"

#include <gtest/gtest.h>

#include "libqf/base64.h"
#include "tests/unit/sshd_test_credentials.h"

namespace qf::test {
namespace {

using Authenticate = Credentials;

// ---- what works -------------------------------------------------------------------------------------------

TEST_F(Authenticate, BoundCertificate) {
  auto identity = by_certificate(certificate(token()));
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_EQ(identity->name(), "corp:auth0|61");
  EXPECT_EQ(identity->groups, std::vector<std::string>{"Developers"});
  EXPECT_TRUE(identity->fabric_user);
  EXPECT_TRUE(identity->key_bound);
  EXPECT_EQ(identity->certificate_serial, 42U);
  EXPECT_EQ(identity->token_id, "token-7");
  EXPECT_EQ(identity->token_expires, kNow + 300);
  EXPECT_TRUE(key_sets_.refreshes.empty()) << "a known key waits for no fetch";
}

TEST_F(Authenticate, BoundByDpopThumbprint) {
  for (auto type : {KeyType::kEd25519, KeyType::kEcdsaP256}) {
    user_key_ = new_key(type);
    auto thumbprint = jwk_thumbprint(user_key_.public_jwk());
    ASSERT_TRUE(thumbprint);
    auto jwt = bearer({{"cnf", R"({"jkt":")" + *thumbprint + "\"}"}});
    auto identity = by_certificate(certificate(jwt));
    ASSERT_TRUE(identity) << identity.error().text();
    EXPECT_TRUE(identity->key_bound);
  }
}

TEST_F(Authenticate, BearerWhereAccepted) {
  issuer_.accept_bearer = true;
  auto identity = by_certificate(certificate(bearer()));
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_FALSE(identity->key_bound);
  identity = by_password(bearer());
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_FALSE(identity->key_bound);
  EXPECT_EQ(identity->certificate_serial, 0U);
}

TEST_F(Authenticate, EveryProviderAlgorithmThroughTheKeySet) {
  key_sets_.sets["corp"] = IssuerKey::rsa().set(R"(,"kid":"k1")");
  for (const char* alg : {"RS256", "RS384", "RS512", "PS256"}) {
    auto jwt = IssuerKey::rsa().token(alg, std::string(R"({"alg":")") + alg + R"(","kid":"k1"})",
                                      payload_of(claims_));
    auto identity = by_certificate(certificate(jwt));
    EXPECT_TRUE(identity) << alg << ": " << identity.error().text();
  }
}

// ---- the certificate --------------------------------------------------------------------------------------

TEST_F(Authenticate, CertificateForAnotherPeer) {
  auto c = credential(token());
  c.peer = "db2";
  expect_refused(by_certificate(sign_credential(c, user_key_)), TokenFault::kCertificate, "\"db2\"");
  c.peer = "DB1";
  expect_refused(by_certificate(sign_credential(c, user_key_)), TokenFault::kCertificate);
}

TEST_F(Authenticate, CertificateForAnotherHostKey) {
  auto c = credential(token());
  c.peer_fingerprints = {"SHA256:other"};
  expect_refused(by_certificate(sign_credential(c, user_key_)), TokenFault::kCertificate, kOwnKey);
}

TEST_F(Authenticate, CertificateSignedByAnotherKey) {
  expect_refused(by_certificate(sign_credential(credential(token()), new_key())), TokenFault::kBinding);
}

TEST_F(Authenticate, CertificateWhoseSignatureIsWrong) {
  auto blob = certificate(token());
  blob.back() = static_cast<char>(blob.back() ^ 1);
  expect_refused(by_certificate(blob), TokenFault::kCertificate);
}

TEST_F(Authenticate, CertificateWithAPrincipal) {
  auto c = credential(token());
  c.principals = {"deploy"};
  expect_refused(by_certificate(sign_credential(c, user_key_)), TokenFault::kCertificate, "principals");
}

TEST_F(Authenticate, CertificateWithAnUnknownCriticalOption) {
  auto c = credential(token());
  WireWriter peer, option, jwt, extensions;
  peer.string("db1").string(kOwnKey);
  jwt.string(c.token);
  WireWriter binding;
  binding.string(salt_).string("");
  extensions.string(kBindingExtension).string(binding.bytes()).string(kTokenExtension).string(jwt.bytes());
  option.string(kPeerOption).string(peer.bytes());
  auto good = raw_certificate(c, option.bytes(), extensions.bytes(), user_key_);
  EXPECT_TRUE(by_certificate(good)) << by_certificate(good).error().text();
  option.string("verify-required").string("");
  expect_refused(by_certificate(raw_certificate(c, option.bytes(), extensions.bytes(), user_key_)),
                 TokenFault::kCertificate, "verify-required");
}

struct TimeCase {
  const char* what;
  int64_t after, before;  // relative to now
  bool good;
};

TEST_F(Authenticate, CertificateTimes) {
  const std::vector<TimeCase> cases = {
      {"fresh", -60, 300, true},
      {"the client's clock 60 s ahead", 0, 360, true},
      {"120 s ahead", 60, 420, true},
      {"a second more", 61, 421, false},
      {"the client's clock 60 s behind", -120, 240, true},
      {"at its last second", -359, 1, true},
      {"expired within the skew", -300, -59, true},
      {"expired", -300, -60, false},
      {"long expired", -3600, -3300, false},
      {"too long a life", -61, 300, false},
      {"for ever", -60, 4'000'000'000, false},
      {"ends before it starts", 100, -100, false},
      {"empty", 0, 0, false},
  };
  for (const auto& time : cases) {
    SCOPED_TRACE(time.what);
    auto c = credential(token());
    c.valid_after = static_cast<uint64_t>(kNow + time.after);
    c.valid_before = static_cast<uint64_t>(kNow + time.before);
    auto identity = by_certificate(sign_credential(c, user_key_));
    if (time.good) {
      EXPECT_TRUE(identity) << identity.error().text();
    } else {
      expect_refused(identity, TokenFault::kCertificate);
    }
  }
  auto c = credential(token());
  c.valid_after = 0;
  c.valid_before = ~uint64_t{0};  // OpenSSH's "for ever"
  expect_refused(by_certificate(sign_credential(c, user_key_)), TokenFault::kCertificate);
}

TEST_F(Authenticate, WhatIsNoCertificate) {
  for (const std::string& blob : {std::string(), std::string("x"), user_key_.ssh_public_blob(),
                                  std::string(kMostCertificateBytes + 1, 'x')}) {
    expect_refused(by_certificate(blob), TokenFault::kCertificate);
  }
  auto blob = certificate(token());
  expect_refused(by_certificate(blob + "x"), TokenFault::kCertificate);
  for (size_t n = 0; n < blob.size(); n += 13) {
    expect_refused(by_certificate(blob.substr(0, n)), TokenFault::kCertificate);
  }
}

// ---- the token: every case both in a certificate and as a password ----------------------------------------

struct TokenCase {
  const char* what;
  ClaimTexts changes;
  TokenFault fault;
};

std::vector<TokenCase> token_cases() {
  auto at = [](int64_t seconds) { return std::to_string(kNow + seconds); };
  return {
      {"expired", {{"exp", at(-61)}}, TokenFault::kExpired},
      {"expired at the edge of the skew", {{"exp", at(-60)}}, TokenFault::kExpired},
      {"from the future", {{"iat", at(61)}}, TokenFault::kNotYetValid},
      {"not before", {{"nbf", at(61)}}, TokenFault::kNotYetValid},
      {"too old", {{"iat", at(-661)}}, TokenFault::kTooOld},
      {"wrong issuer", {{"iss", "\"https://evil.example/\""}}, TokenFault::kIssuer},
      {"issuer without its slash", {{"iss", "\"https://idp.example\""}}, TokenFault::kIssuer},
      {"wrong audience", {{"aud", "\"other\""}}, TokenFault::kAudience},
      {"no audience", {{"aud", ""}}, TokenFault::kAudience},
      {"empty list of audiences", {{"aud", "[]"}}, TokenFault::kAudience},
      {"no subject", {{"sub", ""}}, TokenFault::kSubject},
      {"empty subject", {{"sub", "\"\""}}, TokenFault::kSubject},
      {"subject is a number", {{"sub", "7"}}, TokenFault::kSubject},
      {"no expiry", {{"exp", ""}}, TokenFault::kClaims},
      {"no time of issue", {{"iat", ""}}, TokenFault::kClaims},
  };
}

TEST_F(Authenticate, BadTokens) {
  issuer_.accept_bearer = true;
  for (const auto& c : token_cases()) {
    SCOPED_TRACE(c.what);
    expect_refused(by_certificate(certificate(token(c.changes))), c.fault);
    expect_refused(by_password(bearer(c.changes)), c.fault);
  }
}

TEST_F(Authenticate, ClocksSixtySecondsOffAreFine) {
  EXPECT_TRUE(by_certificate(certificate(token({{"iat", std::to_string(kNow + 60)}}))));
  EXPECT_TRUE(by_certificate(certificate(token({{"exp", std::to_string(kNow - 59)}}))));
  // Entra backdates iat by five minutes
  EXPECT_TRUE(by_certificate(certificate(token({{"iat", std::to_string(kNow - 300)}}))));
}

TEST_F(Authenticate, AlgorithmNone) {
  issuer_.accept_bearer = true;
  std::string unsigned_token = base64url(R"({"alg":"none"})") + "." + base64url(payload_of(claims_)) + ".";
  expect_refused(by_certificate(certificate(unsigned_token)), TokenFault::kAlgorithm);
  expect_refused(by_password(unsigned_token), TokenFault::kAlgorithm);
}

TEST_F(Authenticate, HmacWithThePublicKey) {
  issuer_.accept_bearer = true;
  ClaimTexts claims = claims_;
  claims["nonce"] = "";
  for (const std::string& key :
       {provider_.public_jwk(), provider_.ssh_public_blob(), key_set_json(provider_, "k1")}) {
    std::string message = base64url(R"({"alg":"HS256","kid":"k1"})") + "." + base64url(payload_of(claims));
    expect_refused(by_password(message + "." + base64url(hmac_sha256(key, message))), TokenFault::kAlgorithm);
  }
}

TEST_F(Authenticate, BadSignature) {
  auto jwt = sign_jwt(new_key(), "k1", payload_of(claims_));
  expect_refused(by_certificate(certificate(jwt)), TokenFault::kBadSignature);
  EXPECT_TRUE(key_sets_.refreshes.empty()) << "a wrong signature by a known key is no reason to fetch";
  // another payload under a good signature
  auto good = token();
  auto other = token({{"sub", "\"root\""}});
  auto mixed = other.substr(0, other.rfind('.')) + good.substr(good.rfind('.'));
  expect_refused(by_certificate(certificate(mixed)), TokenFault::kBadSignature);
}

TEST_F(Authenticate, SixteenKibibytesFitAndOneByteMoreDoesNot) {
  issuer_.accept_bearer = true;
  auto sized = [&](size_t wanted) -> std::string {
    ClaimTexts claims = claims_;
    claims["nonce"] = "";
    // header lengths that differ, since base64 has no length of 4n+1
    for (const char* kid : {"k1", ""}) {
      for (const char* typ : {"JWT", ""}) {
        for (size_t pad = 11'000; pad < 12'400; ++pad) {
          claims["pad"] = quoted_json(std::string(pad, 'p'));
          auto jwt = sign_jwt(provider_, kid, payload_of(claims), typ);
          if (jwt.size() == wanted) return jwt;
          if (jwt.size() > wanted) break;
        }
      }
    }
    return "";
  };
  auto fits = sized(kMostTokenBytes), too_large = sized(kMostTokenBytes + 1);
  ASSERT_EQ(fits.size(), 16'384U);
  ASSERT_EQ(too_large.size(), 16'385U);
  EXPECT_TRUE(by_password(fits)) << by_password(fits).error().text();
  EXPECT_TRUE(by_certificate(certificate(fits)));
  expect_refused(by_password(too_large), TokenFault::kTooLarge);
  expect_refused(by_certificate(certificate(too_large)), TokenFault::kTooLarge);
}

TEST_F(Authenticate, WhatIsNoToken) {
  issuer_.accept_bearer = true;
  for (const char* text : {"", "hunter2", "a.b", "a.b.c", "..", "e30.e30.e30"}) {
    SCOPED_TRACE(text);
    expect_refused(by_password(text), TokenFault::kMalformed);
  }
}

// ---- keys -------------------------------------------------------------------------------------------------

TEST_F(Authenticate, UnknownKeyIsFetchedOnceAndThenFails) {
  auto jwt = sign_jwt(provider_, "k2", payload_of(claims_));
  expect_refused(by_certificate(certificate(jwt)), TokenFault::kUnknownKey, "k2");
  EXPECT_EQ(key_sets_.refreshes["corp"], 1);
}

TEST_F(Authenticate, RotatedKeyWorksAfterTheFetch) {
  auto fresh = new_key();
  key_sets_.sets.clear();
  key_sets_.after_refresh["corp"] = FakeKeySets::parsed(fresh, "k2");
  auto identity = by_certificate(certificate(sign_jwt(fresh, "k2", payload_of(claims_))));
  EXPECT_TRUE(identity) << identity.error().text();
  EXPECT_EQ(key_sets_.refreshes["corp"], 1);
}

TEST_F(Authenticate, RotatedKeyWithoutKid) {
  auto jwt = sign_jwt(new_key(), "", payload_of(claims_));
  expect_refused(by_certificate(certificate(jwt)), TokenFault::kBadSignature);
  EXPECT_EQ(key_sets_.refreshes["corp"], 1) << "without a kid the key may be a new one";
}

TEST_F(Authenticate, ProviderDown) {
  EXPECT_TRUE(by_certificate(certificate(token()))) << "known key";
  key_sets_.sets.clear();
  expect_refused(by_certificate(certificate(token())), TokenFault::kNoKeySet, "corp");
  EXPECT_EQ(key_sets_.refreshes["corp"], 1);
}

// ---- several issuers --------------------------------------------------------------------------------------

class SeveralIssuers : public Credentials {
 protected:
  SeveralIssuers() {
    issuer_added_ = true;
    other_.name = "partner";
    other_.issuer = "https://partner.example/";
    other_.audiences = {"qufabric-cli"};
    policy_.issuer(issuer_).issuer(other_);
    key_sets_.set("partner", partner_, "k1");
    policy_.member("partner", "auth0|7", "DBAs");
  }
  std::string partner_token(ClaimTexts changes) {
    ClaimTexts claims = claims_;
    for (auto& [name, text] : changes) claims[name] = text;
    return sign_jwt(partner_, "k1", payload_of(claims));
  }
  IssuerRecord other_ = corp_issuer();
  SigningKey partner_ = new_key();
};

TEST_F(SeveralIssuers, EachByItsOwnKeys) {
  auto identity = by_certificate(certificate(partner_token({{"iss", "\"https://partner.example/\""}})));
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_EQ(identity->name(), "partner:auth0|61");
  EXPECT_TRUE(identity->groups.empty()) << "corp's subject of the same name is another person";
  EXPECT_FALSE(identity->fabric_user);
  EXPECT_TRUE(key_sets_.refreshes.empty());
}

TEST_F(SeveralIssuers, OneCannotSpeakForAnother) {
  expect_refused(by_certificate(certificate(partner_token({}))), TokenFault::kIssuer);
}

TEST_F(SeveralIssuers, ThePeerTakesSomeOnly) {
  self_.issuers = {"corp"};
  expect_refused(by_certificate(certificate(partner_token({{"iss", "\"https://partner.example/\""}}))),
                 TokenFault::kBadSignature);
  EXPECT_TRUE(by_certificate(certificate(token())));
  self_.issuers = {"gone"};
  expect_refused(by_certificate(certificate(token())), TokenFault::kNoKeySet);
}

TEST_F(SeveralIssuers, TenantsOfOneProviderShareKeys) {
  key_sets_.set("partner", provider_, "k1");
  auto identity = by_certificate(certificate(token({{"iss", "\"https://partner.example/\""}})));
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_EQ(identity->issuer_name, "partner");
  expect_refused(by_certificate(certificate(token({{"iss", "\"https://third.example/\""}}))),
                 TokenFault::kIssuer);
  // what the right issuer says about its token is what the user reads
  expect_refused(by_certificate(certificate(token({{"aud", "\"x\""}}))), TokenFault::kAudience);
}

TEST_F(SeveralIssuers, AnUnknownKeyAsksEachOnce) {
  expect_refused(by_certificate(certificate(sign_jwt(new_key(), "k9", payload_of(claims_)))),
                 TokenFault::kUnknownKey);
  EXPECT_EQ(key_sets_.refreshes, (std::map<std::string, int>{{"corp", 1}, {"partner", 1}}));
}

TEST_F(SeveralIssuers, AllThatLackAKeySetAreNamed) {
  key_sets_.sets.clear();
  expect_refused(by_certificate(certificate(token())), TokenFault::kNoKeySet, "corp, partner");
}

// Its own issuer's set is missing, and the key is none of the other's: the former is why, and what to see to.
TEST_F(SeveralIssuers, AMissingKeySetSaysMoreThanAnUnknownKey) {
  auto jwt = sign_jwt(provider_, "k9", payload_of(claims_));
  for (const char* missing : {"corp", "partner"}) {
    auto kept = std::move(key_sets_.sets);
    key_sets_.set(missing == std::string("corp") ? "partner" : "corp", partner_, "k1");
    expect_refused(by_certificate(certificate(jwt)), TokenFault::kNoKeySet, missing);
    key_sets_.sets = std::move(kept);
  }
  // a key that is known, and a signature that is wrong, says most
  key_sets_.sets.erase("corp");
  expect_refused(by_certificate(certificate(sign_jwt(provider_, "k1", payload_of(claims_)))),
                 TokenFault::kBadSignature);
}

// ---- binding ----------------------------------------------------------------------------------------------

// ---- "server_login" ---------------------------------------------------------------------------------------

TEST_F(Authenticate, ServerLogin) {
  issuer_.server_login = ServerLogin{"peers", std::nullopt, {"openid"}};
  auto identity = by_server_login(bearer({{"aud", R"("peers")"}}));
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_TRUE(identity->server_login);
  EXPECT_FALSE(identity->key_bound);
  EXPECT_EQ(identity->name(), "corp:auth0|61");
}

TEST_F(Authenticate, ServerLoginTakesItsOwnClientsTokensAlone) {
  issuer_.server_login = ServerLogin{"peers", std::nullopt, {"openid"}};
  issuer_.accept_bearer = true;
  expect_refused(by_server_login(bearer()), TokenFault::kAudience);
  expect_refused(by_server_login(bearer({{"aud", R"("peers")"}, {"iss", R"("https://other/")"}})),
                 TokenFault::kIssuer);
  expect_refused(by_server_login(bearer({{"aud", R"("peers")"}}), "other"), TokenFault::kIssuer);
  expect_refused(by_server_login(bearer({{"aud", R"("peers")"}, {"cnf", R"({"jkt":"x"})"}})),
                 TokenFault::kBinding);
  expect_refused(by_server_login(bearer({{"aud", R"("peers")"}, {"exp", std::to_string(kNow - 100)}})),
                 TokenFault::kExpired);
}

TEST_F(Authenticate, ServerLoginThatTheIssuerDoesNotHave) {
  expect_refused(by_server_login(bearer({{"aud", R"("peers")"}})), TokenFault::kIssuer, "no longer");
}

TEST_F(Authenticate, ServerLoginTokensAreNobodyElses) {
  issuer_.server_login = ServerLogin{"peers", std::nullopt, {"openid"}};
  issuer_.accept_bearer = true;
  for (const ClaimTexts& claims :
       {ClaimTexts{{"aud", R"("peers")"}}, ClaimTexts{{"aud", R"(["qufabric-cli","peers"])"}},
        ClaimTexts{{"aud", R"("qufabric-cli")"}, {"azp", R"("peers")"}}}) {
    expect_refused(by_password(bearer(claims)), TokenFault::kAudience);
    expect_refused(by_certificate(certificate(bearer(claims))), TokenFault::kAudience);
    expect_refused(by_certificate(certificate(token(claims))), TokenFault::kAudience);
  }
}

TEST_F(Authenticate, BearerIsRefusedUnlessAccepted) {
  expect_refused(by_certificate(certificate(bearer())), TokenFault::kBearer, "accept_bearer");
  expect_refused(by_password(bearer()), TokenFault::kBearer, "\"corp\"");
}

TEST_F(Authenticate, KeyBoundTokensAreNeverBearer) {
  issuer_.accept_bearer = true;
  expect_refused(by_password(token()), TokenFault::kBinding);
  expect_refused(by_password(bearer({{"cnf", R"({"jkt":"x"})"}})), TokenFault::kBinding);
  expect_refused(by_password(bearer({{"cnf", R"({"x5t#S256":"x"})"}})), TokenFault::kBinding);
  // stolen, in a certificate by the thief's key
  expect_refused(by_certificate(sign_credential(credential(token()), new_key())), TokenFault::kBinding);
  auto c = credential(token());
  c.binding_salt.clear();
  expect_refused(by_certificate(sign_credential(c, user_key_)), TokenFault::kBinding);
  c.binding_salt = std::string(kBindingSaltBytes, 'x');
  expect_refused(by_certificate(sign_credential(c, user_key_)), TokenFault::kBinding);
}

class Refreshed : public Credentials {
 protected:
  Credential refreshed(const std::string& original, const std::string& fresh) {
    auto c = credential(fresh);
    c.original_token = original;
    return c;
  }
  // an hour old, expired
  std::string old_token(ClaimTexts changes = {}) {
    changes.emplace("iat", std::to_string(kNow - 3600));
    changes.emplace("exp", std::to_string(kNow - 3300));
    return token(changes);
  }
};

TEST_F(Refreshed, TheOriginalProvesTheBinding) {
  auto identity = by_certificate(sign_credential(refreshed(old_token(), bearer()), user_key_));
  ASSERT_TRUE(identity) << identity.error().text();
  EXPECT_TRUE(identity->key_bound);
  EXPECT_EQ(identity->token_expires, kNow + 300) << "of the fresh one";
}

TEST_F(Refreshed, TheFreshOneMustBeFresh) {
  expect_refused(by_certificate(sign_credential(
                     refreshed(old_token(), bearer({{"exp", std::to_string(kNow - 100)}})), user_key_)),
                 TokenFault::kExpired);
}

TEST_F(Refreshed, BadOriginals) {
  auto refused = [&](const std::string& original, TokenFault fault) {
    expect_refused(by_certificate(sign_credential(refreshed(original, bearer()), user_key_)), fault);
  };
  ClaimTexts unbound = {{"nonce", ""}};
  refused(old_token(unbound), TokenFault::kBinding);
  refused(old_token({{"nonce", quoted_json(binding_nonce(salt_, new_key().ssh_public_blob()))}}),
          TokenFault::kBinding);
  refused(old_token({{"sub", "\"auth0|7\""}}), TokenFault::kBinding);
  refused(old_token({{"aud", "\"other\""}}), TokenFault::kAudience);
  refused(old_token({{"iss", "\"https://evil.example/\""}}), TokenFault::kIssuer);
  refused(old_token({{"iat", std::to_string(kNow + 100)}}), TokenFault::kNotYetValid);
  refused("junk", TokenFault::kMalformed);
  refused(sign_jwt(new_key(), "k1", payload_of(claims_)), TokenFault::kBadSignature);
  // its key has left the key set
  refused(sign_jwt(new_key(), "k0", payload_of(claims_)), TokenFault::kUnknownKey);
  // another signer of the certificate
  expect_refused(by_certificate(sign_credential(refreshed(old_token(), bearer()), new_key())),
                 TokenFault::kBinding);
}

TEST_F(Refreshed, TheFreshOneAloneIsBearer) {
  expect_refused(by_certificate(certificate(bearer())), TokenFault::kBearer);
}

TEST_F(Refreshed, AnOriginalOfAnotherIssuerProvesNothing) {
  auto partner = corp_issuer();
  partner.name = "partner";
  partner.issuer = "https://partner.example/";
  policy_.issuer(partner);
  auto key = new_key();
  key_sets_.set("partner", key, "k1");
  ClaimTexts claims = claims_;
  claims["iss"] = "\"https://partner.example/\"";
  auto original = sign_jwt(key, "k1", payload_of(claims));
  EXPECT_FALSE(by_certificate(sign_credential(refreshed(original, bearer()), user_key_)));
}

}  // namespace
}  // namespace qf::test
