// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/session_clock.h"

#include <sys/timerfd.h>

namespace qf {

Status SessionClock::start() {
  timer_ = Fd(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_) return system_error("cannot make a timer");
  if (::clock_gettime(CLOCK_BOOTTIME, &login_) != 0) return system_error("cannot read the clock");
  return Done{};
}

Status SessionClock::limit(uint32_t seconds) {
  itimerspec when = {};  // zeros: never
  if (seconds != 0) {
    when.it_value = login_;
    when.it_value.tv_sec += seconds;
  }
  if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0)
    return system_error("cannot set the timer of a session");
  return Done{};
}

}  // namespace qf
