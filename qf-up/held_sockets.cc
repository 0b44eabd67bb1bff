// SPDX-License-Identifier: Apache-2.0
#include "qf-up/held_sockets.h"

#include <sys/socket.h>

#include <algorithm>

#include "libqf/address.h"
#include "libqf/listen.h"

namespace qf {

void HeldSockets::adopt(Fd fd) {
  auto local = local_address(fd.get());
  if (!local || local->port() != kFabricPort || !still_listens(fd.get())) return;
  sockets_.push_back({local->address(), std::move(fd)});
}

void HeldSockets::follow(const std::vector<std::string>& own) {
  std::erase_if(sockets_, [&](const Held& held) {
    if (!still_listens(held.fd.get())) return true;
    if (std::find(own.begin(), own.end(), held.address) != own.end()) return false;
    // for systemd too, which would have connections wait for nobody
    ::shutdown(held.fd.get(), SHUT_RDWR);
    return true;
  });
  for (const auto& address : own) {
    bool there = std::any_of(sockets_.begin(), sockets_.end(),
                             [&](const Held& held) { return held.address == address; });
    if (there) continue;
    auto fd = listen_on(address);
    if (!fd) continue;
    keeper_.keep(fd->get(), kHeldSocketName);
    sockets_.push_back({address, std::move(*fd)});
  }
}

std::vector<HandedFd> HeldSockets::handed() const {
  std::vector<HandedFd> out;
  for (const auto& held : sockets_) out.push_back({held.fd.get(), kHeldSocketName});
  return out;
}

ServerSockets::ServerSockets(const std::vector<std::string>& names, Notifier keeper)
    : held_(std::move(keeper)) {
  int next = kFirstHandedFd;
  for (const auto& name : names) {
    int fd = next++;
    if (name == kHeldSocketName) {
      held_.adopt(Fd(fd));
    } else {
      units_.push_back({fd, name});
    }
  }
}

std::vector<HandedFd> ServerSockets::follow(std::vector<std::string> own) {
  for (const auto& unit : units_) {
    if (auto local = local_address(unit.fd)) std::erase(own, local->address());
  }
  held_.follow(own);
  auto all = units_;
  for (auto& socket : held_.handed()) all.push_back(std::move(socket));
  return all;
}

}  // namespace qf
