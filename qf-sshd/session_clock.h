// SPDX-License-Identifier: Apache-2.0
// The "max_session" of a policy, from the login on, by a clock that goes on while the machine sleeps
// (CLOCK_BOOTTIME), so that a suspended machine prolongs no session; nor does a wall clock that is set back.
// Runs in the monitor (root).
#pragma once

#include <cstdint>
#include <ctime>

#include "libqf/fd.h"

namespace qf {

class SessionClock {
 public:
  // The login happens now.
  [[nodiscard]] Status start();
  // From the login on, also when that is in the past; 0: no limit. May be said again at any time.
  [[nodiscard]] Status limit(uint32_t seconds);
  // To be polled: readable when the time is over. -1 before start().
  [[nodiscard]] int fd() const { return timer_.get(); }

 private:
  Fd timer_;
  timespec login_ = {};
};

}  // namespace qf
