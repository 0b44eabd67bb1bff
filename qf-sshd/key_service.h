// SPDX-License-Identifier: Apache-2.0
// The listener's key sets: has keyfetch fetch what is due or what a login waits for, and tells the monitors.
// And keyfetch itself: it runs device logins too (listener_device_logins.h).
#pragma once

#include <signal.h>

#include <functional>
#include <list>
#include <string>
#include <vector>

#include "qf-sshd/keysets.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/settings.h"

namespace qf {

// The program and arguments of a keyfetch at this socket, which it must inherit. It gives up its rights
// itself, before the first byte from outside.
[[nodiscard]] std::vector<std::string> keyfetch_command(const Settings& settings, int socket);

class KeyService {
 public:
  struct Tell {
    // sends an answer with its descriptor to the connection of that number
    std::function<void(uint64_t connection, const KeysReply& reply, int fd)> keys;
    // what keyfetch says that is about no key set
    std::function<void(const Message&)> other;
    std::function<void()> ended;  // keyfetch
  };
  // `child_mask`: the signal mask that keyfetch starts with.
  KeyService(const Settings& settings, Tell tell)
      : settings_(settings), tell_(std::move(tell)), store_(settings.folders.state + "/keysets") {}
  void set_child_mask(const sigset_t& mask) { child_mask_ = mask; }

  [[nodiscard]] KeySetStore& store() { return store_; }
  void configure(const std::vector<IssuerRecord>& issuers);
  void request_due();
  // A login on this connection wants fresh keys.
  void want(uint64_t connection, const KeysWanted& wanted);
  [[nodiscard]] int fd() const { return keyfetch_ ? keyfetch_.fd() : -1; }  // for poll(2)
  void read();
  [[nodiscard]] bool reaped(pid_t pid);  // true: it was keyfetch
  // Says something else to keyfetch, which is started when it does not run. False: it cannot be had.
  template <class T>
  [[nodiscard]] bool say(const T& message) {
    if (!keyfetch_ && Clock::now() >= start_after_) start();
    return keyfetch_ && keyfetch_.send(message);
  }

 private:
  // A login that waits for a key set.
  struct Waiting {
    uint64_t connection = 0;
    IssuerRecord issuer;  // its name, and where its keys come from
  };
  void start();
  [[nodiscard]] bool request(const IssuerRecord& issuer);
  void answer(const std::string& issuer, bool changed);

  const Settings& settings_;
  Tell tell_;
  KeySetStore store_;
  sigset_t child_mask_ = {};
  MessageSocket keyfetch_;
  pid_t pid_ = -1;
  Deadline start_after_ = Deadline::min();
  std::list<Waiting> waiting_;
};

}  // namespace qf
