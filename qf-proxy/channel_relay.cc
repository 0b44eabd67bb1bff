// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/channel_relay.h"

#include <libssh/callbacks.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "libqf/fd.h"
#include "libqf/identification.h"
#include "libqf/log.h"
#include "qf-proxy/client_watch.h"
#include "qf-proxy/non_blocking.h"
#include "qf-proxy/outer_session.h"
#include "qf-proxy/pump.h"

namespace qf {

namespace {

constexpr uint32_t kWindow = 4 << 20;       // bytes that the peer may send ahead: 80 MB/s at 50 ms
constexpr uint32_t kRenewWindow = 1 << 20;  // ask for more after so many
constexpr uint32_t kReadBytes = 256 * 1024;
constexpr size_t kMostHeld = 1 << 20;
constexpr size_t kMostHeldWriting = 16 << 20;  // more than that no client leaves unread that still writes
constexpr int kPacketRounds = 64;              // libssh reads 4 KiB a round
constexpr auto kLastWords = std::chrono::seconds(5);
constexpr auto kGoodbye = std::chrono::milliseconds(300);

class ChannelRelay {
 public:
  ChannelRelay(const ChannelEnds& ends, std::string line)
      : ends_(ends), line_(std::move(line)), event_(::ssh_event_new()), up_(kReadBytes) {
    callbacks_.userdata = this;
    callbacks_.channel_data_function = [](ssh_session, ssh_channel, void* data, uint32_t count, int is_stderr,
                                          void* self) {
      if (is_stderr == 0) static_cast<ChannelRelay*>(self)->take({static_cast<const char*>(data), count});
      return static_cast<int>(count);
    };
    ssh_callbacks_init(&callbacks_);
  }

  Status run() {
    if (!event_ || ::ssh_event_add_session(event_.get(), ends_.session) != SSH_OK ||
        ::ssh_set_channel_callbacks(ends_.channel, &callbacks_) != SSH_OK)
      return Error{ErrorKind::kSystem, 0, "libssh: no event loop"};
    take_early_data();
    for (;;) {
      take_packets();
      write_down();
      if (wrong_line_) return peer_error("the server in the tunnel is not the one that answered before");
      bool over = ::ssh_channel_is_eof(ends_.channel) != 0;
      if ((over && held() == 0) || client_finished()) return end();
      if (!alive_ && !over && held() == 0) return broken();
      move_up();
      if (auto waited = wait(); !waited) return waited;
    }
  }

 private:
  // What came before the callback was there.
  void take_early_data() {
    std::vector<char> early(kReadBytes);
    for (;;) {
      int n = ::ssh_channel_read_timeout(ends_.channel, early.data(), kReadBytes, 0, 0);
      if (n <= 0) return;
      take({early.data(), static_cast<size_t>(n)});
    }
  }

  // Until alive_ is false. While the client does not take what is there already, packets stay in the socket:
  // a dead session gives no more data out, so what is read must fit our own buffer.
  void take_packets() {
    bool full = held() >= kMostHeld;
    if (!alive_ || (full && !writable_)) return;
    // libssh writes only where it also reads
    for (int i = 0; i < (full ? 1 : kPacketRounds); ++i) {
      int code = ::ssh_event_dopoll(event_.get(), 0);
      if (code == SSH_ERROR) alive_ = false;
      if (code != SSH_OK) break;
    }
    if (alive_) widen_window();
    if (::ssh_is_connected(ends_.session) == 0) alive_ = false;
  }

  // A read that asks for more than the window makes libssh widen the window to that; there is nothing to
  // read, for the callback takes everything.
  void widen_window() {
    if (since_renewal_ < kRenewWindow) return;
    since_renewal_ = 0;
    wide_.resize(kWindow);
    int n = ::ssh_channel_read_timeout(ends_.channel, wide_.data(), kWindow, 0, 0);
    if (n > 0) take({wide_.data(), static_cast<size_t>(n)});
  }

  void take(std::string_view bytes) {
    since_renewal_ += bytes.size();
    if (!line_seen_) {
      size_t used = 0;
      auto state = reader_.feed(bytes, used);
      if (state == IdentificationReader::State::kMore) return;
      line_seen_ = true;
      wrong_line_ = state != IdentificationReader::State::kFound || reader_.result().line != line_;
      bytes.remove_prefix(used);
    }
    if (client_gone_) return;
    if (down_start_ > down_.size() / 2) down_.erase(0, std::exchange(down_start_, 0));
    down_.append(bytes);
  }

  void write_down() {
    while (held() > 0 && !client_gone_) {
      ssize_t n = ::write(ends_.out, down_.data() + down_start_, held());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0) client_left();
      if (n > 0) down_start_ += static_cast<size_t>(n);
    }
    down_.clear();
    down_start_ = 0;
  }

