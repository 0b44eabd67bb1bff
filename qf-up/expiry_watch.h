// SPDX-License-Identifier: Apache-2.0
// The end of the fabric document in force ("expires"), noticed as it comes: it stays in force, and the log
// says so, once. By the clock of the wall, so that sleep and a clock that is set count. For a document that
// lies here; what comes from --document is judged at each look there.
#pragma once

#include <cstdint>

#include "libqf/fd.h"
#include "libqf/folders.h"

namespace qf {

class ExpiryWatch {
 public:
  // Without timers or inotify(7), which only a machine without memory lacks, it says what it finds at look().
  explicit ExpiryWatch(Folders folders);
  // Readable when it is time to look(): the end has come, the clock was set, or another document came.
  [[nodiscard]] int timer() const { return timer_.get(); }
  [[nodiscard]] int events() const { return events_.get(); }
  void look();

 private:
  void drain() const;
  void arm(int64_t expires) const;
  Folders folders_;
  Fd timer_, events_;
  uint64_t said_ = 0;  // the serial whose end was said
};

}  // namespace qf
