// SPDX-License-Identifier: Apache-2.0
// Whether another fabric document has come into force: policy.mdb is never changed in place, so another inode
// or time at its path means another policy. Asked by the listener and by monitors that have none.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <string>

#include "libqf/fd.h"

namespace qf {

inline constexpr auto kPolicyInterval = std::chrono::seconds(1);  // how often changed() is asked at least

class PolicyWatch {
 public:
  // What lies at `path` now counts as known.
  explicit PolicyWatch(std::string path);

  // True once for each file that has come there. A missing one is no change: what was read stays in force.
  [[nodiscard]] bool changed();
  // The next changed() is true if there is a file at all.
  void forget() { known_ = {}; }

  // From now on fd() is readable as soon as something is renamed into the folder of `path` (inotify(7)).
  // Where that cannot be had, changed() has to be asked now and then.
  void notice_at_once();
  [[nodiscard]] int fd() const { return events_.get(); }

 private:
  void drain() const;
  std::string path_;
  struct stat known_ = {};
  Fd events_;
};

}  // namespace qf
