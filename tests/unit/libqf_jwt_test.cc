// SPDX-License-Identifier: Apache-2.0
// The claims half of libqf/jwt.h; libqf_jws_test.cc has the signatures.
#include "libqf/jwt.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

constexpr int64_t kNow = 1'700'000'000;

constexpr std::string_view kGood =
    R"({"iss":"https://idp.example/","sub":"auth0|61","aud":"qufabric-cli","exp":1700000300,"iat":1699999900,)"
    R"("jti":"id-1","nonce":"qf1.abc","groups":["eng"],"email":"ann@example.com"})";

// kGood with one member replaced, added (`value`) or left out ("")
std::string with(const std::string& member, const std::string& value) {
  auto json = parse_json(kGood);
  EXPECT_TRUE(json);
  ::cJSON_DeleteItemFromObjectCaseSensitive(json->get(), member.c_str());
  std::string text = json_text(json->get());
  if (value.empty()) return text;
  return text.substr(0, text.size() - 1) + ",\"" + member + "\":" + value + "}";
}

std::optional<TokenFault> parse_fault(std::string_view payload) {
  auto claims = parse_claims(payload);
  return claims ? std::nullopt : std::optional(claims.error().fault);
}

TokenRules rules() {
  TokenRules rules;
  rules.issuer = "https://idp.example/";
  rules.audiences = {"other", "qufabric-cli"};
  return rules;
}

std::optional<TokenFault> check(std::string_view payload, const TokenRules& rules, int64_t now = kNow,
                                const std::string& typ = "JWT") {
  auto claims = parse_claims(payload);
  if (!claims) return claims.error().fault;
  auto refused = check_claims(*claims, {"RS256", "", typ}, rules, now);
  return refused ? std::optional(refused->fault) : std::nullopt;
}

TEST(Jwt, ReadsClaims) {
  auto claims = parse_claims(kGood);
  ASSERT_TRUE(claims) << claims.error().text();
  EXPECT_EQ(claims->issuer, "https://idp.example/");
  EXPECT_EQ(claims->subject, "auth0|61");
  EXPECT_EQ(claims->audience, std::vector<std::string>{"qufabric-cli"});
  EXPECT_EQ(claims->expires, 1700000300);
  EXPECT_EQ(claims->issued_at, 1699999900);
  EXPECT_EQ(claims->token_id, "id-1");
  EXPECT_EQ(claims->nonce, "qf1.abc");
  EXPECT_FALSE(claims->has_confirmation);
  EXPECT_EQ(json_strings(claims->all.get(), "groups"), std::vector<std::string>{"eng"});
}

TEST(Jwt, AudienceIsAStringOrStrings) {
  EXPECT_EQ(parse_claims(with("aud", R"(["a","b"])"))->audience, (std::vector<std::string>{"a", "b"}));
  for (const char* value : {"", "7", R"(["a",7])", "{}", "null"})
    EXPECT_EQ(parse_fault(with("aud", value)), TokenFault::kAudience) << value;
}

