// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/signal_sender.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <thread>

namespace qf {
namespace {

// A process group of its own that writes a byte for each signal that it gets.
class SignalSenderTest : public ::testing::Test {
 protected:
  SignalSenderTest() {
    auto pipe = make_pipe();
    if (!pipe) std::abort();
    sigset_t signals;
    ::sigemptyset(&signals);
    for (int number : {SIGUSR1, SIGUSR2}) ::sigaddset(&signals, number);
    ::sigprocmask(SIG_BLOCK, &signals, &old_mask_);
    target_ = ::fork();
    if (target_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setpgid(0, 0);
      static_cast<void>(!::write(pipe->second.get(), "0", 1));
      for (int number = 0; ::sigwait(&signals, &number) == 0;)
        static_cast<void>(!::write(pipe->second.get(), number == SIGUSR1 ? "1" : "2", 1));
      ::_exit(0);
    }
    ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
    out_ = std::move(pipe->first);
    EXPECT_EQ(next(), '0');
  }
  ~SignalSenderTest() override {
    ::kill(target_, SIGKILL);
    ::waitpid(target_, nullptr, 0);
  }
  // The next byte, while the sender has its turns; 0 after two seconds without one.
  char next() {
    Deadline until = Clock::now() + std::chrono::seconds(2);
    while (Clock::now() < until) {
      pollfd polled[] = {{sender_.fd(), POLLIN, 0}, {out_.get(), POLLIN, 0}};
      ::poll(polled, 2, poll_timeout(std::min(sender_.deadline(), until)));
      char byte = 0;
      if (polled[1].revents != 0 && ::read(out_.get(), &byte, 1) == 1) return byte;
      if (polled[0].revents == 0 && Clock::now() < sender_.deadline()) continue;
      while (pending() && Clock::now() < until) ::usleep(1000);
      sender_.turn();
    }
    return 0;
  }
  // Whether the target has still to take a signal, with which the kernel would merge the next one.
  [[nodiscard]] bool pending() const {
    auto status = read_file("/proc/" + std::to_string(target_) + "/status", 1 << 16);
    size_t at = status ? status->find("ShdPnd:") : std::string::npos;
    if (at == std::string::npos) return false;
    std::string mask = status->substr(at + 7, status->find('\n', at) - at - 7);
    return mask.find_first_not_of("0 \t") != std::string::npos;
  }
  // The processes below us but the target.
  [[nodiscard]] std::set<pid_t> children() const {
    std::set<pid_t> pids;
    auto text = read_file("/proc/self/task/" + std::to_string(::gettid()) + "/children", 1 << 16);
    if (!text) return pids;
    for (size_t at = 0; at < text->size(); at = text->find(' ', at) + 1) {
      pid_t pid = std::atoi(text->c_str() + at);
      if (pid != target_) pids.insert(pid);
    }
    return pids;
  }

  SignalSender sender_{false};
  Account account_;
  Fd out_;
  pid_t target_ = -1;
  sigset_t old_mask_ = {};
};

TEST_F(SignalSenderTest, ArriveInOrder) {
  for (int number : {SIGUSR1, SIGUSR2, SIGUSR2, SIGUSR1}) sender_.send(account_, target_, number);
  for (char expected : {'1', '2', '2', '1'}) EXPECT_EQ(next(), expected);
  EXPECT_EQ(next(), 0);
  EXPECT_TRUE(children().empty());
  EXPECT_EQ(sender_.deadline(), Deadline::max()) << "nothing to wake up for";
}

TEST_F(SignalSenderTest, AFloodIsCutAndStartsOneChildAtATime) {
  for (int i = 0; i < 5000; ++i) {
    sender_.send(account_, target_, SIGUSR1);
    ASSERT_LE(children().size(), 1U);
  }
  size_t arrived = 0;
  while (next() == '1') ++arrived;
  EXPECT_GE(arrived, 1U);
  // one that was started at once, and those that waited; the kernel merges pending ones
  EXPECT_LE(arrived, SignalSender::kMostWaiting + 100);
}

TEST_F(SignalSenderTest, AnEndedSessionGetsNone) {
  sender_.send(account_, target_, SIGUSR1);
  EXPECT_EQ(next(), '1');
  // at once after another one, so this one waits
  sender_.send(account_, target_, SIGUSR1);
  sender_.send(account_, target_, SIGUSR2);
  sender_.forget(target_);
  for (char byte = next(); byte != 0; byte = next()) EXPECT_EQ(byte, '1');
}

// Its user may stop the child. That must cost nothing but the time of one signal.
TEST_F(SignalSenderTest, AStoppedChildIsKilledAndTheNextSignalArrives) {
  bool stopped = false;
  for (int i = 0; i < 200 && !stopped; ++i) {
    sender_.send(account_, target_, SIGUSR1);
    for (pid_t pid : children()) {
      if (::kill(pid, SIGSTOP) != 0) continue;
      siginfo_t info = {};
      // it may have been quicker
      stopped = ::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WEXITED | WNOWAIT) == 0 &&
                info.si_code == CLD_STOPPED;
    }
    if (!stopped) static_cast<void>(next());
  }
  if (!stopped) GTEST_SKIP() << "no child could be stopped in time";
  auto before = Clock::now();
  sender_.send(account_, target_, SIGUSR2);
  EXPECT_LT(Clock::now() - before, std::chrono::milliseconds(200)) << "sending waits for nobody";
  char byte = 0;
  for (int i = 0; i < 50 && byte != '2'; ++i) byte = next();
  EXPECT_EQ(byte, '2');
}

}  // namespace
}  // namespace qf
