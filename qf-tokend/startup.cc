// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/startup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "libqf/crypto.h"
#include "libqf/log.h"
#include "libqf/secret.h"
#include "qf-tokend/wiped_memory.h"

namespace qf {

namespace {

constexpr auto kReplacedTime = std::chrono::seconds(30);  // more than the server takes to miss its socket
constexpr auto kLockRetry = std::chrono::milliseconds(50);

// The first process: waits for a byte (the daemon listens) or the daemon's end.
[[noreturn]] void follow(pid_t daemon, Fd ready) {
  char byte = 0;
  ssize_t n = 0;
  do {
    n = ::read(ready.get(), &byte, 1);
  } while (n < 0 && errno == EINTR);
  if (n == 1) ::_exit(kExitOk);
  int status = 0;
  while (::waitpid(daemon, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : kExitSystem);
}

}  // namespace

Background Background::begin(bool foreground) {
  if (foreground) {
    keep_private_keys_locked();
    return Background(Fd());
  }
  auto ends = make_pipe();
  if (!ends) die(kExitSystem, ends.error().text());
  pid_t pid = ::fork();
  if (pid < 0) die(kExitSystem, system_error("cannot start a process").text());
  if (pid > 0) {
    ends->second.reset();
    follow(pid, std::move(ends->first));
  }
  ::setsid();
  keep_private_keys_locked();
  return Background(std::move(ends->second));
}

void Background::ready() {
  if (!parent_) return;
  auto nowhere = open_file("/dev/null", O_RDWR);
  if (nowhere) {
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere->get(), fd);
  }
  if (::chdir("/") != 0) log_warning("cannot leave the folder that this was started in");
  // a first process that is gone already needs no word
  (void)write_all(parent_.get(), "r");
  parent_.reset();
}

Result<Fd> take_lock(const std::string& path) {
  auto lock = open_lock_file(path);
  if (!lock) return lock.error();
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) == 0) return std::move(*lock);
  if (errno == EWOULDBLOCK) return refused("another process holds " + path);
  return system_error("cannot lock " + path);
}

Result<Fd> take_lock(const std::string& path, const Activation& activation, const std::string& socket) {
  if (auto good = activation.check(socket); !good) die(kExitConfig, good.error().text());
  auto lock = take_lock(path);
  if (lock || lock.error().kind != ErrorKind::kRefused || !activation.handed()) return lock;
  log_info("waiting for the end of a process whose socket systemd has replaced");
  for (Deadline until = Clock::now() + kReplacedTime; !lock && Clock::now() < until; lock = take_lock(path)) {
    if (lock.error().kind != ErrorKind::kRefused) break;
    std::this_thread::sleep_for(kLockRetry);
  }
  return lock;
}

Activation take_activation() {
  auto activation = Activation::take();
  if (!activation) die(kExitConfig, activation.error().text());
  return std::move(*activation);
}

ServerLimits client_limits(rlim_t descriptors) {
  // a daemon's own: log, lock, connections to providers; and who is refused stays to read why
  constexpr rlim_t kOwn = 128;
  rlim_t usable = descriptors > 2 * kOwn ? descriptors - kOwn : descriptors / 2;
  size_t most = std::clamp<rlim_t>(usable, 1, kMostClients);
  return {most, most};
}

ServerLimits harden_process() {
  make_undumpable();
  wipe_all_memory();
  ::umask(077);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
  struct rlimit files = {};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    rlim_t had = std::exchange(files.rlim_cur, std::min<rlim_t>(files.rlim_max, kMostClients + 256));
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) {
      log_warning("cannot raise the limit of descriptors");
      files.rlim_cur = had;
    }
  }
  return client_limits(files.rlim_cur);
}

}  // namespace qf
