// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/machine_flow.h"

#include <sys/socket.h>

#include <filesystem>

#include "libqf/unix_socket.h"
#include "tests/unit/tokend_fakes.h"

namespace qf {
namespace {

class MachineFlowTest : public ::testing::Test {
 protected:
  MachineFlowTest() {
    char folder[] = "/tmp/qf-machine-XXXXXX";
    folder_ = ::mkdtemp(folder);
    path_ = folder_ + "/machine-issuer.sock";
    record_ = corp();
    record_.flow = LoginFlow::kMachine;
  }
  ~MachineFlowTest() override { std::filesystem::remove_all(folder_); }

  // A machine issuer that the test plays.
  void listen() { listener_fd_ = std::move(*listen_unix(path_, 0600)); }
  void start() {
    flow_ = std::make_unique<MachineFlow>(record_, "qf1.n", std::vector{folder_ + "/none.sock", path_},
                                          services_, listener_);
    flow_->start();
  }
  void turn() {
    std::vector<pollfd> polled;
    flow_->add(polled);
    ::poll(polled.data(), polled.size(), 1000);
    flow_->event(polled);
  }
  std::string request() {
    turn();
    issuer_ = Fd(::accept(listener_fd_.get(), nullptr, nullptr));
    char buffer[4096];
    ssize_t n = ::recv(issuer_.get(), buffer, sizeof buffer, 0);
    return std::string(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  }
  void answer(const std::string& text) { EXPECT_TRUE(write_all(issuer_.get(), text)); }

  std::string folder_, path_;
  LoginRecord record_;
  Fd listener_fd_, issuer_;
  FakeServices services_;
  FakeListener listener_;
  std::unique_ptr<MachineFlow> flow_;
};

TEST_F(MachineFlowTest, Token) {
  listen();
  start();
  EXPECT_EQ(request(), R"({"version":1,"op":"issue","issuer":"https://idp.example",)"
                       R"("audience":"qufabric-cli","nonce":"qf1.n"})"
                       "\n");
  answer(R"({"ok":true,"tok)");
  turn();
  EXPECT_EQ(listener_.ends, 0);
  answer("en\":\"a.b.c\"}\n");
  turn();
  EXPECT_EQ(listener_.token, "a.b.c");
}

TEST_F(MachineFlowTest, NobodyThere) {
  start();
  ASSERT_TRUE(listener_.refusal);
  EXPECT_NE(listener_.refusal->hint.find("--machine-issuer"), std::string::npos);
}

TEST_F(MachineFlowTest, RefusedInItsWords) {
  listen();
  start();
  (void)request();
  answer("{\"ok\":false,\"error\":\"refused\",\"message\":\"no token to root\"}\n");
  turn();
  ASSERT_TRUE(listener_.refusal);
  EXPECT_NE(listener_.refusal->message.find("no token to root"), std::string::npos);
}

TEST_F(MachineFlowTest, BadAnswers) {
  for (const char* text : {"no json\n", "{}\n", "{\"ok\":true}\n", "{\"ok\":true,\"token\":\"\"}\n"}) {
    listener_ = {};
    listen();
    start();
    (void)request();
    answer(text);
    turn();
    EXPECT_TRUE(listener_.refusal) << text;
  }
}

TEST_F(MachineFlowTest, HangsUp) {
  listen();
  start();
  (void)request();
  issuer_.reset();
  turn();
  ASSERT_TRUE(listener_.refusal);
}

TEST_F(MachineFlowTest, Hangs) {
  listen();
  start();
  (void)request();
  services_.pass(5);
  EXPECT_LE(flow_->deadline(), services_.now());
  flow_->event({});
  ASSERT_TRUE(listener_.refusal);
  EXPECT_NE(listener_.refusal->message.find("does not answer"), std::string::npos);
}

TEST_F(MachineFlowTest, TooLongAnAnswer) {
  listen();
  start();
  (void)request();
  for (int i = 0; i < 20 && listener_.ends == 0; ++i) {
    answer(std::string(8192, 'x'));
    turn();
  }
  ASSERT_TRUE(listener_.refusal);
}

}  // namespace
}  // namespace qf
