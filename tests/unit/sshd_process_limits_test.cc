// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/process_limits.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/sshd_in_child.h"

namespace qf {
namespace {

TEST(ProcessLimits, ReadingChangesNothing) {
  EXPECT_TRUE(in_child([] {
    ::umask(031);
    auto first = own_limits();
    auto second = own_limits();
    return first && second && first->mask == 031 && second->mask == 031;
  }));
}

TEST(ProcessLimits, WhatIsLoweredIsRestoredAsFarAsItGoes) {
  EXPECT_TRUE(in_child([] {
    auto before = own_limits();
    ProcessLimits lowered = *before;
    lowered.limits[RLIMIT_NOFILE] = {50, 60};
    lowered.limits[RLIMIT_STACK].rlim_cur = 1 << 20;
    lowered.mask = 077;
    if (!apply_limits(lowered)) return false;
    restore_limits(*before);
    auto after = own_limits();
    // the hard limit can be raised again only with CAP_SYS_RESOURCE; the soft one goes as high as that allows
    rlimit files = after->limits[RLIMIT_NOFILE];
    bool raised = files.rlim_max == before->limits[RLIMIT_NOFILE].rlim_max;
    return after->mask == before->mask && (raised || (files.rlim_cur == 60 && files.rlim_max == 60)) &&
           after->limits[RLIMIT_STACK].rlim_cur == before->limits[RLIMIT_STACK].rlim_cur;
  }));
}

}  // namespace
}  // namespace qf
