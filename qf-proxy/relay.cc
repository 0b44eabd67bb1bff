// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/relay.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>

#include "qf-proxy/busy_poll.h"
#include "qf-proxy/non_blocking.h"
#include "qf-proxy/pump.h"

namespace qf {

namespace {

constexpr int kStallMilliseconds = 5;
constexpr auto kLastWords = std::chrono::seconds(5);
constexpr size_t kGuardBuffer = 64 * 1024;    // held for a slow side during the key exchange
constexpr uint64_t kShortMessage = 8 * 1024;  // bytes; more of them are much data

bool gone(short revents) {
  return (revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

bool would_block() {
  return errno == EAGAIN || errno == EINTR;
}

Error broken(int code) {
  errno = code;
  return system_error("the connection broke");
}

enum class Phase { kGoesOn, kOver };

// The key exchange: small buffers, every byte of the server through the guard.
class GuardedPhase {
 public:
  GuardedPhase(const RelayEnds& ends, HostKeyGuard& guard, Deadline deadline)
      : ends_(ends), guard_(guard), deadline_(deadline) {}

  // kGoesOn: the guard is done and nothing is held back; client_ended() may be true.
  Result<Phase> run() {
    while (!guard_.done() || !to_client_.empty() || !to_peer_.empty()) {
      if (peer_ended_ && to_client_.empty()) return Phase::kOver;
      if (!guard_.done() && Clock::now() >= deadline_) return timeout_error("the key exchange took too long");
      auto polled = wait();
      if (!polled) return polled.error();
      if (gone((*polled)[1].revents)) return Phase::kOver;
      if ((*polled)[0].revents != 0) {
        if (auto moved = read_client(); !moved) return moved.error();
      }
      if (((*polled)[2].revents & ~POLLOUT) != 0) {
        if (auto moved = read_peer(); !moved) {
          (void)write_out();  // what was judged before is the client's
          return moved.error();
        }
      }
      if (auto moved = write_out(); !moved) return moved.error();
      if (client_gone_) return Phase::kOver;
    }
    return Phase::kGoesOn;
  }
  [[nodiscard]] bool client_ended() const { return client_ended_; }

 private:
  using Polled = std::array<pollfd, 3>;

  Result<Polled> wait() const {
    bool want_client = !client_ended_ && to_peer_.size() < kGuardBuffer;
    bool want_peer = !peer_ended_ && to_client_.size() < kGuardBuffer;
    short peer_events = static_cast<short>((want_peer ? POLLIN : 0) | (to_peer_.empty() ? 0 : POLLOUT));
    Polled polled = {{{want_client ? ends_.in : -1, POLLIN, 0},
                      {ends_.out, static_cast<short>(to_client_.empty() ? 0 : POLLOUT), 0},
                      {peer_events == 0 ? -1 : ends_.peer, peer_events, 0}}};
    // once the guard is done only a slow client can hold things up, and it may
    int limit = poll_timeout(guard_.done() ? Deadline::max() : deadline_);
    if (::poll(polled.data(), polled.size(), limit) < 0 && errno != EINTR) return system_error("poll");
    return polled;
  }

  Status read_client() {
    char bytes[16384];
    ssize_t n = ::read(ends_.in, bytes, sizeof bytes);
    if (n < 0) return would_block() ? Status(Done{}) : Status(system_error("cannot read from the client"));
    if (n == 0) {
      client_ended_ = true;
      if (to_peer_.empty()) ::shutdown(ends_.peer, SHUT_WR);
      return Done{};
    }
    std::string_view taken(bytes, static_cast<size_t>(n));
    to_peer_ += taken;
    return guard_.from_client(taken);
  }

  Status read_peer() {
    char bytes[16384];
    ssize_t n = ::recv(ends_.peer, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0) return would_block() ? Status(Done{}) : Status(broken(errno));
    if (n == 0) peer_ended_ = true;
    return guard_.from_server({bytes, static_cast<size_t>(n)}, to_client_);
  }

  Status write_out() {
    if (!to_client_.empty()) {
      ssize_t n = ::write(ends_.out, to_client_.data(), to_client_.size());
      if (n < 0 && !would_block()) client_gone_ = true;
      if (n > 0) to_client_.erase(0, static_cast<size_t>(n));
    }
    if (to_peer_.empty()) return Done{};
    ssize_t n = ::send(ends_.peer, to_peer_.data(), to_peer_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // What the peer said before it went is still to be read.
    if (n < 0 && !would_block()) to_peer_.clear();
    if (n > 0) to_peer_.erase(0, static_cast<size_t>(n));
    if (to_peer_.empty() && client_ended_) ::shutdown(ends_.peer, SHUT_WR);
    return Done{};
  }

  RelayEnds ends_;
  HostKeyGuard& guard_;
  Deadline deadline_;
  std::string to_client_, to_peer_;
  bool client_ended_ = false, peer_ended_ = false, client_gone_ = false;
};

// Both directions without looking at the bytes.
class FreePhase {
 public:
  FreePhase(const RelayEnds& ends, Pump up, Pump down, bool client_ended)
      : ends_(ends), up_(std::move(up)), down_(std::move(down)), up_over_(client_ended) {}

  [[nodiscard]] Departure departure() const {
    Departure departure = departure_;
    departure.sent = up_.taken();
    return departure;
  }

  Status run() {
    for (;;) {
      if (down_.state() == Pump::State::kEnded) return Done{};
      if (down_.source_error() != 0) return broken(down_.source_error());
      if (down_.sink_error() != 0) client_left();
      if (!up_over_ && (up_.state() == Pump::State::kEnded || up_.failed())) end_up();
      if (client_gone_ && (up_over_ || Clock::now() >= last_words_)) return Done{};
      auto polled = wait();
      if (!polled) return polled.error();
      auto [in, out, peer] = *polled;
      if (gone(out.revents)) client_left();
      uint64_t up = up_.taken(), down = down_.taken();
      if (!up_over_ && due(up_, in.revents, peer.revents & ~POLLIN)) up_.step();
      if (!client_gone_ && due(down_, peer.revents & ~POLLOUT, out.revents)) down_.step();
      answer_ = who_answers(up_.taken() - up, down_.taken() - down);
    }
  }

 private:
  // The side that a short message was passed on to just now, if it went whole.
  std::optional<BusyPoll::Side> who_answers(uint64_t up, uint64_t down) const {
    bool taken = up_.state() == Pump::State::kWaitSource && down_.state() == Pump::State::kWaitSource;
    if (!taken || (up == 0) == (down == 0) || up + down > kShortMessage) return std::nullopt;
    return up > 0 ? BusyPoll::Side::kPeer : BusyPoll::Side::kClient;
  }

  static bool due(const Pump& pump, int source_events, int sink_events) {
    if (pump.state() == Pump::State::kWaitSource) return source_events != 0;
    if (pump.state() == Pump::State::kWaitSink) return sink_events != 0;
    return pump.state() == Pump::State::kStalled;
  }

  // Nothing more for the peer: because the client ended its side, or because the peer takes nothing any more;
  // what it still has to say is read either way.
  void end_up() {
    up_over_ = true;
    departure_.by_itself = up_.state() == Pump::State::kEnded;
    ::shutdown(ends_.peer, SHUT_WR);
  }

  // Its last words, a disconnect message above all, are still to be passed on.
  void client_left() {
    if (client_gone_) return;
    client_gone_ = true;
    last_words_ = Clock::now() + kLastWords;
  }

  Result<std::array<pollfd, 3>> wait() {
    bool up = !up_over_, down = !client_gone_;
    auto waits = [](bool active, const Pump& pump, Pump::State state) {
      return active && pump.state() == state;
    };
    short peer = static_cast<short>((waits(up, up_, Pump::State::kWaitSink) ? POLLOUT : 0) |
                                    (waits(down, down_, Pump::State::kWaitSource) ? POLLIN : 0));
    short out = waits(down, down_, Pump::State::kWaitSink) ? POLLOUT : 0;
    bool stalled = waits(up, up_, Pump::State::kStalled) || waits(down, down_, Pump::State::kStalled);
    // Descriptors that nobody waits for stay out: poll(2) would report their hang-up again and again. The
    // client's own end is watched as long as it is there.
    std::array<pollfd, 3> polled = {{{waits(up, up_, Pump::State::kWaitSource) ? ends_.in : -1, POLLIN, 0},
                                     {down ? ends_.out : -1, out, 0},
                                     {peer == 0 ? -1 : ends_.peer, peer, 0}}};
    int limit = stalled ? kStallMilliseconds : poll_timeout(client_gone_ ? last_words_ : Deadline::max());
    if (busy_poll_.wait(polled, limit, answer_) < 0) {
      if (errno != EINTR) return system_error("poll");
      for (auto& p : polled) p.revents = 0;
    }
    return polled;
  }

  RelayEnds ends_;
  Pump up_, down_;
  BusyPoll busy_poll_;
  std::optional<BusyPoll::Side> answer_;
  bool up_over_;
  bool client_gone_ = false;
  Departure departure_;
  Deadline last_words_ = Deadline::max();
};

}  // namespace

Status relay(const RelayEnds& ends, HostKeyGuard* guard, std::chrono::milliseconds key_exchange_time,
             Departure* departure) {
  NonBlocking in(ends.in), out(ends.out);
  bool client_ended = false;
  if (guard != nullptr) {
    GuardedPhase phase(ends, *guard, Clock::now() + key_exchange_time);
    auto over = phase.run();
    if (!over) return over.error();
    if (*over == Phase::kOver) return Done{};
    client_ended = phase.client_ended();
  }
  auto up = Pump::make(ends.in, ends.peer);
  if (!up) return up.error();
  auto down = Pump::make(ends.peer, ends.out);
  if (!down) return down.error();
  FreePhase phase(ends, std::move(*up), std::move(*down), client_ended);
  auto done = phase.run();
  if (departure != nullptr) *departure = phase.departure();
  return done;
}

}  // namespace qf
