// SPDX-License-Identifier: Apache-2.0
// The foreground qf-up: keeps qf-sshd running, and waits for signals and its signs of life without waking up
// otherwise. uid:
// whoever started it (root on a server). It reads nothing from the network.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "libqf/child.h"
#include "libqf/fd.h"
#include "libqf/folders.h"
#include "libqf/systemd.h"
#include "qf-up/expiry_watch.h"

namespace qf {

// How long to wait before a server that ended is started again: 0.2 s, doubled each time up to 30 s; nothing
// after kMostQuickEnds in a row. A run of a minute or more was a good one, and the count starts anew.
class Backoff {
 public:
  static constexpr int kMostQuickEnds = 12;
  [[nodiscard]] std::optional<std::chrono::milliseconds> after(Clock::duration ran);

 private:
  int quick_ends_ = 0;
};

// Looking for a newer document from time to time, by a program of its own.
struct Refresh {
  std::function<std::vector<std::string>()> command;
  std::function<std::optional<std::chrono::milliseconds>()> delay;  // to the next one; nothing: never
  // whether the one that is started now stays; then a reload ends it, and another one is started
  std::function<bool()> stays{};
};

// Told what happens, for whoever watches the machine from outside (qf-up/metrics.h); all or none are set.
struct Watchers {
  // nothing in server_runs: none is meant to. Until the next time; nothing: when there is a SIGHUP.
  std::function<std::optional<std::chrono::milliseconds>(std::optional<bool> server_runs, uint64_t restarts)>
      turn;
  std::function<void(uint64_t restarts)> server_started;
  std::function<void()> server_ended, end;
};

struct Supervised {
  std::vector<std::string> server;  // command of qf-sshd; empty: no server runs here
  std::function<void()> reload;     // on SIGHUP; then the server gets one too
  // the sockets to hand on, asked at each start of the server; borrowed
  std::function<std::vector<HandedFd>()> sockets;
  Notifier notifier;  // ready when the server says so; at once when none runs
  Folders folders;    // what the server says goes through the runtime folder
  Refresh refresh{};
  Watchers watchers{};
  ExpiryWatch* expiry = nullptr;  // borrowed
};

// Until SIGTERM or SIGINT; then stops the server (SIGTERM, after 10 s SIGKILL). Returns the exit code of
// qf-up: 0; 78 when qf-sshd ended with 78, since no restart mends a configuration; 71 when it cannot run.
// Blocks these signals for the process.
[[nodiscard]] int supervise(const Supervised& supervised);

}  // namespace qf
