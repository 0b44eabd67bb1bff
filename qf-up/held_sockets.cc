// SPDX-License-Identifier: Apache-2.0
#include "qf-up/held_sockets.h"

#include <algorithm>

#include "libqf/listen.h"

namespace qf {

void HeldSockets::follow(const std::vector<std::string>& own) {
  std::erase_if(sockets_, [&](const Held& held) {
    return !still_listens(held.fd.get()) || std::find(own.begin(), own.end(), held.address) == own.end();
  });
  for (const auto& address : own) {
    bool there = std::any_of(sockets_.begin(), sockets_.end(),
                             [&](const Held& held) { return held.address == address; });
    if (there) continue;
    if (auto fd = listen_on(address)) sockets_.push_back({address, std::move(*fd)});
  }
}

std::vector<HandedFd> HeldSockets::handed() const {
  std::vector<HandedFd> out;
  for (const auto& held : sockets_) out.push_back({held.fd.get(), kHeldSocketName});
  return out;
}

}  // namespace qf
