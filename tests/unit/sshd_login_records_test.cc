// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/login_records.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <utmpx.h>

#include <cstring>
#include <filesystem>

#include "libqf/fd.h"

namespace qf {
namespace {

class LoginRecords : public ::testing::Test {
 protected:
  LoginRecords() {
    EXPECT_NE(::mkdtemp(folder_), nullptr);
    std::string folder = folder_;
    files_ = {folder + "/utmp", folder + "/wtmp", folder + "/lastlog"};
    for (const auto& file : {files_.utmp, files_.wtmp, files_.lastlog}) {
      EXPECT_TRUE(open_file(file, O_CREAT | O_WRONLY, 0600));
    }
  }
  ~LoginRecords() override { std::filesystem::remove_all(folder_); }
  static std::vector<utmpx> entries(const std::string& file) {
    auto text = read_file(file, 1 << 20);
    EXPECT_TRUE(text);
    std::vector<utmpx> found(text->size() / sizeof(utmpx));
    std::memcpy(found.data(), text->data(), found.size() * sizeof(utmpx));
    return found;
  }
  char folder_[32] = "/tmp/qf-records.XXXXXX";
  RecordFiles files_;
  UtmpRecord ann_{"ann", 1000, "/dev/pts/33", "100.64.0.2", 4711};
};

TEST_F(LoginRecords, LoginHasUserTerminalAddressAndProcess) {
  record_login(ann_, files_);
  for (const auto& file : {files_.utmp, files_.wtmp}) {
    auto found = entries(file);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].ut_type, USER_PROCESS);
    EXPECT_EQ(found[0].ut_pid, 4711);
    EXPECT_STREQ(found[0].ut_user, "ann");
    EXPECT_STREQ(found[0].ut_line, "pts/33");
    EXPECT_EQ(std::string(found[0].ut_id, 4), "s/33");
    EXPECT_STREQ(found[0].ut_host, "100.64.0.2");
    const unsigned char address[4] = {100, 64, 0, 2};
    EXPECT_EQ(std::memcmp(&found[0].ut_addr_v6[0], address, 4), 0);
    EXPECT_GT(found[0].ut_tv.tv_sec, 1'600'000'000);
  }
}

TEST_F(LoginRecords, LogoutEndsTheEntryAndIsAddedToTheHistory) {
  record_login(ann_, files_);
  record_logout(ann_, files_);
  auto now = entries(files_.utmp);
  ASSERT_EQ(now.size(), 1U);
  EXPECT_EQ(now[0].ut_type, DEAD_PROCESS);
  auto history = entries(files_.wtmp);
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(history[1].ut_type, DEAD_PROCESS);
  EXPECT_STREQ(history[1].ut_line, "pts/33");
  EXPECT_STREQ(history[1].ut_user, "");
}

TEST_F(LoginRecords, LogoutLeavesTheNextOneOnTheSameTerminalAlone) {
  record_login(ann_, files_);
  UtmpRecord bob{"bob", 1001, ann_.terminal, "100.64.0.3", 4712};
  record_login(bob, files_);
  record_logout(ann_, files_);
  auto now = entries(files_.utmp);
  ASSERT_EQ(now.size(), 1U);
  EXPECT_EQ(now[0].ut_type, USER_PROCESS);
  EXPECT_STREQ(now[0].ut_user, "bob");
}

TEST_F(LoginRecords, LastLoginIsTheOneBefore) {
  EXPECT_FALSE(record_login(ann_, files_));
  UtmpRecord again = ann_;
  again.address = "2001:db8::7";
  auto last = record_login(again, files_);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->host, "100.64.0.2");
  EXPECT_NEAR(static_cast<double>(last->time), static_cast<double>(std::time(nullptr)), 5);
  last = record_login(ann_, files_);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->host, "2001:db8::7");
  // each uid has a record of its own
  EXPECT_FALSE(record_login({"bob", 1001, "/dev/pts/1", "", 1}, files_));
}

TEST_F(LoginRecords, LongNamesFillTheirFieldsAndNoMore) {
  UtmpRecord record = ann_;
  record.user = std::string(100, 'u');
  record.address = std::string(1000, 'h');
  record.terminal = "/dev/" + std::string(100, 't');
  record_login(record, files_);
  auto last = record_login(record, files_);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->host, std::string(256, 'h'));
  auto found = entries(files_.utmp);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(std::string(found[0].ut_user, sizeof found[0].ut_user), std::string(32, 'u'));
  EXPECT_EQ(std::string(found[0].ut_host, sizeof found[0].ut_host), std::string(256, 'h'));
}

TEST_F(LoginRecords, MissingFilesAreNotMade) {
  std::filesystem::remove_all(folder_);
  EXPECT_FALSE(record_login(ann_, files_));
  record_logout(ann_, files_);
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

TEST_F(LoginRecords, TextOfTheLastLoginIsAsSshdHasIt) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  EXPECT_EQ(last_login_text({1'700'000'000, "100.64.0.2"}),
            "Last login: Tue Nov 14 22:13:20 2023 from 100.64.0.2");
  EXPECT_EQ(last_login_text({1'700'000'000, ""}), "Last login: Tue Nov 14 22:13:20 2023");
  EXPECT_EQ(last_login_text({1'700'000'000, "a\033b"}), "Last login: Tue Nov 14 22:13:20 2023 from a?b");
  ::unsetenv("TZ");
  ::tzset();
}

}  // namespace
}  // namespace qf
