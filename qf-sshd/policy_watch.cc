// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/policy_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <utility>

#include "libqf/log.h"

namespace qf {

namespace {

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

PolicyWatch::PolicyWatch(std::string path) : path_(std::move(path)) {
  if (::stat(path_.c_str(), &known_) != 0) known_ = {};
}

bool PolicyWatch::changed() {
  drain();
  struct stat now = {};
  if (::stat(path_.c_str(), &now) != 0 || same_file(now, known_)) return false;
  known_ = now;
  return true;
}

void PolicyWatch::notice_at_once() {
  std::string folder = path_.substr(0, path_.rfind('/'));
  Fd events(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  // the file itself, or a symlink on the way to it, is renamed into this folder
  if (!events || ::inotify_add_watch(events.get(), folder.c_str(), IN_MOVED_TO) < 0) {
    log_warning(system_error("cannot watch " + folder + "; a new policy is noticed within a second").text());
    return;
  }
  events_ = std::move(events);
}

void PolicyWatch::drain() const {
  char events[4096];
  while (events_ && ::read(events_.get(), events, sizeof events) > 0) continue;
}

}  // namespace qf
