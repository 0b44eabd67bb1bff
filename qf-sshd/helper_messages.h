// SPDX-License-Identifier: Apache-2.0
// The messages (messages.h) between a monitor and its helper.
#pragma once

#include <cstdint>
#include <string>

#include "qf-sshd/messages.h"

namespace qf {

// ---- monitor <-> helper ----------------------------------------------------------------------------------

// Every question has a number of its own, and gets one answer: kHelperConnect a kHelperConnected, the others
// a kHelperListening. kHelperRelease has none.
struct HelperConnect {
  static constexpr MessageType kType = MessageType::kHelperConnect;
  static constexpr size_t kMostBytes = 8192, kFds = 0;
  uint32_t id = 0;
  std::string host;
  uint32_t port = 0;
  std::vector<std::string> addresses;  // of the peer that the host names; empty: it names none
  static void fields(auto& self, auto& visit) { visit(self.id, self.host, self.port, self.addresses); }
};

struct HelperListen {
  static constexpr MessageType kType = MessageType::kHelperListen;
  static constexpr size_t kMostBytes = 1024, kFds = 0;
  uint32_t id = 0;
  std::string address;    // of getaddrinfo(3); empty: see `wildcard`
  bool wildcard = false;  // every address of the machine, else its loopback addresses
  uint32_t port = 0;
  static void fields(auto& self, auto& visit) { visit(self.id, self.address, self.wildcard, self.port); }
};

// A socket for the agent, in a folder of its own.
struct HelperAgent {
  static constexpr MessageType kType = MessageType::kHelperAgent;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t id = 0;
  static void fields(auto& self, auto& visit) { visit(self.id); }
};

// The first free X11 display.
struct HelperDisplay {
  static constexpr MessageType kType = MessageType::kHelperDisplay;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t id = 0;
  static void fields(auto& self, auto& visit) { visit(self.id); }
};

// Removes what an earlier kHelperAgent has made.
struct HelperRelease {
  static constexpr MessageType kType = MessageType::kHelperRelease;
  static constexpr size_t kMostBytes = 16, kFds = 0;
  uint32_t id = 0;
  static void fields(auto& self, auto& visit) { visit(self.id); }
};

// Descriptor: the connected socket, /dev/null without one.
struct HelperConnected {
  static constexpr MessageType kType = MessageType::kHelperConnected;
  static constexpr size_t kMostBytes = 1024, kFds = 1;
  uint32_t id = 0;
  std::string error;  // empty: connected
  static void fields(auto& self, auto& visit) { visit(self.id, self.error); }
};

// Descriptors: `sockets` listening ones, then /dev/null.
struct HelperListening {
  static constexpr MessageType kType = MessageType::kHelperListening;
  static constexpr size_t kMostBytes = 1024, kFds = 2;
  uint32_t id = 0;
  uint32_t sockets = 0;  // 0: see `error`
  uint32_t number = 0;   // port, or display
  std::string path;      // of the agent's socket
  std::string error;
  static void fields(auto& self, auto& visit) {
    visit(self.id, self.sockets, self.number, self.path, self.error);
  }
};

}  // namespace qf
