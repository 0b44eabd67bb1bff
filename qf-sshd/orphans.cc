// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/orphans.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>

#include "libqf/signals.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostDescendants = 2000;  // each is a descriptor for a moment
constexpr size_t kMostChildrenBytes = size_t{1} << 20;
constexpr size_t kMostStatusBytes = 16384;
constexpr int kMostRounds = 60;  // for those that start others faster than they are ended
constexpr int kRoundMilliseconds = 5;

// Whether the process runs, and its real uid is this (proc(5), "State" and "Uid" of status).
bool lives_as(pid_t pid, uid_t uid) {
  auto status = read_file("/proc/" + std::to_string(pid) + "/status", kMostStatusBytes);
  if (!status) return false;
  bool user = false, dead = false;
  for (const auto& line : split(*status, '\n')) {
    if (line.starts_with("State:\tZ") || line.starts_with("State:\tX")) dead = true;
    if (line.starts_with("Uid:\t" + std::to_string(uid) + "\t")) user = true;
  }
  return user && !dead;
}

void kill_held(const Fd& process) {
  static_cast<void>(::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0));
}

std::vector<pid_t> adopted(const std::vector<pid_t>& own) {
  auto children = children_of(::getpid());
  std::erase_if(children, [&](pid_t child) { return std::find(own.begin(), own.end(), child) != own.end(); });
  return children;
}

}  // namespace

std::vector<pid_t> children_of(pid_t pid) {
  std::string task = std::to_string(pid);
  auto text = read_file("/proc/" + task + "/task/" + task + "/children", kMostChildrenBytes);
  std::vector<pid_t> children;
  if (!text) return children;
  for (const auto& word : split(*text, ' ')) {
    if (auto child = parse_number(word, std::numeric_limits<pid_t>::max()))
      children.push_back(static_cast<pid_t>(*child));
  }
  return children;
}

std::vector<Fd> descendants_of(pid_t pid) {
  std::vector<Fd> found;
  std::vector<pid_t> parents = {pid};
  while (!parents.empty() && found.size() < kMostDescendants) {
    pid_t parent = parents.back();
    parents.pop_back();
    for (pid_t child : children_of(parent)) {
      Fd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
      if (!process) continue;
      found.push_back(std::move(process));
      parents.push_back(child);
    }
  }
  return found;
}

Status Orphans::start() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return system_error("cannot adopt processes");
  auto ended = watch_signals({SIGCHLD}, &mask_);
  if (!ended) return ended.error();
  ended_ = std::move(*ended);
  return Done{};
}

void Orphans::stop() {
  if (!ended_) return;
  ended_.reset();
  static_cast<void>(::sigprocmask(SIG_SETMASK, &mask_, nullptr));
}

void Orphans::reap(const std::vector<pid_t>& own) {
  if (!ended_) return;
  while (next_signal(ended_) != 0) continue;
  for (pid_t child : adopted(own)) static_cast<void>(::waitpid(child, nullptr, WNOHANG));
}

void Orphans::kill_all(const std::vector<pid_t>& own, uid_t uid) {
  for (int round = 0; ended_ && round < kMostRounds; ++round) {
    bool any = false;
    for (pid_t child : adopted(own)) {
      // ours until we reap it, so the number is nobody else's
      if (!lives_as(child, uid)) continue;
      any = true;
      auto below = descendants_of(child);
      ::kill(child, SIGKILL);
      for (const auto& process : below) kill_held(process);
    }
    if (!any) return;
    // what they leave becomes ours in turn
    ::poll(nullptr, 0, kRoundMilliseconds);
    reap(own);
  }
}

}  // namespace qf