// Every subject that passes can be told from every other one in a log.
TEST(Jwt, SubjectsThatNobodyCouldTellApart) {
  auto fault = [](const std::string& sub) { return parse_fault(with("sub", "\"" + sub + "\"")); };
  for (const char* sub : {R"(a\u001b[2J)", R"(a\n)", R"(a\u007f)", R"(a\u0085)", R"(\u2028)"})
    EXPECT_EQ(fault(sub), TokenFault::kSubject) << sub;
  EXPECT_EQ(fault("\xc2\x9b"), TokenFault::kSubject);
  EXPECT_EQ(fault(std::string(kMostSubjectBytes, 'a')), std::nullopt);
  EXPECT_EQ(fault(std::string(kMostSubjectBytes + 1, 'a')), TokenFault::kSubject);
  EXPECT_EQ(fault(std::string(10'000, 'a')), TokenFault::kSubject);
  // what providers do have
  for (const char* sub : {"auth0|61", "repo:octo-org/octo-repo:ref:refs/heads/main", "CN=Ann, O=x",
                          "J\xc3\xb6rg", " ", R"(\ud83d\ude00)", "system:serviceaccount:default:job"})
    EXPECT_EQ(fault(sub), std::nullopt) << sub;
  EXPECT_EQ(parse_claims(with("sub", R"("\u001b")")).error().text(),
            "the token names no subject (sub has control characters)");
}

TEST(Jwt, RequiredClaimsAndTheirTypes) {
  for (const char* value : {"", "\"\"", "7", "null", R"(["auth0|61"])"}) {
    EXPECT_EQ(parse_fault(with("sub", value)), TokenFault::kSubject) << value;
    EXPECT_EQ(parse_fault(with("iss", value)), TokenFault::kIssuer) << value;
  }
  for (const char* value :
       {"", "\"1700000300\"", "null", "true", "-1", "1e300", "1700000300000", "253402300800"}) {
    EXPECT_EQ(parse_fault(with("exp", value)), TokenFault::kClaims) << value;
    EXPECT_EQ(parse_fault(with("iat", value)), TokenFault::kClaims) << value;
  }
  for (const char* member : {"jti", "nonce"}) {
    EXPECT_EQ(parse_fault(with(member, "7")), TokenFault::kClaims) << member;
    EXPECT_EQ(parse_fault(with(member, "null")), TokenFault::kClaims) << member;
    EXPECT_EQ(parse_fault(with(member, "")), std::nullopt) << member;
  }
}

// What a double cannot hold is no number at all, in whatever claim.
TEST(Jwt, NumbersThatDoNotFit) {
  for (const char* member : {"exp", "iat", "nbf", "x"}) {
    for (const char* value : {"1e400", "-1e400", "1e-400", "NaN", "Infinity", "0x10", "01", "1.", "+1"})
      EXPECT_EQ(parse_fault(with(member, value)), TokenFault::kMalformed) << member << value;
  }
  for (const char* value : {"-0.1", "-1e300", "1e300", "9007199254740993", "false", "[1]", R"("0")"})
    EXPECT_EQ(check(with("nbf", value), rules()), TokenFault::kClaims) << value;
  EXPECT_EQ(check(with("nbf", "-0"), rules()), std::nullopt);
  EXPECT_EQ(check(with("nbf", "1700000060.999"), rules()), std::nullopt) << "whole seconds count";
}

TEST(Jwt, DatesMayHaveFractions) {
  EXPECT_EQ(parse_claims(with("exp", "1700000300.9"))->expires, 1700000300);
  EXPECT_EQ(parse_claims(with("iat", "1.6999999e9"))->issued_at, 1699999900);
  EXPECT_EQ(parse_claims(with("exp", "253402300799"))->expires, 253402300799);
  EXPECT_EQ(parse_claims(with("iat", "0"))->issued_at, 0);
}

TEST(Jwt, Confirmation) {
  auto claims = parse_claims(with("cnf", R"({"jkt":"abc"})"));
  ASSERT_TRUE(claims);
  EXPECT_TRUE(claims->has_confirmation);
  EXPECT_EQ(claims->confirmation_jkt, "abc");
  claims = parse_claims(with("cnf", R"({"x5t#S256":"abc"})"));
  ASSERT_TRUE(claims);
  EXPECT_TRUE(claims->has_confirmation) << "any cnf binds";
  EXPECT_EQ(claims->confirmation_jkt, "");
  for (const char* value : {"null", "\"abc\"", "[]", "7", R"({"jkt":7})", R"({"jkt":null})"})
    EXPECT_EQ(parse_fault(with("cnf", value)), TokenFault::kClaims) << value;
}

TEST(Jwt, PayloadIsStrictJson) {
  std::string good(kGood);
  EXPECT_EQ(parse_fault(good), std::nullopt);
  using namespace std::string_literals;
  for (const std::string& payload :
       {""s, "null"s, "[]"s, "\"x\""s, good + "x", good + "\0"s, "\xef\xbb\xbf" + good, good + good,
        with("sub", R"("a")").insert(1, R"("sub":"b",)"),
        with("sub", R"("a")").insert(1, R"("\u0073ub":"b",)"), with("sub", R"("a\u0000b")"),
        with("sub", "\"\xff\""), with("x", R"({"a":1,"a":2})"), with("sub", R"("\ud800")"),
        with("sub", R"("\udc00\ud800")"), with("x", R"("\u0000")"), with("x", "\"\n\""),
        with("x", std::string(40, '[') + std::string(40, ']')), good + "\n{}"}) {
    EXPECT_EQ(parse_fault(payload), TokenFault::kMalformed) << payload;
  }
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_EQ(parse_fault(good.substr(0, length)), TokenFault::kMalformed) << length;
}

TEST(Jwt, GoodTokenPasses) {
  EXPECT_EQ(check(kGood, rules()), std::nullopt);
}

TEST(Jwt, IssuerAndAudienceAreExact) {
  for (const char* issuer :
       {"https://idp.example", "https://IDP.example/", "https://idp.example/x", "idp.example"})
    EXPECT_EQ(check(with("iss", "\"" + std::string(issuer) + "\""), rules()), TokenFault::kIssuer) << issuer;
  for (const char* audience :
       {R"("Qufabric-cli")", R"("qufabric-cli ")", R"("qufabric")", "[]", R"([""])", R"(["x","y"])"})
    EXPECT_EQ(check(with("aud", audience), rules()), TokenFault::kAudience) << audience;
  EXPECT_EQ(check(with("aud", R"(["x","qufabric-cli"])"), rules()), std::nullopt);
  // The authorized party is nobody's business here (OpenID Connect Core section 3.1.3.7 leaves it to
  // extensions); who wants one has it among the required_claims.
  for (const char* azp : {R"("x")", R"("qufabric-cli")", "7", "null"})
    EXPECT_EQ(check(with("azp", azp), rules()), std::nullopt) << azp;
  TokenRules none = rules();
  none.audiences.clear();
  EXPECT_EQ(check(kGood, none), TokenFault::kAudience) << "no audience is configured: none is good";
  none = rules();
  none.issuer.clear();
  EXPECT_EQ(check(kGood, none), TokenFault::kIssuer);
}

TEST(Jwt, TypeFollowsTheIssuersTokens) {
  TokenRules access = rules();
  access.access_token = true;
  for (const char* typ : {"", "JWT", "jwt", "application/jwt", "Application/JWT"}) {
    EXPECT_EQ(check(kGood, rules(), kNow, typ), std::nullopt) << typ;
    EXPECT_EQ(check(kGood, access, kNow, typ), TokenFault::kType) << typ;
  }
  for (const char* typ : {"at+jwt", "AT+JWT", "application/at+jwt"}) {
    EXPECT_EQ(check(kGood, rules(), kNow, typ), TokenFault::kType) << typ;
    EXPECT_EQ(check(kGood, access, kNow, typ), std::nullopt) << typ;
  }
  for (const char* typ : {"logout+jwt", "dpop+jwt", "JOSE", "text/jwt", "application/",
                          "application/application/jwt", " jwt"}) {
    EXPECT_EQ(check(kGood, rules(), kNow, typ), TokenFault::kType) << typ;
    EXPECT_EQ(check(kGood, access, kNow, typ), TokenFault::kType) << typ;
  }
}

// Each edge, to the second: skew 60, max_token_age 600.
TEST(Jwt, Times) {
  TokenRules r = rules();
  auto at = [&](const std::string& member, int64_t value) {
    return check(with(member, std::to_string(value)), r);
  };
  EXPECT_EQ(at("exp", kNow - 59), std::nullopt);
  EXPECT_EQ(at("exp", kNow - 60), TokenFault::kExpired);
  EXPECT_EQ(at("nbf", kNow + 60), std::nullopt);
  EXPECT_EQ(at("nbf", kNow + 61), TokenFault::kNotYetValid);
  EXPECT_EQ(at("iat", kNow + 60), std::nullopt);
  EXPECT_EQ(at("iat", kNow + 61), TokenFault::kNotYetValid);
  EXPECT_EQ(at("iat", kNow - 660), std::nullopt);
  EXPECT_EQ(at("iat", kNow - 661), TokenFault::kTooOld);
  for (const char* value : {"\"x\"", "null", "-1", "1e300"})
    EXPECT_EQ(check(with("nbf", value), r), TokenFault::kClaims) << value;
  r.clock_skew = 0;
  EXPECT_EQ(at("exp", kNow), TokenFault::kExpired);
  EXPECT_EQ(at("exp", kNow + 1), std::nullopt);
  EXPECT_EQ(at("iat", kNow + 1), TokenFault::kNotYetValid);
}

// usable_until() is the first second at which check_claims() refuses, whatever ends first.
TEST(Jwt, UsableUntilTheSecondOfTheRefusal) {
  TokenRules r = rules();
  for (int64_t skew : {0, 60}) {
    for (int64_t age : {-1, 0, 10, 600, 1'000'000}) {
      r.clock_skew = skew;
      r.max_token_age = age;
      auto claims = parse_claims(kGood);
      ASSERT_TRUE(claims);
      int64_t until = usable_until(*claims, r);
      EXPECT_EQ(check(kGood, r, until - 1), std::nullopt) << skew << " " << age;
      bool expires = age < 0 || claims->issued_at + age >= claims->expires;
      EXPECT_EQ(check(kGood, r, until), expires ? TokenFault::kExpired : TokenFault::kTooOld)
          << skew << " " << age;
    }
  }
}

// The age has the skew as tolerance, as every other time; without skew it is exact.
TEST(Jwt, AgeWithoutSkewIsExact) {
  TokenRules r = rules();
  r.clock_skew = 0;
  EXPECT_EQ(check(with("iat", std::to_string(kNow - 600)), r), std::nullopt);
  EXPECT_EQ(check(with("iat", std::to_string(kNow - 601)), r), TokenFault::kTooOld);
}

TEST(Jwt, NoAgeLimit) {
  TokenRules r = rules();
  r.max_token_age = -1;
  EXPECT_EQ(check(with("iat", "1"), r), std::nullopt);
  r.max_token_age = 0;
  EXPECT_EQ(check(with("iat", std::to_string(kNow)), r), std::nullopt);
  EXPECT_EQ(check(with("iat", std::to_string(kNow - 61)), r), TokenFault::kTooOld);
}

// The original of a refreshed token: only its expiry and age do not count.
TEST(Jwt, WithoutExpiryAllElseCounts) {
  TokenRules r = rules();
  r.check_expiry = false;
  EXPECT_EQ(check(kGood, r, kNow + 1'000'000), std::nullopt);
  EXPECT_EQ(check(with("nbf", std::to_string(kNow + 100)), r), TokenFault::kNotYetValid);
  EXPECT_EQ(check(with("iat", std::to_string(kNow + 100)), r), TokenFault::kNotYetValid);
  EXPECT_EQ(check(with("aud", "\"x\""), r), TokenFault::kAudience);
  EXPECT_EQ(check(with("iss", "\"x\""), r), TokenFault::kIssuer);
  EXPECT_EQ(check(kGood, r, kNow, "at+jwt"), TokenFault::kType);
  EXPECT_EQ(check(with("exp", ""), r), TokenFault::kClaims);
}

TEST(Jwt, UnverifiedPayload) {
  auto payload = unverified_payload(test::compact("not even JSON", kGood, ""));
  ASSERT_TRUE(payload);
  EXPECT_EQ(*payload, kGood);
  for (const char* token : {"", "a", "a.b", "a.b.c.d", "a.!.c", "a.A.c"})
    EXPECT_FALSE(unverified_payload(token));
}

TEST(Jwt, EveryFaultHasItsOwnWords) {
  std::set<std::string_view> texts;
  for (int fault = 0; fault <= static_cast<int>(TokenFault::kLast); ++fault) {
    std::string_view text = fault_text(static_cast<TokenFault>(fault));
    EXPECT_FALSE(text.empty());
    EXPECT_TRUE(texts.insert(text).second) << text;
  }
  EXPECT_EQ((TokenRefusal{TokenFault::kExpired, ""}.text()), "the token has expired");
  EXPECT_EQ((TokenRefusal{TokenFault::kExpired, "5 s ago"}.text()), "the token has expired (5 s ago)");
  EXPECT_NE(fault_text(TokenFault::kBearer).find("\"accept_bearer\": true"), std::string_view::npos);
}

}  // namespace
}  // namespace qf
