// SPDX-License-Identifier: Apache-2.0
// qf-proxy: the ProxyCommand of the generated ssh_config. Options only; see proxy.h and qf-proxy(1). Runs as
// the user; stdin and stdout are the SSH connection, stderr or /dev/tty is the person. It loads no libssh and
// no libcrypto: for the tunnel it executes qf-tunnel.
#include <signal.h>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/terminal.h"
#include "qf-proxy/batch_mode.h"
#include "qf-proxy/options.h"
#include "qf-proxy/proxy.h"

namespace {

constexpr const char* kUsage =
    "usage: qf-proxy [--config-dir FOLDER] [--state-dir FOLDER] [--runtime-dir FOLDER] HOST PORT\n"
    "\n"
    "Carries ssh's bytes to the peer HOST, port 22022, with the user's identity. PORT is 22 or 22022. Meant\n"
    "for ssh's ProxyCommand.\n\n";

}  // namespace

int main(int argc, char** argv) {
  auto standard = qf::complete_standard_descriptors();
  qf::open_log("qf-proxy");
  if (!standard) qf::die(qf::kExitSystem, standard.error().text());
  ::signal(SIGPIPE, SIG_IGN);
  auto options = qf::read_proxy_options(argc, argv, "qf-proxy", kUsage);
  qf::Terminal::leave_alone_when(&qf::ssh_is_in_batch_mode);
  return qf::run_proxy(options.folders, options.host, options.port);
}
