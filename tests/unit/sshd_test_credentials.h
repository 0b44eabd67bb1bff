// SPDX-License-Identifier: Apache-2.0
// What the tests of authentication need: an issuer with real keys, its tokens, and certificates around them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "libqf/binding.h"
#include "libqf/certificate.h"
#include "libqf/wire.h"
#include "qf-sshd/authenticate.h"
#include "tests/unit/libqf_policy_writer.h"

namespace qf::test {

inline constexpr int64_t kNow = 1'800'000'000;
inline const std::string kOwnKey = "SHA256:own";

inline SigningKey new_key(KeyType type = KeyType::kEd25519) {
  auto key = SigningKey::generate(type);
  if (!key) std::abort();
  return std::move(*key);
}

class FakeKeySets : public KeySets {
 public:
  const KeySet* find(const IssuerRecord& issuer) override {
    auto found = sets.find(issuer.name);
    return found == sets.end() ? nullptr : &found->second;
  }
  void refresh(const std::vector<const IssuerRecord*>& issuers,
               const std::function<bool(const IssuerRecord&)>& found) override {
    for (const auto* issuer : issuers) ++refreshes[issuer->name];
    for (const auto* issuer : issuers) {
      auto fresh = after_refresh.find(issuer->name);
      if (fresh == after_refresh.end()) continue;
      sets[issuer->name] = std::move(fresh->second);
      after_refresh.erase(fresh);
      if (found(*issuer)) return;
    }
  }
  void set(const std::string& issuer, const SigningKey& key, const std::string& kid) {
    sets[issuer] = parsed(key, kid);
  }
  static KeySet parsed(const SigningKey& key, const std::string& kid) {
    auto keys = parse_key_set(key_set_json(key, kid));
    if (!keys) std::abort();
    return std::move(*keys);
  }
  std::map<std::string, KeySet> sets, after_refresh;
  std::map<std::string, int> refreshes;
};

// A payload by its claims as JSON text; an empty text leaves the claim out.
using ClaimTexts = std::map<std::string, std::string>;

inline std::string quoted_json(const std::string& text) {
  return "\"" + text + "\"";
}

inline ClaimTexts good_claims() {
  return {{"iss", "\"https://idp.example/\""}, {"sub", "\"auth0|61\""},
          {"aud", "\"qufabric-cli\""},         {"iat", std::to_string(kNow - 30)},
          {"exp", std::to_string(kNow + 300)}, {"jti", "\"token-7\""}};
}

inline std::string payload_of(const ClaimTexts& claims) {
  std::string out;
  for (const auto& [name, text] : claims) {
    if (!text.empty()) out += (out.empty() ? "{\"" : ",\"") + name + "\":" + text;
  }
  return out + "}";
}

inline IssuerRecord corp_issuer() {
  IssuerRecord issuer;
  issuer.name = "corp";
  issuer.issuer = "https://idp.example/";
  issuer.audiences = {"qufabric-cli"};
  return issuer;
}

// A certificate whose options are given as bytes, for what sign_credential() never writes.
inline std::string raw_certificate(const Credential& c, const std::string& critical,
                                   const std::string& extensions, const SigningKey& key) {
  WireWriter writer;
  writer.string(kCertificateType)
      .string(std::string(32, 'n'))
      .string(c.subject_key)
      .uint64(c.serial)
      .uint32(1);
  writer.string(c.key_id).string("").uint64(c.valid_after).uint64(c.valid_before);
  writer.string(critical).string(extensions).string("").string(key.ssh_public_blob());
  writer.string(key.ssh_sign(writer.bytes()));
  return writer.bytes();
}

// An issuer "corp", a peer "db1" and a user's key K; each test changes what it is about.
class Credentials : public ::testing::Test {
 protected:
  Credentials() {
    self_.name = "db1";
    key_sets_.set("corp", provider_, "k1");
    policy_.member("corp", "auth0|61", "Developers");
    claims_["nonce"] = quoted_json(binding_nonce(salt_, user_key_.ssh_public_blob()));
  }

  [[nodiscard]] std::string token(const ClaimTexts& changes = {}) const {
    ClaimTexts claims = claims_;
    for (const auto& [name, text] : changes) claims[name] = text;
    return sign_jwt(provider_, "k1", payload_of(claims));
  }
  [[nodiscard]] std::string bearer(ClaimTexts changes = {}) const {
    changes["nonce"] = "";
    return token(changes);
  }
  [[nodiscard]] Credential credential(const std::string& jwt) const {
    Credential c;
    c.serial = 42;
    c.key_id = "corp auth0|61";
    c.subject_key = std::string(32, 'S');
    c.valid_after = static_cast<uint64_t>(kNow - 60);
    c.valid_before = static_cast<uint64_t>(kNow + 300);
    c.peer = "db1";
    c.peer_fingerprints = {"SHA256:older", kOwnKey};
    c.token = jwt;
    c.binding_salt = salt_;
    return c;
  }
  [[nodiscard]] std::string certificate(const std::string& jwt) const {
    return sign_credential(credential(jwt), user_key_);
  }

  // The database is written once, at the first judgement.
  AuthenticationContext context() {
    if (!db_) {
      if (!issuer_added_) policy_.issuer(issuer_);
      db_.emplace(policy_.open());
    }
    return {*db_, self_, kOwnKey, key_sets_, now_};
  }
  Result<Identity, TokenRefusal> by_certificate(const std::string& blob) {
    return authenticate_certificate(context(), blob);
  }
  Result<Identity, TokenRefusal> by_password(const std::string& jwt) {
    return authenticate_token(context(), jwt);
  }

  // As keyfetch brings it.
  Result<Identity, TokenRefusal> by_server_login(const std::string& jwt, const std::string& issuer = "corp") {
    return authenticate_server_login(context(), issuer, jwt);
  }

  SigningKey provider_ = new_key(), user_key_ = new_key();
  std::string salt_ = std::string(kBindingSaltBytes, 's');
  ClaimTexts claims_ = good_claims();
  IssuerRecord issuer_ = corp_issuer();
  bool issuer_added_ = false;  // by the test itself
  PeerPolicyRecord self_;
  FakeKeySets key_sets_;
  PolicyWriter policy_;
  std::optional<PolicyDb> db_;
  int64_t now_ = kNow;
};

inline void expect_refused(const Result<Identity, TokenRefusal>& result, TokenFault fault,
                           const std::string& words = "") {
  ASSERT_FALSE(result) << "accepted as " << result->name();
  EXPECT_EQ(result.error().fault, fault) << result.error().text();
  EXPECT_NE(result.error().text().find(words), std::string::npos) << result.error().text();
}

}  // namespace qf::test
