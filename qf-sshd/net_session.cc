// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_session.h"

#include <sys/ioctl.h>

#include <algorithm>

#include "libqf/log.h"
#include "libqf/tunnel.h"
#include "qf-sshd/client_variables.h"
#include "qf-sshd/library_values.h"
#include "qf-sshd/x11_cookie.h"

// The library's callbacks for the same would have to answer at once, also for what must wait (net_forward.h),
// since it takes either its callbacks or its messages.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace qf {

namespace {

constexpr size_t kMostVariables = 64;  // of the environment, a session
constexpr size_t kMostVariableBytes = 4096;
constexpr size_t kMostEnvironmentBytes = 8192;    // all names and values; with the command in one message
constexpr size_t kMostCommandBytes = 128 * 1024;  // MAX_ARG_STRLEN of Linux: execve(2) takes no more
constexpr size_t kMostNameBytes = 128;

PtyRequest read_terminal(ssh_message request, const std::string& type) {
  return {type, number_of(::ssh_message_channel_request_pty_width(request)),
          number_of(::ssh_message_channel_request_pty_height(request)),
          number_of(::ssh_message_channel_request_pty_pxwidth(request)),
          number_of(::ssh_message_channel_request_pty_pxheight(request))};
}

bool clean_name(const std::string& name) {
  return name.size() <= kMostNameBytes && name == printable(name);
}

}  // namespace

NetSession::NetSession(SessionOwner& owner, const NetLoop& loop, ssh_channel channel, uint32_t id)
    : owner_(owner), channel_(channel), id_(id), pump_(loop, channel) {
  callbacks_.userdata = this;
  callbacks_.channel_signal_function = &NetSession::on_signal;
  // where this is set the library answers the request with success
  if (owner.agent_allowed()) callbacks_.channel_auth_agent_req_function = &NetSession::on_agent;
  ssh_callbacks_init(&callbacks_);
  ::ssh_add_channel_callbacks(channel_, &callbacks_);
}

NetSession::~NetSession() {
  pump_.leave();
  ::ssh_remove_channel_callbacks(channel_, &callbacks_);
  ::ssh_channel_free(channel_);
}

// ---- requests of the client -------------------------------------------------------------------------------

bool NetSession::handle(ssh_message request) {
  switch (::ssh_message_subtype(request)) {
    case SSH_CHANNEL_REQUEST_PTY:
      return take_terminal(request);
    case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
      return change_window(request);
    case SSH_CHANNEL_REQUEST_ENV:
      return take_variable(request);
    case SSH_CHANNEL_REQUEST_X11:
      return take_x11(request);
    case SSH_CHANNEL_REQUEST_SHELL:
      return start(SessionKind::kShell, "", 1);
    case SSH_CHANNEL_REQUEST_EXEC:
      return start(SessionKind::kExec, ::ssh_message_channel_request_command(request), kMostCommandBytes);
    case SSH_CHANNEL_REQUEST_SUBSYSTEM:
      return start(SessionKind::kSubsystem, ::ssh_message_channel_request_subsystem(request), kMostNameBytes);
    default:
      return false;
  }
}

bool NetSession::take_terminal(ssh_message request) {
  std::string type = text_of(::ssh_message_channel_request_pty_term(request));
  if (started_ || terminal_ || !clean_name(type)) return false;
  terminal_ = read_terminal(request, type);
  return true;
}

bool NetSession::change_window(ssh_message request) {
  if (!terminal_) return false;
  *terminal_ = read_terminal(request, terminal_->type);
  if (!has_terminal_ || pump_.output_fd() < 0) return true;
  winsize size = {
      static_cast<unsigned short>(terminal_->rows), static_cast<unsigned short>(terminal_->columns),
      static_cast<unsigned short>(terminal_->width), static_cast<unsigned short>(terminal_->height)};
  return ::ioctl(pump_.output_fd(), TIOCSWINSZ, &size) == 0;
}

bool NetSession::take_variable(ssh_message request) {
  const char* name = ::ssh_message_channel_request_env_name(request);
  const char* value = ::ssh_message_channel_request_env_value(request);
  if (started_ || name == nullptr || value == nullptr || !accepted_variable(name)) return false;
  std::string text = value;
  size_t all = std::strlen(name) + text.size();
  for (const auto& [other, its_value] : environment_) all += other.size() + its_value.size();
  if (text.size() > kMostVariableBytes || all > kMostEnvironmentBytes ||
      environment_.size() >= kMostVariables)
    return false;
  environment_[name] = text;
  return true;
}

