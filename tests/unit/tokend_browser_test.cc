// SPDX-License-Identifier: Apache-2.0
// libqf/browser, which is linked with libqf/login_screen (see tokend_login_screen_test.cc).
#include "libqf/browser.h"
#include "tests/unit/libqf_tools.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace qf {
namespace {

class BrowserTest : public ::testing::Test {
 protected:
  BrowserTest() {
    for (const char* name : kVariables) {
      const char* value = ::getenv(name);
      saved_.push_back(value == nullptr ? std::nullopt : std::optional<std::string>(value));
      ::unsetenv(name);
    }
    for (const char* name : {"/first", "/second"}) std::filesystem::create_directory(folder_ + name);
    ::setenv("PATH", (folder_ + "/first:" + folder_ + "/second").c_str(), 1);
  }
  ~BrowserTest() override {
    for (size_t i = 0; i < std::size(kVariables); ++i) {
      if (saved_[i]) {
        ::setenv(kVariables[i], saved_[i]->c_str(), 1);
      } else {
        ::unsetenv(kVariables[i]);
      }
    }
  }

  // A program that writes what it is given into the file "opened".
  std::string program(const std::string& name, mode_t mode = 0755) {
    std::string path = folder_ + "/" + name;
    std::ofstream(path) << "#!/bin/sh\nprintf '%s' \"$*\" >" + folder_ + "/opened.part\n/bin/mv " + folder_ +
                               "/opened.part " + folder_ + "/opened\n";
    ::chmod(path.c_str(), mode);
    return path;
  }

  static constexpr const char* kVariables[] = {"BROWSER",         "PATH",           "DISPLAY",
                                               "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY"};
  test::Scratch scratch_;
  std::string folder_ = scratch_.path();
  std::vector<std::optional<std::string>> saved_;
};

TEST_F(BrowserTest, WithoutAnything) {
  EXPECT_EQ(browser_program(), std::nullopt);
  ::setenv("BROWSER", "firefox:", 1);
  EXPECT_EQ(browser_program(), std::nullopt);
  ::unsetenv("PATH");
  EXPECT_EQ(browser_program(), std::nullopt);
  auto opened = open_browser("https://idp.example/");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kNotFound);
}

TEST_F(BrowserTest, XdgOpenIsTheDefault) {
  std::string xdg_open = program("second/xdg-open");
  EXPECT_EQ(browser_program(), xdg_open);
  ::setenv("BROWSER", "", 1);
  EXPECT_EQ(browser_program(), xdg_open);
  ::setenv("BROWSER", "missing:/missing/too", 1);
  EXPECT_EQ(browser_program(), xdg_open);
  EXPECT_EQ(browser_program(), xdg_open);
  std::string before = program("first/xdg-open");
  EXPECT_EQ(browser_program(), before) << "the first of PATH";
}

TEST_F(BrowserTest, TheFirstOfTheListThatThereIs) {
  std::string xdg_open = program("first/xdg-open");
  std::string firefox = program("second/firefox");
  std::string own = program("own browser");
  ::setenv("BROWSER", "firefox", 1);
  EXPECT_EQ(browser_program(), firefox);
  ::setenv("BROWSER", ("missing:" + own + ":firefox").c_str(), 1);
  EXPECT_EQ(browser_program(), own);
  ::setenv("BROWSER", "::firefox", 1);
  EXPECT_EQ(browser_program(), firefox);
}

TEST_F(BrowserTest, WhatIsNoProgram) {
  std::string xdg_open = program("first/xdg-open");
  std::string text = program("first/text", 0644);
  std::filesystem::create_directory(folder_ + "/first/folder");
  program("first/relative");
  std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  for (const std::string& name : {std::string("text"), text, std::string("folder"), folder_ + "/first/folder",
                                  std::string("first/relative"), std::string("./first/relative")}) {
    ::setenv("BROWSER", name.c_str(), 1);
    EXPECT_EQ(browser_program(), xdg_open) << name;
  }
  ::setenv("BROWSER", "relative", 1);
  ::setenv("PATH", "first:", 1);
  EXPECT_EQ(browser_program(), std::nullopt) << "a folder of PATH that depends on where we are";
  std::filesystem::current_path(before);
}

TEST_F(BrowserTest, OnlyWhereAPersonSits) {
  struct Case {
    const char* variable;
    const char* second;
    bool can;
  };
  program("first/xdg-open");
  for (const auto& [variable, second, can] :
       {Case{"", "", false}, Case{"DISPLAY", "", true}, Case{"WAYLAND_DISPLAY", "", true},
        Case{"DISPLAY", "WAYLAND_DISPLAY", true}, Case{"DISPLAY", "SSH_CONNECTION", false},
        Case{"WAYLAND_DISPLAY", "SSH_TTY", false}, Case{"SSH_TTY", "", false}}) {
    for (const char* name : {variable, second}) {
      if (*name != '\0') ::setenv(name, ":0", 1);
    }
    EXPECT_EQ(can_open_browser(), can) << variable << " " << second;
    for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY"}) ::unsetenv(name);
  }
  ::setenv("DISPLAY", "", 1);
  EXPECT_FALSE(can_open_browser());
  ::setenv("DISPLAY", ":0", 1);
  std::filesystem::remove(folder_ + "/first/xdg-open");
  EXPECT_FALSE(can_open_browser());
}

TEST_F(BrowserTest, Opens) {
  program("first/xdg-open");
  const std::string url = "https://idp.example/auth?a=b&c=$(d)";
  auto child = open_browser(url);
  ASSERT_TRUE(child) << child.error().text();
  auto status = child->wait(Clock::now() + std::chrono::seconds(20));
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 0);
  EXPECT_EQ(read_file(folder_ + "/opened", 4096).operator*(), url);
}

TEST_F(BrowserTest, OnlyPagesThatAreOurs) {
  program("first/xdg-open");
  for (const char* url :
       {"http://127.0.0.1:4711/auth?x", "http://127.1.2.3/", "http://[::1]:80/x", "http://[::1]",
        "http://localhost/x", "http://localhost:8080", "http://localhost?x"}) {
    EXPECT_TRUE(open_browser(url)) << url;
  }
  for (const char* url :
       {"", "idp.example", "http://idp.example/", "HTTPS://idp.example/", "file:///etc/passwd",
        "javascript:alert(1)", "ftp://idp.example/", "--help", "https://idp.example/a b",
        "https://idp.example/\n", "https://idp.ex\xd0\xb0mple/", "http://127.evil.example/",
        "http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "http://localhost@evil.example/",
        "http://127.0.0.1:80@evil.example/", "http://[::1].evil.example/", "http://[::1]@evil.example/",
        "http://localhost\\@evil.example/"}) {
    auto opened = open_browser(url);
    ASSERT_FALSE(opened) << url;
    EXPECT_EQ(opened.error().kind, ErrorKind::kInput) << url;
  }
}

}  // namespace
}  // namespace qf
