// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_channel.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "libqf/log.h"
#include "qf-sshd/session.h"

namespace qf {

namespace {

constexpr size_t kBlock = 256 * 1024;  // bytes a read; below 32 KiB bulk data slows down
constexpr int kBlocksPerTurn = 8;      // then other channels have their turn
constexpr size_t kMostVariables = 64;  // of the environment, a session
constexpr size_t kMostVariableBytes = 4096;
constexpr size_t kMostCommandBytes = 128 * 1024;  // MAX_ARG_STRLEN of Linux: execve(2) takes no more
// A terminal reports its end only when no process has it open any more. When the session's own process has
// ended, output that it left behind arrives within this time; a background process that keeps the terminal
// open does not hold the session.
constexpr auto kTerminalGrace = std::chrono::milliseconds(500);

std::array<char, kBlock>& block() {
  static std::array<char, kBlock> buffer;  // one process, one thread, never held across calls
  return buffer;
}

uint32_t number(int value) {
  return static_cast<uint32_t>(std::max(value, 0));
}

}  // namespace

NetChannel::NetChannel(ChannelOwner& owner, ssh_session session, ssh_event event, ssh_channel channel,
                       uint32_t id)
    : owner_(owner), session_(session), event_(event), channel_(channel), id_(id) {
  callbacks_.userdata = this;
  callbacks_.channel_data_function = &NetChannel::on_data;
  callbacks_.channel_eof_function = &NetChannel::on_eof;
  callbacks_.channel_close_function = &NetChannel::on_close;
  callbacks_.channel_signal_function = &NetChannel::on_signal;
  callbacks_.channel_pty_request_function = &NetChannel::on_pty;
  callbacks_.channel_pty_window_change_function = &NetChannel::on_window;
  callbacks_.channel_shell_request_function = &NetChannel::on_shell;
  callbacks_.channel_exec_request_function = &NetChannel::on_exec;
  callbacks_.channel_env_request_function = &NetChannel::on_env;
  callbacks_.channel_subsystem_request_function = &NetChannel::on_subsystem;
  ssh_callbacks_init(&callbacks_);
  ::ssh_set_channel_callbacks(channel_, &callbacks_);
}

NetChannel::~NetChannel() {
  ::ssh_remove_channel_callbacks(channel_, &callbacks_);
  ::ssh_channel_free(channel_);
}

// ---- requests of the client -------------------------------------------------------------------------------

int NetChannel::on_pty(ssh_session, ssh_channel, const char* term, int columns, int rows, int width,
                       int height, void* self_) {
  auto* self = static_cast<NetChannel*>(self_);
  std::string type = term == nullptr ? "" : term;
  if (self->started_ || self->terminal_ || type.size() > 128 || type != printable(type)) return -1;
  self->terminal_ = Terminal{type, number(columns), number(rows), number(width), number(height)};
  return 0;
}

int NetChannel::on_window(ssh_session, ssh_channel, int columns, int rows, int width, int height,
                          void* self_) {
  auto* self = static_cast<NetChannel*>(self_);
  if (!self->terminal_) return -1;
  *self->terminal_ = {self->terminal_->type, number(columns), number(rows), number(width), number(height)};
  if (!self->has_terminal_ || self->output_ == nullptr) return 0;
  winsize size = {static_cast<unsigned short>(rows), static_cast<unsigned short>(columns),
                  static_cast<unsigned short>(width), static_cast<unsigned short>(height)};
  return ::ioctl(self->output_->fd(), TIOCSWINSZ, &size) == 0 ? 0 : -1;
}

int NetChannel::on_env(ssh_session, ssh_channel, const char* name, const char* value, void* self_) {
  auto* self = static_cast<NetChannel*>(self_);
  if (self->started_ || name == nullptr || value == nullptr || !accepted_variable(name)) return -1;
  std::string text = value;
  if (text.size() > kMostVariableBytes || self->environment_.size() >= kMostVariables) return -1;
  self->environment_[name] = text;
  return 0;
}

int NetChannel::on_shell(ssh_session, ssh_channel, void* self) {
  return static_cast<NetChannel*>(self)->start(SessionKind::kShell, "") ? 0 : -1;
}

int NetChannel::on_exec(ssh_session, ssh_channel, const char* command, void* self) {
  if (command == nullptr || std::strlen(command) >= kMostCommandBytes) return -1;
  return static_cast<NetChannel*>(self)->start(SessionKind::kExec, command) ? 0 : -1;
}

int NetChannel::on_subsystem(ssh_session, ssh_channel, const char* subsystem, void* self_) {
  auto* self = static_cast<NetChannel*>(self_);
  if (subsystem == nullptr || std::strlen(subsystem) > 64) return -1;
  return self->start(SessionKind::kSubsystem, subsystem) ? 0 : -1;
}

void NetChannel::on_signal(ssh_session, ssh_channel, const char* signal, void* self_) {
  auto* self = static_cast<NetChannel*>(self_);
  if (signal != nullptr && self->started_ && !self->exit_ && std::strlen(signal) <= 16) {
    self->owner_.send_signal(*self, signal);
  }
}

bool NetChannel::start(SessionKind kind, const std::string& command) {
  if (started_) return false;
  started_ = true;
  if (kind == SessionKind::kSubsystem && command == "qufabric-tunnel") return owner_.start_tunnel(*this);
  SessionRequest request{id_, kind, command, environment_, terminal_};
  if (kind == SessionKind::kSubsystem) request.terminal.reset();
  return owner_.start_session(*this, request);
}

// ---- answers of the monitor -------------------------------------------------------------------------------

void NetChannel::attach_session(std::vector<Fd> fds, bool terminal) {
  known_to_monitor_ = true;
  has_terminal_ = terminal;
  // the session's own ends are other open files (or, of a terminal, the slave), so their flags do not change
  for (const auto& fd : fds) static_cast<void>(set_nonblocking(fd.get(), true));
  input_ = std::make_unique<Watched>(event_, std::move(fds[0]));
  output_ = std::make_unique<Watched>(event_, std::move(fds[1]));
  if (!terminal) error_ = std::make_unique<Watched>(event_, std::move(fds[2]));
}

void NetChannel::attach_stream(Fd fd) {
  is_stream_ = true;
  static_cast<void>(set_nonblocking(fd.get(), true));
  auto copy = duplicate(fd.get());
  if (!copy) return;
  input_ = std::make_unique<Watched>(event_, std::move(*copy));
  output_ = std::make_unique<Watched>(event_, std::move(fd));
}

void NetChannel::refuse(const std::string& reason) {
  refusal_ = printable(reason, true) + "\r\n";
  exit_ = SessionExit{id_, 255, "", false};
}

void NetChannel::process_ended(const SessionExit& exit) {
  exit_ = exit;
  if (has_terminal_) drained_by_ = Clock::now() + kTerminalGrace;
}

// ---- bytes ------------------------------------------------------------------------------------------------

bool NetChannel::write_pending() const {
  return (::ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) != 0;
}

uint32_t NetChannel::take_input(const char* data, uint32_t length) {
  uint32_t taken = 0;
  while (taken < length && !input_dead_) {
    ssize_t n = ::write(input_->fd(), data + taken, length - taken);
    if (n > 0) {
      taken += static_cast<uint32_t>(n);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      break;
    } else {
      input_dead_ = true;  // the process reads no more: what else the client sends has no reader
    }
  }
  bytes_in_ += taken;
  return input_dead_ ? length : taken;
}

int NetChannel::on_data(ssh_session, ssh_channel, void* data, uint32_t length, int is_stderr, void* self_) {
  auto* self = static_cast<NetChannel*>(self_);
  if (is_stderr != 0) return static_cast<int>(length);  // a client has nothing to say there
  bool nobody = self->started_ && (self->input_ == nullptr || self->input_dead_);
  if (nobody) return static_cast<int>(length);
  // order: what was read before goes first
  bool direct = self->started_ && self->held_.empty();
  uint32_t taken = direct ? self->take_input(static_cast<const char*>(data), length) : 0;
  self->input_waiting_ = taken < length;
  return static_cast<int>(taken);
}

void NetChannel::drain_input() {
  while (input_ != nullptr && !input_dead_) {
    if (!held_.empty()) held_.erase(0, take_input(held_.data(), static_cast<uint32_t>(held_.size())));
    if (!held_.empty() || !input_waiting_) return;
    int n = ::ssh_channel_read_nonblocking(channel_, block().data(), kBlock, 0);
    input_waiting_ = n > 0;
    if (n <= 0) return;
    auto length = static_cast<uint32_t>(n);
    uint32_t taken = take_input(block().data(), length);
    held_.assign(block().data() + taken, length - taken);
  }
}

void NetChannel::pump_output(std::unique_ptr<Watched>& source, bool is_stderr) {
  for (int i = 0; i < kBlocksPerTurn && source != nullptr; ++i) {
    size_t window = ::ssh_channel_window_size(channel_);
    if (window == 0 || write_pending() || closed_by_client_) return;
    ssize_t n = ::read(source->fd(), block().data(), std::min(window, kBlock));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {  // EIO is how a terminal says that nobody has it open any more
      source.reset();
      return;
    }
    if (exit_ && has_terminal_) drained_by_ = Clock::now() + kTerminalGrace;
    auto length = static_cast<uint32_t>(n);
    bytes_out_ += length;
    int written = is_stderr ? ::ssh_channel_write_stderr(channel_, block().data(), length)
                            : ::ssh_channel_write(channel_, block().data(), length);
    if (written != n) source.reset();  // the connection is gone; the loop ends with it
  }
}

void NetChannel::close_input() {
  if (input_ == nullptr) return;
  if (is_stream_) ::shutdown(input_->fd(), SHUT_WR);
  input_.reset();
  held_.clear();
}

void NetChannel::on_eof(ssh_session, ssh_channel, void* self) {
  static_cast<NetChannel*>(self)->client_eof_ = true;
}

void NetChannel::on_close(ssh_session, ssh_channel, void* self) {
  static_cast<NetChannel*>(self)->closed_by_client_ = true;
}

void NetChannel::turn() {
  if (closed_by_client_) {
    // closing the descriptors hangs up what runs there
    input_.reset();
    output_.reset();
    error_.reset();
    if (!started_ || is_stream_) {
      finished_ = true;
    } else {
      maybe_end();
    }
    return;
  }
  if (!refusal_.empty()) say_refusal();
  if (output_ != nullptr && output_->take_ready()) pump_output(output_, false);
  if (error_ != nullptr && error_->take_ready()) pump_output(error_, true);
  if (input_ != nullptr && (input_waiting_ || !held_.empty())) drain_input();
  bool waiting = input_waiting_ || !held_.empty();
  if (input_dead_ || (client_eof_ && !waiting)) close_input();
  if (input_ != nullptr) input_->want(waiting ? POLLOUT : 0);
  bool room = ::ssh_channel_window_size(channel_) > 0 && !write_pending();
  if (output_ != nullptr) output_->want(room ? POLLIN : 0);
  if (error_ != nullptr) error_->want(room ? POLLIN : 0);
  if (Clock::now() >= drained_by_ && room) output_.reset();
  maybe_end();
}

void NetChannel::say_refusal() {
  size_t room = std::min(::ssh_channel_window_size(channel_), static_cast<uint32_t>(refusal_.size()));
  if (room > 0) ::ssh_channel_write_stderr(channel_, refusal_.data(), static_cast<uint32_t>(room));
  refusal_.clear();
}

void NetChannel::maybe_end() {
  if (!started_ || output_ != nullptr || error_ != nullptr) return;
  if (!eof_sent_ && !closed_by_client_) {
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
  input_.reset();
  ::ssh_channel_close(channel_);
  finished_ = true;
}

int NetChannel::patience() const {
  if (drained_by_ == Deadline::max() || output_ == nullptr) return -1;
  return std::max(poll_timeout(drained_by_), 1);
}

}  // namespace qf
