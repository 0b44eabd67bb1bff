// SPDX-License-Identifier: Apache-2.0
// One forwarded connection in net: a channel and the socket behind it (RFC 4254 section 7; agent and X11
// channels). Each direction ends by itself (half-close); the channel closes when both have.
#pragma once

#include <string>

#include "qf-sshd/net_pump.h"

namespace qf {

class NetStream {
 public:
  // `channel` belongs to this object from here on.
  NetStream(const NetLoop& loop, ssh_channel channel) : channel_(channel), pump_(loop, channel) {}
  ~NetStream() {
    pump_.leave();
    ::ssh_channel_free(channel_);
  }
  NetStream(const NetStream&) = delete;
  NetStream& operator=(const NetStream&) = delete;

  // The channel is open. `first`: bytes of the socket that were read already.
  void attach(Fd socket, std::string first = {});
  void turn(bool shared);
  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] bool overrun() const { return pump_.overrun(); }
  [[nodiscard]] ssh_channel channel() const { return channel_; }
  [[nodiscard]] uint64_t bytes_in() const { return pump_.bytes_in(); }
  [[nodiscard]] uint64_t bytes_out() const { return pump_.bytes_out(); }

 private:
  ssh_channel channel_;
  NetPump pump_;
  bool attached_ = false;
  bool eof_sent_ = false;
  bool finished_ = false;
};

}  // namespace qf
