// SPDX-License-Identifier: Apache-2.0
#include "qf-up/supervise.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "libqf/log.h"
#include "libqf/signals.h"

namespace qf {

namespace {

constexpr auto kFirstDelay = std::chrono::milliseconds(200);
constexpr auto kMostDelay = std::chrono::milliseconds(30'000);
constexpr auto kGoodRun = std::chrono::seconds(60);
constexpr auto kGrace = std::chrono::seconds(10);  // for qf-sshd to end after SIGTERM
// as systemd gives a unit by default: qf-sshd asks name services as it starts, which may wait for a network
constexpr auto kStartTime = std::chrono::seconds(90);
// of a qf-sshd without a sign of life, where systemd says nothing else: a machine may be that busy
constexpr auto kSilence = std::chrono::seconds(30);

class Supervisor {
 public:
  Supervisor(const Supervised& supervised, Fd signals)
      : supervised_(supervised), signals_(std::move(signals)), life_(supervised.notifier) {
    // so that the unit's own time is over only when this process hangs, or cannot kill a server that does
    if (auto watchdog = supervised.notifier.watchdog())
      silence_ = std::chrono::duration_cast<Clock::duration>(*watchdog) / 2;
  }

  int run() {
    if (supervised_.server.empty()) {
      supervised_.notifier.ready();
    } else {
      listen_for_readiness();
      start_at_ = Clock::now();
    }
    plan_refresh();
    watch_soon();
    if (supervised_.expiry != nullptr) supervised_.expiry->look();
    while (!exit_code_) {
      if (refresh_at_ && !refresher_ && Clock::now() >= *refresh_at_) refresh();
      if (start_at_ && Clock::now() >= *start_at_) start();
      if (watch_at_ && Clock::now() >= *watch_at_) tell_watchers();
      if (server_ && Clock::now() >= silent_until_) server_is_silent();
      if (!killed_) life_.give(Clock::now());
      if (!exit_code_) wait();
    }
    supervised_.notifier.stopping();
    stop();
    if (supervised_.watchers.end) supervised_.watchers.end();
    return *exit_code_;
  }

 private:
  // The server is no main process of systemd's unit, so what it says would not count: it tells us. Without
  // systemd we alone want to know whether it lives.
  void listen_for_readiness() {
    auto runtime = server_runtime(supervised_.folders, true);
    auto receiver = runtime ? NotifyReceiver::open(*runtime) : Result<NotifyReceiver>(runtime.error());
    if (!receiver)
      return say("nobody will hear whether qf-sshd is ready and lives: " + receiver.error().text());
    receiver_ = std::move(*receiver);
    ::setenv("NOTIFY_SOCKET", receiver_->name().c_str(), 1);
    auto silence = std::chrono::duration_cast<std::chrono::microseconds>(silence_);
    ::setenv("WATCHDOG_USEC", std::to_string(silence.count()).c_str(), 1);
  }

  void hear_server() {
    for (const auto& line : receiver_->receive(server_ ? server_->pid() : -1)) {
      if (line == "READY=1") supervised_.notifier.ready();
      if (line == "RELOADING=1") supervised_.notifier.reloading();
      silent_until_ = Clock::now() + silence_;
    }
  }

  // A server that hangs lets nobody in; its sessions are processes of their own and live on. The clock does
  // not count the sleep of the machine, but may that of a virtual one: a supervisor that was itself not
  // awake in time has no right to judge, and waits once more.
  void server_is_silent() {
    auto now = Clock::now();
    bool overslept = now - silent_until_ > silence_ / 2;
    silent_until_ = now + silence_;
    if (overslept) return;
    if (!killed_) say("qf-sshd has given no sign of life for a while; killing it");
    killed_ = true;
    server_->send_signal(SIGKILL);
  }

  void start() {
    start_at_.reset();
    started_ = Clock::now();
    // Dies with us: a server whose supervisor was killed would keep the next one from binding the port.
    SpawnOptions options;
    options.death_signal = SIGTERM;
    if (supervised_.sockets) options.handed = supervised_.sockets();
    auto child = Child::spawn(supervised_.server, options);
    if (child) {
      server_ = std::move(*child);
      if (supervised_.watchers.server_started) supervised_.watchers.server_started(starts_++);
      if (receiver_) silent_until_ = started_ + std::max<Clock::duration>(kStartTime, silence_);
      return;
    }
    again("cannot start qf-sshd: " + child.error().text());
  }

  void watch_soon() {
    if (supervised_.watchers.turn) watch_at_ = Clock::now();
  }
  void tell_watchers() {
    watch_at_.reset();
    std::optional<bool> runs;
    if (!supervised_.server.empty()) runs = server_.has_value();
    auto delay = supervised_.watchers.turn(runs, starts_ > 0 ? starts_ - 1 : 0);
    if (delay) watch_at_ = Clock::now() + *delay;
  }

  void plan_refresh() {
    refresh_at_.reset();
    if (!supervised_.refresh.delay) return;
    if (auto delay = supervised_.refresh.delay()) refresh_at_ = Clock::now() + *delay;
  }

  void refresh() {
    refresh_at_.reset();
    refresher_stays_ = supervised_.refresh.stays && supervised_.refresh.stays();
    SpawnOptions options;
    options.death_signal = SIGKILL;
    auto child = Child::spawn(supervised_.refresh.command(), options);
    if (child) {
      refresher_ = std::move(*child);
    } else {
      say("cannot look for a newer document: " + child.error().text());
      plan_refresh();
    }
  }

  void refresher_ended() {
    if (!refresher_->wait(Clock::now())) return;
    refresher_.reset();
    // SIGHUP while it ran: at once
    if (!refresh_at_) plan_refresh();
  }

  [[nodiscard]] Deadline next_wake() const {
    Deadline wake = std::min({start_at_.value_or(Deadline::max()), watch_at_.value_or(Deadline::max()),
                              server_ ? silent_until_ : Deadline::max()});
    if (!killed_) wake = std::min(wake, life_.next());
    return refresh_at_ && !refresher_ ? std::min(wake, *refresh_at_) : wake;
  }

  void wait() {
    const ExpiryWatch* expiry = supervised_.expiry;
    struct pollfd polled[6] = {{signals_.get(), POLLIN, 0},
                               {server_ ? server_->fd() : -1, POLLIN, 0},
                               {receiver_ ? receiver_->fd() : -1, POLLIN, 0},
                               {refresher_ ? refresher_->fd() : -1, POLLIN, 0},
                               {expiry != nullptr ? expiry->timer() : -1, POLLIN, 0},
                               {expiry != nullptr ? expiry->events() : -1, POLLIN, 0}};
    int n = ::poll(polled, 6, poll_timeout(next_wake()));
    if (n < 0 && errno != EINTR) {
      say(system_error("poll").text());
      exit_code_ = kExitSystem;
    }
    if (n <= 0) return;
    if (polled[2].revents != 0) hear_server();
    if (polled[4].revents != 0 || polled[5].revents != 0) supervised_.expiry->look();
    if (polled[0].revents != 0) take_signal();
    if (polled[3].revents != 0) refresher_ended();
    if (polled[1].revents != 0) server_ended();
  }

  void take_signal() {
    int signal = next_signal(signals_);
    if (signal == SIGHUP) reload();
    if (signal == SIGTERM || signal == SIGINT) exit_code_ = kExitOk;
  }

  // Ends when the server says that it has done its part.
  void reload() {
    supervised_.notifier.reloading();
    if (supervised_.reload) supervised_.reload();
    watch_soon();
    if (refresher_stays_) refresher_.reset();  // whatever it does is whole or not at all
    plan_refresh();
    if (refresh_at_) refresh_at_ = Clock::now();
    if (server_) {
      server_->send_signal(SIGHUP);
    } else if (!start_at_) {
      supervised_.notifier.ready();
    }
  }

  void server_ended() {
    auto status = server_->wait(Clock::now());
    if (!status) return;
    server_.reset();
    if (supervised_.watchers.server_ended) supervised_.watchers.server_ended();
    watch_soon();
    killed_ = false;
    silent_until_ = Deadline::max();
    // a flag that it does not take is no better the next time either
    if (WIFEXITED(*status) && (WEXITSTATUS(*status) == kExitConfig || WEXITSTATUS(*status) == kExitUsage)) {
      say("qf-sshd refuses its configuration; its message is above", "correct it and run: qf-up");
      exit_code_ = kExitConfig;
      return;
    }
    again("qf-sshd " + describe_exit(*status));
  }

  void again(const std::string& why) {
    auto delay = backoff_.after(Clock::now() - started_);
    if (!delay) {
      say(why + "; it does not stay up, giving up", "look at its messages above");
      exit_code_ = kExitSystem;
      return;
    }
    say(why + "; starting it again in " + std::to_string(delay->count()) + " ms");
    start_at_ = Clock::now() + *delay;
  }

  void stop() {
    refresher_.reset();  // whatever it does is whole or not at all
    if (!server_) return;
    server_->send_signal(SIGTERM);
    if (!server_->wait(Clock::now() + kGrace)) say("qf-sshd does not end; killing it");
    server_.reset();  // kills what is left
  }

  const Supervised& supervised_;
  Fd signals_;
  LifeSigns life_;  // our own
  Clock::duration silence_ = kSilence;
  Deadline silent_until_ = Deadline::max();  // then the server hangs
  bool killed_ = false;                      // it did, and has not ended yet
  Backoff backoff_;
  std::optional<Child> server_;
  std::optional<Child> refresher_;
  bool refresher_stays_ = false;
  std::optional<Deadline> refresh_at_;      // when to look for a newer document
  std::optional<NotifyReceiver> receiver_;  // none: nobody wants to know
  Clock::time_point started_;
  std::optional<Deadline> start_at_;  // when to start the server next
  std::optional<Deadline> watch_at_;  // when to tell who watches
  uint64_t starts_ = 0;
  std::optional<int> exit_code_;  // set: the end
};

}  // namespace

std::optional<std::chrono::milliseconds> Backoff::after(Clock::duration ran) {
  if (ran >= kGoodRun) quick_ends_ = 0;
  if (++quick_ends_ > kMostQuickEnds) return std::nullopt;
  auto delay = kFirstDelay;
  for (int i = 1; i < quick_ends_; ++i) delay = std::min(delay * 2, kMostDelay);
  return delay;
}

int supervise(const Supervised& supervised) {
  auto signals = watch_signals({SIGTERM, SIGINT, SIGHUP});
  if (!signals) {
    say(signals.error().text());
    return kExitSystem;
  }
  return Supervisor(supervised, std::move(*signals)).run();
}

}  // namespace qf
