// SPDX-License-Identifier: Apache-2.0
// The TCP sockets that the listener accepts on: one for each of this peer's own addresses, port 22022, made
// here, handed in by systemd, or held by qf-up, so that they outlive this server. They follow the fabric
// document.
#pragma once

#include <string>
#include <vector>

#include "libqf/fd.h"

namespace qf {

struct ListeningSocket {
  std::string address;  // canonical
  Fd fd;
  bool handed = false;  // by systemd, which keeps it open whatever we do
  bool held = false;    // by qf-up; ended for it too when the document takes the address away
  bool wanted = true;   // false: handed in, and not an address of ours any more; not accepted on
};

struct HandedSocket {
  Fd fd;
  std::string name;  // as systemd has it; kHeldSocketName: of qf-up
};

class ListeningSockets {
 public:
  // To be called before the first follow(). kInput, naming the descriptor, when one is not a listening TCP
  // socket at one of the addresses `own`, port 22022; one of qf-up's that is not is passed over.
  [[nodiscard]] Status adopt(std::vector<HandedSocket> handed, const std::vector<std::string>& own);
  // Listens at each of `own` and nowhere else. Returns what could not be listened on; the others are served
  // all the same. Says what changes.
  [[nodiscard]] std::vector<Error> follow(const std::vector<std::string>& own);
  [[nodiscard]] const std::vector<ListeningSocket>& all() const { return sockets_; }
  // Those accepted on.
  [[nodiscard]] std::vector<std::string> addresses() const;

 private:
  std::vector<ListeningSocket> sockets_;
};

}  // namespace qf
