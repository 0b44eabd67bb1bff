// SPDX-License-Identifier: Apache-2.0
#include "qf-up/instance.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/text.h"

// The header of glibc 2.36 does not say that its functions are C.
extern "C" {
#include <sys/pidfd.h>
}

namespace qf {

namespace {

std::string lock_path(const Folders& folders) {
  return folders.state + "/qf-up.lock";
}

struct flock whole_file() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

// Whether all uids of the process are our own: a lock outlives an exec, so the effective one alone could be
// that of a set-uid program which somebody else has started.
Result<bool> all_ours(pid_t pid) {
  constexpr size_t kMostStatus = 65536;
  auto status = read_file("/proc/" + std::to_string(pid) + "/status", kMostStatus);
  if (!status) return status.error();
  for (const auto& line : split(*status, '\n')) {
    if (!line.starts_with("Uid:\t")) continue;
    auto uids = split(std::string_view(line).substr(5), '\t');
    return std::all_of(uids.begin(), uids.end(),
                       [](const auto& uid) { return uid == std::to_string(::geteuid()); });
  }
  return false;
}

}  // namespace

Result<Fd> become_instance(const Folders& folders) {
  std::string path = lock_path(folders);
  auto fd = open_lock_file(path);
  if (!fd) return fd.error();
  struct flock lock = whole_file();
  if (::fcntl(fd->get(), F_SETLK, &lock) == 0) return std::move(*fd);
  if (errno != EAGAIN && errno != EACCES) return system_error("cannot lock " + path);
  auto running = running_instance(folders);
  if (!running) return running.error();
  std::string who = "another qf-up";
  if (*running) who += " (pid " + std::to_string(**running) + ")";
  return refused(who + " is running for " + folders.state);
}

Result<std::optional<pid_t>> running_instance(const Folders& folders) {
  std::string path = lock_path(folders);
  auto fd = open_file(path, O_RDONLY | O_NOFOLLOW);
  if (!fd && fd.error().sys == ENOENT) return std::optional<pid_t>();
  if (!fd) return fd.error();
  struct flock lock = whole_file();
  if (::fcntl(fd->get(), F_GETLK, &lock) != 0) return system_error("cannot look at the lock of " + path);
  if (lock.l_type == F_UNLCK || lock.l_pid <= 0) return std::optional<pid_t>();
  auto ours = all_ours(lock.l_pid);
  // It has ended meanwhile, and the lock with it.
  if (!ours && (ours.error().sys == ENOENT || ours.error().sys == ESRCH)) return std::optional<pid_t>();
  if (!ours) return ours.error();
  if (!*ours)
    return refused("process " + std::to_string(lock.l_pid) + ", which holds " + path +
                   ", runs as another user");
  return std::optional<pid_t>(lock.l_pid);
}

namespace {

// Its pidfd, after the signal was sent; empty when none runs.
Result<Fd> signal_instance(const Folders& folders, int signal) {
  auto running = running_instance(folders);
  if (!running) return running.error();
  std::optional<pid_t> pid = *running;
  if (!pid) return Fd();
  Fd process(::pidfd_open(*pid, 0));
  if (!process && errno == ESRCH) return Fd();
  if (!process) return system_error("cannot watch process " + std::to_string(*pid));
  // Still the holder and still ours, so the pidfd is of the process that held the lock and of no later one.
  running = running_instance(folders);
  if (!running) return running.error();
  if (*running != pid) return Fd();
  if (::pidfd_send_signal(process.get(), signal, nullptr, 0) != 0 && errno != ESRCH)
    return system_error("cannot send a signal to process " + std::to_string(*pid));
  return process;
}

}  // namespace

Result<bool> reload_instance(const Folders& folders) {
  auto process = signal_instance(folders, SIGHUP);
  if (!process) return process.error();
  return static_cast<bool>(*process);
}

Result<bool> stop_instance(const Folders& folders, Deadline deadline) {
  auto process = signal_instance(folders, SIGTERM);
  if (!process) return process.error();
  if (!*process) return false;
  auto ended = wait_for(process->get(), POLLIN, deadline);
  if (!ended && ended.error().kind == ErrorKind::kTimeout)
    return timeout_error("the running qf-up does not end");
  if (!ended) return ended.error();
  return true;
}

}  // namespace qf
