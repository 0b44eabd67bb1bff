// SPDX-License-Identifier: Apache-2.0
#include "qf-up/instance.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "qf-up/apply.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

// A process that holds a record lock on the file, as the given user.
class Holder {
 public:
  Holder(const std::string& path, uid_t uid) {
    auto ready = make_pipe();
    pid_ = ::fork();
    if (pid_ == 0) hold(path, uid, ready->second.get());
    ready->second.reset();
    char byte = 0;
    EXPECT_EQ(::read(ready->first.get(), &byte, 1), 1) << "the lock is not held";
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool runs() const { return ::waitpid(pid_, nullptr, WNOHANG) == 0; }

 private:
  [[noreturn]] static void hold(const std::string& path, uid_t uid, int ready) {
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT, 0600));
    // real and saved only, as in a program of root's that somebody else has started
    if (uid != ::geteuid() && ::setresuid(uid, 0, uid) != 0) ::_exit(1);
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (::fcntl(fd.get(), F_SETLK, &lock) != 0 || ::write(ready, "r", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  pid_t pid_ = -1;
};

class UpInstance : public testing::Test {
 protected:
  mode_t mode(const std::string& name) {
    struct stat st = {};
    EXPECT_EQ(::lstat(scratch_.path(name).c_str(), &st), 0) << name;
    return st.st_mode & 07777;
  }
  static Deadline soon() { return Clock::now() + std::chrono::seconds(5); }
  test::Scratch scratch_;
  Folders folders_{"", scratch_.path(), ""};
};

// A shared lock needs no more than leave to read.
TEST_F(UpInstance, OthersCannotEvenReadTheLocks) {
  ASSERT_TRUE(become_instance(folders_));
  ASSERT_TRUE(lock_state(folders_));
  EXPECT_EQ(mode("qf-up.lock"), 0600U);
  EXPECT_EQ(mode("apply.lock"), 0600U);
}

TEST_F(UpInstance, LocksOfAnOlderVersionAreClosedToOthers) {
  for (const char* name : {"qf-up.lock", "apply.lock"}) {
    ASSERT_TRUE(replace_file(scratch_.path(name), "", 0644));
  }
  ASSERT_TRUE(become_instance(folders_));
  ASSERT_TRUE(lock_state(folders_));
  EXPECT_EQ(mode("qf-up.lock"), 0600U);
  EXPECT_EQ(mode("apply.lock"), 0600U);
}

TEST_F(UpInstance, LocksAreNoSymlinks) {
  ASSERT_TRUE(replace_file(scratch_.path("elsewhere"), "", 0644));
  for (const char* name : {"qf-up.lock", "apply.lock"})
    ASSERT_EQ(::symlink("elsewhere", scratch_.path(name).c_str()), 0);
  EXPECT_FALSE(become_instance(folders_));
  EXPECT_FALSE(lock_state(folders_));
  EXPECT_FALSE(running_instance(folders_));
  EXPECT_EQ(mode("elsewhere"), 0644U);
}

TEST_F(UpInstance, TheHolderIsFoundAndStopped) {
  auto none = running_instance(folders_);
  ASSERT_TRUE(none) << none.error().text();
  EXPECT_FALSE(none->has_value());
  Holder holder(scratch_.path("qf-up.lock"), ::geteuid());
  auto running = running_instance(folders_);
  ASSERT_TRUE(running) << running.error().text();
  EXPECT_EQ(*running, holder.pid());
  auto second = become_instance(folders_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text().find("another qf-up (pid " + std::to_string(holder.pid()) + ")"),
            std::string::npos)
      << second.error().text();
  auto stopped = stop_instance(folders_, soon());
  ASSERT_TRUE(stopped) << stopped.error().text();
  EXPECT_TRUE(*stopped);
  EXPECT_FALSE(holder.runs());
}

TEST_F(UpInstance, AnothersProcessGetsNoSignal) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  Holder holder(scratch_.path("qf-up.lock"), 65534);
  std::string words = "process " + std::to_string(holder.pid());
  auto running = running_instance(folders_);
  ASSERT_FALSE(running);
  EXPECT_EQ(running.error().kind, ErrorKind::kRefused);
  EXPECT_NE(running.error().text().find(words), std::string::npos) << running.error().text();
  EXPECT_FALSE(stop_instance(folders_, soon()));
  EXPECT_TRUE(holder.runs());
  auto second = become_instance(folders_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text().find(words), std::string::npos) << second.error().text();
}

}  // namespace
}  // namespace qf
