// SPDX-License-Identifier: Apache-2.0
// qf-helper: makes sockets as the logged-in user for a connection of qf-sshd, which starts it. See helper.h.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cstdio>
#include <string_view>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-sshd/helper.h"

int main(int argc, char** argv) {
  qf::open_log("qf-helper");
  std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "--version") {
    std::printf("qf-helper %s\n", QF_VERSION);
    return qf::kExitOk;
  }
  if (first == "--help" || first == "-h") {
    std::printf(
        "usage: qf-helper --fd N    (qf-sshd starts it; see qf-helper(8))\n"
        "       qf-helper --help | --version\n");
    return qf::kExitOk;
  }
  auto fd = argc == 3 && first == "--fd" ? qf::parse_number(argv[2], 1024) : std::nullopt;
  if (!fd || *fd < 3) qf::die(qf::kExitUsage, "wrong arguments", "qf-sshd starts this program by itself");
  auto socket = static_cast<int>(*fd);
  if (::fcntl(socket, F_SETFD, FD_CLOEXEC) != 0) {
    qf::die(qf::kExitUsage, "descriptor " + std::to_string(socket) + " is not open",
            "qf-sshd starts this program by itself");
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) qf::die(qf::kExitSystem, "cannot set no_new_privs");
  return qf::helper_role(qf::MessageSocket(qf::Fd(socket)));
}
