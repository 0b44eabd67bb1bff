// SPDX-License-Identifier: Apache-2.0
#include "libqf/discovery.h"

#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

std::string failure(long status, const std::string& body) {
  auto found = read_discovery(corp(), http_answer(status, body));
  if (found) return "taken";
  EXPECT_EQ(found.error().code, "provider");
  EXPECT_NE(found.error().message.find("issuer corp (https://idp.example)"), std::string::npos);
  return found.error().message;
}

TEST(Discovery, Url) {
  EXPECT_EQ(discovery_url("https://idp.example"), "https://idp.example/.well-known/openid-configuration");
  EXPECT_EQ(discovery_url("https://idp.example/a/"),
            "https://idp.example/a/.well-known/openid-configuration");
}

TEST(Discovery, Good) {
  auto found = read_discovery(corp(), http_answer(200, R"({"issuer":"https://idp.example","x":1,
      "token_endpoint":"https://idp.example/token","device_authorization_endpoint":"https://idp.example/d"})"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->token_endpoint, "https://idp.example/token");
  EXPECT_EQ(found->device_authorization_endpoint, "https://idp.example/d");
}

TEST(Discovery, EverythingThatWeUse) {
  auto found = read_discovery(corp(), http_answer(200, R"({"issuer":"https://idp.example",
      "token_endpoint":"https://idp.example/token","authorization_endpoint":"https://idp.example/a",
      "revocation_endpoint":"https://idp.example/r","jwks_uri":"https://idp.example/k",
      "dpop_signing_alg_values_supported":["ES256","EdDSA"],
      "code_challenge_methods_supported":["plain","S256"],
      "token_endpoint_auth_methods_supported":["client_secret_post","none"],
      "authorization_response_iss_parameter_supported":true})"));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->authorization_endpoint, "https://idp.example/a");
  EXPECT_EQ(found->revocation_endpoint, "https://idp.example/r");
  EXPECT_EQ(found->jwks_uri, "https://idp.example/k");
  EXPECT_EQ(found->dpop_algorithms, (std::vector<std::string>{"ES256", "EdDSA"}));
  EXPECT_TRUE(found->pkce);
  EXPECT_TRUE(found->secret_in_form);
  EXPECT_TRUE(found->names_issuer);
}

// RFC 8414 section 2: what holds where a provider says nothing.
TEST(Discovery, WhatIsLeftOut) {
  auto found = read_discovery(
      corp(), http_answer(200, R"({"issuer":"https://idp.example","token_endpoint":"https://i/t"})"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->authorization_endpoint + found->revocation_endpoint + found->jwks_uri, "");
  EXPECT_TRUE(found->dpop_algorithms.empty());
  EXPECT_TRUE(found->pkce);
  EXPECT_FALSE(found->secret_in_form);
  EXPECT_FALSE(found->names_issuer);
}

TEST(Discovery, Abilities) {
  auto with = [](const std::string& member) {
    auto found = read_discovery(corp(), http_answer(200, R"({"issuer":"https://idp.example",)"
                                                         R"("token_endpoint":"https://i/t",)" +
                                                             member + "}"));
    EXPECT_TRUE(found) << member;
    return found ? *found : Discovery{};
  };
  EXPECT_FALSE(with(R"("code_challenge_methods_supported":["plain"])").pkce);
  EXPECT_FALSE(with(R"("code_challenge_methods_supported":[])").pkce);
  const char* key = R"("token_endpoint_auth_methods_supported":)";
  EXPECT_FALSE(with(key + std::string(R"(["client_secret_basic","client_secret_post"])")).secret_in_form);
  EXPECT_FALSE(with(key + std::string(R"(["private_key_jwt"])")).secret_in_form);
  EXPECT_FALSE(with(R"("authorization_response_iss_parameter_supported":"true")").names_issuer);
}

TEST(Discovery, WithoutDeviceLogin) {
  auto found = read_discovery(
      corp(), http_answer(200, R"({"issuer":"https://idp.example","token_endpoint":"https://i/t"})"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->device_authorization_endpoint, "");
}

TEST(Discovery, Lies) {
  EXPECT_NE(
      failure(200, R"({"issuer":"https://idp.example/","token_endpoint":"https://i/t"})").find("\"issuer\""),
      std::string::npos);
  EXPECT_NE(failure(200, R"({"token_endpoint":"https://i/t"})").find("\"issuer\""), std::string::npos);
  EXPECT_NE(failure(200, R"({"issuer":"https://idp.example"})").find("\"token_endpoint\""),
            std::string::npos);
  EXPECT_NE(failure(200, R"({"issuer":"https://idp.example","token_endpoint":"http://i/t"})").find("https"),
            std::string::npos);
  EXPECT_NE(failure(200, R"({"issuer":"https://idp.example","token_endpoint":"file:///etc/passwd"})")
                .find("\"token_endpoint\""),
            std::string::npos);
  EXPECT_NE(failure(200, R"({"issuer":"https://idp.example","token_endpoint":["x"]})").find("no string"),
            std::string::npos);
  EXPECT_NE(failure(200, R"({"issuer":"https://idp.example","token_endpoint":"https://i/t",
      "device_authorization_endpoint":"ftp://i/d"})")
                .find("\"device_authorization_endpoint\""),
            std::string::npos);
  for (const char* field : {"authorization_endpoint", "revocation_endpoint", "jwks_uri"}) {
    for (const char* url : {"\"http://i/x\"", "\"\"", "7", "\"https://u@i/x\"", "\"https://i/a b\"",
                            R"("https://idp.ex\u0430mple/x")"}) {
      EXPECT_NE(failure(200, R"({"issuer":"https://idp.example","token_endpoint":"https://i/t",")" +
                                 std::string(field) + "\":" + url + "}")
                    .find("\"" + std::string(field) + "\""),
                std::string::npos)
          << field << " " << url;
    }
  }
  for (const char* field : {"dpop_signing_alg_values_supported", "code_challenge_methods_supported",
                            "token_endpoint_auth_methods_supported"}) {
    EXPECT_NE(failure(200, R"({"issuer":"https://idp.example","token_endpoint":"https://i/t",")" +
                               std::string(field) + R"(":"S256"})")
                  .find("\"" + std::string(field) + "\""),
              std::string::npos);
  }
  EXPECT_NE(failure(200, "[]").find("\"issuer\""), std::string::npos);
  EXPECT_NE(failure(200, "<html>").find("not JSON"), std::string::npos);
  EXPECT_NE(failure(200, "{\"a\x7f\":1,\"a\x7f\":2}").find("\"a?\""), std::string::npos)
      << "DEL is legal in JSON";
  EXPECT_NE(failure(404, "").find("HTTP status 404"), std::string::npos);
}

TEST(Discovery, Unreachable) {
  auto found = read_discovery(corp(), timeout_error("idp.example did not answer in time (15 s)"));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("did not answer"), std::string::npos);
}

TEST(Discovery, FailuresInTheProvidersWords) {
  EXPECT_EQ(
      describe_failure(http_answer(400, R"({"error":"invalid_client","error_description":"no\u001bsuch"})")),
      "invalid_client: no?such (HTTP status 400)");
  EXPECT_EQ(describe_failure(http_answer(400, "")), "HTTP status 400 without a reason");
  EXPECT_EQ(oauth_error(http_answer(400, "[]")), "");
}

}  // namespace
}  // namespace qf
