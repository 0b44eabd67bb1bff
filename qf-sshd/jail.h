// SPDX-License-Identifier: Apache-2.0
// How a role gives up its rights. Everything here only takes away and fails closed: a step that does not work
// ends the role. Order matters: user and root folder first, while it is still allowed; the system call filter
// last.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "libqf/result.h"

namespace qf {

// A compiled seccomp filter; made once in the listener, since compiling it takes longer than a login may.
using SyscallFilter = std::vector<sock_filter>;

// What net may call: move bytes, accept on sockets that it was handed, say when they acknowledge
// (TCP_QUICKACK), poll, allocate, tell the time. Opening a file and other socket options are answered EACCES
// (libraries try them), anything else not on the list kills the process.
[[nodiscard]] Result<SyscallFilter> make_net_filter();

// Closes all descriptors but 0, 1, 2 and `kept`; 0 and 1 become /dev/null. The log finds its way to syslog
// again.
[[nodiscard]] Status keep_only(const std::vector<int>& kept);
// Supplementary groups, gid and uid, saved ones included; checks that there is no way back.
[[nodiscard]] Status become(uid_t uid, gid_t gid);
// chroot into an empty folder that nobody can write.
[[nodiscard]] Status enter_empty_root(const std::string& folder);
// no_new_privs, no core, no new files or processes (rlimits); the parent's death is ours.
[[nodiscard]] Status forbid_growth();
// Landlock without a single rule: no path can be opened; silently nothing where the kernel has no Landlock.
[[nodiscard]] Status forbid_files();
// Memory that a net may take: little while nobody is logged in, enough for all its channels afterwards. The
// soft limit holds; the monitor raises it.
inline constexpr size_t kMostMemoryBefore = 16 << 20;  // bytes of data (RLIMIT_DATA)
inline constexpr size_t kMostMemoryAfter = 512 << 20;
[[nodiscard]] Status limit_memory();
[[nodiscard]] Status allow_more_memory();
// A turn of net's loop that takes this much processor time never comes to its end (the library writes for
// ever to a channel whose packets may hold nothing): SIGPROF then ends the process. To be called once a turn.
inline constexpr int kMostTurnSeconds = 5;
[[nodiscard]] Status limit_turn();
[[nodiscard]] Status load_filter(const SyscallFilter& filter);

}  // namespace qf
