// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_pump.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "qf-sshd/net_read_ahead.h"

namespace qf {

namespace {

constexpr size_t kBlock = 256 * 1024;  // bytes a read; below 32 KiB bulk data slows down
constexpr int kBlocksPerTurn = 8;      // before the connection is looked at again
// One a turn when other channels are open: a letter that somebody types waits behind less.
constexpr size_t kSharedBlock = 64 * 1024;
// What is written at once to a socket, of bytes that are read already: of so many, libssh finds at least one
// more whole packet. A pipe holds less.
constexpr size_t kWholePacket = 33 * 1024;
constexpr size_t kGathered = 256 * 1024;
// More than a terminal holds (640 KiB since Linux 3.12): what is beyond was written after the end.
constexpr uint64_t kMostAfterEnd = 1 << 20;

constexpr NetPump::Portion kAlone{kBlocksPerTurn, kBlock, false, false};
constexpr NetPump::Portion kShared{1, kSharedBlock, false, true};

std::array<char, kBlock>& block() {
  static std::array<char, kBlock> buffer;  // one process, one thread, never held across calls
  return buffer;
}

}  // namespace

NetPump::NetPump(const NetLoop& loop, ssh_channel channel)
    : session_(loop.session),
      event_(loop.event),
      window_(loop.path),
      send_window_(loop.path),
      channel_(channel) {
  callbacks_.userdata = this;
  callbacks_.channel_data_function = &NetPump::on_data;
  callbacks_.channel_eof_function = &NetPump::on_eof;
  callbacks_.channel_close_function = &NetPump::on_close;
  ssh_callbacks_init(&callbacks_);
  ::ssh_add_channel_callbacks(channel_, &callbacks_);
}

void NetPump::leave() {
  if (channel_ == nullptr) return;
  close_all();
  ::ssh_remove_channel_callbacks(channel_, &callbacks_);
  channel_ = nullptr;
}

void NetPump::attach(Fd input, Fd output, Fd error) {
  attached_ = true;
  // the other side's own ends are other open files (or, of a terminal, the slave), so their flags do not
  // change
  for (const Fd* fd : {&input, &output, &error}) {
    if (*fd) static_cast<void>(set_nonblocking(fd->get(), true));
  }
  if (input) input_ = std::make_unique<Watched>(event_, std::move(input));
  if (output) output_.fd = std::make_unique<Watched>(event_, std::move(output));
  if (error) error_.fd = std::make_unique<Watched>(event_, std::move(error));
}

bool NetPump::attach_socket(Fd socket) {
  // two entries in libssh's loop need two descriptors
  auto copy = duplicate(socket.get());
  if (!copy) return false;
  is_socket_ = true;
  attach(std::move(*copy), std::move(socket), Fd());
  return true;
}

bool NetPump::has_room() const {
  return ::ssh_channel_window_size(channel_) > 0 && (::ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) == 0;
}

// ---- from the client --------------------------------------------------------------------------------------

uint32_t NetPump::take_input(const char* data, uint32_t length) {
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
      input_dead_ = true;  // nobody reads any more: what else the client sends has no reader
    }
  }
  bytes_in_ += taken;
  return input_dead_ ? length : taken;
}

int NetPump::on_data(ssh_session, ssh_channel, void* data, uint32_t length, int is_stderr, void* self_) {
  auto* self = static_cast<NetPump*>(self_);
  if (is_stderr != 0) return static_cast<int>(length);  // a client has nothing to say there
  bool nobody = self->attached_ && (self->input_ == nullptr || self->input_dead_);
  if (nobody) return static_cast<int>(length);
  // order: what was read before goes first
  bool direct = self->attached_ && !self->held();
  // one more packet at least was read already: what it brings goes with this, in one write(2)
  if (self->is_socket_ && length < kGathered && bytes_ahead() >= kWholePacket) direct = false;
  // `length` is all that the library holds; it takes what is beyond the window all the same
  if (length > self->window_.most_held()) self->overrun_ = true;
  uint32_t taken = direct ? self->take_input(static_cast<const char*>(data), length) : 0;
  self->input_waiting_ = taken < length;
  return static_cast<int>(taken);
}

// Everything that the library holds is taken at once: each read makes it grant a whole new window, however
// much it still holds, so that reading a part at a time would let a client fill the memory of a server whose
// process is slow.
void NetPump::take_all() {
  held_.clear();
  held_from_ = 0;
  for (;;) {
    int n = ::ssh_channel_read_nonblocking(channel_, block().data(), kBlock, 0);
    if (n > 0) held_.append(block().data(), static_cast<size_t>(n));
    // a whole block: there may be more
    if (n < static_cast<int>(kBlock)) break;
  }
  input_waiting_ = false;
}

// Reading more than the window holds is how the library is asked for a larger one (its own is 1,280,000
// bytes). What it reads by that is held.
void NetPump::widen_window() {
  static std::array<char, ReceiveWindow::kWidest> wide;  // only what is read takes memory
  int n = ::ssh_channel_read_timeout(channel_, wide.data(), window_.grant(bytes_in_, Clock::now()), 0, 0);
  if (n <= 0) return;
  held_.assign(wide.data(), static_cast<size_t>(n));
  held_from_ = 0;
}

