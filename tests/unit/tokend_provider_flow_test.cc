// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/provider_flow.h"

#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

// What a provider offers, by letters: b browser, p browser without PKCE's S256, d device.
Discovery offering(std::string_view offers) {
  Discovery provider = corp_provider();
  bool browser = offers.find_first_of("bp") != std::string_view::npos;
  if (!browser) provider.authorization_endpoint.clear();
  if (offers.find('p') != std::string_view::npos) provider.pkce = false;
  if (offers.find('d') == std::string_view::npos) provider.device_authorization_endpoint.clear();
  return provider;
}

TEST(MixUp, ALoginPageOfAnotherIssuer) {
  const std::vector<std::string> others = {"https://other.example:8443/realm", "https://third.example"};
  Discovery provider = corp_provider();
  EXPECT_FALSE(check_mix_up(corp(), provider, others));
  provider.authorization_endpoint = "https://other.example:8443/auth";
  auto refusal = check_mix_up(corp(), provider, others);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code, "provider");
  EXPECT_NE(refusal->message.find(
                "sends people to other.example:8443, which is issuer https://other.example:8443/realm"),
            std::string::npos)
      << refusal->message;
  EXPECT_FALSE(check_mix_up(corp(), provider, {"https://third.example"}));
  provider = corp_provider();
  provider.device_authorization_endpoint = "https://third.example/device";
  EXPECT_TRUE(check_mix_up(corp(), provider, others));
  // realms of one provider
  EXPECT_FALSE(check_mix_up(corp(), corp_provider(), {"https://idp.example/another-realm"}));
}

TEST(ChooseFlow, Table) {
  struct Case {
    LoginFlow flow;
    const char* offers;
    bool browser;
    const char* chosen;  // or the field that the refusal names
  };
  const char* no_device = "\"device_authorization_endpoint\"";
  const char* no_browser = "\"authorization_endpoint\"";
  const char* no_pkce = "\"code_challenge_methods_supported\"";
  for (const auto& [flow, offers, browser, chosen] : {
           Case{LoginFlow::kAuto, "bd", true, "browser"},
           Case{LoginFlow::kAuto, "bd", false, "device"},
           Case{LoginFlow::kAuto, "b", false, "browser"},
           Case{LoginFlow::kAuto, "b", true, "browser"},
           Case{LoginFlow::kAuto, "d", true, "device"},
           Case{LoginFlow::kAuto, "pd", true, "device"},
           Case{LoginFlow::kAuto, "p", true, no_device},
           Case{LoginFlow::kAuto, "", true, no_device},
           Case{LoginFlow::kAuto, "", false, no_device},
           Case{LoginFlow::kBrowser, "bd", true, "browser"},
           Case{LoginFlow::kBrowser, "bd", false, "browser"},
           Case{LoginFlow::kBrowser, "d", true, no_browser},
           Case{LoginFlow::kBrowser, "pd", true, no_pkce},
           Case{LoginFlow::kDevice, "bd", true, "device"},
           Case{LoginFlow::kDevice, "d", false, "device"},
           Case{LoginFlow::kDevice, "b", true, no_device},
       }) {
    LoginRecord record = corp();
    record.flow = flow;
    auto found = choose_flow(record, offering(offers), browser);
    std::string where = std::to_string(static_cast<int>(flow)) + " " + offers + (browser ? " browser" : "");
    if (found) {
      EXPECT_STREQ(*found == PersonFlow::kBrowser ? "browser" : "device", chosen) << where;
      continue;
    }
    EXPECT_EQ(found.error().code, "unsupported") << where;
    EXPECT_NE(found.error().message.find(chosen), std::string::npos) << where << found.error().message;
    EXPECT_NE(found.error().message.find("issuer corp (https://idp.example)"), std::string::npos);
    EXPECT_NE(found.error().hint, "");
  }
}

