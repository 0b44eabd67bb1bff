// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/user_context.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/sshd_in_child.h"

namespace qf {
namespace {

const ConnectionEnds kFromClient{"100.64.0.9", "100.64.0.1", 40000, 22022};

// Without PAM and without switching users.
Result<UserLogin> login(rlim_t open_files) {
  Settings settings;
  settings.pam = false;
  settings.open_files = open_files;
  auto account = own_account();
  EXPECT_TRUE(account);
  return UserLogin::open(settings, *account, kFromClient, 10);
}

TEST(UserContext, ConnectionTextIsThatOfSshConnection) {
  EXPECT_EQ(connection_text(kFromClient), "100.64.0.9 40000 100.64.0.1 22022");
}

TEST(UserContext, SessionsGetTheLimitsThatTheServerWasStartedWith) {
  EXPECT_TRUE(in_child([] {
    auto before = own_limits();
    auto opened = login(100);
    auto after = own_limits();
    return before && opened && after && opened->context().limits &&
           opened->context().limits->limits[RLIMIT_NOFILE].rlim_cur == 100 &&
           opened->context().limits->limits[RLIMIT_CORE].rlim_cur == before->limits[RLIMIT_CORE].rlim_cur &&
           // the server's own are as before
           after->limits[RLIMIT_NOFILE].rlim_cur == before->limits[RLIMIT_NOFILE].rlim_cur;
  }));
}

TEST(UserContext, MaskNeverLetsOthersWrite) {
  EXPECT_TRUE(in_child([] {
    ::umask(0);
    auto opened = login(0);
    return opened && opened->context().limits->mask == 022 && own_limits()->mask == 0;
  }));
  EXPECT_TRUE(in_child([] {
    ::umask(077);
    auto opened = login(0);
    return opened && opened->context().limits->mask == 077 && own_limits()->mask == 077;
  }));
}

TEST(UserContext, ChildTakesTheLimitsOver) {
  EXPECT_TRUE(in_child([] {
    Settings settings;
    UserContext context;
    context.limits = *own_limits();
    context.limits->limits[RLIMIT_NOFILE].rlim_cur = 77;
    context.limits->mask = 027;
    context.limits->niceness += context.limits->niceness < 19 ? 1 : -1;  // 19 is the end
    auto account = own_account();
    if (!account || !become_user(settings, *account, context)) return false;
    auto own = own_limits();
    return own && own->limits[RLIMIT_NOFILE].rlim_cur == 77 && own->mask == 027 &&
           own->niceness == context.limits->niceness;
  }));
}

TEST(UserContext, NothingSaidWithoutPam) {
  auto opened = login(0);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->notice(), "");
  EXPECT_EQ(opened->context().greeting, "");
  EXPECT_FALSE(opened->context().pam);
  opened->close();
  opened->close();
}

}  // namespace
}  // namespace qf
