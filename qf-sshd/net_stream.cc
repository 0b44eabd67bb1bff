// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_stream.h"

namespace qf {

void NetStream::attach(Fd socket, std::string first) {
  attached_ = true;
  pump_.prepend(std::move(first));
  if (!pump_.attach_socket(std::move(socket))) finished_ = true;
}

void NetStream::turn(bool shared) {
  if (!attached_ || finished_) return;
  pump_.turn(shared);
  if (pump_.output_ended() && !eof_sent_ && !pump_.closed_by_client()) {
    eof_sent_ = true;
    ::ssh_channel_send_eof(channel_);
  }
  if (pump_.output_ended() && pump_.input_ended()) {
    ::ssh_channel_close(channel_);
    finished_ = true;
  }
}

}  // namespace qf