constexpr const char* kProviderDocument =
    R"({"issuer":"https://idp.example","token_endpoint":"https://idp.example/token",
    "authorization_endpoint":"https://idp.example/auth",
    "device_authorization_endpoint":"https://idp.example/device/auth"})";

class ProviderFlowTest : public ::testing::Test {
 protected:
  void start() {
    flow_ = std::make_unique<ProviderFlow>(record_, request_, services_, listener_);
    flow_->start();
  }

  LoginRecord record_ = corp();
  FlowRequest request_{"qf1.nonce"};
  FakeServices services_;
  FakeListener listener_;
  std::unique_ptr<ProviderFlow> flow_;
};

TEST_F(ProviderFlowTest, ADeviceLogin) {
  start();
  EXPECT_EQ(services_.asked().url, "https://idp.example/.well-known/openid-configuration");
  EXPECT_FALSE(services_.asked().form);
  EXPECT_EQ(flow_->deadline(), Deadline::max());
  flow_->event({});
  services_.answer(200, kProviderDocument);
  EXPECT_EQ(services_.asked().url, "https://idp.example/device/auth");
  EXPECT_NE(services_.asked().form->find("nonce=qf1.nonce"), std::string::npos);
  services_.answer(200, R"({"device_code":"dc","user_code":"A","verification_uri":"https://idp.example/d"})");
  ASSERT_EQ(listener_.prompts.size(), 1U);
  EXPECT_EQ(listener_.prompts[0].user_code, "A");
  services_.pass(5);
  EXPECT_LE(flow_->deadline(), services_.now());
  flow_->event({});
  services_.answer(200, R"({"id_token":"a.b.c"})");
  EXPECT_EQ(listener_.token, "a.b.c");
}

TEST_F(ProviderFlowTest, ABrowserLogin) {
  record_.flow = LoginFlow::kAuto;
  request_.browser = true;
  start();
  services_.answer(200, kProviderDocument);
  EXPECT_TRUE(services_.sent.empty());
  ASSERT_EQ(listener_.prompts.size(), 1U);
  EXPECT_TRUE(listener_.prompts[0].verification_uri.starts_with("https://idp.example/auth?"));
  std::vector<pollfd> polled;
  flow_->add(polled);
  EXPECT_EQ(polled.size(), 1U) << "the redirect is listened for";
  EXPECT_NE(flow_->deadline(), Deadline::max());
}

TEST_F(ProviderFlowTest, ProviderWithoutDeviceLogin) {
  start();
  services_.answer(200, R"({"issuer":"https://idp.example","token_endpoint":"https://idp.example/token"})");
  ASSERT_TRUE(listener_.refusal);
  EXPECT_EQ(listener_.refusal->code, "unsupported");
  EXPECT_NE(listener_.refusal->message.find("\"device_authorization_endpoint\""), std::string::npos);
  EXPECT_EQ(listener_.ends, 1);
}

TEST_F(ProviderFlowTest, DiscoveryOfNoUse) {
  start();
  services_.answer(200, R"({"issuer":"https://evil.example","token_endpoint":"https://evil.example/token"})");
  ASSERT_TRUE(listener_.refusal);
  EXPECT_EQ(listener_.refusal->code, "provider");
  EXPECT_TRUE(services_.sent.empty());
}

TEST_F(ProviderFlowTest, ProviderDown) {
  start();
  services_.answer(Error{ErrorKind::kSystem, 0, "cannot reach idp.example: Connection refused"});
  ASSERT_TRUE(listener_.refusal);
  EXPECT_NE(listener_.refusal->message.find("Connection refused"), std::string::npos);
  EXPECT_FALSE(listener_.refusal->hint.empty());
}

TEST_F(ProviderFlowTest, Cancelled) {
  start();
  flow_.reset();
  EXPECT_EQ(services_.cancelled.size(), 1U);
  start();
  services_.answer(200, kProviderDocument);
  flow_.reset();
  EXPECT_EQ(services_.cancelled.size(), 2U);
  EXPECT_EQ(listener_.ends, 0);
}

}  // namespace
}  // namespace qf
