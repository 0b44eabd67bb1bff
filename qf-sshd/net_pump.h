// SPDX-License-Identifier: Apache-2.0
// The bytes between one channel and the descriptors behind it: a process's standard input, output and error,
// a terminal, or a socket. Bounded: nothing is read from a source whose sink is full.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "qf-sshd/net_event.h"
#include "qf-sshd/net_window.h"

namespace qf {

class NetPump {
 public:
  // Takes part in libssh's callbacks from here on; `channel` is borrowed.
  NetPump(const NetLoop& loop, ssh_channel channel);
  ~NetPump() { leave(); }
  // Closes everything and takes part no more: before the channel is freed.
  void leave();
  NetPump(const NetPump&) = delete;
  NetPump& operator=(const NetPump&) = delete;

  // What the client sends before one of these waits in libssh, as far as the window allows.
  // input: writing end; output, error: reading ends; `error` may be none.
  void attach(Fd input, Fd output, Fd error);
  // One descriptor for both directions. False when it cannot be.
  [[nodiscard]] bool attach_socket(Fd socket);
  // Bytes that the client gets before any output; once attached.
  void prepend(std::string bytes) { output_.unsent = std::move(bytes); }
  // Nobody is there: what the client sends is dropped.
  void attach_nothing() { attached_ = true; }

  // Moves what can be moved and sets what to wait for; called after every turn of the loop. shared: other
  // channels are open, and must not wait for long.
  void turn(bool shared);
  // Closes the descriptors, which hangs up what is behind them.
  void close_all();
  // Who wrote the output has ended, and others may still have it open: what is there now goes out, then it is
  // closed.
  void finish_output() { finishing_ = true; }

  // What is to be read is read to its end (or was closed), and is on its way to the client.
  [[nodiscard]] bool output_ended() const { return attached_ && output_.ended() && error_.ended(); }
  // The client has sent its last byte and it was passed on, or nobody reads it.
  [[nodiscard]] bool input_ended() const { return attached_ && input_ == nullptr; }
  // The client has sent more than it was allowed to (RFC 4254 section 5.2): its connection must end.
  [[nodiscard]] bool overrun() const { return overrun_; }
  [[nodiscard]] bool closed_by_client() const { return closed_by_client_; }
  // Whether the channel takes more now.
  [[nodiscard]] bool has_room() const;
  // Of the output, borrowed; -1 when it has ended.
  [[nodiscard]] int output_fd() const { return output_.fd == nullptr ? -1 : output_.fd->fd(); }

  [[nodiscard]] uint64_t bytes_in() const { return bytes_in_; }
  [[nodiscard]] uint64_t bytes_out() const { return bytes_out_; }

  // What is read of a source in one turn.
  struct Portion {
    int blocks;
    size_t most;    // bytes a block
    bool gathered;  // the library holds back what it is given
    bool shared;    // with other channels, see SendWindow
  };

 private:
  // What is read for the client.
  struct Source {
    std::unique_ptr<Watched> fd;
    std::string unsent;  // read, and not yet taken by the library; see prepend()
    [[nodiscard]] bool ended() const { return fd == nullptr && unsent.empty(); }
  };
  static int on_data(ssh_session, ssh_channel, void* data, uint32_t length, int is_stderr, void* self);
  static void on_eof(ssh_session, ssh_channel, void* self);
  static void on_close(ssh_session, ssh_channel, void* self);
  uint32_t take_input(const char* data, uint32_t length);  // bytes that were passed on
  void take_all();
  void widen_window();
  void drain_input();
  [[nodiscard]] bool held() const { return held_from_ < held_.size(); }
  void pump_output(Source& source, bool is_stderr, const Portion& portion);
  void pump_both(bool shared);
  [[nodiscard]] size_t window(bool shared);
  void send(Source& source, std::string_view bytes, bool is_stderr);
  void send_rest(Source& source, bool is_stderr);
  void close_input();

  ssh_session session_;
  ssh_event event_;
  ReceiveWindow window_;
  SendWindow send_window_;
  ssh_channel channel_;
  ssh_channel_callbacks_struct callbacks_ = {};
  bool attached_ = false;
  bool is_socket_ = false;
  bool input_dead_ = false;  // nobody reads what the client sends
  bool overrun_ = false;
  bool client_eof_ = false;  // the client sends no more
  bool finishing_ = false;   // see finish_output()
  uint64_t after_end_ = 0;   // bytes read since
  bool closed_by_client_ = false;
  std::unique_ptr<Watched> input_;
  Source output_, error_;
  // libssh holds data that the sink could not take yet. (Asking it with ssh_channel_poll() costs a poll(2)
  // each time.)
  bool input_waiting_ = false;
  std::string held_;  // read from the channel; from held_from_ on not yet written
  size_t held_from_ = 0;
  uint64_t bytes_in_ = 0, bytes_out_ = 0;
};

}  // namespace qf
