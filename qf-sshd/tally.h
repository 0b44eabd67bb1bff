// SPDX-License-Identifier: Apache-2.0
// What has happened on the monitor's connection and the listener has not been told yet (Tally): it is told at
// most every half second, so that a client that forwards a hundred connections a second costs the listener
// two messages. Without a listener it waits for the next one.
#pragma once

#include <optional>

#include "libqf/fd.h"
#include "qf-sshd/connection_status.h"
#include "qf-sshd/counts.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

class TallySheet {
 public:
  explicit TallySheet(Deadline now) : began_(now) {}
  void add(Count count, uint64_t amount = 1) {
    counts_.add(count, amount);
    news_ = true;
  }
  // What net says of its bytes is believed as far as a network could have carried them.
  void look(const ConnectionStatus& status, Deadline now);
  // A listener that knows nothing of this connection yet.
  void forget_told() { news_ = true; }
  [[nodiscard]] Deadline deadline() const { return news_ ? next_ : Deadline::max(); }
  // What is due; sent() once it is on its way. `at_once`: whether it is time or not.
  [[nodiscard]] std::optional<Tally> due(Deadline now, bool at_once) const;
  void sent(Deadline now);

 private:
  Deadline began_;
  Deadline next_ = Deadline::min();
  bool news_ = false;
  Counts counts_;
  uint64_t in_ = 0, out_ = 0;  // counted so far
  LiveSessions live_;
};

}  // namespace qf
