// SPDX-License-Identifier: Apache-2.0
// libqf/login_screen. (Here and not in the group of libqf, since only programs that ask people link
// libqrencode.)
#include "libqf/login_screen.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>

#include "libqf/text.h"

namespace qf {
namespace {

constexpr const char* kBlock = "\u2588";      // both modules light
constexpr const char* kLowerHalf = "\u2584";  // the lower one light
constexpr size_t kZone = 2;                   // modules

// The characters of a row.
std::vector<std::string> letters(const std::string& row) {
  std::vector<std::string> out;
  for (std::string_view rest = row; !rest.empty();) {
    size_t length = utf8_length(rest);
    if (length == 0) {
      ADD_FAILURE() << "no UTF-8";
      break;
    }
    out.emplace_back(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  return out;
}

TEST(QrCode, Dimensions) {
  for (size_t length : {1U, 17U, 18U, 100U, 300U, 512U}) {
    auto rows = qr_code(std::string(length, 'x'));
    ASSERT_FALSE(rows.empty()) << length;
    size_t columns = letters(rows[0]).size();
    size_t width = columns - 2 * kZone;  // ISO/IEC 18004: 17 modules and 4 for each version
    EXPECT_EQ(width % 4, 1U);
    EXPECT_GE(width, 21U);
    EXPECT_LE(width, 177U);
    EXPECT_EQ(rows.size(), (columns + 1) / 2) << "two modules in each row of text";
    for (const auto& row : rows) EXPECT_EQ(letters(row).size(), columns);
  }
  EXPECT_EQ(letters(qr_code(std::string(17, 'x'))[0]).size(), 21 + 2 * kZone) << "version 1 holds 17 bytes";
  EXPECT_EQ(letters(qr_code(std::string(18, 'x'))[0]).size(), 25 + 2 * kZone);
}

TEST(QrCode, QuietZoneAndFinderPattern) {
  auto rows = qr_code("https://idp.example/device?user_code=ABCD-EFGH");
  ASSERT_GE(rows.size(), 5U);
  for (const auto& letter : letters(rows[0])) EXPECT_EQ(letter, kBlock);
  for (const auto& row : rows) {
    auto line = letters(row);
    for (size_t i = 0; i < kZone; ++i) {
      EXPECT_EQ(line[i], kBlock);
      EXPECT_EQ(line[line.size() - 1 - i], kBlock);
    }
  }
  // Its upper left corner: a dark frame of seven modules with a light one inside.
  auto line = letters(rows[1]);
  std::vector<std::string> frame(line.begin() + 2, line.begin() + 10);
  EXPECT_EQ(frame, (std::vector<std::string>{" ", kLowerHalf, kLowerHalf, kLowerHalf, kLowerHalf, kLowerHalf,
                                             " ", kBlock}));
}

TEST(QrCode, NothingAndTooMuch) {
  EXPECT_TRUE(qr_code("").empty());
  EXPECT_FALSE(qr_code(std::string(512, 'x')).empty());
  EXPECT_TRUE(qr_code(std::string(513, 'x')).empty());
  EXPECT_TRUE(qr_code(std::string(100'000, 'x')).empty());
}

TEST(LoginScreenTest, Seconds) {
  EXPECT_EQ(describe_seconds(0), "0 s");
  EXPECT_EQ(describe_seconds(119), "119 s");
  EXPECT_EQ(describe_seconds(120), "2 min");
  EXPECT_EQ(describe_seconds(7199), "119 min");
  EXPECT_EQ(describe_seconds(7200), "2 h");
  EXPECT_EQ(describe_seconds(10'800), "3 h");
}

// stderr is a terminal of 100 columns and 50 rows for as long as this lives.
class FakeTerminal {
 public:
  FakeTerminal() {
    winsize size = {50, 100, 0, 0};
    int master = -1, slave = -1;
    if (::openpty(&master, &slave, nullptr, nullptr, &size) != 0) std::abort();
    master_ = Fd(master);
    Fd terminal(slave);
    saved_ = std::move(*duplicate(STDERR_FILENO));
    ::dup2(terminal.get(), STDERR_FILENO);
    for (const char* name : {"TERM", "LC_ALL", "BROWSER", "PATH"}) {
      const char* value = ::getenv(name);
      variables_.emplace_back(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
    }
    ::setenv("TERM", "xterm", 1);
    ::setenv("LC_ALL", "C.UTF-8", 1);
  }
  ~FakeTerminal() {
    ::dup2(saved_.get(), STDERR_FILENO);
    for (const auto& [name, value] : variables_) {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
  }
  FakeTerminal(const FakeTerminal&) = delete;
  FakeTerminal& operator=(const FakeTerminal&) = delete;

  // What was written since the last time.
  std::string seen() {
    std::string text;
    char buffer[4096];
    pollfd ready = {master_.get(), POLLIN, 0};
    while (::poll(&ready, 1, 50) == 1) {
      ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
      if (n <= 0) break;
      text.append(buffer, static_cast<size_t>(n));
    }
    std::erase(text, '\r');
    return text;
  }

 private:
  Fd master_, saved_;
  std::vector<std::pair<std::string, std::optional<std::string>>> variables_;
};

class LoginScreenOnTerminal : public ::testing::Test {
 protected:
  void show(const std::string& event) {
    auto json = parse_json(event);
    ASSERT_TRUE(json) << event;
    screen_.show(json->get());
  }
  bool shows(const std::string& text) {
    text_ += fake_.seen();
    return text_.find(text) != std::string::npos;
  }

  FakeTerminal fake_;
  Terminal terminal_ = Terminal::find();
  LoginScreen screen_{terminal_, "qf-proxy: "};
  std::string text_;
};

TEST_F(LoginScreenOnTerminal, ADevicesCode) {
  EXPECT_FALSE(screen_.prompted());
  show(R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/d","user_code":"AB-CD",)"
       R"("verification_uri_complete":"https://idp.example/d?c=AB-CD","expires_in":125})");
  EXPECT_TRUE(screen_.prompted());
  EXPECT_TRUE(shows("qf-proxy: to log in at corp, open https://idp.example/d and enter the code AB-CD\n"))
      << text_;
  EXPECT_TRUE(shows("or open https://idp.example/d?c=AB-CD\n"));
  for (const auto& row : qr_code("https://idp.example/d?c=AB-CD")) EXPECT_TRUE(shows(row));
  EXPECT_TRUE(shows("2:0")) << "the countdown: " << text_;
  EXPECT_TRUE(shows("Ctrl-C gives up"));
  EXPECT_LE(screen_.next_tick(), Clock::now() + std::chrono::seconds(1));
  show(R"({"event":"approved","issuer":"corp","subject":"ann"})");
  EXPECT_TRUE(shows("qf-proxy: the login at corp was approved, you are ann\n"));
  EXPECT_EQ(screen_.next_tick(), Deadline::max());
}

TEST_F(LoginScreenOnTerminal, ThisMachinesBrowser) {
  show(R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/a?x","expires_in":600})");
  EXPECT_TRUE(shows("to log in at corp, open in a browser of this machine\nhttps://idp.example/a?x\n"))
      << text_;
  EXPECT_FALSE(shows(kBlock)) << "a phone could not follow the redirect";
}

TEST_F(LoginScreenOnTerminal, ABrowserThatCannotBeOpenedIsNoEnd) {
  ::setenv("BROWSER", "", 1);
  ::setenv("PATH", "/nonexistent", 1);
  show(R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/a","open":true})");
  EXPECT_TRUE(shows("no browser could be opened")) << text_;
  EXPECT_TRUE(shows("\nhttps://idp.example/a\n"));
}

TEST_F(LoginScreenOnTerminal, NothingFromOutsideControlsTheTerminal) {
  show("{\"event\":\"notice\",\"message\":\"a\\u001b[2Jb\\nc\"}");
  EXPECT_TRUE(shows("qf-proxy: a?[2Jb?c\n")) << text_;
  show(R"({"event":"later","message":"unknown"})");
  show(R"({})");
  EXPECT_FALSE(shows("unknown"));
  EXPECT_FALSE(screen_.prompted());
}

TEST_F(LoginScreenOnTerminal, TheCountdownIsTakenAwayBeforeAnythingElse) {
  show(R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/d","user_code":"A",)"
       R"("expires_in":100})");
  EXPECT_TRUE(shows("1:40 left"));
  text_.clear();
  show(R"({"event":"notice","message":"slow"})");
  EXPECT_TRUE(shows("\x1b[Kqf-proxy: slow\n")) << text_;
  EXPECT_NE(screen_.next_tick(), Deadline::max()) << "it goes on below";
  screen_.tick();
  EXPECT_TRUE(shows("left; Ctrl-C"));
}

TEST_F(LoginScreenOnTerminal, NoCodeWithoutUtf8) {
  ::setenv("LC_ALL", "C", 1);
  show(R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/d","user_code":"A",)"
       R"("verification_uri_complete":"https://idp.example/d?c=A"})");
  EXPECT_TRUE(shows("or open https://idp.example/d?c=A"));
  EXPECT_FALSE(shows(kBlock));
}

TEST_F(LoginScreenOnTerminal, NoCodeThatDoesNotFit) {
  winsize small = {16, 100, 0, 0};
  ASSERT_EQ(::ioctl(STDERR_FILENO, TIOCSWINSZ, &small), 0);
  show(R"({"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/d","user_code":"A",)"
       R"("verification_uri_complete":"https://idp.example/d?c=A"})");
  EXPECT_TRUE(shows("or open https://idp.example/d?c=A"));
  EXPECT_FALSE(shows(kBlock));
}

}  // namespace
}  // namespace qf