bool NetSession::take_x11(ssh_message request) {
  if (started_ || x11_ || !owner_.x11_allowed()) return false;
  X11 x11{::ssh_message_channel_request_x11_single_connection(request) != 0,
          text_of(::ssh_message_channel_request_x11_auth_protocol(request)),
          text_of(::ssh_message_channel_request_x11_auth_cookie(request)),
          number_of(::ssh_message_channel_request_x11_screen_number(request))};
  if (!is_x11_request(x11.protocol, x11.cookie)) return false;
  x11_ = std::move(x11);
  return true;
}

void NetSession::on_agent(ssh_session, ssh_channel, void* self_) {
  auto* self = static_cast<NetSession*>(self_);
  if (!self->started_) self->agent_ = true;
}

void NetSession::on_signal(ssh_session, ssh_channel, const char* signal, void* self_) {
  auto* self = static_cast<NetSession*>(self_);
  if (signal != nullptr && self->known_to_monitor_ && !self->exit_ && std::strlen(signal) <= 16) {
    self->owner_.send_signal(*self, signal);
  }
}

bool NetSession::start(SessionKind kind, const char* command, size_t limit) {
  if (started_ || command == nullptr || std::strlen(command) >= limit) return false;
  if (kind == SessionKind::kSubsystem && std::string_view(command) == kTunnelSubsystem) {
    // refused, the channel is as good as before
    started_ = owner_.start_tunnel(*this);
    return started_;
  }
  started_ = true;
  SessionRequest request{id_, kind, command, environment_, terminal_, agent_, x11_};
  if (kind == SessionKind::kSubsystem) request.terminal.reset();
  return owner_.start_session(*this, request);
}

// ---- answers of the monitor -------------------------------------------------------------------------------

void NetSession::attach_session(std::vector<Fd> fds, bool terminal) {
  known_to_monitor_ = true;
  has_terminal_ = terminal;
  // a terminal's three descriptors are one
  pump_.attach(std::move(fds[0]), std::move(fds[1]), terminal ? Fd() : std::move(fds[2]));
}

void NetSession::attach_stream(Fd fd) {
  is_stream_ = true;
  if (!pump_.attach_socket(std::move(fd))) pump_.attach_nothing();
}

void NetSession::refuse(const std::string& reason) {
  pump_.attach_nothing();
  refusal_ = printable(reason, true) + "\r\n";
  exit_ = SessionExit{id_, 255, "", false};
}

void NetSession::process_ended(const SessionExit& exit) {
  exit_ = exit;
  // a terminal reports its end only when no process has it open any more, and a background process must not
  // hold the session
  if (has_terminal_) pump_.finish_output();
}

bool NetSession::say(const std::string& text) {
  bool possible = known_to_monitor_ && !eof_sent_ && !pump_.closed_by_client() && pump_.has_room() &&
                  ::ssh_channel_window_size(channel_) >= text.size();
  return possible &&
         ::ssh_channel_write_stderr(channel_, text.data(), static_cast<uint32_t>(text.size())) > 0;
}

// ---- its end ----------------------------------------------------------------------------------------------

void NetSession::turn(bool shared) {
  // a client that leaves hangs up a terminal at once, whatever is still typed into it
  if (pump_.closed_by_client() && has_terminal_) pump_.close_all();
  if (!refusal_.empty()) say_refusal();
  pump_.turn(shared);
  bool nothing_runs = !started_ || is_stream_;
  if (pump_.closed_by_client() && nothing_runs) {
    pump_.close_all();
    // While output waits the library sends an EOF at the first call and the close only at the second, which
    // is the one of ssh_channel_free().
    ::ssh_channel_close(channel_);
    finished_ = true;
    return;
  }
  maybe_end();
}

void NetSession::say_refusal() {
  size_t room = std::min(::ssh_channel_window_size(channel_), static_cast<uint32_t>(refusal_.size()));
  if (room > 0) ::ssh_channel_write_stderr(channel_, refusal_.data(), static_cast<uint32_t>(room));
  refusal_.clear();
}

void NetSession::maybe_end() {
  if (!started_ || !pump_.output_ended()) return;
  bool client_listens = !pump_.closed_by_client();
  if (!eof_sent_ && client_listens) {
    eof_sent_ = true;
    ::ssh_channel_send_eof(channel_);
  }
  // OpenSSH closes as soon as both sides have sent EOF; it still takes the exit status, until we close too
  if (!is_stream_ && !exit_) return;
  if (exit_ && !exit_sent_) {
    exit_sent_ = true;
    if (exit_->signal.empty()) {
      ::ssh_channel_request_send_exit_status(channel_, static_cast<int>(exit_->status));
    } else {
      ::ssh_channel_request_send_exit_signal(channel_, exit_->signal.c_str(), exit_->core_dumped ? 1 : 0, "",
                                             "");
    }
  }
  pump_.close_all();
  ::ssh_channel_close(channel_);
  finished_ = true;
}

}  // namespace qf
