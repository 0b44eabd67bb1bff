// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/user_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace qf {

void fail_child(const Error& error) {
  std::string line = "qf-sshd: " + error.text() + "\n";
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
  ::_exit(255);
}

void fail_child(const std::string& what) {
  fail_child(system_error(what));
}

void hide_memory() {
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) fail_child("cannot hide the process");
}

void reset_signals() {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  // kernel-internal real-time signals refuse the change, which is fine
  for (int s = 1; s < NSIG; ++s) static_cast<void>(::sigaction(s, &standard, nullptr));
  sigset_t none;
  sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) fail_child("cannot reset signals");
}

}  // namespace qf
