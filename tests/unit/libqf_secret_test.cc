// SPDX-License-Identifier: Apache-2.0
#include "libqf/secret.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace qf {
namespace {

TEST(Secret, HoldsMovesAndClones) {
  Secret empty;
  EXPECT_TRUE(empty.empty());
  EXPECT_EQ(empty.reveal(), "");
  Secret first("pass\nword");
  Secret copy = first.clone();
  Secret second = std::move(first);
  EXPECT_EQ(second.reveal(), "pass\nword");
  EXPECT_EQ(copy.reveal(), "pass\nword");
  EXPECT_NE(copy.reveal().data(), second.reveal().data());
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): this is what is tested
  copy = std::move(second);
  EXPECT_EQ(copy.size(), 9U);
  copy = Secret();
  EXPECT_TRUE(copy.empty());
}

TEST(Secret, AssigningToItselfKeepsTheBytes) {
  Secret secret("x");
  Secret& same = secret;
  secret = std::move(same);
  EXPECT_EQ(secret.reveal(), "x");
}

TEST(Secret, HoldsMoreThanAPage) {
  std::string large(100'000, 'k');
  EXPECT_EQ(Secret(large).reveal(), large);
}

// The VmFlags line of the mapping that holds an address (proc(5))
std::string flags_at(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool here = false;
  while (std::getline(maps, line)) {
    unsigned long from = 0, to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      auto at = reinterpret_cast<unsigned long>(address);
      here = from <= at && at < to;
    }
    if (here && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

TEST(Secret, IsLockedAndLeftOutOfCoreDumps) {
  Secret secret("x");
  std::string flags = flags_at(secret.reveal().data());
  ASSERT_NE(flags, "");
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;  // do not include in a core dump
#ifdef QF_SANITIZED
  GTEST_SKIP() << "AddressSanitizer turns mlock into nothing";
#endif
  struct rlimit limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  if (limit.rlim_cur < 1 << 16) GTEST_SKIP() << "RLIMIT_MEMLOCK is too small here to lock anything";
  EXPECT_NE(flags.find(" lo "), std::string::npos) << flags;  // locked
}

TEST(Secret, WipeZeroesTheWholeBuffer) {
  std::string text(1000, 's');
  text.resize(10);
  const char* buffer = text.data();
  size_t capacity = text.capacity();
  wipe(text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), buffer);
  ASSERT_EQ(text.capacity(), capacity);
  // back over the old bytes without writing any but the last
  for (size_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(*const_cast<const volatile char*>(buffer + i), '\0') << i;
  }
}

TEST(Secret, UndumpableProcess) {
  // in a child: the test itself stays debuggable
  EXPECT_EXIT(
      {
        make_undumpable();
        struct rlimit limit = {};
        ::getrlimit(RLIMIT_CORE, &limit);
        ::_exit(::prctl(PR_GET_DUMPABLE) == 0 && limit.rlim_cur == 0 ? 7 : 1);
      },
      testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace qf
