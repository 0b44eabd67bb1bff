// SPDX-License-Identifier: Apache-2.0
// The sockets of this peer's addresses, which the foreground qf-up listens on and never accepts on: qf-sshd
// gets them at each of its starts, as by systemd's socket activation. So connections wait while it is started
// again, and nobody else can take port 22022 in between. systemd, where it runs qf-up, keeps copies for the
// next one, so the same holds for a restart of qf-up itself. What qf-up cannot listen on qf-sshd tries
// itself, and says why that fails.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "libqf/child.h"
#include "libqf/fd.h"
#include "libqf/systemd.h"

namespace qf {

class HeldSockets {
 public:
  explicit HeldSockets(Notifier keeper) : keeper_(std::move(keeper)) {}
  // One that an earlier qf-up made; closed when it is none.
  void adopt(Fd fd);
  // Listens at each of `own`, canonical, and nowhere else. While no server runs: one that runs has made
  // sockets of its own for addresses that came later.
  void follow(const std::vector<std::string>& own);
  // In the order of the addresses.
  [[nodiscard]] std::vector<HandedFd> handed() const;

 private:
  struct Held {
    std::string address;
    Fd fd;
  };
  Notifier keeper_;
  std::vector<Held> sockets_;
};

// All that qf-sshd gets: the sockets of systemd's socket unit, which stay as they are, and those that are
// held for the addresses which the unit does not have.
class ServerSockets {
 public:
  // `names`: of the descriptors that were handed to us, from kFirstHandedFd on.
  ServerSockets(const std::vector<std::string>& names, Notifier keeper);
  [[nodiscard]] bool from_unit() const { return !units_.empty(); }
  // To be called before each start of the server.
  [[nodiscard]] std::vector<HandedFd> follow(std::vector<std::string> own);

 private:
  std::vector<HandedFd> units_;
  HeldSockets held_;
};

}  // namespace qf
