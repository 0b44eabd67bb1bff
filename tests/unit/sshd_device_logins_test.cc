// SPDX-License-Identifier: Apache-2.0
// Device logins without their provider: the monitor's steps (monitor_device_login.h) and the listener's
// limits (listener_device_logins.h).
#include "qf-sshd/listener_device_logins.h"

#include <gtest/gtest.h>

#include "qf-sshd/listener_messages.h"
#include "qf-sshd/monitor_device_login.h"

namespace qf::test {
namespace {

using Do = DeviceLogin::Do;
using std::chrono::seconds;

DeviceLogin::Issuer issuer(const std::string& name) {
  return {name, "https://" + name + ".example/", {"peers", std::nullopt, {"openid"}}, std::nullopt, {}};
}
const DeviceLoginPrompt kCode = {0, "https://corp.example/device", "https://corp.example/device?c=AAAA",
                                 "AAAA", 600};

class Steps : public ::testing::Test {
 protected:
  DeviceLogin login_{{"db1", "100.119.4.2", 300}};
  DeviceLogin::Step end(const std::string& token, const std::string& error = "") {
    DeviceLoginEnd end{0, token, error, error.empty() ? "" : "do"};
    auto step = login_.end(end);
    EXPECT_TRUE(end.token.empty()) << "it is wiped";
    return step;
  }
};

TEST_F(Steps, OneIssuer) {
  auto step = login_.begin({issuer("corp")}, "deploy");
  ASSERT_EQ(step.what, Do::kStart);
  EXPECT_EQ(step.start->client_id, "peers");
  EXPECT_TRUE(login_.owes());
  step = login_.prompt(kCode);
  ASSERT_EQ(step.what, Do::kAsk);
  for (const char* part :
       {"db1", "deploy", "100.119.4.2", "5 minutes", "AAAA", "https://corp.example/device?c=AAAA"})
    EXPECT_NE(step.instruction.find(part), std::string::npos) << part;
  EXPECT_NE(step.prompt.find("AAAA at https://corp.example/device "), std::string::npos);
  EXPECT_FALSE(login_.owes());
  EXPECT_TRUE(login_.under_way());
  EXPECT_EQ(login_.answer("").what, Do::kWait);
  EXPECT_TRUE(login_.owes());
  step = end("jwt");
  ASSERT_EQ(step.what, Do::kCheck);
  EXPECT_EQ(step.token.reveal(), "jwt");
  EXPECT_FALSE(login_.under_way());
}

TEST_F(Steps, WhatComesWhileThePersonReadsIsKept) {
  static_cast<void>(login_.begin({issuer("corp")}, "deploy"));
  static_cast<void>(login_.prompt(kCode));
  auto step = end("jwt");
  EXPECT_EQ(step.what, Do::kWait);
  EXPECT_TRUE(step.text.empty());
  EXPECT_FALSE(login_.under_way());
  EXPECT_EQ(login_.answer("").what, Do::kCheck);
}

TEST_F(Steps, RefusalsAtEachStep) {
  static_cast<void>(login_.begin({issuer("corp")}, "deploy"));
  auto step = end("", "down");
  ASSERT_EQ(step.what, Do::kFail);
  EXPECT_EQ(step.text, "down");
  EXPECT_EQ(step.hint, "do");
  DeviceLogin other({"db1", "100.119.4.2", 300});
  static_cast<void>(other.begin({issuer("corp")}, "deploy"));
  static_cast<void>(other.prompt(kCode));
  DeviceLoginEnd denied{0, "", "denied", ""};
  EXPECT_EQ(other.end(denied).what, Do::kWait);
  EXPECT_EQ(other.answer("").what, Do::kFail);
}

TEST_F(Steps, TheIssuerIsChosenByNumberOrName) {
  auto step = login_.begin({issuer("corp"), issuer("other")}, "deploy");
  ASSERT_EQ(step.what, Do::kAsk);
  for (const char* wrong : {"", "0", "3", "-1", "x", "99999999999999999999", "corp other"})
    EXPECT_EQ(login_.answer(wrong).what, Do::kAsk) << wrong;
  step = login_.answer(" 2 ");
  ASSERT_EQ(step.what, Do::kStart);
  EXPECT_EQ(login_.issuer().name, "other");
  DeviceLogin named({"db1", "100.119.4.2", 300});
  static_cast<void>(named.begin({issuer("corp"), issuer("other")}, "deploy"));
  EXPECT_EQ(named.answer("other").what, Do::kStart);
}

TEST_F(Steps, ManyIssuersFit) {
  std::vector<DeviceLogin::Issuer> many;
  for (int i = 0; i < 500; ++i) {
    many.push_back(issuer("issuer" + std::to_string(i)));
    many.back().url += std::string(1000, 'x');
  }
  auto step = login_.begin(many, std::string(256, 'u'));
  ASSERT_EQ(step.what, Do::kAsk);
  AuthReply reply{AuthVerdict::kAsk, "", false, step.instruction, step.prompt};
  EXPECT_LE(encode(reply).size(), AuthReply::kMostBytes);
  EXPECT_NE(step.instruction.find(" more"), std::string::npos);
  EXPECT_EQ(login_.answer("issuer499").what, Do::kStart);
}

TEST_F(Steps, TheLongestPromptFits) {
  DeviceLoginPrompt longest{~uint64_t{0}, std::string(2048, 'v'), std::string(2048, 'w'),
                            std::string(32, 'c'), 1800};
  EXPECT_LE(encode(longest).size(), DeviceLoginPrompt::kMostBytes);
  DeviceLogin login({std::string(253, 'p'), "fd00:1111:2222:3333:4444:5555:6666:7777", 1800});
  static_cast<void>(login.begin({issuer("corp")}, std::string(256, 'u')));
  auto step = login.prompt(longest);
  ASSERT_EQ(step.what, Do::kAsk);
  AuthReply reply{AuthVerdict::kAsk, "", false, step.instruction, step.prompt};
  EXPECT_LE(encode(reply).size(), AuthReply::kMostBytes);
}

// It would be refused by the listener, and the person would wait for nothing.
TEST_F(Steps, WhatDoesNotFitIsRefused) {
  auto corp = issuer("corp");
  corp.others.assign(200, std::string(1000, 'x'));
  auto step = login_.begin({corp}, "deploy");
  ASSERT_EQ(step.what, Do::kFail);
  EXPECT_NE(step.text.find("more issuers"), std::string::npos);
  EXPECT_FALSE(login_.under_way());
}

TEST_F(Steps, AskedAnewTheSameCodeIsShown) {
  static_cast<void>(login_.begin({issuer("corp")}, "deploy"));
  static_cast<void>(login_.prompt(kCode));
  EXPECT_EQ(login_.begin({issuer("corp")}, "deploy").what, Do::kAsk);
  // the code was shown for another user
  EXPECT_EQ(login_.begin({issuer("corp")}, "root").what, Do::kFault);
}

TEST_F(Steps, WhatIsOutOfTurn) {
  EXPECT_EQ(login_.answer("").what, Do::kFault);
  EXPECT_EQ(login_.prompt(kCode).what, Do::kFault);
  EXPECT_EQ(end("jwt").what, Do::kFault);
  static_cast<void>(login_.begin({issuer("corp")}, "deploy"));
  EXPECT_EQ(login_.answer("").what, Do::kFault);
  EXPECT_EQ(login_.begin({issuer("corp")}, "deploy").what, Do::kFault);
  static_cast<void>(login_.prompt(kCode));
  EXPECT_EQ(login_.prompt(kCode).what, Do::kFault);
  static_cast<void>(login_.answer(""));
  EXPECT_EQ(login_.answer("").what, Do::kFault);
  static_cast<void>(end("jwt"));
  EXPECT_EQ(login_.begin({issuer("corp")}, "deploy").what, Do::kFault);
  EXPECT_EQ(end("jwt").what, Do::kFault);
}

// ---- the listener -----------------------------------------------------------------------------------------

class Limits : public ::testing::Test {
 protected:
  Limits() {
    settings_.most_device_logins = 3;
    settings_.most_source_device_logins = 2;
  }
  void start(uint64_t number, const std::string& network) { logins_.start(number, network, {}, now_); }
  template <class T>
  bool says(const T& message) {
    Message out;
    out.type = static_cast<uint32_t>(T::kType);
    out.body = encode(message);
    return logins_.hear_keyfetch(out);
  }
  [[nodiscard]] std::string last_error() const { return ended_.empty() ? "" : ended_.back().error; }

