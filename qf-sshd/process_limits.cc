// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/process_limits.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace qf {

Result<ProcessLimits> own_limits() {
  ProcessLimits found;
  for (unsigned i = 0; i < found.limits.size(); ++i) {
    if (::getrlimit(static_cast<__rlimit_resource>(i), &found.limits[i]) != 0) {
      return system_error("cannot read a resource limit");
    }
  }
  // it can only be read by setting it
  found.mask = ::umask(077);
  ::umask(found.mask);
  errno = 0;  // -1 is a niceness too
  found.niceness = ::getpriority(PRIO_PROCESS, 0);
  if (errno != 0) return system_error("cannot read the niceness");
  return found;
}

Status apply_limits(const ProcessLimits& wanted) {
  auto own = own_limits();
  if (!own) return own.error();
  for (unsigned i = 0; i < wanted.limits.size(); ++i) {
    const rlimit& limit = wanted.limits[i];
    if (limit.rlim_cur == own->limits[i].rlim_cur && limit.rlim_max == own->limits[i].rlim_max) continue;
    if (::setrlimit(static_cast<__rlimit_resource>(i), &limit) != 0) {
      return system_error("cannot set resource limit " + std::to_string(i));
    }
  }
  ::umask(wanted.mask);
  if (wanted.niceness != own->niceness && ::setpriority(PRIO_PROCESS, 0, wanted.niceness) != 0) {
    return system_error("cannot set the niceness");
  }
  return Done{};
}

void restore_limits(const ProcessLimits& wanted) {
  for (unsigned i = 0; i < wanted.limits.size(); ++i) {
    auto resource = static_cast<__rlimit_resource>(i);
    rlimit limit = wanted.limits[i];
    rlimit now = {};
    if (::setrlimit(resource, &limit) == 0 || ::getrlimit(resource, &now) != 0) continue;
    limit = {std::min(limit.rlim_cur, now.rlim_max), now.rlim_max};
    static_cast<void>(::setrlimit(resource, &limit));
  }
  ::umask(wanted.mask);
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, wanted.niceness));
}

}  // namespace qf