void NetPump::drain_input() {
  while (input_ != nullptr && !input_dead_) {
    if (!held()) {
      if (!input_waiting_) return;
      take_all();
      if (!held()) return;
    }
    auto rest = static_cast<uint32_t>(held_.size() - held_from_);
    held_from_ += take_input(held_.data() + held_from_, rest);
    if (held()) return;
  }
}

void NetPump::close_input() {
  if (input_ == nullptr) return;
  if (is_socket_) ::shutdown(input_->fd(), SHUT_WR);
  input_.reset();
  held_.clear();
}

void NetPump::on_eof(ssh_session, ssh_channel, void* self) {
  static_cast<NetPump*>(self)->client_eof_ = true;
}

// What came before the close is still passed on (as after an EOF).
void NetPump::on_close(ssh_session, ssh_channel, void* self_) {
  auto* self = static_cast<NetPump*>(self_);
  self->client_eof_ = true;
  self->closed_by_client_ = true;
}

// ---- to the client ----------------------------------------------------------------------------------------

// Bytes that may be sent.
size_t NetPump::window(bool shared) {
  return send_window_.room(::ssh_channel_window_size(channel_), shared, Clock::now());
}

void NetPump::pump_output(Source& source, bool is_stderr, const Portion& portion) {
  for (int i = 0; i < portion.blocks && source.fd != nullptr && source.unsent.empty(); ++i) {
    size_t most = std::min(window(portion.shared), portion.most);
    bool room = most > 0 && (portion.gathered || has_room());
    if (!room || closed_by_client_) return;
    ssize_t n = ::read(source.fd->fd(), block().data(), most);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN && !finishing_) return;
    if (n <= 0 ||
        after_end_ > kMostAfterEnd) {  // EIO is how a terminal says that nobody has it open any more
      source.fd.reset();
      return;
    }
    if (finishing_) after_end_ += static_cast<uint64_t>(n);
    send(source, {block().data(), static_cast<size_t>(n)}, is_stderr);
  }
}

// What was written to both goes to the client in one piece, as with sshd: a client that acts on the output
// and then ends its ssh (rsync does when the other side refuses) would miss the error that came a moment
// later. The library sends the first message that it is given at once, and gathers what follows until the
// socket is asked again: so the first is one that means nothing (RFC 4253 section 11.2).
void NetPump::pump_both(bool shared) {
  bool gathered = has_room() && ::ssh_send_ignore(session_, "") == SSH_OK;
  pump_output(output_, false, {1, kSharedBlock, gathered, shared});
  pump_output(error_, true, {1, kSharedBlock, gathered, shared});
}

// While keys are exchanged again the library takes only a part, or nothing: the rest waits.
void NetPump::send(Source& source, std::string_view bytes, bool is_stderr) {
  auto length = static_cast<uint32_t>(bytes.size());
  int taken = is_stderr ? ::ssh_channel_write_stderr(channel_, bytes.data(), length)
                        : ::ssh_channel_write(channel_, bytes.data(), length);
  if (taken < 0) {  // the connection is gone; the loop ends with it
    source = Source();
    return;
  }
  bytes_out_ += static_cast<uint64_t>(taken);
  send_window_.sent(static_cast<size_t>(taken));
  source.unsent.assign(bytes.substr(static_cast<size_t>(taken)));
}

void NetPump::send_rest(Source& source, bool is_stderr) {
  if (source.unsent.empty() || !has_room()) return;
  std::string rest = std::exchange(source.unsent, std::string());
  size_t length = std::min<size_t>(::ssh_channel_window_size(channel_), rest.size());
  send(source, std::string_view(rest).substr(0, length), is_stderr);
  source.unsent.append(rest, length);
}

void NetPump::close_all() {
  input_.reset();
  output_ = Source();
  error_ = Source();
  held_.clear();
}

void NetPump::turn(bool shared) {
  if (closed_by_client_) {
    output_ = Source();
    error_ = Source();
  }
  send_rest(output_, false);
  send_rest(error_, true);
  bool output_ready = output_.fd != nullptr && (output_.fd->take_ready() || finishing_);
  bool error_ready = error_.fd != nullptr && error_.fd->take_ready();
  if (output_ready && error_ready) {
    pump_both(shared);
  } else if (output_ready) {
    pump_output(output_, false, shared ? kShared : kAlone);
  } else if (error_ready) {
    pump_output(error_, true, shared ? kShared : kAlone);
  }
  if (input_ != nullptr && (input_waiting_ || held())) drain_input();
  bool waiting = input_waiting_ || held();
  if (!waiting && input_ != nullptr && !client_eof_ && window_.due(bytes_in_)) {
    widen_window();
    drain_input();
    waiting = input_waiting_ || held();
  }
  if (!waiting && held_.capacity() > kBlock) std::string().swap(held_);
  if (input_dead_ || (client_eof_ && !waiting)) close_input();
  if (input_ != nullptr) input_->want(waiting ? POLLOUT : 0);
  bool room = (output_.fd != nullptr || error_.fd != nullptr) && has_room() && window(shared) > 0;
  for (Source* source : {&output_, &error_})
    if (source->fd != nullptr) source->fd->want(source->unsent.empty() && room ? POLLIN : 0);
}

}  // namespace qf
