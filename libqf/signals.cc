// SPDX-License-Identifier: Apache-2.0
#include "libqf/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace qf {

Result<Fd> watch_signals(std::initializer_list<int> numbers, sigset_t* before) {
  sigset_t set;
  ::sigemptyset(&set);
  for (int number : numbers) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, before) != 0) return system_error("cannot block signals");
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return system_error("cannot watch signals");
  return fd;
}

int next_signal(const Fd& signals) {
  struct signalfd_siginfo info = {};
  return ::read(signals.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

}  // namespace qf
