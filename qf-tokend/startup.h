// SPDX-License-Identifier: Apache-2.0
// How a daemon of ours begins: one at a time, on a Unix socket, in the background. All of it happens before
// the loop, so main may die() on its errors.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>

#include "libqf/fd.h"
#include "libqf/result.h"
#include "qf-tokend/activation.h"
#include "qf-tokend/server.h"

namespace qf {

// Splits off a background process; the first process stays until ready(), passing on exit code and messages.
class Background {
 public:
  // In the foreground nothing is split off. Otherwise the first process never returns from here. Private keys
  // made from here on are in locked memory.
  static Background begin(bool foreground);
  // The daemon listens: detaches it from the terminal and lets the first process exit with 0.
  void ready();

 private:
  explicit Background(Fd parent) : parent_(std::move(parent)) {}
  Fd parent_;  // not open: in the foreground
};

// The lock that only one daemon holds, and with it the right to replace a socket (listen_unix()) that a dead
// one has left; it ends with the process. kRefused when another one holds it.
[[nodiscard]] Result<Fd> take_lock(const std::string& path);
// The same for the socket `socket`, which systemd may have handed in. Then a daemon that was started by hand
// has lost it to systemd and will soon notice: its end is waited for. Dies when what was handed in is no such
// socket.
[[nodiscard]] Result<Fd> take_lock(const std::string& path, const Activation& activation,
                                   const std::string& socket);
// What systemd has handed in; dies when it says something wrong.
[[nodiscard]] Activation take_activation();

// Many clients, and no trace of tokens: raises the limit of descriptors, masks SIGPIPE, sets the umask,
// wipes memory as it is freed, keeps other processes of the user out (dumpable off).
// Returns what the descriptors suffice for.
ServerLimits harden_process();
// For so many descriptors; the machine's own clients share them.
[[nodiscard]] ServerLimits client_limits(rlim_t descriptors);

}  // namespace qf