  Settings settings_;
  Deadline now_ = Clock::now();
  bool runs_ = true;
  std::vector<uint64_t> started_, cancelled_, prompted_;
  std::vector<DeviceLoginEnd> ended_;
  DeviceLogins logins_{settings_,
                       {[this](const DeviceLoginStart& start) {
                          if (runs_) started_.push_back(start.number);
                          return runs_;
                        },
                        [this](const DeviceLoginCancel& cancel) { cancelled_.push_back(cancel.number); },
                        [this](const DeviceLoginPrompt& prompt) { prompted_.push_back(prompt.number); },
                        [this](const DeviceLoginEnd& end) { ended_.push_back(end); }}};
};

TEST_F(Limits, OfOneSourceAndInAll) {
  start(1, "a");
  start(2, "a");
  start(3, "a");
  EXPECT_NE(last_error().find("of your source address"), std::string::npos);
  start(4, "b");
  start(5, "c");
  EXPECT_NE(last_error().find("too many people"), std::string::npos);
  EXPECT_EQ(started_, (std::vector<uint64_t>{1, 2, 4}));
}

TEST_F(Limits, WhoGivesUpMakesRoomAfterAPause) {
  start(1, "a");
  start(2, "a");
  logins_.give_up(1);
  logins_.give_up(1);
  EXPECT_EQ(cancelled_, std::vector<uint64_t>{1});
  EXPECT_FALSE(logins_.waits(1));
  start(3, "a");
  EXPECT_EQ(started_.size(), 2U);
  now_ += kDeviceLoginPause;
  start(4, "a");
  EXPECT_EQ(started_.back(), 4U);
}

TEST_F(Limits, WhoHasLoggedInMakesRoomAtOnce) {
  start(1, "a");
  start(2, "a");
  EXPECT_TRUE(says(DeviceLoginPrompt{1, "u", "", "c", 60}));
  EXPECT_EQ(prompted_, std::vector<uint64_t>{1});
  EXPECT_TRUE(says(DeviceLoginEnd{1, "jwt", "", ""}));
  EXPECT_EQ(ended_.back().token, "jwt");
  start(3, "a");
  EXPECT_EQ(started_.back(), 3U);
}

TEST_F(Limits, ARefusalDoesNotMakeRoomAtOnce) {
  start(1, "a");
  start(2, "a");
  EXPECT_TRUE(says(DeviceLoginEnd{1, "", "denied", ""}));
  start(3, "a");
  EXPECT_EQ(started_.size(), 2U);
}

TEST_F(Limits, OneAConnection) {
  start(1, "a");
  start(1, "a");
  EXPECT_EQ(last_error(), "this connection has had its login");
}

TEST_F(Limits, WhatComesForNobodyIsDropped) {
  EXPECT_TRUE(says(DeviceLoginPrompt{7, "u", "", "c", 60}));
  EXPECT_TRUE(says(DeviceLoginEnd{7, "jwt", "", ""}));
  EXPECT_FALSE(says(DeviceLoginCancel{7})) << "not keyfetch's to say";
  EXPECT_TRUE(prompted_.empty());
  EXPECT_TRUE(ended_.empty());
}

TEST_F(Limits, KeyfetchThatDoesNotRunOrEnds) {
  runs_ = false;
  start(1, "a");
  EXPECT_NE(last_error().find("cannot reach"), std::string::npos);
  runs_ = true;
  start(2, "a");
  logins_.keyfetch_ended();
  logins_.keyfetch_ended();
  EXPECT_EQ(ended_.size(), 2U);
  EXPECT_NE(last_error().find("has ended"), std::string::npos);
}

}  // namespace
}  // namespace qf::test
