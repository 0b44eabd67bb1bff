// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/discovery.h"

#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

HttpAnswer answer(long status, std::string body) {
  HttpAnswer out;
  out.status = status;
  out.body = std::move(body);
  return out;
}

std::string failure(long status, const std::string& body) {
  auto found = read_discovery(corp(), answer(status, body));
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
  auto found = read_discovery(corp(), answer(200, R"({"issuer":"https://idp.example","x":1,
      "token_endpoint":"https://idp.example/token","device_authorization_endpoint":"https://idp.example/d"})"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->token_endpoint, "https://idp.example/token");
  EXPECT_EQ(found->device_authorization_endpoint, "https://idp.example/d");
}

TEST(Discovery, WithoutDeviceLogin) {
  auto found = read_discovery(
      corp(), answer(200, R"({"issuer":"https://idp.example","token_endpoint":"https://i/t"})"));
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
  EXPECT_NE(failure(200, "<html>").find("not JSON"), std::string::npos);
  EXPECT_NE(failure(404, "").find("HTTP status 404"), std::string::npos);
}

TEST(Discovery, Unreachable) {
  auto found = read_discovery(corp(), timeout_error("idp.example did not answer in time (15 s)"));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("did not answer"), std::string::npos);
}

TEST(Discovery, FailuresInTheProvidersWords) {
  EXPECT_EQ(describe_failure(answer(400, R"({"error":"invalid_client","error_description":"no\u001bsuch"})")),
            "invalid_client: no?such (HTTP status 400)");
  EXPECT_EQ(describe_failure(answer(400, "")), "HTTP status 400 without a reason");
  EXPECT_EQ(oauth_error(answer(400, "[]")), "");
}

}  // namespace
}  // namespace qf
