// SPDX-License-Identifier: Apache-2.0
// One session channel in net (RFC 4254 section 6): what the client has asked for so far, the session that the
// monitor started for it, and how it ended. Also the channel of a tunnel's stream, which is a session channel
// with a subsystem.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "qf-sshd/messages.h"
#include "qf-sshd/net_pump.h"

namespace qf {

class NetSession;

// What a session asks of the connection that it belongs to. Answers come at once (net waits for its monitor).
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // True: granted (the descriptors were given to the session, or a refusal with its reason is on the way to
  // the user).
  virtual bool start_session(NetSession& session, const SessionRequest& request) = 0;
  virtual bool start_tunnel(NetSession& session) = 0;
  virtual void send_signal(NetSession& session, const std::string& name) = 0;
  [[nodiscard]] virtual bool agent_allowed() const = 0;
  [[nodiscard]] virtual bool x11_allowed() const = 0;
};

class NetSession {
 public:
  // Takes part in libssh's callbacks from here on; `channel` belongs to this object.
  NetSession(SessionOwner& owner, const NetLoop& loop, ssh_channel channel, uint32_t id);
  ~NetSession();
  NetSession(const NetSession&) = delete;
  NetSession& operator=(const NetSession&) = delete;

  // A channel request of the client; true: to be answered with success.
  [[nodiscard]] bool handle(ssh_message request);
  [[nodiscard]] bool is(ssh_channel channel) const { return channel == channel_; }
  [[nodiscard]] uint32_t id() const { return id_; }
  [[nodiscard]] bool finished() const { return finished_; }  // to be destroyed, outside of libssh's callbacks
  [[nodiscard]] bool overrun() const { return pump_.overrun(); }
  [[nodiscard]] bool known_to_monitor() const { return known_to_monitor_; }  // a session was asked for
  [[nodiscard]] uint64_t bytes_in() const { return pump_.bytes_in(); }
  [[nodiscard]] uint64_t bytes_out() const { return pump_.bytes_out(); }

  // The monitor's answers.
  void attach_session(std::vector<Fd> fds, bool terminal);
  void attach_stream(Fd fd);               // tunnel: one descriptor for both directions
  void refuse(const std::string& reason);  // says why on standard error, then exit status 255
  void process_ended(const SessionExit& exit);
  // For the user, on standard error beside what the session says. False: not possible now.
  [[nodiscard]] bool say(const std::string& text);

  // Moves what can be moved and sets what to wait for; called after every turn of the loop.
  void turn(bool shared);

 private:
  static void on_signal(ssh_session, ssh_channel, const char* signal, void* self);
  static void on_agent(ssh_session, ssh_channel, void* self);

  bool take_terminal(ssh_message request);
  bool change_window(ssh_message request);
  bool take_variable(ssh_message request);
  bool take_x11(ssh_message request);
  bool start(SessionKind kind, const char* command, size_t limit);
  void say_refusal();
  void maybe_end();

  SessionOwner& owner_;
  ssh_channel channel_;
  uint32_t id_;
  ssh_channel_callbacks_struct callbacks_ = {};
  NetPump pump_;

  // asked for before the session starts
  std::optional<PtyRequest> terminal_;
  std::map<std::string, std::string> environment_;
  bool agent_ = false;
  std::optional<X11> x11_;

  bool started_ = false;
  bool known_to_monitor_ = false;
  std::string refusal_;  // to be said on standard error
  bool has_terminal_ = false;
  bool is_stream_ = false;  // a tunnel's: input and output end together
  bool finished_ = false;
  bool eof_sent_ = false;
  bool exit_sent_ = false;
  std::optional<SessionExit> exit_;
};

}  // namespace qf
