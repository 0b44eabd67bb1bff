// SPDX-License-Identifier: Apache-2.0
// qf-tunnel: executed by qf-proxy when the client must log in first. Options only; see tunnel.h and
// qf-tunnel(8). Runs as the user; stdin and stdout are the SSH connection of the client.
#include <fcntl.h>
#include <libssh/libssh.h>
#include <signal.h>
#include <sys/resource.h>

#include "libqf/log.h"
#include "libqf/terminal.h"
#include "qf-proxy/batch_mode.h"
#include "qf-proxy/tunnel.h"

namespace {

// Bytes of data: what a whole relay needs is a few MiB. A peer whose host key has not been looked at yet can
// make libssh queue answers without end.
constexpr rlim_t kMostMemory = 96 << 20;

constexpr const char* kUsage =
    "usage: qf-tunnel [--config-dir FOLDER] [--state-dir FOLDER] [--runtime-dir FOLDER] --fd N HOST PORT\n"
    "\n"
    "Carries ssh's bytes through an SSH connection of its own to the peer HOST. Run by qf-proxy, which "
    "hands\n"
    "over the connected socket N.\n\n";

}  // namespace

int main(int argc, char** argv) {
  qf::open_log("qf-proxy");  // the name that the person knows
  // The client's last words must reach the peer after ssh has sent us its SIGHUP; its leaving is seen on its
  // descriptors. And a prompt must not stop a client in the background.
  for (int signal : {SIGPIPE, SIGHUP, SIGTTOU}) ::signal(signal, SIG_IGN);
  auto options = qf::read_proxy_options(argc, argv, "qf-tunnel", kUsage);
  if (options.fd <= STDERR_FILENO || ::fcntl(options.fd, F_SETFD, FD_CLOEXEC) != 0)
    qf::die(qf::kExitUsage, "--fd must name an open descriptor", "qf-tunnel is run by qf-proxy");
  qf::Terminal::leave_alone_when(&qf::ssh_is_in_batch_mode);
  const rlimit memory = {kMostMemory, kMostMemory};
  if (::setrlimit(RLIMIT_DATA, &memory) != 0) qf::die(qf::kExitSystem, "memory cannot be limited");
  if (::ssh_init() != SSH_OK) qf::die(qf::kExitSystem, "libssh cannot be initialized");
  return qf::run_tunnel(options, qf::Fd(options.fd));
}
