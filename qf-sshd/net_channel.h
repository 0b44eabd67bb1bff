// SPDX-License-Identifier: Apache-2.0
// One session channel in net: what the client has asked for so far, and the bytes between the channel and the
// descriptors that the monitor handed in. Bounded: nothing is read from a source whose sink is full.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "qf-sshd/messages.h"
#include "qf-sshd/net_event.h"

namespace qf {

class NetChannel;

// What a channel asks of the connection that it belongs to. Answers come at once (net waits for its monitor).
class ChannelOwner {
 public:
  virtual ~ChannelOwner() = default;
  // True: granted (the descriptors were given to the channel, or a refusal with its reason is on the way to
  // the user).
  virtual bool start_session(NetChannel& channel, const SessionRequest& request) = 0;
  virtual bool start_tunnel(NetChannel& channel) = 0;
  virtual void send_signal(NetChannel& channel, const std::string& name) = 0;
};

class NetChannel {
 public:
  // Takes part in libssh's callbacks from here on; `channel` belongs to this object.
  NetChannel(ChannelOwner& owner, ssh_session session, ssh_event event, ssh_channel channel, uint32_t id);
  ~NetChannel();
  NetChannel(const NetChannel&) = delete;
  NetChannel& operator=(const NetChannel&) = delete;

  [[nodiscard]] uint32_t id() const { return id_; }
  [[nodiscard]] bool finished() const { return finished_; }  // to be destroyed, outside of libssh's callbacks
  [[nodiscard]] bool known_to_monitor() const { return known_to_monitor_; }  // a session was asked for
  [[nodiscard]] uint64_t bytes_in() const { return bytes_in_; }
  [[nodiscard]] uint64_t bytes_out() const { return bytes_out_; }

  // The monitor's answers.
  void attach_session(std::vector<Fd> fds, bool terminal);
  void attach_stream(Fd fd);               // tunnel: one descriptor for both directions
  void refuse(const std::string& reason);  // says why on standard error, then exit status 255
  void process_ended(const SessionExit& exit);

  // Moves what can be moved and sets what to wait for; called after every turn of the loop.
  void turn();
  // Milliseconds until turn() must be called even when nothing happens; -1: no need.
  [[nodiscard]] int patience() const;

 private:
  static int on_data(ssh_session, ssh_channel, void* data, uint32_t length, int is_stderr, void* self);
  static void on_eof(ssh_session, ssh_channel, void* self);
  static void on_close(ssh_session, ssh_channel, void* self);
  static void on_signal(ssh_session, ssh_channel, const char* signal, void* self);
  static int on_pty(ssh_session, ssh_channel, const char* term, int columns, int rows, int width, int height,
                    void* self);
  static int on_window(ssh_session, ssh_channel, int columns, int rows, int width, int height, void* self);
  static int on_shell(ssh_session, ssh_channel, void* self);
  static int on_exec(ssh_session, ssh_channel, const char* command, void* self);
  static int on_env(ssh_session, ssh_channel, const char* name, const char* value, void* self);
  static int on_subsystem(ssh_session, ssh_channel, const char* subsystem, void* self);

  bool start(SessionKind kind, const std::string& command);
  uint32_t take_input(const char* data, uint32_t length);  // bytes that went to the process
  void drain_input();
  void pump_output(std::unique_ptr<Watched>& source, bool is_stderr);
  void close_input();
  void say_refusal();
  void maybe_end();
  [[nodiscard]] bool write_pending() const;

  ChannelOwner& owner_;
  ssh_session session_;
  ssh_event event_;
  ssh_channel channel_;
  uint32_t id_;
  ssh_channel_callbacks_struct callbacks_ = {};

  // asked for before the session starts
  std::optional<Terminal> terminal_;
  std::map<std::string, std::string> environment_;

  bool started_ = false;
  bool known_to_monitor_ = false;
  bool input_dead_ = false;  // nobody reads what the client sends
  std::string refusal_;      // to be said on standard error
  bool has_terminal_ = false;
  bool is_stream_ = false;   // a tunnel's: input and output end together
  bool client_eof_ = false;  // the client sends no more
  bool closed_by_client_ = false;
  bool finished_ = false;
  bool eof_sent_ = false;
  bool exit_sent_ = false;
  std::optional<SessionExit> exit_;
  Deadline drained_by_ =
      Deadline::max();  // a terminal whose process has ended: when to stop waiting for its output

  std::unique_ptr<Watched> input_;  // writing end towards the process
  std::unique_ptr<Watched> output_, error_;
  // libssh holds data that the process could not take yet. (Asking it with ssh_channel_poll() costs a poll(2)
  // each time.)
  bool input_waiting_ = false;
  std::string held_;  // read from the channel, not yet written
  uint64_t bytes_in_ = 0, bytes_out_ = 0;
};

}  // namespace qf
