// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/login.h"

#include <fcntl.h>

#include "qf-proxy/outer_session.h"
#include "tests/unit/detect_tools.h"

namespace qf {
namespace {

using test::FakeTokend;

constexpr const char* kGood =
    R"({"ok":true,"certificate":"ssh-ed25519-cert-v01@openssh.com AAAA","key_file":"/k"})";
constexpr const char* kPrompt =
    R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp/d","user_code":"AB-CD","expires_in":600})";

// A client whose stdio are two pipes, and no terminal: Terminal() shows nothing.
class Login : public ::testing::Test {
 protected:
  Login() : up_(*make_pipe()), down_(*make_pipe()) {}

  Result<IssuedCredential, Trouble> ask(const std::string& answer) {
    FakeTokend daemon(scratch_.path("run"), answer.empty()
                                                ? std::map<std::string, std::string>{}
                                                : std::map<std::string, std::string>{{"credential", answer}});
    LoginRequest request{"db1", "db1.fabric.example", [this] { ++slow_; }};
    auto folders = find_folders(scratch_.path(), scratch_.path(), scratch_.path("run"));
    auto got = get_credential(folders, request, Terminal(), ClientWatch(up_.first.get(), down_.second.get()));
    heard_ = daemon.heard();
    ::unlink(scratch_.path("run/tokend.sock").c_str());
    return got;
  }

  test::Scratch scratch_;
  FdPair up_, down_;
  int slow_ = 0;
  std::vector<std::string> heard_;
};

TEST_F(Login, ACachedTokenIsQuick) {
  auto got = ask(kGood);
  ASSERT_TRUE(got) << got.error().text;
  EXPECT_EQ(got->certificate, "ssh-ed25519-cert-v01@openssh.com AAAA");
  EXPECT_EQ(got->key_file, "/k");
  EXPECT_EQ(slow_, 0) << "the connection that stands is used";
  ASSERT_EQ(heard_.size(), 1U);
  auto request = parse_json(heard_[0]);
  ASSERT_TRUE(request);
  EXPECT_EQ(json_integer(request->get(), "version"), 1);
  EXPECT_EQ(json_string(request->get(), "peer"), "db1");
  EXPECT_EQ(json_string(request->get(), "host"), "db1.fabric.example");
  EXPECT_EQ(json_bool(request->get(), "interactive"), false) << "no terminal";
}

TEST_F(Login, APromptMeansThatItTakesLonger) {
  auto got = ask(std::string(kPrompt) + "\n" + kPrompt + "\n" + kGood);
  ASSERT_TRUE(got) << got.error().text;
  EXPECT_EQ(slow_, 1);
}

TEST_F(Login, UnknownEventsAreSkipped) {
  EXPECT_TRUE(ask(R"({"event":"something new"})"
                  "\n" +
                  std::string(kGood)));
}

TEST_F(Login, WithoutATerminalItNamesTheCommand) {
  auto got = ask(R"({"ok":false,"error":"login_required","message":"a person must log in"})");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().exit_code, 1);
  EXPECT_NE(got.error().text.find("no terminal"), std::string::npos);
  EXPECT_NE(got.error().hint.find("qf-token login"), std::string::npos);
}

TEST_F(Login, RefusalsKeepTheirWords) {
  auto got = ask(R"({"ok":false,"error":"access_denied","message":"you said no","hint":"say yes"})");
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().text.find("you said no"), std::string::npos);
  EXPECT_EQ(got.error().hint, "say yes");
  got = ask(R"({"ok":false,"error":"provider"})");
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().text.find("provider"), std::string::npos);
  EXPECT_FALSE(got.error().hint.empty());
}

TEST_F(Login, AnswersThatAreNone) {
  for (const auto* answer : {"", "{", "[]", "{}", R"({"ok":true})", R"({"ok":true,"certificate":"x"})"}) {
    auto got = ask(answer);
    ASSERT_FALSE(got) << answer;
    EXPECT_FALSE(got.error().text.empty()) << answer;
    EXPECT_FALSE(got.error().hint.empty()) << answer;
  }
}

TEST_F(Login, AClientThatLeavesEndsTheWaiting) {
  FakeTokend daemon(scratch_.path("run"), {{"credential", kPrompt}});
  auto folders = find_folders(scratch_.path(), scratch_.path(), scratch_.path("run"));
  std::thread client([&] {
    auto deadline = test::in_seconds(5);
    while (daemon.heard().empty() && Clock::now() < deadline) std::this_thread::yield();
    up_.second.reset();
  });
  auto got = get_credential(folders, {"db1", "db1", {}}, Terminal(),
                            ClientWatch(up_.first.get(), down_.second.get()));
  client.join();
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().text.empty()) << "nobody is left to tell";
}

TEST(ClientWatch, SeesEitherEndLeaveAndNothingElse) {
  for (bool pipes : {true, false}) {
    auto near = pipes ? make_pipe() : make_socketpair(SOCK_STREAM);
    auto down = make_pipe(), event = make_pipe();
    int in = near->first.get();
    ClientWatch watch(in, down->second.get());
    auto soon = [] { return Clock::now() + std::chrono::milliseconds(20); };
    // what the client has sent already is no reason to wake
    ASSERT_TRUE(write_all(near->second.get(), "SSH-2.0-x\r\n"));
    auto wake = watch.wait(event->first.get(), POLLIN, soon());
    ASSERT_TRUE(wake);
    EXPECT_EQ(*wake, ClientWatch::Wake::kTimeout);
    ASSERT_TRUE(write_all(event->second.get(), "x"));
    wake = watch.wait(event->first.get(), POLLIN, test::in_seconds(5));
    ASSERT_TRUE(wake);
    EXPECT_EQ(*wake, ClientWatch::Wake::kReady);
    near->second.reset();
    EXPECT_FALSE(watch.wait(event->first.get(), POLLIN, test::in_seconds(5)));
  }
  auto up = make_pipe(), down = make_pipe();
  down->first.reset();
  EXPECT_FALSE(ClientWatch(up->first.get(), down->second.get()).wait(-1, 0, test::in_seconds(5)));
}

TEST(HostKeyAlgorithms, PinnedTypesComeFirst) {
  EXPECT_TRUE(host_key_algorithms({"ssh-rsa AAAA", "ssh-ed25519 AAAA"})
                  .starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256,"));
  EXPECT_TRUE(host_key_algorithms({"ecdsa-sha2-nistp384 AAAA", "ecdsa-sha2-nistp384 BBBB"})
                  .starts_with("ecdsa-sha2-nistp384,ssh-ed25519,"));
  EXPECT_EQ(host_key_algorithms({}), host_key_algorithms({"ssh-ed25519 AAAA"}));
  EXPECT_EQ(host_key_algorithms({"ssh-rsa A"}).find("ssh-rsa"), std::string::npos) << "never SHA-1";
}

}  // namespace
}  // namespace qf
