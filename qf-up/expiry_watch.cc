// SPDX-License-Identifier: Apache-2.0
#include "qf-up/expiry_watch.h"

#include <sys/inotify.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <ctime>

#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "qf-up/choices.h"
#include "qf-up/document.h"
#include "qf-up/source.h"

namespace qf {

ExpiryWatch::ExpiryWatch(Folders folders)
    : folders_(std::move(folders)),
      timer_(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK)),
      events_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  // the rename of "current" puts a document into force
  if (events_) ::inotify_add_watch(events_.get(), folders_.state.c_str(), IN_MOVED_TO);
}

void ExpiryWatch::drain() const {
  char events[4096];
  while (events_ && ::read(events_.get(), events, sizeof events) > 0) {
  }
  uint64_t times = 0;
  // ECANCELED: the clock was set
  while (timer_ && (::read(timer_.get(), &times, sizeof times) > 0 || errno == ECANCELED)) {
  }
}

void ExpiryWatch::arm(int64_t expires) const {
  struct itimerspec when = {};
  when.it_value.tv_sec = expires;  // 0: never
  if (timer_) ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, nullptr);
}

void ExpiryWatch::look() {
  drain();
  auto peers = PeersDb::open(folders_.peers_mdb());
  auto meta = peers ? peers->meta() : Result<PeersMeta>(peers.error());
  auto choices = load_choices(folders_);
  bool local = choices && !has_source(*choices);
  int64_t expires = meta && local ? peers->expires() : 0;
  int64_t now = std::time(nullptr);
  arm(expires > now ? expires : 0);
  if (expires == 0 || expires > now || said_ == meta->serial) return;
  said_ = meta->serial;
  say("ALARM: the fabric document of serial " + std::to_string(meta->serial) + " has expired, at " +
          moment_text(expires) + "; it stays in force",
      "publish one with a later \"expires\" and a higher serial; is the clock of this machine right?");
}

}  // namespace qf