  [[nodiscard]] size_t held() const { return down_.size() - down_start_; }

  // How much may go into the channel now: while libssh holds bytes that the socket did not take, nothing.
  [[nodiscard]] size_t room() const {
    if ((::ssh_get_poll_flags(ends_.session) & SSH_WRITE_PENDING) != 0) return 0;
    return std::min<size_t>(::ssh_channel_window_size(ends_.channel), kReadBytes);
  }

  void move_up() {
    while (!up_over_ && room() > 0) {
      if (up_held_ == 0 && !read_client()) return;
      auto count = static_cast<uint32_t>(std::min(up_held_, room()));
      int n = ::ssh_channel_write(ends_.channel, up_.data() + up_start_, count);
      if (n < 0) return end_up();
      if (n == 0) return;  // keys are being exchanged again
      up_start_ += static_cast<size_t>(n);
      up_held_ -= static_cast<size_t>(n);
    }
  }

  // False when there is nothing to read now.
  bool read_client() {
    if (!readable_) return false;
    readable_ = false;
    ssize_t n = ::read(ends_.in, up_.data(), up_.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) {
      end_up();
      return false;
    }
    up_start_ = 0;
    up_held_ = static_cast<size_t>(n);
    return true;
  }

  void end_up() {
    up_over_ = true;
    up_held_ = 0;
    // fails when the channel is closed already, which is noticed elsewhere
    ::ssh_channel_send_eof(ends_.channel);
  }

  Status wait() {
    bool pending = (::ssh_get_poll_flags(ends_.session) & SSH_WRITE_PENDING) != 0;
    bool writes = pending && held() < kMostHeldWriting;
    bool reads = !up_over_ && up_held_ == 0 && room() > 0;
    auto events = static_cast<short>((held() >= kMostHeld ? 0 : POLLIN) | (writes ? POLLOUT : 0));
    // poll(2) reports the end of a connection also to who asks for nothing, again and again
    bool asked = alive_ && events != 0;
    std::array<pollfd, 3> polled = {
        {{asked ? ::ssh_get_fd(ends_.session) : -1, events, 0},
         {reads ? ends_.in : -1, POLLIN, 0},
         {client_gone_ ? -1 : ends_.out, static_cast<short>(held() == 0 ? 0 : POLLOUT), 0}}};
    if (::poll(polled.data(), polled.size(), poll_timeout(last_words_)) < 0 && errno != EINTR)
      return system_error("poll");
    writable_ = (polled[0].revents & ~POLLIN) != 0;
    if (polled[1].revents != 0) readable_ = true;
    if ((polled[2].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) client_left();
    return Done{};
  }

  // Its last words, a disconnect message above all, are still to be passed on.
  void client_left() {
    if (client_gone_) return;
    client_gone_ = true;
    down_.clear();
    down_start_ = 0;
    last_words_ = Clock::now() + kLastWords;
  }

  [[nodiscard]] bool client_finished() const {
    if (!client_gone_) return false;
    bool sent = up_over_ && (::ssh_get_poll_flags(ends_.session) & SSH_WRITE_PENDING) == 0;
    return sent || Clock::now() >= last_words_;
  }

  Status end() {
    ::ssh_event_remove_session(event_.get(), ends_.session);
    ::ssh_disconnect(ends_.session);
    return Done{};
  }

  // A client that said goodbye leaves at the same moment as the server: no reason to complain.
  Status broken() const {
    auto left = ClientWatch(ends_.in, ends_.out).wait(-1, 0, Clock::now() + kGoodbye);
    if (client_gone_ || up_over_ || !left) return Done{};
    return Error{ErrorKind::kSystem, 0, "the connection broke: " + printable(::ssh_get_error(ends_.session))};
  }

  ChannelEnds ends_;
  std::string line_;
  SshHandle<ssh_event> event_;
  IdentificationReader reader_;
  ssh_channel_callbacks_struct callbacks_{};
  std::string down_;  // for the client; up to down_start_ it has it
  size_t down_start_ = 0;
  std::vector<char> wide_, up_;
  size_t up_start_ = 0, up_held_ = 0;
  size_t since_renewal_ = kRenewWindow;
  bool line_seen_ = false, wrong_line_ = false, readable_ = false, writable_ = false;
  bool up_over_ = false, client_gone_ = false, alive_ = true;
  Deadline last_words_ = Deadline::max();
};

}  // namespace

Status relay_channel(const ChannelEnds& ends, const std::string& line) {
  NonBlocking in(ends.in), out(ends.out);
  widen_pipe(ends.in);
  widen_pipe(ends.out);
  return ChannelRelay(ends, line).run();
}

}  // namespace qf
