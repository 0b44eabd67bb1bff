// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/user_process.h"

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace qf {

void fail_child(const std::string& what) {
  std::string line = "qf-sshd: " + what + ": " + std::strerror(errno) + "\n";
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
  ::_exit(255);
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

void become_user(const Account& account) {
  if (::initgroups(account.name.c_str(), account.gid) != 0) fail_child("cannot set groups");
  if (::setresgid(account.gid, account.gid, account.gid) != 0) fail_child("cannot set the group");
  if (::setresuid(account.uid, account.uid, account.uid) != 0) fail_child("cannot set the user");
  if (account.uid != 0 && (::setuid(0) == 0 || ::seteuid(0) == 0)) {
    errno = EPERM;
    fail_child("root could be taken back");
  }
  // where fs.suid_dumpable is not 0, the change of user has made the process dumpable
  hide_memory();
}

}  // namespace qf
